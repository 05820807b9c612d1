// Memory of the device and shared memory: allocations, redzones, poison, bounds.
#include <dlfcn.h>
#include <link.h>

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>

#include "tests/kernel_host/internal.h"

namespace fathom::gpu::host {

bool kernels_are_instrumented = false;
bool checked() { return kernels_are_instrumented; }

namespace {

constexpr int kPoison = 0xff;  // a NaN in every format, -1 in integers
constexpr int kCanary = 0xcb;
constexpr std::size_t kDeviceRedzone = 256;

std::byte* as_bytes(std::uintptr_t a) { return reinterpret_cast<std::byte*>(a); }

// ---- allocations of the device ------------------------------------------------------------------

struct Allocation {
  Region region;
  std::unique_ptr<std::byte[]> memory;
  std::vector<Cell> cells;
};
std::mutex g_mutex;
std::map<std::uintptr_t, Allocation> g_allocations;  // by base

// ---- where an access is -------------------------------------------------------------------------

struct Image {
  std::uintptr_t low, high, base;
};
const std::vector<Image>& images() {  // loaded files: constants, static variables
  static const std::vector<Image> all = [] {
    std::vector<Image> found;
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* out) {
          for (int i = 0; i < info->dlpi_phnum; ++i)
            if (info->dlpi_phdr[i].p_type == PT_LOAD) {
              const auto low = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
              static_cast<std::vector<Image>*>(out)->push_back(
                  {low, low + info->dlpi_phdr[i].p_memsz, info->dlpi_addr});
            }
          return 0;
        },
        &found);
    return found;
  }();
  return all;
}

bool is_builtin(std::uintptr_t a) {
  for (const void* variable :
       {static_cast<const void*>(&threadIdx), static_cast<const void*>(&blockIdx),
        static_cast<const void*>(&blockDim), static_cast<const void*>(&gridDim)})
    if (a - reinterpret_cast<std::uintptr_t>(variable) < sizeof(uint3)) return true;
  return false;
}

}  // namespace

Region* find_device(std::uintptr_t a) {
  const auto it = g_allocations.upper_bound(a + kDeviceRedzone);
  if (it == g_allocations.begin()) return nullptr;
  Region& r = std::prev(it)->second.region;
  if (a - r.base + kDeviceRedzone >= r.bytes + 2 * kDeviceRedzone) return nullptr;
  return &r;
}

bool is_constant(std::uintptr_t a) {
  if (is_builtin(a)) return true;
  for (const Image& image : images())
    if (a - image.low < image.high - image.low) return true;
  return false;
}

// A return address in 32 bits: relative to the image this file is in.
std::uint32_t pc_of(const void* address) {
  return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(address) -
                                    reinterpret_cast<std::uintptr_t>(&pc_of));
}

std::string describe_pc(std::uint32_t pc) {
  const auto address = reinterpret_cast<std::uintptr_t>(&pc_of) +
                       static_cast<std::uintptr_t>(static_cast<std::int32_t>(pc)) - 1;
  Dl_info info;
  if (pc == 0 || dladdr(reinterpret_cast<void*>(address), &info) == 0) return "an unknown place";
  char command[4096];
  std::snprintf(
      command, sizeof command, "addr2line -e '%s' 0x%zx 2>/dev/null", info.dli_fname,
      static_cast<std::size_t>(address - reinterpret_cast<std::uintptr_t>(info.dli_fbase)));
  std::string line;
  if (std::FILE* pipe = popen(command, "r")) {
    char text[1024];
    if (std::fgets(text, sizeof text, pipe)) line = text;
    pclose(pipe);
  }
  while (!line.empty() && (line.back() == '\n' || line.back() == ')')) line.pop_back();
  line = line.substr(0, line.find(" (disc"));
  if (const auto slash = line.rfind('/'); slash != std::string::npos) line = line.substr(slash + 1);
  return line.empty() || line[0] == '?' ? "an unknown line" : line;
}

