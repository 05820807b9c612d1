# Cases of tests/cli_test.sh. Checkpoints: `fathom info` and `fathom convert`.

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
