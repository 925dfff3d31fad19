// What the machine is, what limits it (cgroups), and the scratch arena.
#include <sys/stat.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#include "check.h"
#include "runtime/arena.h"
#include "runtime/cpu.h"

using convkern::cgroup_cpu_quota;
using convkern::scratch;
using convkern::scratch_held;
using convkern::scratch_release;

namespace {

void machine_is_plausible() {
  const convkern::CpuInfo& info = convkern::cpu_info();
  CHECK(info.l1 >= 4 << 10 && info.l1 <= 1 << 20);
  CHECK(info.l2 >= 32 << 10 && info.l3 >= 32 << 10);
  CHECK(!info.model.empty());
  CHECK(!info.avx512 || info.avx2_fma);
  CHECK(!info.avx2_fma || info.sse42);
#if defined(__aarch64__)
  CHECK(info.neon && !info.sse42);
#elif defined(__x86_64__)
  CHECK(!info.neon);
#endif
  CHECK(convkern::usable_cpus() >= 1);
  CHECK(&info == &convkern::cpu_info());
}

// A folder tree that looks like /sys/fs/cgroup.
class Mount {
 public:
  Mount() {
    char name[] = "/tmp/convkern-cgroup-XXXXXX";
    const char* made = mkdtemp(name);
    CHECK(made != nullptr);
    root_ = made != nullptr ? made : "";
  }
  ~Mount() {
    if (!root_.empty()) CHECK(std::system(("rm -r " + root_).c_str()) == 0);
  }
  void write(const std::string& path, const std::string& text) {
    for (size_t slash = 0; (slash = path.find('/', slash)) != std::string::npos; ++slash) {
      mkdir((root_ + "/" + path.substr(0, slash)).c_str(), 0700);
    }
    std::ofstream(root_ + "/" + path) << text;
  }
  double quota(const std::string& membership) const { return cgroup_cpu_quota(membership, root_); }

 private:
  std::string root_;
};

void quotas_of_cgroup_v2() {
  Mount mount;
  CHECK(mount.quota("0::/a/b\n") == 0);
  mount.write("cpu.max", "max 100000\n");
  CHECK(mount.quota("0::/\n") == 0);
  mount.write("a/b/cpu.max", "250000 100000\n");
  CHECK(mount.quota("0::/a/b\n") == 2.5);
  CHECK(mount.quota("0::/a\n") == 0);
  mount.write("a/cpu.max", "150000 100000\n");
  CHECK(mount.quota("0::/a/b\n") == 1.5);  // a parent's limit binds
  mount.write("cpu.max", "50000 100000\n");
  CHECK(mount.quota("0::/not/shown/here\n") == 0.5);
}

void quotas_of_cgroup_v1() {
  Mount mount;
  mount.write("cpu/docker/x/cpu.cfs_quota_us", "-1\n");
  mount.write("cpu/docker/x/cpu.cfs_period_us", "100000\n");
  const std::string membership = "12:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n3:cpuset:/docker/x\n0::/\n";
  CHECK(mount.quota(membership) == 0);
  mount.write("cpu/docker/x/cpu.cfs_quota_us", "300000\n");
  CHECK(mount.quota(membership) == 3);
  CHECK(mount.quota("3:cpuset,cpuacct:/docker/x\n") == 0);
  CHECK(mount.quota("nonsense\n:\n\n") == 0);
}

void scratch_is_aligned_and_kept() {
  void* first = scratch(0, 100);
  CHECK(first != nullptr && reinterpret_cast<uintptr_t>(first) % convkern::kScratchAlignment == 0);
  std::memset(first, 1, 100 + convkern::kScratchSlack);
  CHECK(scratch(0, 50) == first && scratch(0, 100) == first);
  void* other = scratch(1, 100);
  CHECK(other != nullptr && other != first);
  for (size_t bytes = 0; bytes < 2000000; bytes = bytes * 2 + 1) {
    void* grown = scratch(2, bytes);
    CHECK(grown != nullptr && reinterpret_cast<uintptr_t>(grown) % convkern::kScratchAlignment == 0);
    std::memset(grown, 2, bytes + convkern::kScratchSlack);
  }
  scratch_release(2);
  CHECK(scratch_held() >= 1000000);
}

void scratch_gives_back_what_is_large() {
  const size_t held = scratch_held();
  CHECK(scratch(3, convkern::kScratchRetained + 1) != nullptr);
  CHECK(scratch_held() > held + convkern::kScratchRetained);
  scratch_release(3);
  CHECK(scratch_held() == held);
}

void scratch_refuses_what_cannot_be_had() {
  CHECK(scratch(4, SIZE_MAX) == nullptr);
  CHECK(scratch(4, SIZE_MAX / 2) == nullptr);
  CHECK(scratch(4, SIZE_MAX - 200) == nullptr);
  CHECK(scratch(4, 10) != nullptr);  // the slot works again
}

void scratch_belongs_to_its_thread() {
  void* mine = scratch(0, 100);
  void* theirs = mine;
  std::thread([&theirs] {
    CHECK(scratch_held() == 0);
    theirs = scratch(0, 100);
    std::memset(theirs, 3, 100);
  }).join();
  CHECK(theirs != mine);
}

}  // namespace

int main() {
  run("machine_is_plausible", machine_is_plausible);
  run("quotas_of_cgroup_v2", quotas_of_cgroup_v2);
  run("quotas_of_cgroup_v1", quotas_of_cgroup_v1);
  run("scratch_is_aligned_and_kept", scratch_is_aligned_and_kept);
  run("scratch_gives_back_what_is_large", scratch_gives_back_what_is_large);
  run("scratch_refuses_what_cannot_be_had", scratch_refuses_what_cannot_be_had);
  run("scratch_belongs_to_its_thread", scratch_belongs_to_its_thread);
  std::printf("%d failures\n", failures.load());
  return failures == 0 ? 0 : 1;
}
