#include "core/heap.h"

#include <cstdlib>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace fathom {

void keep_freed_memory() {
#ifdef __GLIBC__
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the largest that glibc allows
  ::mallopt(M_TRIM_THRESHOLD, 64 << 20);
#endif
}

}  // namespace fathom
