# Cases of tests/cli_test.sh. `fathom infer`.

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

jpeg_photos_are_read_upright() {
  "$program" --version | grep -q '^jpeg: none' && { echo "    note: this build has no JPEG"; return; }
  succeeds small --format npy --out o "$data/photos/exif_Portrait_5.jpg" "$data/photos/rocket.jpg"
  grep -A1 '"height": 1800' o/exif_Portrait_5.json | grep -q '"width": 1200' || fail "not upright"
}
