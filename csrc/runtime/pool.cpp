// The pool behind parallel_for. One job at a time; all of its state that changes hands is one atomic word:
//
//     state = epoch (32 bits) | caller sleeps (1) | open seats (15) | active workers (16)
//
// The caller writes the job, then opens it with as many seats as it wants workers. A worker takes a seat (seats-1,
// active+1), runs tasks until none is left, and leaves (active-1). The caller runs tasks too, takes away the seats that
// nobody took, and waits only for workers still active: a worker that wakes up late costs nothing. Whether workers come
// at all is a matter of speed, never of correctness.
#include "runtime/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <new>
#include <thread>

#include "runtime/cpu.h"
#include "runtime/parking.h"
#include "runtime/placement.h"

namespace convkern {
namespace {

using Clock = std::chrono::steady_clock;

// An idle worker looks this long for the next job before it sleeps: longer than the gap between two calls in a loop,
// shorter than anyone waits for. `build/native/pool_test --time` shows what a loop costs with workers awake and asleep.
constexpr std::chrono::microseconds kWorkerSpin{20};
// The caller looks this long for the last workers to finish before it sleeps.
constexpr std::chrono::microseconds kCallerSpin{50};

constexpr uint64_t kActive = 1, kActiveMask = 0xffff;
constexpr uint64_t kSeat = uint64_t{1} << 16, kSeatMask = uint64_t{0x7fff} << 16;
constexpr uint64_t kCallerSleeps = uint64_t{1} << 31;
constexpr int kEpochShift = 32;

int active_of(uint64_t state) { return static_cast<int>(state & kActiveMask); }
int seats_of(uint64_t state) { return static_cast<int>((state & kSeatMask) / kSeat); }
uint32_t epoch_of(uint64_t state) { return static_cast<uint32_t>(state >> kEpochShift); }

// True in workers, and in a caller while its loop runs: a parallel_for in there runs inline.
thread_local bool inside_body = false;

// Until ready() or the time is over; false for the latter. Yields in between: where other programs keep the CPUs busy,
// the thread we wait for may need the very CPU we are on.
template <class Ready>
bool spin(std::chrono::microseconds limit, Ready ready) {
  const Clock::time_point end = Clock::now() + limit;
  do {
    for (int look = 0; look < 16; ++look) {
      if (ready()) return true;
      cpu_relax();
    }
    sched_yield();
  } while (Clock::now() < end);
  return ready();
}

constexpr int kMostShares = 64;  // of more threads some begin with the same one

struct Job {
  detail::Task call;
  void* body;
  int64_t tasks;
  int shares;
  int seats;
  bool oversubscribed;  // more threads than CPUs: spinning would take time from the others
};

class Pool {
 public:
  // False when the pool is in use; otherwise the job is done.
  bool run(Job job, int threads) {
    if (busy_.exchange(true, std::memory_order_acquire)) return false;
    create_workers(threads - 1);
    job.seats = std::min(threads - 1, workers_);
    open(job);
    drain(0, 0);
    close();
    busy_.store(false, std::memory_order_release);
    return true;
  }

