#!/usr/bin/env bash
# From a fresh clone to a trained model: installs packages, builds, renders a synthetic world, trains
# a teacher on its labeled part, labels the other part, trains students on both, evaluates all of
# them on scenes that look different, and writes a report. Minutes on two CPU cores, no download.
#
#   scripts/demo.sh                       the whole training system, small
#   WEIGHTS=depth_anything_v2_vits.pth scripts/demo.sh [PHOTO...]
#                                         depth maps of photos from a real checkpoint instead
#
# Results go to out/demo. Environment: WEIGHTS, OUT, FATHOM_THREADS; SEED, and for a quicker look
# IMAGES (rendered images a set, 1500) and STEPS (of every training, 250).
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_packages.sh
build=build/release
cmake --preset release "-DFATHOM_CUDA_ARCHS=80;90a" >/dev/null
cmake --build --preset release --target fathom | tail -n 1
fathom=$build/fathom
out=${OUT:-out/demo}
mkdir -p "$out"

if [ -n "${WEIGHTS:-}" ]; then
  photos=("$@")
  [ ${#photos[@]} -gt 0 ] || photos=(tests/data/photos)
  $fathom info "$WEIGHTS"
  $fathom infer --weights "$WEIGHTS" --out "$out/depth" --format png16,npy,color,side "${photos[@]}"
  echo "== done: $out/depth"
  exit
fi

seed=${SEED:-1} images=${IMAGES:-1500} steps=${STEPS:-250}
start=$SECONDS
say() { echo "== $((SECONDS - start)) s: $*"; }

rm -rf "$out"/{world,teacher,labels,student_plain,student_perturbed,student_aligned}  # of an earlier run
say "rendering: labeled scenes, unlabeled ones that look different, and scenes to evaluate on"
# Every set has its own scenes; the seed of the world is the same.
$fathom synth --out "$out/world/labeled" --count "$images" --domain labeled --seed "$seed" --quiet
$fathom synth --out "$out/world/unlabeled" --count "$images" --domain real --seed "$seed" \
  --first 1000000 --quiet
$fathom synth --out "$out/world/eval" --count 200 --domain real --seed "$seed" --first 2000000 --quiet

config=train/configs/tiny.json
common=(--quiet --set "seed=$seed" --set "data.labeled=$out/world/labeled/manifest.jsonl"
  --set "data.unlabeled=$out/world/unlabeled/unlabeled.jsonl"
  --set "data.validation=$out/world/eval/manifest.jsonl"
  --set "label.weights=$out/teacher/model.safetensors" --set "label.out=$out/labels")

say "teacher: $steps steps on labeled scenes"
$fathom train teacher $config --out "$out/teacher" "${common[@]}" --set "teacher.steps=$steps"
say "pseudo-labels of the unlabeled scenes"
$fathom label $config "${common[@]}"
# No DINOv2 can be downloaded here: the teacher's encoder stands in for it, both as the start of all
# students (their decoders start at random) and as the frozen encoder of the feature alignment.
student() {  # name, settings
  local name=$1
  shift
  say "student $name: $steps steps on labels and pseudo-labels"
  $fathom train student $config --out "$out/student_$name" "${common[@]}" \
    --set "student.steps=$steps" --set "model.encoder=$out/teacher/model.safetensors" "$@"
}
student plain --set student.perturb=false --set student.align_weight=0
student perturbed --set student.align_weight=0
student aligned

say "evaluation: 200 scenes of the other look, and 6 real pairs (tests/data/pairs), none seen before"
value() { sed -n "s/^ *\"$2\": \([0-9.e-]*\),*$/\1/p" "$1" | head -n 1; }
rows=()
for name in teacher student_plain student_perturbed student_aligned; do
  row=$(printf '%-18s' "$name")
  for set in "$out/world/eval" tests/data/pairs; do
    results=$out/$name/eval_$(basename "$set")
    $fathom eval --weights "$out/$name/model.safetensors" --manifest "$set/manifest.jsonl" \
      --size 98 --cap 80 --out "$results" --quiet >/dev/null
    row+=$(printf '  %9.3f %9.3f' "$(value "$results/result.json" abs_rel)" \
      "$(value "$results/result.json" delta1)")
  done
  rows+=("$row")
done
printf '%-18s  %-19s  %-19s\n' "" "other look" "real pairs"
printf '%-18s  %9s %9s  %9s %9s\n' "" AbsRel delta1 AbsRel delta1
printf '%s\n' "${rows[@]}"
echo "(in disparity space after least squares; one seed, a model of 1.6 M parameters trained for"
echo "minutes: differences of a few hundredths between students are noise, other seeds with SEED=n)"

$fathom infer --weights "$out/student_aligned/model.safetensors" --size 98 --out "$out/depth" \
  --format side --quiet tests/data/pairs
$fathom report "$out/student_aligned" --out "$out/report.html" >/dev/null
say "done: $out/report.html, pictures in $out/depth"
