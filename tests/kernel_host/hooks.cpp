// What instrumented kernels call.
#include <cstdio>
#include <cstdlib>

#include "tests/kernel_host/internal.h"

namespace {

inline void kernel_access(const void* address, std::size_t bytes, fathom::gpu::host::Access kind,
                          const void* pc) {
  using namespace fathom::gpu::host;
  Worker* w = worker;
  if (w == nullptr || w->in_layer) return;  // no kernel runs, or it is in this layer
  const Stack& stack = *w->current->stack;
  if (reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(stack.base) <
      static_cast<std::size_t>(stack.top - stack.base))
    return;
  const InLayer in_layer;
  access(*w, w->current->id, address, bytes, kind, pc_of(pc));
}

}  // namespace

extern "C" {

void __tsan_init() { fathom::gpu::host::kernels_are_instrumented = true; }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

#define HOOKS(bytes)                                                                        \
  void __tsan_read##bytes(void* a) {                                                        \
    kernel_access(a, bytes, fathom::gpu::host::Access::read, __builtin_return_address(0));  \
  }                                                                                         \
  void __tsan_write##bytes(void* a) {                                                       \
    kernel_access(a, bytes, fathom::gpu::host::Access::write, __builtin_return_address(0)); \
  }                                                                                         \
  void __tsan_unaligned_read##bytes(void* a) {                                              \
    kernel_access(a, bytes, fathom::gpu::host::Access::read, __builtin_return_address(0));  \
  }                                                                                         \
  void __tsan_unaligned_write##bytes(void* a) {                                             \
    kernel_access(a, bytes, fathom::gpu::host::Access::write, __builtin_return_address(0)); \
  }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
#undef HOOKS
void __tsan_read_range(void* a, std::size_t n) {
  kernel_access(a, n, fathom::gpu::host::Access::read, __builtin_return_address(0));
}
void __tsan_write_range(void* a, std::size_t n) {
  kernel_access(a, n, fathom::gpu::host::Access::write, __builtin_return_address(0));
}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

// Atomic operations of host code in kernel files (guards of static variables, reference counts).
#define FETCH(bits, type, operation)                                            \
  type __tsan_atomic##bits##_fetch_##operation(volatile type* a, type v, int) { \
    return __atomic_fetch_##operation(a, v, __ATOMIC_SEQ_CST);                  \
  }
#define COMPARE(bits, type, strength, weak)                                                       \
  int __tsan_atomic##bits##_compare_exchange_##strength(volatile type* a, type* expected, type v, \
                                                        int, int) {                               \
    return __atomic_compare_exchange_n(a, expected, v, weak, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  }
#define ATOMICS(bits, type)                                            \
  type __tsan_atomic##bits##_load(const volatile type* a, int) {       \
    return __atomic_load_n(a, __ATOMIC_SEQ_CST);                       \
  }                                                                    \
  void __tsan_atomic##bits##_store(volatile type* a, type v, int) {    \
    __atomic_store_n(a, v, __ATOMIC_SEQ_CST);                          \
  }                                                                    \
  type __tsan_atomic##bits##_exchange(volatile type* a, type v, int) { \
    return __atomic_exchange_n(a, v, __ATOMIC_SEQ_CST);                \
  }                                                                    \
  FETCH(bits, type, add)                                               \
  FETCH(bits, type, sub)                                               \
  FETCH(bits, type, and)                                               \
  FETCH(bits, type, or)                                                \
  FETCH(bits, type, xor)                                               \
  COMPARE(bits, type, strong, false)                                   \
  COMPARE(bits, type, weak, true)
ATOMICS(8, unsigned char)
ATOMICS(16, unsigned short)
ATOMICS(32, unsigned)
ATOMICS(64, unsigned long)
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
#undef FETCH
#undef COMPARE
#undef ATOMICS

// -fsanitize=bounds,alignment: an index outside an array's type, a vector access that is not
// aligned.
struct UbsanLocation {
  const char* file;
  std::uint32_t line, column;
};
struct UbsanType {
  std::uint16_t kind, info;
  char name[1];
};
struct UbsanBounds {
  UbsanLocation where;
  const UbsanType *array, *index;
};
struct UbsanMismatch {
  UbsanLocation where;
  const UbsanType* type;
  unsigned char log_alignment, check_kind;
};

static std::string place(const UbsanLocation& l) {
  const char* slash = std::strrchr(l.file, '/');
  return std::string(slash ? slash + 1 : l.file) + ":" + std::to_string(l.line);
}
static void ubsan(const std::string& what) {
  if (fathom::gpu::host::worker != nullptr) fathom::gpu::host::fail(what);
  std::fprintf(stderr, "%s\n", what.c_str());
  std::abort();
}
void __ubsan_handle_out_of_bounds(UbsanBounds* data, std::uintptr_t index) {
  if (fathom::gpu::host::worker != nullptr) fathom::gpu::host::worker->in_layer = true;
  ubsan("out of bounds: index " + std::to_string(static_cast<std::intptr_t>(index)) + " of " +
        data->array->name + " at " + place(data->where));
}
void __ubsan_handle_type_mismatch_v1(UbsanMismatch* data, std::uintptr_t pointer) {
  if (fathom::gpu::host::worker != nullptr) fathom::gpu::host::worker->in_layer = true;
  const std::uintptr_t alignment = std::uintptr_t{1} << data->log_alignment;
  ubsan((pointer == 0 ? "null pointer used as " : "misaligned address for ") +
        std::string(data->type->name) +
        (pointer % alignment != 0 ? " (not a multiple of " + std::to_string(alignment) + ")" : "") +
        " at " + place(data->where));
}
}
