// Caches, model and instruction sets: from sysfs and /proc on Linux, sysctl on macOS, else usual sizes.
// Knows nothing of affinity and quotas: cpu_limits.cpp.
#include "runtime/cpu.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>

#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#endif

namespace convkern {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// "48K", "2M" or plain bytes; 0 if it is none of these.
int64_t parse_size(const std::string& text) {
  char* end = nullptr;
  const int64_t value = std::strtoll(text.c_str(), &end, 10);
  if (value <= 0) return 0;
  if (*end == 'K') return value << 10;
  if (*end == 'M') return value << 20;
  return value;
}

void read_sysfs_caches(CpuInfo& info) {
  const std::string root = "/sys/devices/system/cpu/cpu0/cache/index";
  for (int index = 0; index < 8; ++index) {
    const std::string folder = root + std::to_string(index) + "/";
    if (first_line(folder + "type") == "Instruction") continue;
    const int64_t size = parse_size(first_line(folder + "size"));
    const std::string level = first_line(folder + "level");
    if (level == "1") info.l1 = size;
    if (level == "2") info.l2 = size;
    if (level == "3") info.l3 = size;
  }
}

#if defined(__APPLE__)
int64_t sysctl_number(const char* name) {
  int64_t value = 0;
  size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 ? value : 0;
}
#endif

void find_caches(CpuInfo& info) {
  read_sysfs_caches(info);
#if defined(__APPLE__)
  info.l1 = sysctl_number("hw.l1dcachesize");
  info.l2 = sysctl_number("hw.l2cachesize");
  info.l3 = sysctl_number("hw.l3cachesize");
#elif defined(_SC_LEVEL1_DCACHE_SIZE)
  if (info.l1 <= 0) info.l1 = sysconf(_SC_LEVEL1_DCACHE_SIZE);
  if (info.l2 <= 0) info.l2 = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (info.l3 <= 0) info.l3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
  if (info.l1 <= 0) info.l1 = int64_t{32} << 10;
  if (info.l2 <= 0) info.l2 = int64_t{512} << 10;
  if (info.l3 <= 0) info.l3 = int64_t{8} << 20;
}

// Value of the first "key : value" line of /proc/cpuinfo, or nothing.
std::string cpuinfo_value(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, key.size(), key) != 0) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return {};
}

std::string find_model() {
#if defined(__APPLE__)
  char text[128] = {};
  size_t size = sizeof text - 1;
  if (sysctlbyname("machdep.cpu.brand_string", text, &size, nullptr, 0) == 0) return text;
#endif
  std::string model = cpuinfo_value("model name");
  if (!model.empty()) return model;
  const std::string part = cpuinfo_value("CPU part");  // Arm's Linux names no model
  if (!part.empty()) return "Arm implementer " + cpuinfo_value("CPU implementer") + " part " + part;
  return "unknown";
}

#if defined(__x86_64__)
// Whether the CPU multiplies bfloat16 tiles and the system lets this process use them: Linux wants to be asked, once,
// since a thread's state grows by 8 KB from its first use on.
bool may_use_tiles() {
#if defined(__linux__)
  unsigned a = 0, b = 0, c = 0, d = 0, a1 = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const bool bf16_tiles = d >> 22 & 1, tiles = d >> 24 & 1;
  if (!__get_cpuid_count(7, 1, &a1, &b, &c, &d)) return false;
  const bool bf16_vectors = a1 >> 5 & 1;
  constexpr int arch_req_xcomp_perm = 0x1023, xfeature_xtiledata = 18;
  return bf16_tiles && tiles && bf16_vectors && syscall(SYS_arch_prctl, arch_req_xcomp_perm, xfeature_xtiledata) == 0;
#else
  return false;
#endif
}

unsigned family() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  __get_cpuid(1, &a, &b, &c, &d);
  const unsigned base = a >> 8 & 15;
  return base == 15 ? base + (a >> 20 & 255) : base;
}
#endif

void find_features(CpuInfo& info) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  info.sse42 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
  // The builtin also asks whether the operating system saves the wide registers. The compiler may use every other
  // instruction of x86-64-v3 as well, and not all compilers' builtins know their names.
  unsigned a = 0, b = 0, ecx1 = 0, ecx81 = 0, d = 0;
  __get_cpuid(1, &a, &b, &ecx1, &d);
  __get_cpuid(0x80000001, &a, &b, &ecx81, &d);
  const bool movbe = ecx1 >> 22 & 1, f16c = ecx1 >> 29 & 1, lzcnt = ecx81 >> 5 & 1;
  info.avx2_fma = info.sse42 && movbe && f16c && lzcnt && __builtin_cpu_supports("avx2") &&
                  __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  info.avx512 = info.avx2_fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                __builtin_cpu_supports("avx512cd");
  info.halves = info.avx512 && __builtin_cpu_is("amd") && family() == 25;
  info.amx = info.avx512 && may_use_tiles();
#elif defined(__aarch64__)
  info.neon = true;
#endif
}

CpuInfo examine() {
  CpuInfo info = {};
  find_caches(info);
  info.model = find_model();
  find_features(info);
  return info;
}

}  // namespace

const CpuInfo& cpu_info() {
  static const CpuInfo& info = *new CpuInfo(examine());  // never destroyed: threads may outlive main()
  return info;
}

}  // namespace convkern
