#!/usr/bin/env bash
# From a fresh clone to depth maps: installs packages, builds, and runs the engine on photos.
#
#   scripts/demo.sh                       weights that are a function of their names: shows that the
#                                         whole path works and equals the reference, not a good depth
#   WEIGHTS=depth_anything_v2_vits.pth scripts/demo.sh [PHOTO...]
#                                         a real checkpoint: real depth maps
#
# Results go to out/demo. Environment: WEIGHTS, OUT, FATHOM_THREADS.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_packages.sh
build=build/release
cmake --preset release >/dev/null
cmake --build --preset release --target fathom fathom_tools | tail -n 1

out=${OUT:-out/demo}
mkdir -p "$out"
photos=("$@")
[ ${#photos[@]} -gt 0 ] || photos=(tests/data/photos)

weights=${WEIGHTS:-}
if [ -z "$weights" ]; then
  echo "== no WEIGHTS given: making checkpoints with reproducible weights"
  made=$out/depth_anything_v2_vits_hash.safetensors
  $build/fathom_tools hash-checkpoint --version 2 --size s --out "$made"
  weights=$out/depth_anything_v2_vits_hash_hf.safetensors
  $build/fathom convert "$made" "$weights" --names hf
  echo "== comparing with the reference implementation"
  $build/fathom_tools golden --weights "$weights"
fi

echo "== the checkpoint"
$build/fathom info "$weights"
echo "== depth maps"
$build/fathom infer --weights "$weights" --out "$out/depth" --format png16,npy,color,side \
  --json "${photos[@]}"
echo "== done: $out/depth"
