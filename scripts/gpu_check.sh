#!/usr/bin/env bash
# On a machine with an NVIDIA GPU and its CUDA toolkit: builds for that GPU, runs all tests there (every
# op and model on the device against double references and against the CPU), then the ops' tests
# under compute-sanitizer, and writes one JSON file that says on what. Needs no network.
#   scripts/gpu_check.sh [RESULT.json]      (out/gpu_check.json)
# HEADERS=DIR[:DIR...] names folders with the header-only packages (nlohmann/json.hpp, CLI/CLI.hpp,
# stb_image.h, xxhash.h, catch2/catch.hpp) where they are not installed. cuDNN is also found inside a
# Python environment. Ends with status 1 if anything failed, 2 if this machine cannot run it.
set -euo pipefail
cd "$(dirname "$0")/.."
result=${1:-out/gpu_check.json} headers=${HEADERS:-}

cannot() { echo "gpu_check: $*" >&2; exit 2; }
command -v nvidia-smi >/dev/null || cannot "no nvidia-smi: this machine has no NVIDIA driver"
query() { nvidia-smi --query-gpu="$1" --format=csv,noheader | head -n 1; }
gpu=$(query name) || cannot "nvidia-smi finds no GPU"
capability=$(query compute_cap | tr -d .)
[ "$capability" != 90 ] || capability=90a
export PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin
command -v nvcc >/dev/null || cannot "no nvcc: install the CUDA toolkit or set CUDA_HOME"

# Where pip puts cuDNN and cuBLAS; the engine opens them at run time.
for package in cudnn cublas; do
  folder=$(python3 -c "import nvidia.$package as p; print(list(p.__path__)[0])" 2>/dev/null || true)
  [ -z "$folder" ] || export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder/lib
done

generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
start=$SECONDS
cmake -S . -B build/gpu "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DFATHOM_CUDA=ON \
  "-DFATHOM_CUDA_ARCHS=$capability" "-DCMAKE_INCLUDE_PATH=${headers//:/;}"
cmake --build build/gpu --target fathom fathom_tests -j "$(nproc)"
build_s=$((SECONDS - start))

failures=()
step() {  # name, command: prints its output's end, keeps its time
  local name=$1 begin=$SECONDS log=build/gpu/$1.log status=0
  shift
  "$@" >"$log" 2>&1 || status=$?
  [ $status -eq 0 ] || failures+=("$name")
  echo "-- $name: exit status $status, $((SECONDS - begin)) s"
  tail -n "$([ $status -eq 0 ] && echo 3 || echo 40)" "$log"
  steps+=("{\"step\": \"$name\", \"status\": $status, \"seconds\": $((SECONDS - begin))}")
}
steps=()
step tests build/gpu/fathom_tests
ops=$(for test in tests/kernels/*_test.cpp; do basename "$test" _test.cpp; done | sed 's/$/:*/' | paste -sd,)
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck synccheck; do
    step $tool timeout 150 compute-sanitizer --tool $tool --error-exitcode 9 build/gpu/fathom_tests "$ops"
  done
else
  echo "-- no compute-sanitizer: its checks were not run" && failures+=(compute-sanitizer)
fi

mkdir -p "$(dirname "$result")"
printf '{"device": "%s", "driver": "%s", "cuda": "%s", "revision": "%s", "build_seconds": %d, "steps": [%s]}\n' \
  "$gpu" "$(query driver_version)" "$(nvcc --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')" \
  "$(git describe --always --dirty 2>/dev/null || echo unknown)" "$build_s" \
  "$(IFS=,; echo "${steps[*]}")" >"$result.tmp"
mv "$result.tmp" "$result"
echo "written: $result"
[ ${#failures[@]} -eq 0 ] || { echo "failed: ${failures[*]}"; exit 1; }
