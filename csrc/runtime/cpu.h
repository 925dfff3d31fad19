// What the machine is: cache sizes, model, instruction sets, and how many CPUs this process may use.
// Knows no kernel: which ISA serves which plan is decided by the kernel table.
#pragma once

#include <cstdint>
#include <string>

namespace convkern {

struct CpuInfo {
  int64_t l1, l2, l3;  // bytes: data cache of a core, second level, last level (shared)
  std::string model;   // as the operating system names it; "unknown" where it does not
  bool sse42;          // x86-64-v2
  bool avx2_fma;       // x86-64-v3
  bool avx512;         // x86-64-v4: F, BW, DQ, VL, CD on top of x86-64-v3
  bool halves;         // avx512, but vectors of 64 bytes are done in two steps
  bool amx;            // products of bfloat16 tiles, and the conversions to it, on top of avx512
  bool neon;           // aarch64
};

// Found out once, at the first call.
const CpuInfo& cpu_info();

// CPUs in the affinity mask, at most the cgroup's CPU quota (v1 or v2) rounded up; at least 1. Reads files: not for hot
// paths.
int usable_cpus();

// CPU quota (CPUs' worth of time, may be fractional) that the cgroups listed in `membership` (text of
// /proc/self/cgroup) have under the mount point `mount`: the smallest on the way up to the root. 0 means no limit.
double cgroup_cpu_quota(const std::string& membership, const std::string& mount);

}  // namespace convkern
