#!/bin/bash
# Plants one bug at a time in a copy of a kernel, runs the tests of that kernel on the kernel host, and
# prints what caught it. Fails if a bug passes. The build target `mutants` sets the environment:
#   CXX, CXXFLAGS   the compiler and the flags of a checked kernel
#   TESTS, LIBS     the objects of the test program and the libraries it links, kernels first
#   ROOT, WORK      the source tree and a folder to work in
#   FATHOM_MUTANTS  if set, keeps only the bugs whose name or file matches it
set -u
mkdir -p "$WORK/kernels/device" "$WORK/tests/kernel_host"
missed=0 total=0

while IFS='|' read -r name file source tests expression; do
  name=$(echo $name) file=$(echo $file) source=$(echo $source)
  [ -z "$name" ] && continue
  [[ ! "$name|$file|$source" =~ ${FATHOM_MUTANTS:-} ]] && continue
  [ "$source" = same ] && source=$file
  rm -f "$WORK"/kernels/*.cu "$WORK"/kernels/device/* "$WORK"/tests/kernel_host/*
  cp "$ROOT/$source" "$WORK/$source"
  sed -E "$expression" "$ROOT/$file" >"$WORK/$file"
  if cmp -s "$WORK/$file" "$ROOT/$file"; then
    echo "BROKEN  $name: the expression changes nothing in $file"; exit 1
  fi
  if ! $CXX -I"$WORK" $CXXFLAGS -O1 -x c++ -c "$WORK/$source" -o "$WORK/kernel.o" 2>"$WORK/log" ||
     ! $CXX $TESTS "$WORK/kernel.o" $LIBS -o "$WORK/run" 2>"$WORK/log"; then
    echo "BROKEN  $name: does not build"; head -5 "$WORK/log"; exit 1
  fi
  total=$((total + 1))
  result=$(timeout 60 "$WORK/run" --abort "$(echo $tests)" 2>&1); status=$?
  if [[ "$result" == *"No tests ran"* || "$result" == *"No test cases matched"* ]]; then
    echo "BROKEN  $name: no test is called$tests"; exit 1
  elif [ $status -eq 0 ]; then
    verdict="-- NOT CAUGHT"; missed=$((missed + 1))
  elif [ $status -eq 124 ]; then
    verdict="no end after 60 s"
  else
    verdict=$(echo "$result" | grep -m1 -oE '(race on|out of bounds|read of uninit|use of|misaligned|divergent|deadlock|invalid grid|wrong value|the thread ends|dynamic shared memory: |more threads|the barrier is not|[a-z_0-9]+: the address|ldmatrix_bank_conflicts == 0|block \([0-9,]+\) ends).*')
    [ -z "$verdict" ] && verdict=$(echo "$result" | grep -m1 -A1 'FAILED:' | tail -1 | sed 's/^ */failed: /')
  fi
  printf '%-34s %-14s %s\n' "$name" "$(basename "${file%.*}")" "${verdict:0:120}"
