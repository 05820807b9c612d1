// What a warp does together: shuffles, votes, reductions, ldmatrix, mma; and cp.async.
#include <algorithm>

#include "tests/kernel_host/internal.h"

namespace fathom::gpu::host {

void sync_warp(unsigned mask, Site site) {
  warp_operation(
      mask, "__syncwarp", nullptr, site, 0,
      [](Worker& w, Thread* threads, std::uint32_t) { order_warp(w, threads[0].id / 32); });
}

void shuffle(Shuffle kind, unsigned mask, void* value, unsigned bytes, unsigned argument, int width,
             Site site) {
  struct Argument {
    void* value;
    unsigned argument;
  } own{value, argument};
  static constexpr const char* names[] = {"__shfl_sync", "__shfl_up_sync", "__shfl_down_sync",
                                          "__shfl_xor_sync"};
  warp_operation(mask, names[static_cast<int>(kind)], &own, site, 0,
                 [&](Worker&, Thread* threads, std::uint32_t lanes) {
                   std::uint64_t values[32];
                   for (std::uint32_t m = lanes; m != 0; m &= m - 1) {
                     const int lane = std::countr_zero(m);
                     std::memcpy(&values[lane],
                                 static_cast<Argument*>(threads[lane].argument)->value, bytes);
                   }
                   for (std::uint32_t m = lanes; m != 0; m &= m - 1) {
                     const int lane = std::countr_zero(m);
                     const Argument& a = *static_cast<Argument*>(threads[lane].argument);
                     const int first = lane / width * width, last = first + width - 1;
                     int source = lane;
                     switch (kind) {
                       case Shuffle::index:
                         source = first + (static_cast<int>(a.argument) & (width - 1));
                         break;
                       case Shuffle::up: source = lane - static_cast<int>(a.argument); break;
                       case Shuffle::down: source = lane + static_cast<int>(a.argument); break;
                       case Shuffle::exclusive_or:
                         source = lane ^ static_cast<int>(a.argument);
                         break;
                     }
                     if (source > last || (source < first && kind == Shuffle::up)) source = lane;
                     if (!(lanes >> source & 1))
                       fail(std::string(threads[lane].operation) + " at " + describe(site) +
                            ": lane " + std::to_string(lane) + " reads lane " +
                            std::to_string(source) + ", which the mask does not name");
                     std::memcpy(a.value, &values[source], bytes);
                   }
                 });
}

unsigned vote(Vote kind, unsigned mask, std::uint64_t value, Site site) {
  struct Argument {
    std::uint64_t value;
    unsigned result;
  } own{value, 0};
  static constexpr const char* names[] = {"__all_sync", "__any_sync", "__ballot_sync",
                                          "__match_any_sync"};
  warp_operation(
      mask, names[static_cast<int>(kind)], &own, site, 0,
      [&](Worker&, Thread* threads, std::uint32_t lanes) {
        unsigned ballot = 0;
        for (std::uint32_t m = lanes; m != 0; m &= m - 1) {
          const int lane = std::countr_zero(m);
          if (static_cast<Argument*>(threads[lane].argument)->value != 0) ballot |= 1u << lane;
        }
        for (std::uint32_t m = lanes; m != 0; m &= m - 1) {
          auto& a = *static_cast<Argument*>(threads[std::countr_zero(m)].argument);
          switch (kind) {
            case Vote::all: a.result = ballot == lanes; break;
            case Vote::any: a.result = ballot != 0; break;
            case Vote::ballot: a.result = ballot; break;
            case Vote::match_any:
              a.result = 0;
              for (std::uint32_t n = lanes; n != 0; n &= n - 1)
                if (static_cast<Argument*>(threads[std::countr_zero(n)].argument)->value == a.value)
                  a.result |= n & -n;
          }
        }
      });
  return own.result;
}

unsigned reduce(Reduce kind, unsigned mask, unsigned value, Site site) {
  unsigned own = value;
  warp_operation(
      mask, "__reduce_sync", &own, site, 0, [&](Worker&, Thread* threads, std::uint32_t lanes) {
        unsigned r = *static_cast<unsigned*>(threads[std::countr_zero(lanes)].argument);
        for (std::uint32_t m = lanes & (lanes - 1); m != 0; m &= m - 1) {
          const unsigned v = *static_cast<unsigned*>(threads[std::countr_zero(m)].argument);
          switch (kind) {
            case Reduce::add: r += v; break;
            case Reduce::min_signed: r = static_cast<int>(v) < static_cast<int>(r) ? v : r; break;
            case Reduce::max_signed: r = static_cast<int>(v) > static_cast<int>(r) ? v : r; break;
            case Reduce::min_unsigned: r = v < r ? v : r; break;
            case Reduce::max_unsigned: r = v > r ? v : r; break;
            case Reduce::and_: r &= v; break;
            case Reduce::or_: r |= v; break;
            case Reduce::xor_: r ^= v; break;
          }
        }
        for (std::uint32_t m = lanes; m != 0; m &= m - 1)
          *static_cast<unsigned*>(threads[std::countr_zero(m)].argument) = r;
      });
  return own;
}

unsigned active_mask() {  // threads of a warp are never known to run together
  return 1u << (worker->current->id % 32);
}

// ---- tensor cores -------------------------------------------------------------------------------

namespace {

struct MmaArgument {
  float* c;
  const std::uint32_t *a, *b;
};

float widen(std::uint16_t bits, bool bfloat) {
  if (bfloat) return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  __half_raw raw;
  raw.x = bits;
  return __half2float(__half(raw));
}

}  // namespace

// Fragments as the PTX manual lays them out for mma.m16n8k16: with g = lane / 4 and t = lane % 4,
// register i of A holds row g + 8*(i%2), columns 2t + 8*(i/2) and the next; register i of B holds
// column g, rows 2t + 8*i and the next; C has rows g and g + 8, columns 2t and 2t + 1.
void mma(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2], bool bfloat,
         Site site) {
  MmaArgument own{c, a, b};
  warp_operation(
      ~0u, "mma_m16n8k16", &own, site, 0, [&](Worker& w, Thread* threads, std::uint32_t) {
        float A[16][16], B[16][8], C[16][8];
        for (int lane = 0; lane < 32; ++lane) {
          const auto& r = *static_cast<const MmaArgument*>(threads[lane].argument);
          const int g = lane / 4, t = 2 * (lane % 4);
          for (int i = 0; i < 4; ++i)
            for (int h = 0; h < 2; ++h)
              A[g + 8 * (i % 2)][t + 8 * (i / 2) + h] =
                  widen(static_cast<std::uint16_t>(r.a[i] >> (16 * h)), bfloat);
          for (int i = 0; i < 2; ++i)
            for (int h = 0; h < 2; ++h)
              B[t + 8 * i + h][g] = widen(static_cast<std::uint16_t>(r.b[i] >> (16 * h)), bfloat);
          for (int i = 0; i < 4; ++i) C[g + 8 * (i / 2)][t + i % 2] = r.c[i];
        }
        for (int m = 0; m < 16; ++m)
          for (int k = 0; k < 16; ++k)
            for (int n = 0; n < 8; ++n) C[m][n] += A[m][k] * B[k][n];
        for (int lane = 0; lane < 32; ++lane) {
          const auto& r = *static_cast<const MmaArgument*>(threads[lane].argument);
          const int g = lane / 4, t = 2 * (lane % 4);
          for (int i = 0; i < 4; ++i) r.c[i] = C[g + 8 * (i / 2)][t + i % 2];
        }
        ++w.counts.mma;
      });
}

