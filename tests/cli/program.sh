# Cases of tests/cli_test.sh. The program as a whole: help, version, command lines, devices.

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
