# Cases of tests/cli_test.sh. From scenes to a report: `fathom synth`, `train`, `label`, `eval`, `report`.

training() { try train teacher data/config.json --quiet --set data.validation='[]' "$@"; }

a_run_from_labels_to_a_report() {
  "$tools" scenes --out data --count 6
  succeeds try train teacher data/config.json --dry-run
  for word in 'stage       teacher' '6 labeled' 'parameters' 'steps       6' 'device      cpu' 'memory' \
      'on cpu' 'time'; do
    says out "$word"
  done
  [ ! -e run ] || fail "a dry run left files"
  succeeds try train teacher data/config.json --out run
  says out '6 steps, 24 images'
  says out 'eval/disparity/delta1'
  grep -q '^step 6/6  loss .* images/s  data .*%  ETA 0:00:00$' err || fail "no plain progress line"
  succeeds try label data/config.json --set label.weights=run/model.safetensors
  says out '6 labels, 0 of them kept'
  succeeds try label data/config.json --set label.weights=run/model.safetensors
  says out '6 of them kept'
  succeeds try train student data/config.json --out student --set label.weights=run/model.safetensors
  says out 'eval/disparity/delta1'
  grep -q '"loss/features"' student/log.jsonl || fail "features were not aligned"
  grep -q '"loss/unlabeled.ssi"' student/log.jsonl || fail "no loss of unlabeled images"
  succeeds try train metric data/config.json --out metric --set eval.alignment=none
  succeeds try report student
  succeeds try report student --out page.html
  exists page.html student/report.html
  grep -q '<svg' page.html || fail "no curve"
  for weights_file in run/model.safetensors student/checkpoints/best.safetensors; do
    succeeds try infer --weights $weights_file --size 56 --quiet --out depth data/000.png
  done
  nothing_half_written
}

models_and_maps_are_compared_with_the_truth() {
  local pairs=$data/pairs/manifest.jsonl
  "$tools" scenes --out data --count 2
  succeeds try train teacher data/config.json --quiet --out run --set data.validation='[]'
  succeeds try eval --weights run/model.safetensors --manifest "$pairs" --size 56 --cap 80 --out result
  says out 'protocol: align disparity, depth 0.001..80 m, crop none, resize bilinear, pixel areas'
  says out '6 of 6 images compared'
  grep -qE '^delta1 +0\.[0-9]{4} +0\.[0-9]{4}$' out || fail "no line of delta1"
  says result/result.json '"xxh3_128"'
  [ "$(wc -l <result/per_image.csv)" -eq 7 ] || fail "not a line an image"
  succeeds try eval data/config.json --weights run/model.safetensors --set eval.alignment=median --json
  says out '"align": "median"'
  # Maps that `infer` wrote are compared like the model's own.
  succeeds try infer --weights run/model.safetensors --size 56 --format npy --quiet --out maps \
    "$data"/pairs/{desk,shelf,street_1}.png
  succeeds try eval --predictions maps --manifest "$pairs" --cap 80
  says out '3 of 6 images compared; 3 skipped: 3 no_prediction'
  says err 'office.png'
  # The truth itself, in millimetres and in 1/256 m, up to scale.
  succeeds try eval --predictions "$data/pairs" --kind metric --align median --manifest "$pairs"
  grep -qE '^delta1 +1\.0000 +1\.0000$' out || fail "the truth is not perfect"
  refused 1 '--weights FILE' try eval --manifest "$pairs"
  refused 1 '--manifest FILE' try eval --weights run/model.safetensors
  refused 1 'maps/none' try eval --predictions maps/none --manifest "$pairs"
  refused 1 'none of 6 images' try eval --predictions data --manifest "$pairs" --quiet
  refused 1 '--align disparity' try eval --predictions maps --manifest "$pairs" --align depth
  refused 2 '--align' try eval --predictions maps --manifest "$pairs" --align both
  nothing_half_written
}

