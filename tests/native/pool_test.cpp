// parallel_for under every kind of company: nested, concurrent callers, more threads than CPUs, forks, a changing
// number of threads. Also the floating-point mode. `pool_test --time` prints what a parallel loop costs instead;
// `--one-process` leaves out what starts other processes, which emulators do not survive.
#include "runtime/pool.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "loops.h"
#include "runtime/placement.h"

using convkern::parallel_for;
using convkern::set_num_threads;

namespace {

// ThreadSanitizer itself cannot start threads in a forked child.
#if defined(__SANITIZE_THREAD__)
constexpr bool kThreadSanitizer = true;
#elif defined(__has_feature)
constexpr bool kThreadSanitizer = __has_feature(thread_sanitizer);
#else
constexpr bool kThreadSanitizer = false;
#endif

void every_task_runs_once() {
  for (const int threads : {1, 2, 3, 8}) {
    set_num_threads(threads);
    for (const int64_t tasks : {0, 1, 2, 3, 7, 64, 1000}) {
      for (const int limit : {-1, 0, 1, 2, 5, 100}) {
        CHECK(loop_is_right(tasks, limit));
      }
    }
  }
}

void workers_take_part() {
  set_num_threads(2);
  bool both = false;
  for (int attempt = 0; attempt < 1000 && !both; ++attempt) {
    std::atomic<int> most{0};
    parallel_for(64, 2, [&](int64_t, int worker) {
      const Clock::time_point start = Clock::now();
      while (microseconds_since(start) < 20) {
      }
      if (worker > most) most = worker;
    });
    both = most == 1;
  }
  CHECK(both);
}

// A thread begins where it began in the loop before, whichever comes first.
void threads_begin_with_their_own_share() {
  set_num_threads(2);
  bool begun = false;
  for (int attempt = 0; attempt < 1000 && !begun; ++attempt) {
    std::atomic<int64_t> first[2] = {-1, -1};
    parallel_for(31, 2, [&](int64_t task, int worker) {
      int64_t none = -1;
      first[worker].compare_exchange_strong(none, task);
      const Clock::time_point start = Clock::now();
      while (microseconds_since(start) < 20) {
      }
    });
    begun = first[0] == 0 && first[1] == 16;
  }
  CHECK(begun);
}

// More threads than there are shares: some begin with the same one.
void many_threads_share_shares() {
  set_num_threads(100);
  for (const int64_t tasks : {65, 100, 1000}) CHECK(loop_is_right(tasks, 100, 20));
}

// A worker that finds the others' tasks left does them: tasks of one run are long, those of the other short.
void workers_help_each_other() {
  set_num_threads(2);
  bool helped = false;
  for (int attempt = 0; attempt < 1000 && !helped; ++attempt) {
    std::atomic<int> by_other{0};
    convkern::parallel_for(32, 2, [&](int64_t task, int worker) {
      const Clock::time_point start = Clock::now();
      while (task >= 16 && microseconds_since(start) < 50) {
      }
      if (task >= 16 && worker == 0) by_other.fetch_add(1);
    });
    helped = by_other > 0 && by_other < 16;
  }
  CHECK(helped);
}

void nested_loops_run_inline() {
  set_num_threads(4);
  std::atomic<int> total{0}, elsewhere{0};
  parallel_for(50, 4, [&](int64_t, int) {
    const std::thread::id here = std::this_thread::get_id();
    parallel_for(20, 4, [&](int64_t, int worker) {
      total.fetch_add(1);
      if (worker != 0 || std::this_thread::get_id() != here) elsewhere.fetch_add(1);
    });
  });
  CHECK(total == 1000);
  CHECK(elsewhere == 0);
}

void concurrent_callers() {
  set_num_threads(3);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 6; ++caller) {
    callers.emplace_back([&wrong, caller] {
      for (int i = 0; i < 300; ++i) wrong += !loop_is_right(1 + (i + caller) % 17, 3);
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
}

void more_threads_than_cpus() {
  set_num_threads(40);
  for (int i = 0; i < 20; ++i) CHECK(loop_is_right(200, 40));
  for (int i = 0; i < 5; ++i) CHECK(loop_is_right(50, 40, 200));
}

void number_of_threads_changes_meanwhile() {
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::thread changer([&stop] {
    for (int i = 0; !stop; ++i) set_num_threads(1 + i % 9);
  });
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 2; ++caller) {
    callers.emplace_back([&wrong] {
      for (int i = 0; i < 1000; ++i) wrong += !loop_is_right(1 + i % 23, 9);
    });
  }
  for (std::thread& caller : callers) caller.join();
  stop = true;
  changer.join();
  CHECK(wrong == 0);
  set_num_threads(-5);
  CHECK(convkern::num_threads() == 1);
  set_num_threads(std::numeric_limits<int>::max());
  CHECK(convkern::num_threads() == convkern::kMaxThreads);
  set_num_threads(3);
  CHECK(convkern::num_threads() == 3);
}

// Exit status of a child that runs some loops, then a grandchild that does.
bool forked_loops_are_right(int generations) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    bool right = true;
    for (int i = 0; i < 20; ++i) right = right && loop_is_right(64, 3);
    if (generations > 1) right = right && forked_loops_are_right(generations - 1);
    _exit(right ? 0 : 1);
  }
  int status = -1;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void forks_in_mid_use() {
  set_num_threads(3);
  CHECK(forked_loops_are_right(2));  // workers idle
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> users;
  for (int user = 0; user < 2; ++user) {
    users.emplace_back([&] {
      while (!stop) wrong += !loop_is_right(100, 3, 5);
    });
  }
  for (int i = 0; i < 30; ++i) CHECK(forked_loops_are_right(1 + i % 2));
  stop = true;
  for (std::thread& user : users) user.join();
  CHECK(wrong == 0);
  CHECK(loop_is_right(100, 3));  // the parent's pool is as it was
}

// The process ends while its threads run loops: no hang, no crash. `exits_in_mid_use` starts this as a program.
int exit_in_mid_use() {
  alarm(60);
  set_num_threads(3);
  for (int user = 0; user < 2; ++user) {
    std::thread([] {
      for (;;) parallel_for(100, 3, [](int64_t, int) {});
    }).detach();
  }
  return loop_is_right(1000, 3) ? 0 : 1;
}

void exits_in_mid_use(const std::string& self) {
  std::printf("exits_in_mid_use\n");
  for (int i = 0; i < 5; ++i) CHECK(std::system((self + " --exit").c_str()) == 0);
}

bool denormals_are_kept() {
  volatile float smallest_normal = std::numeric_limits<float>::min(), half = 0.5F, two = 2.0F;
  volatile float denormal = smallest_normal * half;
  return denormal * two == smallest_normal;
}

void denormals_are_flushed_inside_only() {
  CHECK(denormals_are_kept());
  for (const int threads : {1, 4}) {
    set_num_threads(threads);
    for (const int64_t tasks : {1, 100}) {
      std::atomic<int> kept{0};
      parallel_for(tasks, threads, [&](int64_t, int) {
        kept += denormals_are_kept();
        parallel_for(2, 1, [&](int64_t, int) { kept += denormals_are_kept(); });
        kept += denormals_are_kept();  // the inner loop put back its caller's mode: flushing
      });
      CHECK(kept == 0);
      CHECK(denormals_are_kept());
    }
  }
}

void workers_leave_signals_to_the_program() {
  set_num_threads(4);
  std::atomic<int> open{0};
  for (int i = 0; i < 100; ++i) {
    parallel_for(64, 4, [&](int64_t, int worker) {
      sigset_t mask;
      pthread_sigmask(SIG_SETMASK, nullptr, &mask);
      if (worker != 0 && sigismember(&mask, SIGINT) != 1) open.fetch_add(1);
    });
  }
  CHECK(open == 0);
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  CHECK(sigismember(&mask, SIGINT) == 0);
}

// What a fresh process says when asked with these variables set.
void asked_with(const char* variables, const char* executable, const char* expected) {
  const std::string command = std::string(variables) + " " + executable + " --threads";
  FILE* pipe = popen(command.c_str(), "r");
  char answer[256] = {};
  const bool read = pipe != nullptr && std::fgets(answer, sizeof answer, pipe) != nullptr;
  if (pipe != nullptr) pclose(pipe);
  answer[std::strcspn(answer, "\n")] = '\0';
  CHECK(read);
  CHECK(std::strcmp(answer, expected) == 0);
  if (std::strcmp(answer, expected) != 0) std::fprintf(stderr, "%s: %s\n", command.c_str(), answer);
}

void environment_is_read(const char* self) {
  std::printf("environment_is_read\n");
  asked_with("CONVKERN_NUM_THREADS=3 OMP_NUM_THREADS=5", self, "3 ");
  asked_with("CONVKERN_NUM_THREADS= OMP_NUM_THREADS=5", self, "5 ");
  asked_with("CONVKERN_NUM_THREADS='' OMP_NUM_THREADS=6,2", self, "6 ");
  for (const std::string wrong : {"many", "0", "-1", "2x", "1.5", "99999", "3,2"}) {
    const std::string text =
        "5 CONVKERN_NUM_THREADS is \"" + wrong + "\"; it must be a whole number from 1 to 1024, or not set";
    asked_with(("CONVKERN_NUM_THREADS=" + wrong + " OMP_NUM_THREADS=5").c_str(), self, text.c_str());
  }
}

int print_threads() {
  const char* error = convkern::thread_environment_error();
  std::printf("%d %s\n", convkern::default_threads(), error != nullptr ? error : "");
  return 0;
}

#if defined(__linux__)
cpu_set_t affinity() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  CHECK(sched_getaffinity(0, sizeof mask, &mask) == 0);
  return mask;
}

