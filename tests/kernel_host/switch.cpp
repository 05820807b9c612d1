// Switching stacks: push the callee-saved registers, swap stack pointers, pop them.
#include "tests/kernel_host/internal.h"

#if defined(__x86_64__)
asm(R"(
.text
.p2align 4
.globl fathom_gpu_switch
.type fathom_gpu_switch, @function
fathom_gpu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size fathom_gpu_switch, . - fathom_gpu_switch
)");
void* fathom::gpu::host::initial_sp(std::byte* top, void (*entry)()) {
  auto** slot = reinterpret_cast<void**>(top);
  *--slot = nullptr;  // where entry would return to
  *--slot = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--slot = nullptr;
  return slot;
}
#elif defined(__aarch64__)
asm(R"(
.text
.p2align 4
.globl fathom_gpu_switch
.type fathom_gpu_switch, %function
fathom_gpu_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x2, sp
  str x2, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size fathom_gpu_switch, . - fathom_gpu_switch
)");
void* fathom::gpu::host::initial_sp(std::byte* top, void (*entry)()) {
  auto** slot = reinterpret_cast<void**>(top) - 20;
  for (int i = 0; i < 20; ++i) slot[i] = nullptr;
  slot[11] = reinterpret_cast<void*>(entry);
  return slot;
}
#else
#error "fathom_gpu_switch is not written for this processor"
#endif
