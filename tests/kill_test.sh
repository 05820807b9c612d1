#!/usr/bin/env bash
# Kills a training run at random moments, also inside the writing of a checkpoint, goes on each time,
# and compares the weights at the end with those of a run that nobody disturbed.
#   tests/kill_test.sh BUILD_FOLDER [KILLS] [SEED]     default: 20 kills, a seed from the clock
set -euo pipefail
build=$(cd "$1" && pwd) kills=${2:-20} seed=${3:-$(date +%s)}
RANDOM=$seed
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"$build/fathom_tools" scenes --out data --count 8
# A checkpoint after every step: most of the time is spent in one.
train=("$build/fathom" train teacher data/config.json --quiet --set teacher.steps=60
  --set checkpoint.every_steps=1 --set 'data.validation=[]')
begin=$(date +%s%N)
"${train[@]}" --out whole
length_ms=$((($(date +%s%N) - begin) / 1000000))
share=$((length_ms / kills + 1))

done_kills=0 unfinished=0
for ((i = 0; i < kills; ++i)); do
  "${train[@]}" --out killed --resume 2>err &
  pid=$!
  # Long enough that the run gets ahead, at any moment of its work.
  ms=$((share / 2 + RANDOM % (2 * share)))
  sleep "$((ms / 1000)).$(printf '%03d' $((ms % 1000)))"
  if kill -9 $pid 2>/dev/null; then done_kills=$((done_kills + 1)); fi
  wait $pid 2>/dev/null || true
  [ -z "$(ls killed/checkpoints/*.tmp-* 2>/dev/null)" ] || unfinished=$((unfinished + 1))
  if [ -e killed/result.json ]; then  # it was through before the kill: once more from the start
    cmp killed/model.safetensors whole/model.safetensors
    rm -rf killed
  fi
done
"${train[@]}" --out killed --resume 2>err
cmp killed/model.safetensors whole/model.safetensors ||
  { echo "the weights differ (seed $seed)"; exit 1; }
[ -z "$(ls killed/checkpoints/*.tmp-* 2>/dev/null)" ] || { echo "torn files were left behind"; exit 1; }
echo "$done_kills kills, $unfinished of them inside a checkpoint: the same weights (seed $seed)"
