#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: builds for it, runs the tests there (every op and model on the device
# against double references and against the CPU), the bench of ops and of models, the comparison with
# that machine's PyTorch, compute-sanitizer, and a training run twice; writes one JSON file. Needs the
# CUDA toolkit and no network. docs/gpu.md says how to prepare it.
#   scripts/gpu_check.sh [--only PHASE,...] [--seconds N] [--limit PHASE=N] [--prebuilt DIR] [RESULT.json]
# Phases, in order: kernels tests golden bench models compare train sanitizers, and parity if it is
# asked for (all of tests/reference/parity.py, which needs PyTorch). RESULT.json is
# out/gpu_check.json unless given. --seconds: of everything, the build included (530); a phase gets its
# own limit (--limit changes one) or what is left. --prebuilt: a folder with the programs, so nothing is
# built. HEADERS=DIR[:DIR...]: folders with the header-only packages (nlohmann/json.hpp, CLI/CLI.hpp,
# stb_image.h, xxhash.h, catch2/catch.hpp) where they are not installed. cuDNN and cuBLAS are also found
# inside a Python environment. Status 1 if anything failed, 2 if this machine cannot run it.
set -euo pipefail
cd "$(dirname "$0")/.."

cannot() { echo "gpu_check: $*" >&2; exit 2; }
phases=(kernels tests golden bench models compare train sanitizers)
declare -A limit=([build]=240 [tests]=90 [kernels]=40 [golden]=30 [parity]=500 [bench]=80 [models]=60 [compare]=120 [train]=30
                  [sanitizers]=120)
only=, total=530 prebuilt='' result=out/gpu_check.json
while [ $# -gt 0 ]; do
  case $1 in
    --only | --seconds | --limit | --prebuilt) [ $# -gt 1 ] || cannot "$1 needs a value" ;;&
    --only) only=,$2,; shift 2 ;;
    --seconds) total=$2; shift 2 ;;
    --limit)
      [[ $2 =~ ^([a-z]+)=([0-9]+)$ ]] && [ -n "${limit[${BASH_REMATCH[1]}]:-}" ] ||
        cannot "--limit $2: expected PHASE=SECONDS with build or one of: ${phases[*]}"
      limit[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}; shift 2 ;;
    --prebuilt) prebuilt=$2; shift 2 ;;
    -*) cannot "unknown option $1" ;;
    *) result=$1; shift ;;
  esac
