#!/usr/bin/env bash
# Formatting, the direction of includes, and nothing that belongs to one machine. Prints each
# violation as FILE:LINE and ends with status 1 if there was one.
set -euo pipefail
cd "$(dirname "$0")/.."
violations=0
complain() {
  echo "$1"
  violations=1
}

mapfile -t sources < <(git ls-files '*.h' '*.cuh' '*.cpp' '*.cu')

if command -v clang-format >/dev/null; then
  clang-format --dry-run -Werror "${sources[@]}" || complain "run: clang-format -i FILE"
else
  complain "clang-format is missing: scripts/install_packages.sh clang-format"
fi

# A layer may include itself and those before it.
layers=(core kernels nn models train cli)
above=("${layers[@]}" tests bench)
for layer in "${layers[@]}"; do
  above=("${above[@]:1}")
  pattern="^ *# *include *[\"<]($(IFS='|'; echo "${above[*]}"))/"
  if git grep -nE "$pattern" -- "$layer/*.h" "$layer/*.cuh" "$layer/*.cpp" "$layer/*.cu"; then
    complain "^ includes point downwards only: ${layers[*]}; $layer/ must not see ${above[*]}"
  fi
done

# CUDA's own headers stay behind two doors, so that everything else builds without the toolkit.
if git grep -nE '^ *# *include *[<"](cuda|cublas|nccl|nvrtc|nvtx)' -- '*.h' '*.cpp' ':!core/cuda/*.cpp' ':!kernels/cuda/*.cpp' ':!core/gpu.h' ':!core/gpu/*'; then
  complain "^ CUDA headers belong in core/cuda/*.cpp, kernels/cuda/*.cpp, core/gpu.h and .cu files"
fi

# Paths of somebody's machine.
if git grep -nE '(^|[^A-Za-z0-9_./])/(work|home|root|Users|mnt|opt)/[A-Za-z]' -- . ':!LICENSE' ':!scripts/check_style.sh'; then
  complain "^ paths of one machine"
fi

if git grep -nIE '[[:blank:]]+$' -- '*.h' '*.cpp' '*.cu' '*.cuh' '*.sh' '*.txt' '*.md' .ci; then
  complain "^ blanks at the end of a line"
fi
exit $violations
