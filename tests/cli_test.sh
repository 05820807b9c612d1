#!/usr/bin/env bash
# The command line from end to end: what it prints, its exit status, the files it leaves.
#   tests/cli_test.sh BUILD_FOLDER [CASE...]
# One line a case; the last one is 'N passed, N failed'. A case is a function below: it runs in a
# folder of its own and ends at the first expectation that does not hold.
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

bench_rows_can_be_listed_measured_compared_and_drawn() {
  local row=layer_scale/forward/S/70x70/b1/f32
  succeeds try bench --list --model s --size 70x70 --filter '^layer_scale/forward' --dtype f32
  [ "$(cat out)" = "$row" ] || fail "lists $(cat out) instead of $row"
  succeeds try bench --model s --size 70x70 --filter "^$row" --min-time 0.001 --repeat 4 \
    --threads 1 --json a.json --csv a.csv --google g.json
  says out "$row"
  exists a.json a.csv g.json
  says a.json '"schema": "fathom-bench/1"'
  says a.csv "$row,layer_scale,forward"
  succeeds try bench compare a.json a.json
  says out '1 rows did not change by more than 5%'
  succeeds try bench html a.json --out page.html
  says page.html '<svg'
  succeeds try bench model --list --train --dtype bf16
  says out train/step/S/518x518/b1/bf16
  succeeds try bench --list --device cuda --model s --filter '^attention/forward' --dtype bf16
  [ "$(cat out)" = "attention/forward/S/518x518/b1/bf16
attention/forward/S/518x518/b16/bf16" ] || fail "lists $(cat out) of a GPU"
  succeeds try bench model --list --device cuda
  says out model/network_graph/S/518x518/b16/f32
  refused 2 'expected auto, cpu, cuda or cuda:N' try bench --device tpu
  succeeds try bench --model s --size 70x70 --filter "^$row" --repeat 4 --time-budget 0.000001
  says out 'left 1 row unmeasured'
  refused 1 'no row matches' try bench --filter nothing_has_this_name
  refused 1 'multiples of 14' try bench --size 500x500
  refused 1 'expected s, b, l or g' try bench --model huge
  refused 1 'neither a report' try bench html g.json --out other.html
  refused 1 'no schema' try bench compare g.json a.json
  refused 1 'a share such as 5%' try bench compare a.json a.json --threshold much
  nothing_half_written
}

a_profile_has_tables_a_timeline_and_single_launches() {
  succeeds try profile --size 28x28 --steps 1 --threads 2 --json p.json --trace t.json
  says out 'ops account for'
  says out 'pretrained.blocks.*.mlp'
  says p.json '"schema": "fathom-profile/1"'
  says t.json '"traceEvents"'
  succeeds try profile --train --size 28x28 --steps 1 --every-layer
  says out 'pretrained.blocks.11.attn'
  succeeds try profile --kernel layer_norm/backward --shape S/28x28/b2 --dtype bf16 --launches 3
  says out 'layer_norm/backward/S/28x28/b2/bf16: 3 launches on cpu'
  refused 1 'no bench has this name' try profile --kernel nothing
  refused 1 'such as S/518x518/b1' try profile --kernel gelu --shape S
  refused 1 'multiples of 14' try profile --size 500x500
  refused 2 'expected auto, cpu, cuda or cuda:N' try profile --device tpu
  refused 1 'not in f16' try profile --train --dtype f16 --size 28x28
  refused 2 '--launches' try profile --launches 3
  nothing_half_written
}

help_mentions_every_option() {
  succeeds try --help
  for word in infer info convert train label eval synth report bench profile --version; do says out "$word"; done
  succeeds try infer --help
  for option in --weights --out --format --device --dtype --size --resize-rule --batch --max-pixels \
      --memory-limit --colormap --threads --json --quiet --model-version --kind --max-depth; do
    says out "$option"
  done
  succeeds try info --help
  for option in --tensors --json --model-version --kind --max-depth; do says out "$option"; done
  succeeds try train teacher --help
  for option in --set --out --device --resume --dry-run --threads --quiet; do says out "$option"; done
  succeeds try convert --help
  for option in --names --dtype --model-version --kind --max-depth; do says out "$option"; done
}

version_lists_the_parts() {
  succeeds try --version
  for part in 'fathom ' 'compiler: ' 'jpeg: ' 'png: ' 'cpu: generic' 'cuda: ' 'cpu kernels: '; do
    grep -q "^$part" out || fail "no line '$part'"
  done
}

wrong_command_lines_are_refused() {
  refused 2 'subcommand is required' try
  refused 2 "no command 'frobnicate'" try frobnicate
  refused 2 '--nope' small "$photo" --nope
  refused 2 '--weights' try infer "$photo"
  refused 2 'inputs' small
  refused 2 'f64' small "$photo" --dtype f64
  refused 2 'gif' small "$photo" --format png16,gif
  refused 2 'fast' small "$photo" --resize-rule fast
  refused 2 'grey' small "$photo" --colormap grey
  refused 2 'v3' small "$photo" --model-version v3
  for size in 0 -5 13 abc 70.5 ''; do
    refused 2 '--size' try infer --weights "$weights" --out o --size "$size" "$photo"
  done
  refused 2 '--batch' small "$photo" --batch 0
  refused 2 '--threads' small "$photo" --threads -1
  refused 2 '--max-pixels' small "$photo" --max-pixels -1
  for device in gpu cuda: cuda:x; do refused 2 "$device" small "$photo" --device $device; done
  refused 2 'names' try convert "$weights" x.safetensors --names burn
  refused 2 'f64' try convert "$weights" x.safetensors --dtype f64
  [ "$(ls)" = "$(printf 'err\nout')" ] || fail "files were written"
}

wrong_weights_are_refused() {
  echo 'not weights' >text.pth
  : >empty.pth
  head -c 1000000 "$weights" >truncated.safetensors
  with=absent.pth refused 1 'absent.pth: cannot open: No such file' small --out o "$photo"
  for command in "infer --out o $photo --weights" info; do
    refused 1 'text.pth: not a checkpoint' try $command text.pth
    refused 1 'empty.pth: not a checkpoint: the file is empty' try $command empty.pth
    refused 1 'the file is incomplete or damaged' try $command truncated.safetensors
  done
  for file in "$data"/weights/*; do
    refused 1 'no DINOv2 encoder' try infer --weights "$file" --out o "$photo"
  done
  refused 1 '--max-depth is for metric models' small "$photo" --max-depth 20
  [ -z "$(ls o)" ] || fail "results were written"
}

info_reads_every_weights_file() {
  for file in "$data"/weights/*; do
    succeeds try info "$file"
    says out "file         $file"
    says out 'no DINOv2 encoder'
    succeeds try info --json "$file"
    "$tools" json out || fail "info --json $file: not JSON"
  done
  succeeds try info "$weights"
  for words in 'Depth Anything V2 S' '24.79 M' '12 blocks, 6 heads' 'v2  (from metadata)'; do
    says out "$words"
  done
}

outputs_that_cannot_be_written_are_refused() {
  echo x >file
  for folder in file file/inside /dev/null/x; do
    refused 1 "--out $folder: cannot create the folder" small --out "$folder" "$photo"
  done
  refused 1 'cannot write' try convert "$weights" /dev/null/x.safetensors
  refused 1 'only .safetensors can be written' try convert "$weights" x.pth
  mkdir folder.safetensors
  refused 1 'not a regular file' try convert "$weights" folder.safetensors
  if [ "$(id -u)" -ne 0 ]; then  # root may write anywhere
    mkdir -m 555 locked
    refused 1 'locked' small --out locked "$photo"
  fi
  nothing_half_written
}

cuda_without_a_gpu_is_refused() {
  for device in cuda cuda:1; do
    refused 1 "--device $device: " small --device $device --out o "$photo"
    says err '; use --device cpu'
  done
  "$tools" scenes --out data --count 2
  for command in "train teacher --out run" label; do
    refused 1 '--device cuda: ' try $command data/config.json --device cuda
    refused 1 '--device cuda:1: ' try $command data/config.json --set device=cuda:1
    refused 1 'device is "gpu", but must be auto, cpu, cuda or cuda:N' try $command data/config.json \
      --set device=gpu
  done
  refused 1 '--device cuda: ' try eval --weights "$weights" --manifest data/labeled.jsonl --device cuda
  [ ! -e o ] && [ ! -e run ] || fail "work was begun"
}

photos_come_from_folders_patterns_and_lists() {
  mkdir -p in/deep
  cp "$data/pictures/rgb.png" in/a.png
  cp "$data/pictures/grey16.png" in/deep/b.png
  cp "$data/pictures/rgb.bmp" in/a.bmp
  echo text >in/notes.txt
  succeeds small --out folder --format npy in
  exists folder/a_png.npy folder/a_bmp.npy folder/deep/b.npy folder/deep/b.json
  succeeds small --out glob --format npy 'in/*.png' 'in/deep/?.png'
  exists glob/a.npy glob/b.npy
  printf 'in/a.png\r\n\nin/deep/b.png' >list
  succeeds small --out list.out --format npy - <list
  exists list.out/a.npy list.out/b.npy
  same folder/a_png.npy glob/a.npy
  same list.out/b.npy glob/b.npy
  refused 1 'no input' small --out o - </dev/null
  refused 1 'nothing matches this pattern' small --out o 'in/*.jpg'
  # A list of formats does not swallow the photo behind it.
  succeeds small --out order --format npy,pfm in/a.png
  exists order/a.npy order/a.pfm
}

one_bad_photo_does_not_stop_the_rest() {
  mkdir in
  cp "$photo" in/a.png
  head -c 100000 "$photo" >in/b.png
  echo text >in/c.png
  cp "$data/pictures/grey.png" in/d.png
  small --out out.d in absent.png
  [ $status -eq 1 ] || fail "exit status $status instead of 1"
  for words in 'fathom: in/b.png: ' 'fathom: in/c.png: ' 'fathom: absent.png: cannot open' \
      'fathom: 3 of 5 photos failed'; do
    says err "$words"
  done
  [ "$(wc -l <err)" -eq 4 ] || fail "not one line a failure"
  local files
  files=$(cd out.d && echo *)
  [ "$files" = 'a.json a_color.png a_depth.png d.json d_color.png d_depth.png' ] || fail "wrote $files"
  "$tools" json out.d/a.json || fail "the sidecar is not JSON"
  local hash
  hash=$("$program" info --json "$weights" | sed -n 's/.*"xxh3_128": "\(.*\)".*/\1/p')
  for words in '"photo": "a.png"' '"height": 300' '"width": 451' '"kind": "disparity"' \
      '"unit": null' '"direction": "larger is nearer"' '"model": "Depth Anything V2 S"' \
      "\"xxh3_128\": \"$hash\"" '"file": "a_depth.png"' '"colormap": "spectral_r"'; do
    says out.d/a.json "$words"
  done
  nothing_half_written
}

metric_models_write_metres() {
  "$tools" hash-checkpoint --max-depth 20 --out metric.safetensors || fail "no checkpoint"
  succeeds try infer --weights metric.safetensors --size 70 --quiet --format png16 --out o "$photo"
  for words in '"kind": "depth"' '"unit": "metres"' '"max_depth_m": 20.0' '"scale": 0.001' \
      '"direction": "larger is farther"'; do
    says o/chelsea.json "$words"
  done
}

the_json_summary_is_json() {
  small --json --out o "$photo" absent.png
  [ $status -eq 1 ] || fail "exit status $status instead of 1"
  "$tools" json out || fail "not JSON"
  for words in '"photos": 2' '"written": 1' '"failed": 1' '"encoder": ' '"decoder": ' '"decode": ' \
      '"resize": ' '"write": ' '"images_per_second": '; do
    says out "$words"
  done
}

maps_have_the_size_of_the_photo() {
  succeeds small --format npy,pfm,png16,color,side --out o "$photo"
  [ "$(wc -c <o/chelsea.npy)" -eq $((128 + photo_bytes)) ] || fail "the size of chelsea.npy"
  [ "$(head -n 2 o/chelsea.pfm | tr '\n' ' ')" = 'Pf 451 300 ' ] || fail "the header of chelsea.pfm"
  [ "$(wc -c <o/chelsea.pfm)" -eq $(($(head -n 3 o/chelsea.pfm | wc -c) + photo_bytes)) ] ||
    fail "the size of chelsea.pfm"
  succeeds try infer --weights "$weights" --size 70 --quiet --format npy --out again o/chelsea_depth.png
  exists again/chelsea_depth.npy o/chelsea_color.png o/chelsea_side.png
}

batches_and_threads_do_not_change_results() {
  mkdir in
  for name in a b c; do cp "$photo" in/$name.png; done
  cp "$data/pictures/rgb.png" in/d.png
  succeeds small --format npy --out one in
  succeeds small --format npy --out two --batch 2 in
  succeeds small --format npy --out threads --threads 1 in
  for name in a b c d; do
    same one/$name.npy two/$name.npy
    same one/$name.npy threads/$name.npy
  done
}

instruction_sets_agree() {
  succeeds small --format npy --out default "$photo"
  local sets=generic
  grep -qw avx2 /proc/cpuinfo && sets='generic avx2'
  for isa in $sets; do
    FATHOM_ISA=$isa try --version
    says out "cpu kernels: $isa"
    FATHOM_ISA=$isa succeeds small --format npy --out $isa "$photo"
    "$tools" compare-maps default/chelsea.npy $isa/chelsea.npy --allowed 1e-4 >out || fail "$isa: $(<out)"
  done
  FATHOM_ISA=mmx refused 1 'FATHOM_ISA=mmx: expected' small --out o "$photo"
}

half_precision_is_used_and_recorded() {
  succeeds small --format npy --out f32 "$photo"
  for dtype in bf16 f16; do
    succeeds small --format npy --out $dtype --dtype $dtype "$photo"
    cmp -s f32/chelsea.npy $dtype/chelsea.npy && fail "$dtype changed nothing"
    says $dtype/chelsea.json "\"dtype\": \"$dtype\""
  done
}

too_large_inputs_are_refused_with_numbers() {
  small --out o --memory-limit 0.01 "$photo"
  [ $status -eq 1 ] || fail "exit status $status instead of 1"
  for words in '300 x 451' '70 x 112' 'MiB' '--size' '--max-pixels'; do says err "$words"; done
  succeeds small --out o --max-pixels 4000 --format npy "$photo"
  says o/chelsea.json '"width": 70'
}

conversion_to_hf_and_back_keeps_every_bit() {
  succeeds try convert "$weights" hf.safetensors --names hf
  says out 'hf names'
  succeeds try convert hf.safetensors back.safetensors
  cmp -s <(tail -c $weights_bytes "$weights") <(tail -c $weights_bytes back.safetensors) ||
    fail "the tensors changed"
  succeeds try convert "$weights" direct.safetensors
  cmp -s <(tail -c $weights_bytes "$weights") <(tail -c $weights_bytes direct.safetensors) ||
    fail "the tensors changed"
  [ "$(wc -c <direct.safetensors)" -eq "$(wc -c <back.safetensors)" ] || fail "the headers differ"
  succeeds small --format npy --out one "$photo"
  with=hf.safetensors succeeds small --format npy --out two "$photo"
  same one/chelsea.npy two/chelsea.npy
  succeeds try convert "$weights" half.safetensors --dtype bf16
  [ "$(wc -c <half.safetensors)" -lt $((weights_bytes / 2 + 100000)) ] || fail "bf16 is not half"
  succeeds try info half.safetensors
  says out '24.79 M'
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

a_signal_ends_a_run_between_two_photos() {
  mkdir in
  for i in {1..400}; do ln -s "$data/pictures/rgb.png" in/$i.png; done
  "$program" infer --weights "$weights" --size 70 --quiet --format png16,npy --out o in >out 2>err &
  pid=$!
  appears 'o/*.json' 3 || fail "no results came"
  kill -INT $pid
  status=0
  wait $pid || status=$?
  [ $status -eq 130 ] || fail "exit status $status instead of 130"
  [ "$(wc -l <err)" -eq 1 ] || fail "not one line on stderr"
  local sidecars maps pictures
  sidecars=$(ls o/*.json | wc -l) maps=$(ls o/*.npy | wc -l) pictures=$(ls o/*_depth.png | wc -l)
  says err "fathom: stopped by a signal after $sidecars of 400 photos"
  [ "$sidecars" -lt 400 ] || fail "it went on to the end"
  [ "$sidecars" -eq "$maps" ] && [ "$sidecars" -eq "$pictures" ] || fail "a photo is half done"
  for file in o/*.npy; do
    [ "$(wc -c <"$file")" -eq "$(wc -c <"$(ls o/*.npy | head -n 1)")" ] || fail "$file is cut"
  done
  nothing_half_written
}

a_signal_ends_a_conversion_without_a_file() {
  # The conversion may be done before the signal reaches it: then once more.
  for attempt in {1..10}; do
    rm -f x.safetensors
    "$program" convert "$weights" x.safetensors >out 2>err &
    pid=$!
    appears 'x.safetensors.tmp-*' 1 && kill -INT $pid
    status=0
    wait $pid || status=$?
    [ $status -eq 0 ] && continue
    [ $status -eq 130 ] || fail "exit status $status instead of 130"
    [ "$(<err)" = 'fathom: stopped by a signal' ] || fail "not that line on stderr"
    [ ! -e x.safetensors ] || fail "x.safetensors is there"
    nothing_half_written
    return
  done
  fail "no conversion was interrupted"
}

progress_is_a_bar_on_a_terminal_and_lines_elsewhere() {
  cp "$photo" a.png
  try infer --weights "$weights" --size 70 --out o --format npy a.png
  [ "$(grep -c '^1/1 photos, .* images/s' err)" -eq 1 ] || fail "not one plain line"
  command -v script >/dev/null || { echo "    note: no 'script' here, the bar was not tested"; return; }
  script -qec "$program infer --weights $weights --size 70 --out o --format npy a.png" /dev/null \
    >bar </dev/null || fail "exit status $? on a terminal"
  grep -qF '[########################] 1/1' bar || fail "no bar"
  grep -q 'images/s  ETA' bar || fail "no rate, or no time left"
}

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

jpeg_photos_are_read_upright() {
  "$program" --version | grep -q '^jpeg: none' && { echo "    note: this build has no JPEG"; return; }
  succeeds small --format npy --out o "$data/photos/exif_Portrait_5.jpg" "$data/photos/rocket.jpg"
  grep -A1 '"height": 1800' o/exif_Portrait_5.json | grep -q '"width": 1200' || fail "not upright"
}

cases=("$@")
[ ${#cases[@]} -gt 0 ] || mapfile -t cases < <(sed -n 's/^\([a-z0-9_]*[^a-z_ ]*\)() {$/\1/p' "tests/${0##*/}" |
  grep -vxE 'fail|try|small|training|refused|nothing_half_written|appears')
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