namespace {

struct LdmatrixArgument {
  std::uint32_t* r;
  const void* row;
};

void ldmatrix(std::uint32_t* r, const void* row, bool transpose, const Site& site,
              std::uint32_t pc) {
  LdmatrixArgument own{r, row};
  warp_operation(~0u, "ldmatrix", &own, site, pc, [&](Worker& w, Thread* threads, std::uint32_t) {
    const auto argument = [&](int lane) -> const LdmatrixArgument& {
      return *static_cast<const LdmatrixArgument*>(threads[lane].argument);
    };
    for (int lane = 0; lane < 32; ++lane)
      layer_access(w, threads[lane].id, argument(lane).row, 16, Access::read, pc, true, "ldmatrix");
    for (int i = 0; w.tracking && i < 128; ++i) {  // each lane reads the elements that it receives
      const int lane = i % 32, j = i / 32 * 8, x = lane / 4, y = 2 * (lane % 4);
      const auto* rows = transpose ? nullptr : static_cast<const std::byte*>(argument(j + x).row);
      if (!transpose) {
        access(w, threads[lane].id, rows + 2 * y, 4, Access::read, pc);
      } else {
        access(w, threads[lane].id, static_cast<const std::byte*>(argument(j + y).row) + 2 * x, 2,
               Access::read, pc);
        access(w, threads[lane].id, static_cast<const std::byte*>(argument(j + y + 1).row) + 2 * x,
               2, Access::read, pc);
      }
    }
    for (int i = 0; i < 4; ++i) {
      std::uint16_t matrix[8][8];
      unsigned in_bank[8] = {};
      for (int j = 0; j < 8; ++j) {
        const void* address = argument(8 * i + j).row;
        std::memcpy(matrix[j], address, 16);
        bool repeated = false;
        for (int k = 0; k < j; ++k) repeated |= argument(8 * i + k).row == address;
        if (!repeated) ++in_bank[reinterpret_cast<std::uintptr_t>(address) / 16 % 8];
      }
      w.counts.ldmatrix_bank_conflicts += *std::max_element(in_bank, in_bank + 8) - 1;
      for (int lane = 0; lane < 32; ++lane) {
        const int x = lane / 4, y = 2 * (lane % 4);
        const std::uint32_t low = transpose ? matrix[y][x] : matrix[x][y];
        const std::uint32_t high = transpose ? matrix[y + 1][x] : matrix[x][y + 1];
        argument(lane).r[i] = low | high << 16;
      }
    }
    ++w.counts.ldmatrix;
  });
}

}  // namespace
}  // namespace fathom::gpu::host

