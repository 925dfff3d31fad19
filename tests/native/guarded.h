// Memory between two pages that nobody may touch: a stray access ends the program, which then says what it was doing.
// An array lies flush with one of the pages; the bytes on its other side are marked, and checked for having kept it.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

class Guarded {
 public:
  Guarded() = default;
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { release(); }

  // `bytes` of marked memory, at the end or at the start of what may be touched.
  void* place(size_t bytes, bool at_end) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), needed = (bytes / page + 2) * page;
    if (needed > size_) {
      release();
      void* made = mmap(nullptr, needed + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (made == MAP_FAILED) std::abort();
      base_ = static_cast<unsigned char*>(made) + page;
      size_ = needed;
      if (mprotect(base_, size_, PROT_READ | PROT_WRITE) != 0) std::abort();
    }
    std::memset(base_, mark, size_);
    bytes_ = bytes;
    data_ = at_end ? base_ + size_ - bytes : base_;
    return data_;
  }

  // Whether all bytes around the array are as they were.
  bool intact() const {
    for (const unsigned char* byte = base_; byte < base_ + size_; ++byte) {
      if (byte == data_ && bytes_ > 0)
        byte += bytes_ - 1;
      else if (*byte != mark)
        return false;
    }
    return true;
  }

 private:
  static constexpr unsigned char mark = 0xA5;

  void release() {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    if (base_) munmap(base_ - page, size_ + 2 * page);
    base_ = nullptr;
  }

  unsigned char *base_ = nullptr, *data_ = nullptr;
  size_t size_ = 0, bytes_ = 0;
};

inline char doing[1024];  // what the program is at, for the handler

inline void say_what_crashed() {
  const auto handler = [](int) {
    const char text[] = "FAILED (memory that is not the arrays', or a crash): ";
    if (write(1, text, sizeof text - 1) < 0 || write(1, doing, std::strlen(doing)) < 0 || write(1, "\n", 1) < 0)
      _exit(3);
    _exit(2);
  };
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) signal(number, handler);
}
