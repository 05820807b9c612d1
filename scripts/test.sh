#!/usr/bin/env bash
# Builds everything and runs the tests; then runs the readers of foreign files, and their fuzzers,
# under AddressSanitizer and UBSan. The last line is 'N passed, N failed', counted in test cases.
#   --quick           a tenth of the mutations
#   --no-sanitizers   the release build only
set -euo pipefail
cd "$(dirname "$0")/.."

mutations=3000 sanitizers=1
for option in "$@"; do
  case $option in
    --quick) mutations=300 ;;
    --no-sanitizers) sanitizers=0 ;;
    *) echo "usage: scripts/test.sh [--quick] [--no-sanitizers]" >&2; exit 2 ;;
  esac
done

passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Runs one program as one case.
run_case() {
  echo "-- $*"
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $*"; fi
}

# Runs a Catch2 program and adds its cases; one that died counts as one more failure.
run_tests() {
  local status=0 xml=$work/report-$BASHPID.xml counts
  echo "-- $*"
  rm -f "$xml"
  "$@" --reporter xml --out "$xml" || status=$?
  counts=$(grep -o '<OverallResultsCases [^>]*' "$xml" | tail -n 1 || true)
  if [[ $counts =~ successes=\"([0-9]+)\"\ failures=\"([0-9]+)\" ]]; then
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
    [ "$status" -eq 0 ] || [ "${BASH_REMATCH[2]}" -gt 0 ] || failed=$((failed + 1))
  else
    failed=$((failed + 1))
  fi
  # The failures once more, in words.
  [ "$status" -eq 0 ] || { echo "exit status $status"; "$@" --reporter compact 2>/dev/null |
    grep -v ' passed: ' | tail -n 40; } || true
}

# Runs a script whose last line is 'N passed, N failed' and adds its cases.
run_script() {
  local last
  echo "-- $*"
  "$@" | tee "$work/report.txt" || true
  last=$(tail -n 1 "$work/report.txt")
  if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
  else
    failed=$((failed + 1))
  fi
}

finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}

build() {  # preset, targets
  local preset=$1 log=$work/build.log settings=("-DFATHOM_CUDA_ARCHS=80;90a")
  shift
  # Two architectures show that the kernels compile; a release has more of them.
  [ "$preset" = asan ] || settings+=("-DFATHOM_CUDA=${FATHOM_CUDA:-AUTO}")
  if ! { cmake --preset "$preset" "${settings[@]}" &&
         cmake --build --preset "$preset" --target "$@"; } >"$log" 2>&1; then
    cat "$log"
    failed=$((failed + 1))
    finish
  fi
  sed -n '/^-- fathom /,/sanitizers/p' "$log"
}

scripts/install_packages.sh
echo "building: release"
build release all
fuzzers=()
if [ $sanitizers -eq 1 ]; then
  for source in tests/fuzz/*_fuzz.cpp; do
    fuzzers+=("fathom_fuzz_$(basename "$source" _fuzz.cpp)")
  done
  echo "building: asan"
  build asan fathom_reader_tests "${fuzzers[@]}"
fi

run_script tests/cli_test.sh build/release  # alone: its cases send signals at the right moment

# Most tests keep one core busy, so these run beside those of the engine.
run_beside() {
  # The CUDA kernels on the CPU; built where CUDA's headers are.
  local host_tests=build/release/fathom_host_tests fuzzer seed_folder seeds
  [ ! -x $host_tests ] || run_tests $host_tests
  run_script tests/gpu_check_test.sh
  [ $sanitizers -eq 0 ] || run_tests build/asan/fathom_reader_tests
  for fuzzer in "${fuzzers[@]}"; do
    case $fuzzer in
      fathom_fuzz_image) seed_folder=tests/data/pictures ;;
      fathom_fuzz_checkpoint) seed_folder=tests/data/weights ;;
      fathom_fuzz_dataset) seed_folder=tests/data/maps ;;
      *) echo "$fuzzer: scripts/test.sh does not know its seeds"; failed=$((failed + 1)); continue ;;
    esac
    mapfile -t seeds < <(find "$seed_folder" -type f | sort)
    run_case "build/asan/$fuzzer" $mutations "${seeds[@]}"
  done
}
(
  passed=0 failed=0
  run_beside
  echo "$passed $failed" >"$work/beside.counts"
) >"$work/beside.log" 2>&1 &
run_tests build/release/fathom_tests
wait $! || true
cat "$work/beside.log"
more_passed=0 more_failed=1  # where it died before it had counted
[ ! -e "$work/beside.counts" ] || read -r more_passed more_failed <"$work/beside.counts"
passed=$((passed + more_passed)) failed=$((failed + more_failed))
finish
