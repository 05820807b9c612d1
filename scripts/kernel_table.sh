#!/bin/bash
# Prints a table of registers, shared memory and spills of every kernel, as ptxas reports them, and fails
# if one spills or does not compile without warnings.
#   scripts/kernel_table.sh [ARCHITECTURE...]     80 and 90a unless given; NVCC names another compiler
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
[ $# -eq 0 ] && set -- 80 90a
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
spilled=0

for source in "$root"/kernels/*.cu; do
  for architecture in "$@"; do
    if ! "$nvcc" -std=c++20 -O3 -Werror all-warnings -Xptxas -v -I"$root" \
        -gencode="arch=compute_$architecture,code=sm_$architecture" \
        -c "$source" -o "$work/kernel.o" 2>"$work/log"; then
      cat "$work/log" >&2
      exit 1
    fi
    # Three lines a kernel: its name, its stack and spills, its registers and shared memory.
    c++filt <"$work/log" | awk -v architecture="$architecture" '
      /Compiling entry function/ {
        name = $0
        sub(/.*entry function ./, "", name)
        gsub(/\(anonymous namespace\)::/, "", name)
        gsub(/\(int\)/, "", name)
        sub(/\(fathom::cuda::Side\)0/, "keys", name)
        sub(/\(fathom::cuda::Side\)1/, "queries", name)
        sub(/\(.*/, "", name)
        gsub(/fathom::cuda::|^void /, "", name)
        gsub(/__nv_bfloat16/, "bf16", name)
        gsub(/__half/, "f16", name)
      }
      /spill stores/ {
        spill = 0
        for (i = 3; i <= NF; ++i) if ($i == "spill") spill += $(i - 2)
      }
      /Used [0-9]+ registers/ {
        registers = $0; sub(/.*Used /, "", registers); sub(/ .*/, "", registers)
        shared = 0
        if (match($0, /[0-9]+ bytes smem/)) shared = substr($0, RSTART, RLENGTH - 11)
        print name "\t" architecture "\t" registers "\t" shared "\t" spill
      }' >>"$work/rows"
  done
done

awk -F'\t' -v architectures="$*" '
  { if (!($1 in seen)) names[++count] = $1
    seen[$1]; registers[$1, $2] = $3; shared[$1] = $4; spill[$1] += $5 }
  END {
    n = split(architectures, list, " ")
    head = "| kernel |"; rule = "| --- |"
    for (i = 1; i <= n; ++i) { head = head " registers, sm_" list[i] " |"; rule = rule " --: |" }
    print head " static shared bytes | spill bytes |"; print rule " --: | --: |"
    for (k = 1; k <= count; ++k) {
      row = "| `" names[k] "` |"
      for (i = 1; i <= n; ++i) row = row " " registers[names[k], list[i]] " |"
      print row " " shared[names[k]] " | " spill[names[k]] " |"
    }
  }' "$work/rows"
awk -F'\t' '$5 != 0 { exit 1 }' "$work/rows" || spilled=1
if [ $spilled -ne 0 ]; then
  echo "a kernel spills registers to memory" >&2
  exit 1
fi
