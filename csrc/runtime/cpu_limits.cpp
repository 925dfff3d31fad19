// How many CPUs this process may use: the affinity mask, and the CPU-time quota of its cgroups (containers).
// Knows nothing of threads: pool.h asks here for its default.
#include "runtime/cpu.h"

#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

namespace convkern {
namespace {

double smaller_limit(double a, double b) {
  if (a <= 0) return b;
  if (b <= 0) return a;
  return std::min(a, b);
}

// Version 2 keeps "quota period" (or "max period") in one file.
double quota_v2(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  double quota = 0, period = 0;
  return file >> quota >> period && quota > 0 && period > 0 ? quota / period : 0;
}

// Version 1 keeps them in two, -1 for no limit.
double quota_v1(const std::string& folder) {
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us"), period_file(folder + "/cpu.cfs_period_us");
  double quota = 0, period = 0;
  return quota_file >> quota && period_file >> period && quota > 0 && period > 0 ? quota / period : 0;
}

// A parent's quota binds its children. Folders that a container does not show count as unlimited.
template <class Quota>
double smallest_quota(const std::string& mount, std::string path, Quota quota) {
  double limit = quota(mount);
  while (path.size() > 1) {
    limit = smaller_limit(limit, quota(mount + path));
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
  return limit;
}

bool names_cpu(const std::string& controllers) { return ("," + controllers + ",").find(",cpu,") != std::string::npos; }

int affinity_cpus() {
#if defined(__linux__)
  // The kernel refuses a mask smaller than its own, so it grows until it fits.
  for (int size = 1024; size <= 1 << 20; size *= 4) {
    cpu_set_t* mask = CPU_ALLOC(size);
    if (mask == nullptr) break;
    const int failed = sched_getaffinity(0, CPU_ALLOC_SIZE(size), mask);
    const int count = failed ? 0 : CPU_COUNT_S(CPU_ALLOC_SIZE(size), mask);
    CPU_FREE(mask);
    if (count > 0) return count;
  }
#endif
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace

double cgroup_cpu_quota(const std::string& membership, const std::string& mount) {
  double limit = 0;
  std::istringstream lines(membership);
  for (std::string line; std::getline(lines, line);) {  // "0::/path" or "4:cpu,cpuacct:/path"
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      limit = smaller_limit(limit, smallest_quota(mount, path, quota_v2));
    } else if (names_cpu(controllers)) {
      limit = smaller_limit(limit, smallest_quota(mount + "/cpu", path, quota_v1));
      limit = smaller_limit(limit, smallest_quota(mount + "/" + controllers, path, quota_v1));
    }
  }
  return limit;
}

int usable_cpus() {
  const int cpus = affinity_cpus();
  std::ifstream file("/proc/self/cgroup");
  const std::string membership((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const double quota = cgroup_cpu_quota(membership, "/sys/fs/cgroup");
  if (quota <= 0 || quota >= cpus) return cpus;
  return std::max(1, static_cast<int>(std::ceil(quota)));
}

}  // namespace convkern
