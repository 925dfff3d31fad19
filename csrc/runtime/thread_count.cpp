// How many threads: the environment's word at the start, set_num_threads afterwards.
// Knows nothing of the pool that runs them.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string>

#include "runtime/cpu.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

// The whole number from 1 to kMaxThreads that `text` starts with, followed by its end, blanks or `separator`; else 0.
int parse_threads(const char* text, char separator) {
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (end == text || value < 1 || value > kMaxThreads) return 0;
  while (*end == ' ' || *end == '\t') ++end;
  return *end == '\0' || *end == separator ? static_cast<int>(value) : 0;
}

struct Environment {
  int threads = 0;
  std::string error;

  Environment() {
    const char* own = std::getenv("CONVKERN_NUM_THREADS");
    if (own != nullptr && *own != '\0') {
      threads = parse_threads(own, '\0');
      if (threads == 0) {
        error = std::string("CONVKERN_NUM_THREADS is \"") + own + "\"; it must be a whole number from 1 to " +
                std::to_string(kMaxThreads) + ", or not set";
      }
    }
    const char* openmp = std::getenv("OMP_NUM_THREADS");
    if (threads == 0 && openmp != nullptr) threads = parse_threads(openmp, ',');
    if (threads == 0) threads = std::min(usable_cpus(), kMaxThreads);
  }
};

const Environment& environment() {
  static const Environment& found = *new Environment;  // never destroyed: threads may outlive main()
  return found;
}

std::atomic<int> chosen{0};  // 0: nobody has called set_num_threads

}  // namespace

int default_threads() { return environment().threads; }

const char* thread_environment_error() { return environment().error.empty() ? nullptr : environment().error.c_str(); }

int num_threads() {
  const int threads = chosen.load(std::memory_order_relaxed);
  return threads > 0 ? threads : default_threads();
}

void set_num_threads(int threads) { chosen.store(std::clamp(threads, 1, kMaxThreads), std::memory_order_relaxed); }

}  // namespace convkern
