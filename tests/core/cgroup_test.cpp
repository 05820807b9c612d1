#include "core/cgroup.h"

#include <unistd.h>

#include <fstream>

#include "tests/testing.h"

namespace fathom {

// A root folder with the files of a machine, removed at the end of the scope.
struct FakeRoot {
  FakeRoot() { std::filesystem::create_directories(folder); }
  ~FakeRoot() { std::filesystem::remove_all(folder); }
  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((folder / path).parent_path());
    std::ofstream(folder / path) << text << '\n';
  }
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("fathom-cgroup-" + std::to_string(::getpid()));
};

TEST_CASE("cgroup: a machine without limits") {
  const FakeRoot root;
  CHECK(cgroup_limits(root.folder).cpus == 0);  // no /proc at all
  root.write("proc/self/cgroup", "0::/");
  root.write("sys/fs/cgroup/cpu.max", "max 100000");
  root.write("sys/fs/cgroup/memory.max", "max");
  CHECK(cgroup_limits(root.folder).cpus == 0);
  CHECK(cgroup_limits(root.folder).memory_bytes == 0);
}

TEST_CASE("cgroup: version 2, the tightest level holds") {
  const FakeRoot root;
  root.write("proc/self/cgroup", "0::/slice/service");
  root.write("sys/fs/cgroup/slice/cpu.max", "150000 100000");
  root.write("sys/fs/cgroup/slice/service/cpu.max", "400000 100000");
  root.write("sys/fs/cgroup/slice/service/memory.max", "1073741824");
  root.write("sys/fs/cgroup/slice/memory.max", "max");
  CHECK(cgroup_limits(root.folder).cpus == 1.5);
  CHECK(cgroup_limits(root.folder).memory_bytes == 1 << 30);
}

TEST_CASE("cgroup: version 1, the host's path may not exist inside the container") {
  const FakeRoot root;
  root.write("proc/self/cgroup",
             "12:cpuset:/docker/abc\n11:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n"
             "1:name=systemd:/docker/abc\nnonsense\n1:2");
  root.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "250000");
  root.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
  root.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
  CHECK(cgroup_limits(root.folder).cpus == 2.5);
  CHECK(cgroup_limits(root.folder).memory_bytes == 0);
  root.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1");
  root.write("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "4096");
  CHECK(cgroup_limits(root.folder).cpus == 0);
  CHECK(cgroup_limits(root.folder).memory_bytes == 4096);
}

TEST_CASE("cgroup: files with nonsense set no limit") {
  const FakeRoot root;
  root.write("proc/self/cgroup", "0::/a");
  root.write("sys/fs/cgroup/a/cpu.max", "100000 0");
  root.write("sys/fs/cgroup/cpu.max", "hello");
  root.write("sys/fs/cgroup/memory.max", "-5");
  CHECK(cgroup_limits(root.folder).cpus == 0);
  CHECK(cgroup_limits(root.folder).memory_bytes == 0);
}

}  // namespace fathom
