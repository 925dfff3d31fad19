// The least of a test framework: CHECK counts and prints failures, run() names a test and gives it a time limit.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdio>

inline std::atomic<int> failures{0};

#define CHECK(condition)                                                             \
  do {                                                                               \
    if (!(condition)) {                                                              \
      ++failures;                                                                    \
      std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                                \
  } while (false)

// A test that hangs is ended by SIGALRM, which fails the program.
inline void run(const char* name, void (*test)()) {
  std::printf("%s\n", name);
  std::fflush(stdout);
  alarm(300);
  test();
  alarm(0);
}
