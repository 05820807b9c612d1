# Cases of tests/cli_test.sh. `fathom bench` and `fathom profile`.

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