void a_worker_keeps_off_its_callers_cpu() {
  std::thread([] {
    const cpu_set_t all = affinity();
    convkern::Placement place;  // this thread plays both parts
    const int first = convkern::current_cpu();
    CHECK(first >= 0);
    place.keep_off(first);  // it did not go to sleep there
    CHECK(convkern::current_cpu() >= 0);
    cpu_set_t now = affinity();
    CHECK(CPU_EQUAL(&now, &all));
    place.sleep_here();
    const int slept = convkern::current_cpu();
    place.keep_off(slept);
    now = affinity();
    if (CPU_COUNT(&all) > 1) {
      CHECK(!CPU_ISSET(slept, &now));
      CHECK(CPU_COUNT(&now) == CPU_COUNT(&all) - 1);
      CHECK(convkern::current_cpu() != slept);
    } else {
      CHECK(CPU_EQUAL(&now, &all));
    }
    // What others allow is kept to, to the last CPU.
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(slept, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    place.sleep_here();
    place.keep_off(slept);
    now = affinity();
    CHECK(CPU_EQUAL(&now, &one));
  }).join();
}

void a_worker_is_let_back_onto_a_cpu() {
  std::atomic<convkern::Placement*> shared{nullptr};
  std::atomic<int> turn{0}, slept{-1};
  std::atomic<bool> moved{true};
  std::thread worker([&] {
    convkern::Placement place;
    shared = &place;
    for (int i = 1; i <= 6; ++i) {
      place.sleep_here();
      slept = convkern::current_cpu();
      turn = i;
      while (turn == i) std::this_thread::yield();
      if (convkern::current_cpu() == slept) moved = false;
    }
  });
  const cpu_set_t mine = affinity();
  for (int i = 1; i <= 6; ++i) {
    while (turn != i) std::this_thread::yield();
    shared.load()->keep_off(slept);
    turn = -i;
  }
  worker.join();
  CHECK(moved || CPU_COUNT(&mine) == 1);
  const cpu_set_t after = affinity();
  CHECK(CPU_EQUAL(&after, &mine));
}
#endif

// The caller's own affinity is nobody's business but his.
void the_callers_affinity_stays() {
#if defined(__linux__)
  const cpu_set_t before = affinity();
  for (int i = 0; i < 50; ++i) {
    CHECK(loop_is_right(4, 4, 20));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // the workers go to sleep
  }
  const cpu_set_t after = affinity();
  CHECK(CPU_EQUAL(&before, &after));
#endif
}

int print_times() {
  std::printf("Two tasks on two threads, microseconds a loop: median, 90th percentile of 3000\n");
  set_num_threads(2);
  for (const double work : {0.0, 5.0, 20.0}) {
    for (const double gap : {0.0, 10.0, 100.0}) {
      std::vector<double> times;
      for (int i = 0; i < 3000; ++i) {
        const Clock::time_point start = Clock::now();
        parallel_for(2, 2, [work](int64_t, int) {
          const Clock::time_point begin = Clock::now();
          while (microseconds_since(begin) < work) {
          }
        });
        times.push_back(microseconds_since(start));
        const Clock::time_point end = Clock::now();
        while (microseconds_since(end) < gap) {
        }
      }
      std::sort(times.begin(), times.end());
      std::printf("tasks of %4.0f us, %4.0f us apart: %6.2f %6.2f\n", work, gap, times[1500], times[2700]);
    }
  }
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string mode = count > 1 ? arguments[1] : "";
  if (mode == "--threads") return print_threads();
  if (mode == "--time") return print_times();
  if (mode == "--exit") return exit_in_mid_use();
  const bool processes = mode != "--one-process";
  if (processes) environment_is_read(arguments[0]);
  if (processes) exits_in_mid_use(arguments[0]);
  run("every_task_runs_once", every_task_runs_once);
  run("workers_take_part", workers_take_part);
  run("threads_begin_with_their_own_share", threads_begin_with_their_own_share);
  run("many_threads_share_shares", many_threads_share_shares);
  run("workers_help_each_other", workers_help_each_other);
  run("nested_loops_run_inline", nested_loops_run_inline);
  run("concurrent_callers", concurrent_callers);
  run("more_threads_than_cpus", more_threads_than_cpus);
  run("number_of_threads_changes_meanwhile", number_of_threads_changes_meanwhile);
  run("denormals_are_flushed_inside_only", denormals_are_flushed_inside_only);
  run("workers_leave_signals_to_the_program", workers_leave_signals_to_the_program);
#if defined(__linux__)
  run("a_worker_keeps_off_its_callers_cpu", a_worker_keeps_off_its_callers_cpu);
  run("a_worker_is_let_back_onto_a_cpu", a_worker_is_let_back_onto_a_cpu);
#endif
  run("the_callers_affinity_stays", the_callers_affinity_stays);
  if (processes && !kThreadSanitizer) run("forks_in_mid_use", forks_in_mid_use);
  std::printf("%d failures\n", failures.load());
  return failures == 0 ? 0 : 1;
}