namespace fathom::gpu {

using namespace host;

__attribute__((noinline)) void ldmatrix_x4(std::uint32_t (&r)[4], const void* row, Site site) {
  ldmatrix(r, row, false, site, pc_of(__builtin_return_address(0)));
}
__attribute__((noinline)) void ldmatrix_x4_trans(std::uint32_t (&r)[4], const void* row,
                                                 Site site) {
  ldmatrix(r, row, true, site, pc_of(__builtin_return_address(0)));
}

std::uint32_t shared_address(const void* pointer) {
  const auto offset =
      reinterpret_cast<std::uintptr_t>(pointer) - reinterpret_cast<std::uintptr_t>(worker->arena);
  if (offset >= kArenaBytes) fail("shared_address of a pointer that is not into shared memory");
  return static_cast<std::uint32_t>(offset);
}

// ---- cp.async -----------------------------------------------------------------------------------

static void perform(const AsyncCopy& copy) {
  if (copy.valid)
    std::memcpy(copy.shared, copy.global, 16);
  else
    std::memset(copy.shared, 0, 16);
}

__attribute__((noinline)) void cp_async16(void* shared, const void* global, bool valid, Site) {
  const InLayer in_layer;
  Worker& w = *worker;
  Thread& t = *w.current;
  const std::uint32_t pc = pc_of(__builtin_return_address(0));
  layer_access(w, t.id, shared, 16, Access::async_write, pc, true, "cp_async16");
  if (w.tracking) access(w, t.id, shared, 16, Access::async_write, pc);
  if (valid) layer_access(w, t.id, global, 16, Access::read, pc, false, "cp_async16");
  if (valid && w.tracking) access(w, t.id, global, 16, Access::read, pc);
  t.copies.push_back({shared, global, valid, t.group});
  if (w.async == Async::early) perform(t.copies.back());
}

void cp_async_commit() { ++worker->current->group; }

void cp_async_wait_pending(int pending) {
  const InLayer in_layer;
  Worker& w = *worker;
  Thread& t = *w.current;
  std::erase_if(t.copies, [&](const AsyncCopy& copy) {
    if (copy.group + static_cast<std::uint32_t>(pending) >= t.group) return false;
    if (w.async == Async::late) perform(copy);
    finish_async_write(w, copy.shared, 16);
    return true;
  });
}

}  // namespace fathom::gpu