wrong_training_is_refused() {
  "$tools" scenes --out data --count 4
  refused 2 'config' try train teacher
  refused 2 'subcommand' try train
  refused 1 'none.json' try train teacher none.json --out run
  refused 1 '--out is required' try train teacher data/config.json
  refused 1 'the nearest is optimizer.lr' training --out run --set optimizer.rl=1
  refused 1 'optimizer.lr is 100, but must be above 0' training --out run --set optimizer.lr=100
  refused 1 'none.jsonl' training --out run --set data.labeled=none.jsonl
  refused 1 'cannot create the folder' training --out data/config.json/run
  : >empty.jsonl
  refused 1 'empty.jsonl' training --out run --set data.labeled=empty.jsonl
  [ ! -e run/log.jsonl ] || fail "a refused run left a log"
  succeeds training --out run
  refused 1 '--resume' training --out run
  refused 1 'optimizer.lr: 0.001 -> 0.002' training --out run --resume --set optimizer.lr=0.002
  refused 1 'not the folder of a run' try report data
  refused 1 'label.weights is empty' try label data/config.json
}

scenes_are_rendered() {
  succeeds try synth --help
  for option in out count size domain seed first split threads quiet; do says out "--$option"; done
  succeeds try synth --out a --count 5 --size 40x24 --seed 3 --first 2 --split val
  says out '5 scenes; a/manifest.jsonl'
  [ "$(ls a/rgb)" = "$(printf '%08d.png\n' 2 3 4 5 6)" ] || fail "not the photos 2 to 6"
  [ "$(ls a/depth)" = "$(ls a/rgb)" ] || fail "not a depth map for every photo"
  [ "$(grep -c '"split":"val"' a/manifest.jsonl)" = 5 ] || fail "not 5 lines of the split"
  ! grep -q depth a/unlabeled.jsonl || fail "unlabeled photos have depth"
  succeeds try synth --out b --count 2 --size 40x24 --seed 3 --first 5 --threads 1 --quiet
  [ ! -s out ] && [ ! -s err ] || fail "not quiet"
  cmp a/rgb/00000005.png b/rgb/00000005.png || fail "another scene 5"
  succeeds try synth --out c --count 2 --size 40x24 --seed 3 --first 5 --domain real --quiet
  ! cmp -s b/rgb/00000005.png c/rgb/00000005.png || fail "the domains look the same"
  nothing_half_written
  refused 1 'a/manifest.jsonl exists already' try synth --out a --count 1
  refused 1 'cannot create the folder' try synth --out a/manifest.jsonl/x --count 1
  refused 2 '--count' try synth --out d
  refused 2 '--out' try synth --count 1
  for count in 0 -1 x; do refused 2 '--count' try synth --out d --count "$count"; done
  for size in 0x98 98 98x 98x98x3 -5x20 5000x98 x; do
    refused 2 '--size' try synth --out d --count 1 --size "$size"
  done
  refused 2 'labelled' try synth --out d --count 1 --domain labelled
  refused 2 '--seed' try synth --out d --count 1 --seed -1
  refused 2 '--first' try synth --out d --count 1 --first -1
  refused 2 '--split' try synth --out d --count 1 --split ''
  [ ! -e d ] || fail "files were written"
}

a_signal_ends_training_with_a_checkpoint() {
  "$tools" scenes --out data --count 4
  "$program" train teacher data/config.json --quiet --out run --set teacher.steps=100000 \
    --set checkpoint.every_steps=5 >out 2>err &
  pid=$!
  appears 'run/checkpoints/*.safetensors' 1 || fail "no checkpoint came"
  kill -TERM $pid
  status=0
  wait $pid || status=$?
  [ $status -eq 0 ] || fail "exit status $status instead of 0"
  step=$(sed -n 's/.*stopped after step \([0-9]*\), checkpoint written.*/\1/p' err)
  [ -n "$step" ] || fail "stderr does not say where it stopped"
  exists "run/checkpoints/$(printf 'step-%09d.safetensors' "$step")"
  nothing_half_written
}

killed_training_ends_with_the_same_weights() {
  "$scripts/kill_test.sh" "$build" 3 || fail "see above"
}