 private:
  void create_workers(int wanted) {
    if (workers_ >= wanted) return;
    sigset_t all, before;  // signals are for the threads of the program, not for ours
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      for (; workers_ < wanted; ++workers_) std::thread([this, index = workers_] { work(index); }).detach();
    } catch (...) {
      // No more threads to be had: those there are, and the caller, do the work.
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void open(const Job& job) {
    job_ = job;
    for (int i = 0; i < job.shares; ++i) next_[i].task.store(first(i), std::memory_order_relaxed);
    const uint64_t epoch = epoch_of(state_.load(std::memory_order_relaxed)) + uint64_t{1};
    // Sequentially consistent, as is the sleepers' side: either we see the sleeper or the sleeper sees the job.
    state_.store(epoch << kEpochShift | static_cast<uint64_t>(job.seats) * kSeat, std::memory_order_seq_cst);
    const int sleepers = sleepers_.load(std::memory_order_seq_cst);
    const int missing = job.seats - (workers_ - sleepers);
    if (missing <= 0) return;
    if (!job.oversubscribed) {
      const int cpu = current_cpu();
      for (int i = 0; i < workers_; ++i)
        if (Placement* place = places_[i].load(std::memory_order_acquire)) place->keep_off(cpu);
    }
    bell_.change_and_wake(missing);
  }

  // The first task of a share.
  int64_t first(int share) const {
    const int64_t whole = job_.tasks / job_.shares, rest = job_.tasks % job_.shares;
    return share * whole + std::min<int64_t>(share, rest);
  }

  void drain(int worker, int own) {
    for (int i = 0; i < job_.shares; ++i) {
      const int share = (own + i) % job_.shares;
      const int64_t end = first(share + 1);
      for (int64_t task; (task = next_[share].task.fetch_add(1, std::memory_order_relaxed)) < end;)
        job_.call(job_.body, task, worker);
    }
  }

  void close() {
    const auto done = [this] { return active_of(state_.load(std::memory_order_acquire)) == 0; };
    if (active_of(state_.fetch_and(~kSeatMask, std::memory_order_acq_rel)) == 0) return;
    if (!job_.oversubscribed && spin(kCallerSpin, done)) return;
    state_.fetch_or(kCallerSleeps, std::memory_order_acq_rel);
    while (!done()) {
      const uint32_t seen = finished_.load();
      if (!done()) finished_.wait(seen);
    }
  }

  // A worker's life. It never ends: the threads are detached, the pool is never destroyed.
  void work(int index) {
    inside_body = true;
    Placement place;
    places_[index].store(&place, std::memory_order_release);
    const FlushDenormals flush;
    uint32_t last = 0;  // epoch of the job this worker was in; nobody joins the same job twice
    bool patient = true;
    for (;;) {
      const auto has_seat = [this, last] {
        const uint64_t state = state_.load(std::memory_order_seq_cst);
        return seats_of(state) > 0 && epoch_of(state) != last;
      };
      if (!(patient && spin(kWorkerSpin, has_seat))) sleep(has_seat, place);
      uint64_t state = state_.load(std::memory_order_acquire);
      while (seats_of(state) > 0 && epoch_of(state) != last) {
        if (!state_.compare_exchange_weak(state, state - kSeat + kActive, std::memory_order_acq_rel)) continue;
        last = epoch_of(state);
        patient = !job_.oversubscribed;
        drain(job_.seats - seats_of(state) + 1, index + 1);
        leave();
        break;
      }
    }
  }

  template <class Ready>
  void sleep(Ready ready, Placement& place) {
    place.sleep_here();
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    const uint32_t seen = bell_.load();
    if (!ready()) bell_.wait(seen);
    sleepers_.fetch_sub(1, std::memory_order_seq_cst);
  }

  void leave() {
    const uint64_t before = state_.fetch_sub(kActive, std::memory_order_acq_rel);
    if (active_of(before) == 1 && (before & kCallerSleeps) != 0) finished_.change_and_wake(1);
  }

  // What everybody writes lies on lines of its own.
  alignas(128) std::atomic<uint64_t> state_{0};
  struct alignas(128) Next {
    std::atomic<int64_t> task{0};
  };
  Next next_[kMostShares];
  alignas(128) std::atomic<int> sleepers_{0};
  ParkingWord bell_;                                  // rung when a job wants workers that sleep
  ParkingWord finished_;                              // rung when the last worker leaves a sleeping caller's job
  std::atomic<Placement*> places_[kMaxThreads] = {};  // of the workers, on their stacks
  alignas(128) Job job_ = {};
  int workers_ = 0;  // guarded by busy_, as is writing job_
  std::atomic<bool> busy_{false};
};

// Never destroyed, so that workers may outlive main().
alignas(Pool) unsigned char storage[sizeof(Pool)];
Pool* const pool = new (storage) Pool;

// After a fork the child has no workers, and what they and other callers held stays as it was: it starts afresh.
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, [] { static_cast<void>(new (storage) Pool); });

int cpus_at_start() {
  static const int cpus = usable_cpus();
  return cpus;
}

}  // namespace

void detail::run_parallel(int64_t tasks, int max_threads, Task call, void* body) noexcept {
  const FlushDenormals flush;
  const int threads = static_cast<int>(std::min<int64_t>(tasks, std::min(max_threads, num_threads())));
  if (threads > 1 && !inside_body) {
    inside_body = true;
    const bool done =
        pool->run({call, body, tasks, std::min(threads, kMostShares), 0, threads > cpus_at_start()}, threads);
    inside_body = false;
    if (done) return;
  }
  for (int64_t task = 0; task < tasks; ++task) call(body, task, 0);
}

}  // namespace convkern