done <<'LIST'
half of the lanes summed     | kernels/device/warp.cuh | kernels/layer_norm.cu | cuda layer_norm* | s/offset = 16/offset = 8/
some lanes leave early       | kernels/layer_norm.cu | same | cuda layer_norm* | s/row >= rows\) return/row >= rows \|\| lane > 20) return/
lanes of a warp diverge      | kernels/layer_norm.cu | same | cuda layer_norm* | 0,/const float mean = warp_sum\(sum\)/s//const float mean = lane < 16 ? sum : warp_sum(sum)/
rows past the end            | kernels/layer_norm.cu | same | cuda layer_norm* | 0,/row >= rows/s//row > rows + 8/
vector past the end read     | kernels/layer_norm.cu | same | cuda layer_norm* | s/if \(c < C\) load/if (c <= C) load/
vector past the end written  | kernels/layer_norm.cu | same | cuda layer_norm* | s/if \(c >= C\) continue/if (c > C) continue/
all rows write the first     | kernels/layer_norm.cu | same | cuda layer_norm* | s/\* C, y \+= row \* C;/* C;/
every lane writes statistics | kernels/layer_norm.cu | same | cuda layer_norm* | 0,/ \&\& lane == 0\)/s//)/
unaligned rows as vectors    | kernels/layer_norm.cu | same | cuda layer_norm* | s/bool wide = /bool wide = C % 4 == 0 || /
padding in the variance      | kernels/layer_norm.cu | same | cuda layer_norm* | s/if \(\(s \* 32 \+ lane\) \* kWide < C\) squares/squares/
variance not centred         | kernels/layer_norm.cu | same | cuda layer_norm* | s/const float centred = to_float\(x\[c\]\) - mean/const float centred = to_float(x[c])/
epsilon forgotten            | kernels/layer_norm.cu | same | cuda layer_norm* | 0,/\+ eps\)/s//)/
elements counted twice       | kernels/layer_norm.cu | same | cuda layer_norm* | 0,/c \+= 32\) sum/s//c += 31) sum/
too few registers for a row  | kernels/layer_norm.cu | same | cuda layer_norm* | s/C <= 24 \* 32/C <= 25 * 32 + 8000/
pairs of a vector swapped    | kernels/device/vector.cuh | kernels/layer_norm.cu | cuda layer_norm* | s/words.y, x\[i \+ 2\], x\[i \+ 3\]/words.z, x[i + 2], x[i + 3]/
row below not clamped        | kernels/device/bilinear.cuh | kernels/bilinear.cu | cuda bilinear* | s/min\(first \+ 1, size - 1\)/first + 1/
first not clamped            | kernels/device/bilinear.cuh | kernels/bilinear.cu | cuda bilinear* | s/fmaxf\((axis.*), 0.0f\)/(\1)/
guard of the row off by one  | kernels/bilinear.cu | same | cuda bilinear* | s/i >= int64_t\(width\)/i > int64_t(width)/
width taken for height       | kernels/bilinear.cu | same | cuda bilinear* | s/taps\(horizontal, column, W\)/taps(horizontal, column, H)/
half a pixel forgotten       | kernels/device/bilinear.cuh | kernels/bilinear.cu | cuda bilinear* | s/0\.5f\}/0.0f}/
weights swapped              | kernels/device/bilinear.cuh | kernels/bilinear.cu | cuda bilinear* | s/first \* \(1.0f - weight\)/first * weight/
images not apart             | kernels/bilinear.cu | same | cuda bilinear* | s/blockIdx.z\) \* H \* W \* C \+ c/blockIdx.z) * H * W + c/
corners not aligned          | kernels/device/bilinear.cuh | kernels/bilinear.cu | cuda bilinear* | s/\(from - 1\)/(from)/
unaligned pixels as vectors  | kernels/bilinear.cu | same | cuda bilinear* | s/if \(is_vectorised\(x, C\).*/if (C > 2)/
copy not waited for          | kernels/attention.cu | same | cuda attention: * | s/cp_async_wait<1>/cp_async_wait<2>/
copy not committed           | kernels/attention.cu | same | cuda attention: * | 0,/gpu::cp_async_commit\(\);/s///
no barrier after the wait    | kernels/attention.cu | same | cuda attention: * | /cp_async_wait<1>/{n;s/__syncthreads\(\);//}
no barrier before the refill | kernels/attention.cu | same | cuda attention: * | s/__syncthreads\(\);  \/\/ before.*//
keys past the end counted    | kernels/attention.cu | same | cuda attention: * | s/keys_left < kKeys\)/keys_left < 0)/
output not rescaled          | kernels/attention.cu | same | cuda attention: * | s/o\[n\]\[2 \* half\] \*= rescale;//
sum not rescaled             | kernels/attention.cu | same | cuda attention: * | s/row_sum\[half\] \* rescale/row_sum[half]/
sum of half the lanes        | kernels/attention.cu | same | cuda attention: * | s/sum \+= __shfl_xor_sync\(gpu::kFullWarp, sum, 2\);//
maximum of half the lanes    | kernels/attention.cu | same | cuda attention: * | s/largest = fmaxf.*largest, 2\)\);//
values are the keys          | kernels/attention.cu | same | cuda attention: * | s/v = k \+ heads \* D/v = k/
heads write one              | kernels/attention.cu | same | cuda attention: * | s/length \* heads \+ head\) \* D/length * heads) * D/
images not apart             | kernels/attention.cu | same | cuda attention: * | s/qkv \+ image \* length \* stride/qkv/
lse in base two              | kernels/attention.cu | same | cuda attention: * | s/log2f\(sum\)\) \* kLn2/log2f(sum))/
too little shared memory     | kernels/attention.cu | same | cuda attention: * | s/= 5 \* kTileElements<kKeys, D> \* 2/= 5 * kTileElements<kKeys, D> * 2 - 16/
wrong B fragment             | kernels/device/tile.cuh | kernels/attention.cu | cuda attention: * | 0,/\{r\[0\], r\[1\]\}/s//{r[0], r[2]}/
wrong A fragment             | kernels/device/tile.cuh | kernels/attention.cu | cuda attention: * | s/c\[2 \* k\]\[2\], c\[2 \* k\]\[3\]/c[2 * k][3], c[2 * k][2]/
ldmatrix not transposed      | kernels/device/tile.cuh | kernels/attention.cu | cuda attention: * | s/ldmatrix_x4_trans/ldmatrix_x4/
bank conflicts               | kernels/device/tile.cuh | kernels/attention.cu | cuda attention: * | s/kPitch = kColumns \+ 8/kPitch = kColumns + 16/
misaligned rows              | kernels/device/tile.cuh | kernels/attention.cu | cuda attention: * | s/kPitch = kColumns \+ 8/kPitch = kColumns + 4/
tile row off by one          | kernels/device/tile.cuh | kernels/attention.cu | cuda attention: * | s/rows \+ lane % 16 \*/rows + (lane % 16 + 1) */
copy past the end            | kernels/device/tile.cuh | kernels/attention.cu | cuda attention: * | s/first \+ row < length;/first + row <= length;/
misaligned vector store      | kernels/device/tile.cuh | kernels/attention.cu | cuda attention: * | s/lane % 4 \* 2\) =/lane % 4 * 2 - 1) =/
rows past the end written    | kernels/device/tile.cuh | kernels/attention.cu | cuda attention: * | s/first \+ row < length \&\& column/column/
rows read before written     | kernels/device/tile.cuh | kernels/attention.cu | cuda attention: * | s/__syncwarp\(\);//
copies not waited for        | kernels/attention_backward.cu | same | cuda attention_backward* | s/cp_async_wait<1>/cp_async_wait<2>/
no barrier before fragments  | kernels/attention_backward.cu | same | cuda attention_backward* | 0,/cp_async_wait<1>\(\);/{/cp_async_wait<1>\(\);/{n;s/__syncthreads\(\);//}}
rows' tiles overwritten      | kernels/attention_backward.cu | same | cuda attention_backward* | s/__syncthreads\(\);  \/\/ before the first.*//
no barrier before the refill | kernels/attention_backward.cu | same | cuda attention_backward* | s/__syncthreads\(\);  \/\/ before the next.*//
padding has probabilities    | kernels/attention_backward.cu | same | cuda attention_backward* | s/left < kStep\)/left < 0)/
statistics of this step lost | kernels/attention_backward.cu | same | cuda attention_backward* | s/statistics_next\[thread\] = next/statistics[thread] = next/
statistics not swapped       | kernels/attention_backward.cu | same | cuda attention_backward* | s/swap\(statistics, statistics_next\);//
statistics past the end      | kernels/attention_backward.cu | same | cuda attention_backward* | s/ \|\| query >= length\) return/) return/
delta forgotten              | kernels/attention_backward.cu | same | cuda attention_backward* | s/\(dp\[n\]\[i\] - d\)/dp[n][i]/
lse of the row above         | kernels/attention_backward.cu | same | cuda attention_backward* | s/row_lse\[i \/ 2\]/row_lse[0]/
scale forgotten              | kernels/attention_backward.cu | same | cuda attention_backward* | s/\{scale, scale\}/{1.0f, 1.0f}/
values take the keys' share  | kernels/attention_backward.cu | same | cuda attention_backward* | s/as_operand<E>\(operand, s\)/as_operand<E>(operand, dp)/
keys overwrite queries       | kernels/attention_backward.cu | same | cuda attention_backward* | s/kOfKeys \? heads \* D : 0/0/
images not apart             | kernels/attention_backward.cu | same | cuda attention_backward* | s/offset = image \* length \* stride \+/offset =/
stride of dy                 | kernels/attention_backward.cu | same | cuda attention_backward* | s/head\) \* D, heads \* D\}/head) * D, stride}/
too little shared memory     | kernels/attention_backward.cu | same | cuda attention_backward* | s/4 \* kColumns<D> \* sizeof/3 * kColumns<D> * sizeof/
delta of some channels       | kernels/device/attention.cuh | kernels/attention_backward.cu | cuda attention_backward* | s/d \+= 8 \* kWide/d += 80 * kWide/
delta of half the lanes      | kernels/device/attention.cuh | kernels/attention_backward.cu | cuda attention_backward* | s/offset = 4; offset/offset = 2; offset/
delta past the end           | kernels/device/attention.cuh | kernels/attention_backward.cu | cuda attention_backward* | s/if \(row < rows \&\& threadIdx/if (threadIdx/
no barrier after p           | kernels/attention_float.cu | same | cuda attention* | 0,/^    __syncthreads\(\);\n?$/s///
no barrier before the refill | kernels/attention_float.cu | same | cuda attention* | s/__syncthreads\(\);  \/\/ before.*//
padding has probabilities    | kernels/attention_float.cu | same | cuda attention_backward* | s/first \+ column < length$/true/;s/first \+ column < length \?/true ?/
keys past the end counted    | kernels/attention_float.cu | same | cuda attention* | s/first \+ c \+ 16 \* j >= length/first + c > length/
sum of some columns          | kernels/attention_float.cu | same | cuda attention* | s/row_sum\[i\] \+= p;/if (j == 0) row_sum[i] += p;/
rows past the end written    | kernels/attention_float.cu | same | cuda attention* | s/if \(first \+ r \+ 16 \* i < length\)/if (first + r < length)/
scale forgotten              | kernels/attention_float.cu | same | cuda attention_backward* | s/\{scale, scale\}/{1.0f, 1.0f}/
steps not left over first    | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/step == 0 \? steps - 1 : step - 1/step/
values are the keys          | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/copy\(kValuePart, step - 1\)/copy(kKeyPart, step - 1)/
scores used before they came | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/wgmma_wait<1>\(s\)/wgmma_wait<2>(s)/
sums used before they came   | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | 0,/wgmma_wait<0>\(o\)/s//wgmma_wait<1>(o)/
tile not waited for          | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | 0,/full\[values.at\].wait\(values.parity\);/s///
tile released in use         | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/^ *release\(values\);//;s/gpu::wgmma_wait<1>\(s\);/& release(values);/
wrong parity                 | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/empty\[tile.at\].wait\(tile.parity \^ 1\)/empty[tile.at].wait(tile.parity)/
a warp does not release      | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/if \(lane == 0\) empty/if (lane == 0 \&\& warp > 0) empty/
wrong number of bytes        | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/full\[tile.at\].arrive_expect\(kTileBytes\)/full[tile.at].arrive_expect(kTileBytes \/ 2)/
result without a fence       | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/gpu::fence_proxy_async\(\);//
result stored too early      | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/gpu::named_barrier\(3 \+ group, 128\);  \/\/ the result.*//
queries refilled too early   | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | 0,/gpu::tensor_store_wait<0>\(\);/s///
result overwrites queries    | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/gpu::named_barrier\(3 \+ group, 128\);  \/\/ the queries.*//
result not waited for        | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/if \(leads\) gpu::tensor_store_wait<0>\(\);//
result not swizzled          | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/\(n \^ \(row % 8\)\)/n/
keys past the end counted    | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/>= keys_left\)/>= keys_left + 8)/
rows rescaled alike          | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/rescale\[i \/ 2 % 2\]/rescale[0]/
sums of the item before      | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/accumulate \|\| k > 0/true/
wrong step of the values     | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/v \+ 128 \* k/v + 64 * k/
wrong step of the keys       | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/k \+ 2 \* d/k + 4 * d/
both groups the same rows    | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/ \+ group \* kRows \* D;/;/
wrong A fragment             | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/s\[8 \* k \+ 2 \* i\], s\[8 \* k \+ 2 \* i \+ 1\]/s[8 * k + 2 * i + 1], s[8 * k + 2 * i]/
lse in base two              | kernels/attention_wgmma.cu | same | cuda attention by wgmma* | s/log2f\(sum\)\) \* kLn2/log2f(sum))/
histogram not cleared        | kernels/device/select.cuh | kernels/median.cu | cuda median* | s/histogram\[2 \* thread \+ 1\] = 0;//
plain add for atomicAdd      | kernels/device/select.cuh | kernels/median.cu | cuda median* | s/atomicAdd\(&(.*), 1u\);/\1 += 1u;/
no barrier after clearing    | kernels/device/select.cuh | kernels/median.cu | cuda median* | 0,/__syncthreads\(\);/s///
no barrier after counting    | kernels/device/select.cuh | kernels/median.cu | cuda median* | /atomicAdd\(&histogram/{n;n;s/__syncthreads\(\);//}
no barrier before totals     | kernels/device/select.cuh | kernels/median.cu | cuda median* | /warp_total\[warp\] = /{n;s/__syncthreads\(\);//}
digit read before it is set  | kernels/device/select.cuh | kernels/median.cu | cuda median* | /rank - before - low/{n;n;s/__syncthreads\(\);//}
copies not waited for        | kernels/conv3x3.cu | same | cuda conv3x3* | s/cp_async_wait<kStages - 2>/cp_async_wait<kStages - 1>/
no barrier after the wait    | kernels/conv3x3.cu | same | cuda conv3x3* | s/__syncthreads\(\);  \/\/ this step.*//
result over tiles in use     | kernels/conv3x3.cu | same | cuda conv3x3* | s/__syncthreads\(\);  \/\/ the tiles are free.*//
halves of the result race    | kernels/conv3x3.cu | same | cuda conv3x3* | s/__syncwarp\(\);  \/\/ before the other.*//
map not padded above         | kernels/conv3x3.cu | same | cuda conv3x3* | s/static_cast<unsigned>\(h\[i\] \+ down\) < unsigned\(shape.H\)/h[i] + down < shape.H/
rows wrap around             | kernels/conv3x3.cu | same | cuda conv3x3* | s/static_cast<unsigned>\(w\[i\] \+ right\) < unsigned\(shape.W\)/true/
taps transposed              | kernels/conv3x3.cu | same | cuda conv3x3* | s/down = tap \/ 3 - 1, right = tap % 3 - 1/down = tap % 3 - 1, right = tap \/ 3 - 1/
one tap a step               | kernels/conv3x3.cu | same | cuda conv3x3* | s/for \(; channel >= shape.I; channel -= shape.I\) \+\+tap;/if (channel >= shape.I) channel -= shape.I, ++tap;/
weights past the end         | kernels/conv3x3.cu | same | cuda conv3x3* | s/k < K \&\& output < shape.O/output < shape.O/
outputs past the end read    | kernels/conv3x3.cu | same | cuda conv3x3* | s/k < K \&\& output < shape.O/k < K/
outputs past the end written | kernels/conv3x3.cu | same | cuda conv3x3* | s/shape.pixels, shape.O, outputs/shape.pixels, shape.O/
bias of the pair's first     | kernels/conv3x3.cu | same | cuda conv3x3* | s/bias\[output \+ 1\]/bias[output]/
residual of the row above    | kernels/conv3x3.cu | same | cuda conv3x3* | s/lane \/ 4 \+ 4 \* i/lane \/ 4/
residual past the end        | kernels/conv3x3.cu | same | cuda conv3x3* | s/if \(pixel < shape.pixels\)/if (true)/
second residual forgotten    | kernels/conv3x3.cu | same | cuda conv3x3* | s/if \(epilogue.residual2 .*//
relu loses a NaN             | kernels/conv3x3.cu | same | cuda conv3x3* | s/if \(sum\[half\]\[n\]\[i\] < 0.0f\) sum\[half\]\[n\]\[i\] = 0.0f/sum[half][n][i] = fmaxf(sum[half][n][i], 0.0f)/
weight not flipped           | kernels/conv3x3.cu | same | cuda conv3x3* | s/8 - tap/tap/
input without its ReLU       | kernels/conv3x3.cu | same | cuda conv3x3: * | s/pair = relu2<E>\(pair\)/pair = pair + 0/
every second value not masked| kernels/conv3x3.cu | same | cuda conv3x3: * | s/if \(!\(high > 0.0f\)\).*//
copies not waited for        | kernels/conv3x3_weight_gradient.cu | same | cuda conv3x3 weight* | s/cp_async_wait<kAhead - 1>/cp_async_wait<kAhead>/
no barrier after the wait    | kernels/conv3x3_weight_gradient.cu | same | cuda conv3x3 weight* | s/__syncthreads\(\);  \/\/ this step.*//
too few rows of x            | kernels/conv3x3_weight_gradient.cu | same | cuda conv3x3 weight* | s/kRows = 5;/kRows = 4;/
too few rows of dy           | kernels/conv3x3_weight_gradient.cu | same | cuda conv3x3 weight* | s/kGradients = 3;/kGradients = 2;/
strip without its neighbours | kernels/conv3x3_weight_gradient.cu | same | cuda conv3x3 weight* | s/ahead.column \+ pixel - 1;/ahead.column + pixel;/
map not padded beside        | kernels/conv3x3_weight_gradient.cu | same | cuda conv3x3 weight* | s/static_cast<unsigned>\(w\) < unsigned\(shape.W\)/true/
map not padded above         | kernels/conv3x3_weight_gradient.cu | same | cuda conv3x3 weight* | s/static_cast<unsigned>\(ahead.row\) < unsigned\(shape.H\)/ahead.row < shape.H/
strip wider than the map     | kernels/conv3x3_weight_gradient.cu | same | cuda conv3x3 weight* | s/w < shape.W \&\& first_output/first_output/
outputs past the end read    | kernels/conv3x3_weight_gradient.cu | same | cuda conv3x3 weight* | s/ \&\& first_output \+ output < shape.O;/;/
last row of a slice lost     | kernels/conv3x3_weight_gradient.cu | same | cuda conv3x3 weight* | s/row\+\+ < last\)/row++ < last - 1)/
slice without the row above  | kernels/conv3x3_weight_gradient.cu | same | cuda conv3x3 weight* | s/row = first - 1;/row = first;/
taps transposed              | kernels/conv3x3_weight_gradient.cu | same | cuda conv3x3 weight* | s/step \+ tap \/ 3 \+/step + tap % 3 +/;s/tap % 3 \+ lane % 16/tap \/ 3 + lane % 16/
input without its ReLU       | kernels/conv3x3_weight_gradient.cu | same | cuda conv3x3 weight* | s/b\[i\] = relu2<E>\(b\[i\]\)/b[i] = b[i] + 0/
fragment not transposed      | kernels/conv3x3_weight_gradient.cu | same | cuda conv3x3 weight* | s/\(lane \/ 16 \* 8 \+ lane % 8\) \* kPitch<kOutputs>/lane % 16 * kPitch<kOutputs>/
outputs past the end written | kernels/conv3x3_weight_gradient.cu | same | cuda conv3x3 weight* | s/if \(first >= shape.O\) continue;//
slices not apart             | kernels/conv3x3_weight_gradient.cu | same | cuda conv3x3 weight* | s/dweight \+= int64_t\(blockIdx.x\) \*/dweight += 0 */
warps without work write     | kernels/conv3x3_weight_gradient.cu | same | cuda conv3x3 weight* | s/if \(!has_work\) return;//
taps used before they came   | kernels/depth_head.cu | same | cuda depth_head* | s/__syncthreads\(\);  \/\/ the taps.*//
weights not waited for       | kernels/depth_head.cu | same | cuda depth_head* | s/gpu::cp_async_wait<0>\(\);//
no barrier after the wait    | kernels/depth_head.cu | same | cuda depth_head* | /cp_async_wait<0>/{n;s/__syncthreads\(\);//}
no zeros above the map       | kernels/depth_head.cu | same | cuda depth_head* | s/at >= 0 \&\& at < g.H/at < g.H/
no zeros right of the map    | kernels/depth_head.cu | same | cuda depth_head* | s/at >= 0 \&\& at < g.W/at >= 0/
channels past the end        | kernels/depth_head.cu | same | cuda depth_head* | s/right.first >= 0 \&\& first \+ channel < g.F/right.first >= 0/
weights past the end         | kernels/depth_head.cu | same | cuda depth_head* | s/inside = first \+ channel < g.F/inside = true/
hidden values without ReLU   | kernels/depth_head.cu | same | cuda depth_head* | s/\(value < 0.0f \? 0.0f : value\)/value/
half of the hidden values    | kernels/depth_head.cu | same | cuda depth_head* | s/depth \+= __shfl_xor_sync\(gpu::kFullWarp, depth, 2\);//
taps not shifted             | kernels/depth_head.cu | same | cuda depth_head* | s/tap % 3 \+ lane % 16/lane % 16/
pixels past the end written  | kernels/depth_head.cu | same | cuda depth_head* | s/ \&\& column < g.W\)/)/
images not apart             | kernels/depth_head.cu | same | cuda depth_head* | s/x \+= int64_t\(blockIdx.z\).*//
scale forgotten              | kernels/depth_head.cu | same | cuda depth_head* | s/last.scale \* depth/depth/
two threads store the flag   | kernels/median.cu | same | cuda median* | s/if \(thread == 0\) found/if (thread <= 1) found/
last place, not first        | kernels/median.cu | same | cuda median* | s/atomicMin\(&found, i\)/atomicExch(\&found, i)/
upper median                 | kernels/median.cu | same | cuda median* | s/\(total - 1\) \/ 2/total \/ 2/
NaN below                    | kernels/device/select.cuh | kernels/median.cu | cuda median* | s/return 0xffffffffu/return 0u/
two zeros                    | kernels/device/select.cuh | kernels/median.cu | cuda median* | s/value \+ 0.0f/value/
mask ignored                 | kernels/median.cu | same | cuda median* | s/return valid \|\| hidden/return true || hidden/
mask of the first row        | kernels/median.cu | same | cuda median* | s/if \(mask != nullptr\) mask \+= row \* N;//
higher digit forgotten       | kernels/device/select.cuh | kernels/median.cu | cuda median* | s/~0u << 10/~0u << 21/
prefix sum off by one lane   | kernels/device/warp.cuh | kernels/median.cu | cuda median* | s/lane >= offset/lane > offset/
two steps are one            | kernels/device/pointwise.cuh | kernels/elementwise.cu | cuda elementwise* | s/first \+ s \* kPointwiseThreads/first/
tail of a vector forgotten   | kernels/device/pointwise.cuh | kernels/elementwise.cu | cuda elementwise* | s/behind >= N/behind >= 0/
tail past the end            | kernels/device/pointwise.cuh | kernels/elementwise.cu | cuda elementwise* | s/behind >= N/behind > N/
vector past the end          | kernels/device/pointwise.cuh | kernels/elementwise.cu | cuda elementwise* | s/\(i < vectors\) load/(i <= vectors) load/
unaligned arrays as vectors  | kernels/device/pointwise.cuh | kernels/elementwise.cu | cuda elementwise* | s/wide = wide \&\& .*/{}/
relu drops a NaN             | kernels/elementwise.cu | same | cuda elementwise* | s/x < 0.0f \? 0.0f : x;/fmaxf(x, 0.0f);/
gradient of relu at zero     | kernels/elementwise.cu | same | cuda elementwise* | s/y > 0.0f \? dy/y >= 0.0f ? dy/
other factor of the sigmoid  | kernels/elementwise.cu | same | cuda elementwise* | s/\(1.0f - y\)/(1.0f + y)/
density of gelu forgotten    | kernels/device/gelu.cuh | kernels/gelu.cu | cuda gelu* | s/return fmaf\(x, density, /return (/
half of the normal           | kernels/device/gelu.cuh | kernels/gelu.cu | cuda gelu* | s/x < 0.0f \? lower : 1.0f - lower/lower/
infinity times zero          | kernels/device/gelu.cuh | kernels/gelu.cu | cuda gelu* | s/const float a = fminf\(fabsf\(x\), 64.0f\)/const float a = fabsf(x)/
gate is the value            | kernels/swiglu.cu | same | cuda swiglu* | s/load\(value, x \+ row \* 2 \* h \+ h \+ c\)/load(value, x + row * 2 * h + c)/
past the end of a row        | kernels/swiglu.cu | same | cuda swiglu* | s/if \(c >= h\) return;//
gradients swapped            | kernels/swiglu.cu | same | cuda swiglu* | s/h \+ h \+ c, value/h + h + c, gate/
rows skipped                 | kernels/layer_scale.cu | same | cuda layer_scale* | s/row \+= step/row += step + 1/
gamma of another column      | kernels/layer_scale.cu | same | cuda layer_scale* | s/load\(g, gamma \+ c\)/load(g, gamma)/
rows twice                   | kernels/layer_scale.cu | same | cuda layer_scale* | s/if \(first >= step\) return;//
piece counted twice          | kernels/reduce.cu | same | cuda sum* | s/x \+= blockIdx.x \* kPiece;//
tail left out of the sum     | kernels/reduce.cu | same | cuda sum* | s/if \(whole \+ thread < count\).*//
all threads store the sum    | kernels/reduce.cu | same | cuda sum* | s/if \(thread == 0\) pieces/pieces/
sum of the first warp        | kernels/device/block.cuh | kernels/reduce.cu | cuda sum* | s/w < kThreads \/ 32/w < 1/
sums read too early          | kernels/device/block.cuh | kernels/reduce.cu | cuda sum* | /warp_sums\[thread \/ 32\] = value/{n;s/__syncthreads\(\);//}
slice past its end           | kernels/reduce.cu | same | cuda columns* | s/end = min\(begin \+ slice, rows\)/end = rows/
lines read too early         | kernels/reduce.cu | same | cuda columns* | /sums\[\(line \* kWide/{n;s/__syncthreads\(\);//}
columns past the end         | kernels/reduce.cu | same | cuda columns* | s/ \|\| left \+ column >= C//
partial rows left out        | kernels/device/sum_rows.cuh | kernels/reduce.cu | cuda columns* | s/row \+= kSumRows/row += kSumRows + 1/
second row of sums lost      | kernels/device/sum_rows.cuh | kernels/layer_norm_backward.cu | cuda layer_norm backward* | s/second\[c - C\]/first[c - C]/
mean of g forgotten          | kernels/layer_norm_backward.cu | same | cuda layer_norm backward* | 0,/g\[s\]\[i\] - mean_g - /s//g[s][i] - /
residual forgotten           | kernels/layer_norm_backward.cu | same | cuda layer_norm backward* | s/if \(dresidual != nullptr\) load.*//
sums of a warp overwritten   | kernels/layer_norm_backward.cu | same | cuda layer_norm backward* | s/__syncthreads\(\);  \/\/ the sums before are read//
weight counted in dweight    | kernels/layer_norm_backward.cu | same | cuda layer_norm backward* | s/dbias\[s\]\[i\] \+= g\[s\]\[i\];//;s/g\[s\]\[i\] \*= w\[i\];/& dbias[s][i] += g[s][i];/
rows of the next block       | kernels/layer_norm_backward.cu | same | cuda layer_norm backward* | 0,/end = min\(begin \+ rows_per_block, rows\)/s//end = rows/
rows left out get nothing    | kernels/layer_norm_backward.cu | same | cuda layer_norm backward* | s/row % images.kept == 0\)/row % images.kept == 1)/
their residual forgotten     | kernels/layer_norm_backward.cu | same | cuda layer_norm backward* | s/d = dresidual == nullptr \? 0.0f : to_float\(dresidual\[at\]\)/d = 0.0f/
rows of the first image only | kernels/device/image_rows.cuh | kernels/layer_norm.cu | layer_norm: skips* | s/\(row \/ images.kept \+ 1\) \* images.skip/images.skip/
rows of the first image only | kernels/device/image_rows.cuh | kernels/layer_norm_backward.cu | cuda layer_norm backward* | s/\(row \/ images.kept \+ 1\) \* images.skip/images.skip/
range of outputs too short   | kernels/bilinear.cu | same | cuda bilinear: the gradient* | s/axis.shift\) \+ 2;/axis.shift) - 1;/
last output forgotten        | kernels/bilinear.cu | same | cuda bilinear: the gradient* | s/min\(high, outputs\)/min(high, outputs - 1)/
tap of the second only       | kernels/bilinear.cu | same | cuda bilinear: the gradient* | s/\(t.first == i \? 1.0f - t.weight : 0.0f\) \+ //
weights of rows for columns  | kernels/bilinear.cu | same | cuda bilinear: the gradient* | s/down \* weight_of\(horizontal, x, j, W\)/down * weight_of(vertical, x, j, W)/
registers with positions     | kernels/tokens.cu | same | cuda tokens* | 0,/t > 0 \&\& t <= R/s//t > 0 \&\& t < R/
gradient of one image        | kernels/tokens.cu | same | cuda tokens* | s/b < B; \+\+b/b < 1; ++b/
class token's position       | kernels/tokens.cu | same | cuda tokens* | s/if \(t == 0\) store\(dcls/if (t == 1) store(dcls/
last tap forgotten           | kernels/resample.cu | same | cuda resample* | s/p < rows.begin\[line \+ 1\]/p < rows.begin[line + 1] - 1/
distance from zero           | kernels/masked.cu | same | cuda masked* | s/ - double\(median\[b\]\)\)/)/
median element forgotten     | kernels/masked.cu | same | cuda masked* | s/if \(i == index\[b\]\).*//
slope of all pixels          | kernels/masked.cu | same | cuda masked* | s/sums\[1\] \/ double\(count\[b\]\)/sums[1]/
hidden residuals counted     | kernels/masked.cu | same | cuda masked* | 0,/if \(!mask\[b \* N \+ i\]\) return;/s///
image before not skipped     | kernels/device/image_sums.cuh | kernels/masked.cu | cuda masked* | s/\(b \* pieces \+ p\)/(p)/
pieces overlap               | kernels/device/image_sums.cuh | kernels/masked.cu | cuda masked* | 0,/end = min\(begin \+ kImagePiece, N\)/s//end = N/
sign of a tie                | kernels/device/image_sums.cuh | kernels/masked.cu | cuda masked* | s/x < 0.0f \? -1.0f : 0.0f/-1.0f/
quantile of a neighbour      | kernels/trim_mask.cu | same | cuda masked: trimming* | s/low.rank \+ 1 < equal/low.rank < equal/
quantile kept itself         | kernels/trim_mask.cu | same | cuda masked: trimming* | s/>= v\);/> v);/
ties of later tiles          | kernels/trim_mask.cu | same | cuda masked: trimming* | s/before \+= ties_of_warp\[w\];//
ties of a lane               | kernels/trim_mask.cu | same | cuda masked: trimming* | s/\(1u << lane\) - 1u/(2u << lane) - 1u/
counts overwritten           | kernels/trim_mask.cu | same | cuda masked: trimming* | s/__syncthreads\(\);  \/\/ the counts are read//
pair with a hidden pixel     | kernels/gradient_matching.cu | same | cuda masked: gradient* | s/ \&\& mask\[at \+ step\]//
level of the image           | kernels/gradient_matching.cu | same | cuda masked: gradient* | s/== Divisor::kLevel \? k : 0/== Divisor::kLevel ? 0 : k/
neighbour above forgotten    | kernels/gradient_matching.cu | same | cuda masked: gradient* | s/if \(y >= s\).*//
finer pixels at every level  | kernels/gradient_matching.cu | same | cuda masked: gradient* | s/if \(\(\(x \| y\).*break;//
tensor before taken          | kernels/adamw.cu | same | cuda adamw* | 0,/first_piece\[which \+ 1\] <= piece/s//first_piece[which + 1] < piece/
decay forgotten              | kernels/adamw.cu | same | cuda adamw* | s/f.keep \* weight/weight/
written though not taken     | kernels/adamw.cu | same | cuda adamw* | s/if \(numbers.taken == 0.0\) return;//
tail not updated             | kernels/adamw.cu | same | cuda adamw* | s/if \(behind < end\).*//
second launch over the first | kernels/adamw.cu | same | cuda adamw* | s/before \+= pieces;/before = pieces;/
logarithms not centred       | kernels/silog.cu | same | silog: every device* | s/ratio\(b \* N \+ i\) - mean\[b\];/ratio(b * N + i);/
fit of the sums              | kernels/least_squares.cu | same | ssi_loss: every device* | s/double\(x\[at\]\) - mean\[b\];/double(x[at]);/
shift not differentiated     | kernels/least_squares.cu | same | ssi_loss: every device* | s/double\(dy\[at\]\) - mean_rho/double(dy[at])/
scores used before they came | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/wgmma_wait<1>\(s\)/wgmma_wait<2>(s)/
dp used before it came       | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/wgmma_wait<0>\(dp\)/wgmma_wait<1>(dp)/
sums used before they came   | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/wgmma_wait<0>\(dx1\)/wgmma_wait<1>(dx1)/
stage released in use        | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/gpu::wgmma_wait<2>\(dx[12]\);/;/
tile not waited for          | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/barriers.full\[stage.at\].wait\(stage.parity\);//
rows not waited for          | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/barriers.rows_full\[item_ring.at\].wait\(item_ring.parity\);//
wrong parity                 | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/barriers.empty\[stage.at\].wait\(stage.parity \^ 1\)/barriers.empty[stage.at].wait(stage.parity)/
a warp does not release      | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/if \(lane == 0\) barriers/if (lane == 0 \&\& warp > 0) barriers/
wrong number of bytes        | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/arrive_expect\(2 \* kTileBytes\)/arrive_expect(kTileBytes)/
statistics not waited for    | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/kOfKeys \? 1 \+ 32 : 1/1/
result without a fence       | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/gpu::fence_proxy_async\(\);//
result stored too early      | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/gpu::named_barrier\(3 \+ group, 128\);  \/\/ the result.*//
result overwrites rows       | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/gpu::named_barrier\(3 \+ group, 128\);  \/\/ the rows.*//
rows refilled too early      | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | 0,/gpu::tensor_store_wait<0>\(\);/s///
result not waited for        | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/if \(leads\) gpu::tensor_store_wait<0>\(\);//
result not swizzled          | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/\(n \^ \(row % 8\)\)/n/
keys past the end counted    | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/left < kStep\)/left < 0)/
delta forgotten              | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/\(dp\[4 \* n \+ k\] - d\)/dp[4 * n + k]/
lse of the row above         | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/row_lse\[k \/ 2\]/row_lse[0]/
scale forgotten              | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/write\(x1, dx1, shape.scale\)/write(x1, dx1, 1.0f)/
keys overwrite queries       | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/\(kOfKeys \? shape.heads : 0\) \+ item.head/item.head/
values take the keys' share  | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | s/dx2, p\[k\]/dx2, ds[k]/
values are the keys          | kernels/attention_backward_wgmma.cu | same | cuda attention_backward by wgmma* | 0,/2 \* shape.heads/s//shape.heads/
no barrier after init        | tests/kernel_host/wgmma_gemm.cu | same | wgmma_gemm* | s/__syncthreads\(\);//
tile used before it came     | tests/kernel_host/wgmma_gemm.cu | same | wgmma_gemm* | s/full\[stage\].wait\(.*//
tile refilled while in use   | tests/kernel_host/wgmma_gemm.cu | same | wgmma_gemm* | s/empty\[stage\].wait\(.*//
wrong parity                 | tests/kernel_host/wgmma_gemm.cu | same | wgmma_gemm* | s/\(round \+ 1\) % 2/round % 2/
wrong number of bytes        | tests/kernel_host/wgmma_gemm.cu | same | wgmma_gemm* | s/arrive_expect\(2 \* /arrive_expect(/
wgmma not waited for         | tests/kernel_host/wgmma_gemm.cu | same | wgmma_gemm* | s/gpu::wgmma_wait<0>\(sum\);//
released before the wait     | tests/kernel_host/wgmma_gemm.cu | same | wgmma_gemm* | s/gpu::wgmma_wait<0>\(sum\);//;s/empty\[stage\].arrive\(\);/& gpu::wgmma_wait<0>(sum);/
wrong step of the descriptor | tests/kernel_host/wgmma_gemm.cu | same | wgmma_gemm* | s/a \+ 2 \* i/a + 4 * i/
tile read as another         | tests/kernel_host/wgmma_gemm.cu | same | wgmma_gemm* | s/b_map, full\[stage\], step \* kTile, column/b_map, full[stage], column, step * kTile/
one thread does not arrive   | tests/kernel_host/wgmma_gemm.cu | same | wgmma_gemm* | s/(empty\[stage\].arrive\(\);)/if (thread != 5) \1/
rows past the padding copied | kernels/im2col.cu | same | cuda im2col* | s/row < g.H \&\& column >= 0/row <= g.H \&\& column >= 0/
columns past the map copied  | kernels/im2col.cu | same | cuda im2col* | s/column < g.W\)/column <= g.W)/
a position of the kernel lost| kernels/im2col.cu | same | cuda im2col* | s/ky < g.kernel_h; /ky + 1 < g.kernel_h; /
pixels between strides added | kernels/im2col.cu | same | cuda im2col* | s/ \|\| \(column - kx\) % g.stride != 0//
outputs past the last row    | kernels/im2col.cu | same | cuda im2col* | s/ \|\| oy >= g.out_h//
values behind a patch        | kernels/patchify.cu | same | cuda patchify* | s/if \(line < p\) values/values/
a line of pixels too long    | kernels/patchify.cu | same | cuda patchify* | s/\+\+at == run/++at > run/
rows of patches not apart    | kernels/patchify.cu | same | cuda patchify* | s/x \+= row \* p \* patches_wide/x += row * patches_wide/
pieces past the end          | kernels/patchify.cu | same | cuda patchify* | s/if \(piece >= pieces\) return;//
row and column of a block    | kernels/conv_transpose2d.cu | same | conv_transpose2d: matches* | s/\* s \+ row % s\) \* s \+ column % s/* s + column % s) * s + row % s/
width of a map forgotten     | kernels/conv_transpose2d.cu | same | conv_transpose2d: matches* | s/rest % \(s \* W\)/rest % W/
dot product of the first warp| kernels/linear.cu | same | linear: gradients* | s/block_sum<kThreads>\(dot\)/warp_sum(dot)/
bias not in dgamma           | kernels/linear.cu | same | linear: gradients* | s/total \+= db_folded/total += 0 * db_folded/
LIST
echo "mutants: $((total - missed)) of $total caught"
[ $missed = 0 ]