done
[[ $total =~ ^[0-9]+$ ]] || cannot "--seconds $total: expected a number"
for name in ${only//,/ }; do
  [[ " ${phases[*]} parity " == *" $name "* ]] || cannot "--only $name: expected some of: ${phases[*]}"
done
wanted() { [[ $only == *,$1,* ]] || { [ "$only" = , ] && [ "$1" != parity ]; }; }

command -v nvidia-smi >/dev/null || cannot "no nvidia-smi: this machine has no NVIDIA driver"
query() { nvidia-smi --query-gpu="$1" --format=csv,noheader,nounits | head -n 1; }
gpu=$(query name) || cannot "nvidia-smi finds no GPU"
driver=$(query driver_version)
capability=$(query compute_cap | tr -d .)
[ "$capability" != 90 ] || capability=90a
export PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin
toolkit=$(nvcc --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/\1/p' || true)

# Where pip puts cuDNN and cuBLAS; the engine opens them at run time.
for package in cudnn cublas cu13; do
  folder=$(python3 -c "import nvidia.$package as p; print(list(p.__path__)[0])" 2>/dev/null || true)
  [ -z "$folder" ] || export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder/lib
done

logs=build/gpu
programs=${prebuilt:-$logs}
mkdir -p $logs "$(dirname "$result")"
parts=(bench bench_f32 models train_step compare)
for part in "${parts[@]}"; do rm -f "$logs/$part.json"; done
steps=() failures=()
# name, command: its last lines, its time. The limit is the phase's, or what is left of everything.
step() {
  local phase=$1 name=$2 begin=$SECONDS left=$((total - SECONDS)) log=$logs/$2.log status=0
  local seconds=${limit[$phase]}
  shift 2
  [ "$left" -ge "$seconds" ] || seconds=$left
  if [ "$seconds" -lt 1 ]; then
    status=124
    echo "no time was left" >"$log"
  else
    timeout -k 5 "$seconds" "$@" >"$log" 2>&1 || status=$?
  fi
  [ $status -eq 0 ] || failures+=("$name")
  echo "-- $name: exit status $status, $((SECONDS - begin)) s"
  tail -n "$([ $status -eq 0 ] && echo 4 || echo 25)" "$log"
  steps+=("{\"phase\": \"$phase\", \"step\": \"$name\", \"status\": $status, \
\"seconds\": $((SECONDS - begin)), \"limit_seconds\": $seconds}")
}

clocks() {
  printf '{"sm_mhz": "%s", "memory_mhz": "%s", "temperature_c": "%s", "power_w": "%s"}' \
    "$(query clocks.sm)" "$(query clocks.mem)" "$(query temperature.gpu)" "$(query power.draw)"
}
clocks_before=$(clocks)

build() {
  local generator=() headers=${HEADERS:-}
  command -v ninja >/dev/null && generator=(-G Ninja)
  cmake -S . -B $logs "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DFATHOM_CUDA=ON \
    "-DFATHOM_CUDA_ARCHS=$capability" "-DCMAKE_INCLUDE_PATH=${headers//:/;}" &&
    cmake --build $logs -j "$(nproc)" --target "$@"
}
if [ -z "$prebuilt" ]; then
  [ -n "$toolkit" ] || cannot "no nvcc: install the CUDA toolkit, set CUDA_HOME, or use --prebuilt"
  targets=(fathom)
  ! wanted tests || targets+=(fathom_tests)
  if wanted golden || wanted parity; then targets+=(fathom_tools); fi
  if wanted kernels || wanted sanitizers; then targets+=(fathom_kernel_tests); fi
  ! wanted compare || targets+=(fathom_bench_device)
  export -f build
  export logs capability
  step build build bash -c 'build "$@"' build "${targets[@]}"
fi
fathom=$programs/fathom
if [ ! -x "$fathom" ]; then
  [ -z "$prebuilt" ] || cannot "--prebuilt $prebuilt: it has no program fathom"
  cannot "the build failed: $logs/build.log"
fi

run_tests() { step tests tests "$programs/fathom_tests"; }
run_kernels() { step kernels kernels "$programs/fathom_kernel_tests"; }

# The published numbers of a whole model, in f32.
golden() {
  "$tools" hash-checkpoint --out $logs/golden.safetensors
  "$tools" golden --device cuda --weights $logs/golden.safetensors
  rm $logs/golden.safetensors
}
run_golden() {
  export -f golden
  export logs tools=$programs/fathom_tools
  step golden golden bash -ec golden
}
run_parity() {
  step parity parity python3 tests/reference/parity.py --device cuda --fathom "$fathom" \
    --tools "$programs/fathom_tools" --work $logs/parity \
    --only photos versions grids hf dtypes base bf16 gradients
}

# First what a reader asks for first: a budget cuts the end.
run_bench() {
  local share=$((limit[bench] * 2 / 5)) options=(--min-time 0.02 --repeat 11)
  step bench bench "$fathom" bench --device cuda --model s,l --dtype bf16 --batch 16,1 \
    "${options[@]}" --time-budget "$share" --json $logs/bench.json
  step bench bench_f32 "$fathom" bench --device cuda --model s,l --dtype f32 --batch 16,1 \
    --filter '^(ssi_|silog|cosine|adamw|sum_of|layer_norm|bilinear)|/S/518x518/b1/' \
    "${options[@]}" --time-budget "$share" --json $logs/bench_f32.json
}
run_models() {
  local budget=$((limit[models] / 3))
  step models models "$fathom" bench model --device cuda --model s,b,l --dtype bf16,f16 \
    --batch 1,16 --min-time 0.5 --time-budget "$budget" --json "$logs/models.json"
  step models train_step "$fathom" bench model --device cuda --train --model s,b,l --dtype bf16 \
    --batch 16 --min-time 0.5 --time-budget "$budget" --json "$logs/train_step.json"
}
run_compare() {
  step compare compare python3 bench/compare/gpu_baselines.py \
    --engine "$programs/fathom_bench_device" --time-budget "$((limit[compare] * 4 / 5))" \
    --out $logs/compare.json
}

# 100 steps twice: the weights must have equal bits.
train_twice() {
  local world=$logs/world run
  rm -rf "$world" $logs/run_{a,b}
  "$fathom" synth --out "$world" --count 64 --size 98x98 --quiet
  for run in a b; do
    "$fathom" train teacher train/configs/tiny.json --device cuda --out $logs/run_$run --quiet \
      --set data.labeled="$world/manifest.jsonl" --set teacher.steps=100 \
      --set schedule.warmup_steps=10
  done
  cmp $logs/run_a/model.safetensors $logs/run_b/model.safetensors &&
    echo "two runs of 100 steps: the weights have equal bits"
}
run_train() {
  if ! "$fathom" train teacher --help | grep -q -- --device; then
    echo "-- train: this build trains on the CPU only"
    steps+=('{"phase": "train", "step": "train", "status": null, "seconds": 0, "limit_seconds": 0}')
    return
  fi
  export -f train_twice
  export logs fathom
  step train train bash -ec train_twice
}

run_sanitizers() {
  if ! command -v compute-sanitizer >/dev/null; then
    echo "-- no compute-sanitizer: its checks were not run" && failures+=(compute-sanitizer)
    return
  fi
  local tool whole=${limit[sanitizers]}
  limit[sanitizers]=$((whole / 4))
  for tool in memcheck racecheck synccheck initcheck; do
    step sanitizers $tool compute-sanitizer --tool $tool --error-exitcode 9 \
      "$programs/fathom_kernel_tests"
  done
  limit[sanitizers]=$whole
}

for phase in "${phases[@]}" parity; do
  ! wanted "$phase" || "run_$phase"
done

# A file that was written whole, or null.
embedded() { if [ -s "$1" ]; then cat "$1"; else echo null; fi; }
{
  printf '{"device": "%s", "driver": "%s", "compute": "%s", "cuda": "%s", "cudnn": "%s", ' \
    "$gpu" "$driver" "$capability" "$toolkit" \
    "$(python3 -c 'import torch; print(torch.backends.cudnn.version())' 2>/dev/null || true)"
  printf '"torch": "%s", "revision": "%s", "created": "%s", ' \
    "$(python3 -c 'import torch; print(torch.__version__)' 2>/dev/null || true)" \
    "$(git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)" \
    "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
  printf '"prebuilt": %s, "clocks_before": %s, "clocks_after": %s, "seconds": %d,\n "steps": [%s]' \
    "$([ -n "$prebuilt" ] && echo true || echo false)" "$clocks_before" "$(clocks)" $SECONDS \
    "$(IFS=,; echo "${steps[*]}")"
  for part in "${parts[@]}"; do
    printf ',\n "%s": ' $part
    embedded $logs/$part.json
  done
  printf '}\n'
} >"$result.tmp"
mv "$result.tmp" "$result"
echo "written: $result, after $SECONDS s"
[ ${#failures[@]} -eq 0 ] || { echo "failed: ${failures[*]}"; exit 1; }
