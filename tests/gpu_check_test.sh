#!/usr/bin/env bash
# scripts/gpu_check.sh where there is no GPU: its arguments, its refusals, what it does when a program
# fails or takes too long, and the shape of its file. Stand-ins on the PATH take the place of
# nvidia-smi, compute-sanitizer and the engine's programs. The last line is 'N passed, N failed'.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# The script looks from its own place, so it gets a folder of its own.
mkdir -p "$work"/{tree/scripts,tree/bench/compare,bin,programs}
cp "$root/scripts/gpu_check.sh" "$work/tree/scripts/"
program() {  # path; the rest of the lines from stdin
  { echo '#!/usr/bin/env bash'; cat; } >"$1"
  chmod +x "$1"
}
program "$work/bin/nvidia-smi" <<'END'
case $1 in
  *=name) echo "Stand-in GPU" ;;
  *=compute_cap) echo 9.0 ;;
  *=driver_version) echo 580.0 ;;
  *) echo 1000 ;;
esac
END
program "$work/bin/compute-sanitizer" <<<'echo "$@"; exec "${@: -1}"'
program "$work/bin/python3" <<'END'
while [ $# -gt 0 ]; do
  [ "$1" != --out ] || echo '{"rows": []}' >"$2"
  shift
done
END
for name in fathom_tests fathom_kernel_tests fathom_bench_device fathom_tools; do
  program "$work/programs/$name" <<'END'
[ "$1" != hash-checkpoint ] || touch "$3"
echo "All tests passed"
END
done
program "$work/programs/fathom" <<'END'
[ "$1 ${3:-}" != "train --help" ] || { echo --device; exit; }
while [ $# -gt 0 ]; do
  [ "$1" != --json ] || echo '{"schema": "fathom-bench/1", "rows": []}' >"$2"
  [ "$1" != --out ] || { mkdir -p "$2" && echo weights >"$2/model.safetensors"; }
  shift
done
END

status=0 output=''
run() {
  status=0
  output=$(PATH=$work/bin:$PATH "$work/tree/scripts/gpu_check.sh" "$@" 2>&1) || status=$?
}
check() {  # what, command
  local what=$1
  shift
  if "$@"; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED: $what (status $status)"
    tail -n 20 <<<"$output"
  fi
}
says() { grep -q -- "$1" <<<"$output"; }
holds() { grep -q -- "$1" "$work/result.json"; }
refused() {  # words, arguments
  local words=$1
  shift
  run "$@"
  check "refuses $*" eval '[ $status -eq 2 ] && says "$words"'
}

refused 'expected some of' --only tests,dance
refused 'expected a number' --seconds soon
refused 'expected PHASE=SECONDS' --limit dance=3
refused 'expected PHASE=SECONDS' --limit tests=x
refused 'needs a value' --prebuilt
refused 'unknown option' --fast
refused 'it has no program fathom' --prebuilt "$work/bin"
mv "$work/bin/nvidia-smi" "$work/nvidia-smi"
if ! command -v nvidia-smi >/dev/null; then refused 'no nvidia-smi' --prebuilt "$work/programs"; fi
mv "$work/nvidia-smi" "$work/bin/nvidia-smi"

run --prebuilt "$work/programs" "$work/result.json"
check "every phase passes" test $status -eq 0
for name in kernels tests golden bench bench_f32 models train_step compare train memcheck racecheck synccheck initcheck; do
  check "$name ran" holds "\"step\": \"$name\", \"status\": 0"
done
for words in '"device": "Stand-in GPU"' '"driver": "580.0"' '"compute": "90a"' '"prebuilt": true' \
  '"revision": ' '"sm_mhz": "1000"' '"bench": {"schema": "fathom-bench/1"' '"compare": {"rows"'; do
  check "the file holds $words" holds "$words"
done
check "two runs are compared" says 'equal bits'
if [ -x /usr/bin/python3 ]; then
  check "the file is JSON" /usr/bin/python3 -m json.tool "$work/result.json" /dev/null
fi

run --prebuilt "$work/programs" --only kernels,bench "$work/result.json"
check "only what is asked for" eval '[ $status -eq 0 ] && holds "\"step\": \"bench\"" &&
  ! holds "\"step\": \"tests\"" && ! holds parity && holds "\"models\": null"'

program "$work/programs/fathom_tests" <<<'echo "a check failed"; exit 3'
program "$work/programs/fathom_kernel_tests" <<<'sleep 60'
run --prebuilt "$work/programs" --only tests,kernels,models --limit kernels=1 --seconds 20 "$work/result.json"
check "failures are named, the rest still runs" eval '[ $status -eq 1 ] &&
  says "failed: kernels tests" && says "a check failed" && holds "\"status\": 3" &&
  holds "\"step\": \"kernels\", \"status\": 124" && holds "\"step\": \"models\", \"status\": 0"'
run --prebuilt "$work/programs" --only bench --seconds 0 "$work/result.json"
check "no step begins without time" eval '[ $status -eq 1 ] && says "no time was left"'

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