void* allocate(std::size_t bytes, std::size_t granule) {
  const std::size_t shift = granule >= 4 ? 2 : granule == 2 ? 1 : 0;
  Allocation a;
  a.memory.reset(new (std::align_val_t(256)) std::byte[bytes + 2 * kDeviceRedzone]);
  std::memset(a.memory.get(), kCanary, bytes + 2 * kDeviceRedzone);
  std::byte* base = a.memory.get() + kDeviceRedzone;
  std::memset(base, kPoison, bytes);
  if (kernels_are_instrumented && granule > 0) a.cells.resize((bytes + 3) >> shift);
  a.region = {reinterpret_cast<std::uintptr_t>(base),
              static_cast<std::uint32_t>(shift),
              bytes,
              a.cells.empty() ? nullptr : a.cells.data(),
              "device memory",
              nullptr,
              Site(),
              false};
  const std::lock_guard lock(g_mutex);
  g_allocations.emplace(a.region.base, std::move(a));
  return base;
}

static void report_outside_kernel(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::abort();
}

void release(void* pointer) {
  if (pointer == nullptr) return;
  const std::lock_guard lock(g_mutex);
  const auto it = g_allocations.find(reinterpret_cast<std::uintptr_t>(pointer));
  if (it == g_allocations.end())
    report_outside_kernel("release of a pointer that allocate did not return");
  ::operator delete[](it->second.memory.release(), std::align_val_t(256));
  g_allocations.erase(it);
}

void copy_in(void* device, const void* host, std::size_t bytes) {
  const auto a = reinterpret_cast<std::uintptr_t>(device);
  const std::lock_guard lock(g_mutex);
  Region* r = find_device(a);
  if (r == nullptr || a < r->base || a + bytes > r->base + r->bytes)
    report_outside_kernel("copy_in: out of bounds");
  std::memcpy(device, host, bytes);
  if (r->cells != nullptr)
    for (std::size_t i = (a - r->base) >> r->granule_shift;
         i << r->granule_shift < a - r->base + bytes; ++i)
      r->cells[i].initialised = 1;
}

void copy_out(void* host, const void* device, std::size_t bytes) {
  const auto a = reinterpret_cast<std::uintptr_t>(device);
  const std::lock_guard lock(g_mutex);
  const Region* r = find_device(a);
  if (r == nullptr || a < r->base || a + bytes > r->base + r->bytes)
    report_outside_kernel("copy_out: out of bounds");
  std::memcpy(host, device, bytes);
}

std::string verify_device_redzones() {
  const std::lock_guard lock(g_mutex);
  for (const auto& [base, a] : g_allocations)
    for (std::size_t i = 0; i < 2 * kDeviceRedzone; ++i) {
      const std::size_t at = i < kDeviceRedzone ? i : a.region.bytes + i;
      std::byte& b = a.memory[at];
      if (b == std::byte{kCanary}) continue;
      b = std::byte{kCanary};
      const auto offset = static_cast<long long>(at) - static_cast<long long>(kDeviceRedzone);
      return "out of bounds: a kernel wrote at byte " + std::to_string(offset) +
             " of a device allocation of " + std::to_string(a.region.bytes) + " bytes";
    }
  return {};
}

// ---- shared memory ------------------------------------------------------------------------------

namespace {

void* add_region(Worker& w, std::uint32_t offset, std::uint32_t bytes, std::uint32_t granule,
                 const char* name, const void* key, Site site) {
  std::byte* base = w.arena + offset;
  std::memset(base - kRedzone, kCanary, kRedzone);
  std::memset(base, kPoison, bytes);
  std::memset(base + bytes, kCanary, kRedzone);
  w.shared.push_back({reinterpret_cast<std::uintptr_t>(base),
                      static_cast<std::uint32_t>(std::countr_zero(granule)), bytes,
                      w.tracking ? w.arena_cells.data() + offset : nullptr, name, key, site, true});
  return base;
}

}  // namespace

