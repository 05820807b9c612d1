#!/usr/bin/env bash
# The command line from end to end: what it prints, its exit status, the files it leaves.
#   tests/cli_test.sh BUILD_FOLDER [CASE...]
# One line a case; the last one is 'N passed, N failed'. A case is a function in tests/cli/: it runs in
# a folder of its own and ends at the first expectation that does not hold.
set -uo pipefail
cd "$(dirname "$0")/.."
[ -d "${1:-}" ] || { echo "usage: tests/cli_test.sh BUILD_FOLDER [CASE...]" >&2; exit 2; }
build=$(cd "$1" && pwd)
shift
scripts=$PWD/tests
program=$build/fathom tools=$build/fathom_tools data=$PWD/tests/data
photo=$data/photos/chelsea.png  # 451 x 300
photo_bytes=$((451 * 300 * 4))
weights_bytes=99140356          # of V2-S in f32
for binary in "$program" "$tools"; do
  [ -x "$binary" ] || { echo "$binary is missing: build the targets fathom and fathom_tools" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
weights=$work/hash.safetensors
"$tools" hash-checkpoint --out "$weights" || exit 2

fail() {
  echo "    $*"
  [ -s err ] && sed 's/^/    stderr: /' err | head -n 5
  exit 1
}

# Runs the program; its status, stdout and stderr are in $status, out and err. `small` infers with
# the small input, and with the weights $with if set.
try() {
  status=0
  timeout 60 "$program" "$@" >out 2>err || status=$?
}
small() { try infer --weights "${with:-$weights}" --size 70 --quiet "$@"; }
succeeds() { "$@"; [ $status -eq 0 ] || fail "exit status $status instead of 0: $*"; }

# refused STATUS WORDS COMMAND...: that exit status and one line on stderr with these words.
refused() {
  local expected=$1 words=$2
  shift 2
  "$@"
  [ $status -eq "$expected" ] || fail "exit status $status instead of $expected: $*"
  [ "$(wc -l <err)" -eq 1 ] || fail "not one line on stderr: $*"
  grep -q '^fathom: ' err || fail "stderr does not begin with 'fathom: ': $*"
  grep -qF -e "$words" err || fail "stderr does not say '$words': $*"
}
says() { grep -qF -e "$2" "$1" || fail "$1 does not say '$2'"; }
exists() { for file in "$@"; do [ -f "$file" ] || fail "$file is missing"; done; }
same() { cmp -s "$1" "$2" || fail "$1 and $2 differ"; }
nothing_half_written() {
  local left
  left=$(find . -name '*.tmp-*' -o -name '.fathom-probe*')
  [ -z "$left" ] || fail "left behind: $left"
}

# Waits until a glob matches: appears PATTERN COUNT.
appears() {
  local i
  for ((i = 0; i < 20000; ++i)); do
    [ "$(compgen -G "$1" | wc -l)" -ge "$2" ] && return 0
    kill -0 $pid 2>/dev/null || return 1
  done
  return 1
}

cases=("$@")
[ ${#cases[@]} -gt 0 ] || mapfile -t cases < <(sed -n 's/^\([a-z0-9_]*[^a-z_ ]*\)() {$/\1/p' "$scripts"/cli/*.sh)
for file in "$scripts"/cli/*.sh; do source "$file"; done
# Without libpng only .npy and .pfm can be written.
if "$program" --version | grep -qx 'png: read only'; then
  need_png='one_bad_photo_does_not_stop_the_rest metric_models_write_metres the_json_summary_is_json
    maps_have_the_size_of_the_photo too_large_inputs_are_refused_with_numbers
    outputs_that_cannot_be_written_are_refused wrong_weights_are_refused wrong_command_lines_are_refused
    photos_come_from_folders_patterns_and_lists instruction_sets_agree
    a_signal_ends_a_run_between_two_photos jpeg_photos_are_read_upright a_run_from_labels_to_a_report
    wrong_training_is_refused a_signal_ends_training_with_a_checkpoint models_and_maps_are_compared_with_the_truth
    killed_training_ends_with_the_same_weights scenes_are_rendered'
fi
passed=0 failed=0
for name in "${cases[@]}"; do
  if [[ " ${need_png:-} " =~ [[:space:]]$name[[:space:]] ]]; then
    echo "skipped ${name//_/ }: this build has no libpng"
    continue
  fi
  mkdir "$work/case"
  if report=$(cd "$work/case" && "$name" 2>&1); then
    passed=$((passed + 1))
    echo "ok      ${name//_/ }${report:+$'\n'$report}"
  else
    failed=$((failed + 1))
    echo "FAILED  ${name//_/ }${report:+$'\n'$report}"
  fi
  rm -rf "$work/case"
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