void* shared_array(const SharedArray& array) {
  const InLayer in_layer;
  Worker& w = *worker;
  for (const Region& r : w.shared)
    if (r.key == &array) return as_bytes(r.base);
  const std::uint32_t start =
      (w.static_used + kRedzone + array.align - 1) / array.align * array.align;
  w.static_used = start + array.bytes + kRedzone;
  std::uint32_t total = array.bytes;
  for (const Region& r : w.shared)
    if (r.key != nullptr) total += static_cast<std::uint32_t>(r.bytes);
  if (total > kStaticLimit)
    fail("more than 48 KB of static shared memory with " + std::string(array.name));
  return add_region(w, kStaticBase + start, array.bytes, array.granule, array.name, &array,
                    array.site);
}

void* take_dynamic(std::uint32_t index, std::uint32_t offset, std::uint32_t bytes,
                   std::uint32_t align, std::uint32_t granule, Site site) {
  const InLayer in_layer;
  Worker& w = *worker;
  if (index < w.dynamic_regions.size()) {
    const Region& r = w.shared[w.dynamic_regions[index]];
    if (r.bytes != bytes)
      fail("threads carve dynamic shared memory differently at " + describe(site));
    return as_bytes(r.base);
  }
  if (offset + bytes > w.dynamic_limit)
    fail("dynamic shared memory: the kernel takes " + std::to_string(offset + bytes) +
         " bytes at " + describe(site) + ", the launch gave " + std::to_string(w.dynamic_limit));
  std::uint32_t start = kRedzone;
  if (index > 0) {
    const Region& before = w.shared[w.dynamic_regions.back()];
    start = static_cast<std::uint32_t>(before.base + before.bytes -
                                       reinterpret_cast<std::uintptr_t>(w.arena)) +
            2 * kRedzone;
  }
  start = (start + align - 1) / align * align;
  if (start + bytes + kRedzone > kStaticBase)
    fail("too much dynamic shared memory for this layer's redzones");
  w.dynamic_regions.push_back(static_cast<std::uint32_t>(w.shared.size()));
  return add_region(w, start, bytes, granule, "dynamic shared memory", nullptr, site);
}

const Region* find_shared(const Worker& w, std::uintptr_t address) {
  for (const Region& r : w.shared)
    if (r.contains(address)) return &r;
  return nullptr;
}

std::string describe_region(const Region& r, std::uintptr_t address) {
  const auto offset = static_cast<long long>(address - r.base);
  std::string text = r.shared && r.key != nullptr ? "shared array `" + std::string(r.name) + "`"
                                                  : std::string(r.name);
  if (r.shared) text += " (" + describe(r.site) + ")";
  return text + " of " + std::to_string(r.bytes) + " bytes, at byte " + std::to_string(offset);
}

std::string describe_shared(const Worker& w, std::uintptr_t address) {
  const Region* nearest = nullptr;
  std::uintptr_t distance = ~std::uintptr_t{0};
  for (const Region& r : w.shared) {
    const std::uintptr_t d = address < r.base ? r.base - address : address - r.base - r.bytes + 1;
    if (d < distance) distance = d, nearest = &r;
  }
  return nearest == nullptr ? "shared memory" : describe_region(*nearest, address);
}

void verify_redzones(Worker& w) {
  for (const Region& r : w.shared)
    for (std::uint32_t i = 0; i < 2 * kRedzone; ++i) {
      const std::uintptr_t a =
          i < kRedzone ? r.base - kRedzone + i : r.base + r.bytes + i - kRedzone;
      if (*as_bytes(a) == std::byte{kCanary}) continue;
      w.error = "out of bounds: a thread of block " + describe(w.block_index) + " wrote outside " +
                describe_region(r, a);
      return;
    }
}

}  // namespace fathom::gpu::host
