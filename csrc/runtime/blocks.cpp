#include "runtime/blocks.h"

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace convkern {
namespace {

// Stands in front of every block, one cache line before it.
struct Header {
  size_t capacity;
};
static_assert(sizeof(Header) <= kBlockAlignment);

Header* header_of(void* block) { return reinterpret_cast<Header*>(static_cast<char*>(block) - kBlockAlignment); }

// Rounded up by at most an eighth, so that few sizes serve many.
size_t capacity_for(size_t bytes) {
  size_t step = kBlockAlignment;
  while (step * 16 <= bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

void* from_system(size_t capacity) {
  void* memory = nullptr;
  if (posix_memalign(&memory, kBlockAlignment, capacity + kBlockAlignment) != 0) return nullptr;
  prefer_huge_pages(memory, capacity);
  static_cast<Header*>(memory)->capacity = capacity;
  return static_cast<char*>(memory) + kBlockAlignment;
}

void to_system(void* block) { std::free(header_of(block)); }

// Whoever finds the lock taken does without: it may have been held at the time of a fork, and then for ever.
struct Unused {
  std::mutex mutex;
  std::vector<void*> blocks;  // the oldest first
  size_t bytes = 0;
};
Unused& unused() {
  static Unused* const one = new Unused;  // never destroyed: arrays may outlive static objects
  return *one;
}

void evict(Unused& all, size_t limit) {
  size_t gone = 0;
  while (all.bytes > limit) {
    all.bytes -= header_of(all.blocks[gone])->capacity;
    to_system(all.blocks[gone++]);
  }
  all.blocks.erase(all.blocks.begin(), all.blocks.begin() + static_cast<std::ptrdiff_t>(gone));
}

}  // namespace

void prefer_huge_pages(void* memory, size_t bytes) noexcept {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr size_t huge = static_cast<size_t>(4) << 20, page = 4096;  // as NumPy does for its own arrays
  if (bytes < huge) return;
  char* begin = reinterpret_cast<char*>((reinterpret_cast<size_t>(memory) + page - 1) / page * page);
  madvise(begin, bytes - page, MADV_HUGEPAGE);  // advice: failing costs speed only
#else
  (void)memory, (void)bytes;
#endif
}

void* take_block(size_t bytes) noexcept {
  if (bytes > static_cast<size_t>(-1) / 4) return nullptr;
  const size_t capacity = capacity_for(bytes + (bytes == 0));
  if (capacity >= kBlockSmallest) {
    Unused& all = unused();
    const std::unique_lock<std::mutex> lock(all.mutex, std::try_to_lock);
    if (lock.owns_lock())
      for (size_t i = all.blocks.size(); i-- > 0;)  // the last one given back is the likeliest to be in the cache
        if (header_of(all.blocks[i])->capacity == capacity) {
          void* block = all.blocks[i];
          all.blocks.erase(all.blocks.begin() + static_cast<std::ptrdiff_t>(i));
          all.bytes -= capacity;
          return block;
        }
  }
  return from_system(capacity);
}

void return_block(void* block) noexcept {
  if (!block) return;
  const size_t capacity = header_of(block)->capacity;
  if (capacity >= kBlockSmallest && capacity <= kBlocksKept) {
    Unused& all = unused();
    const std::unique_lock<std::mutex> lock(all.mutex, std::try_to_lock);
    if (lock.owns_lock()) {
      try {
        all.blocks.push_back(block);
        all.bytes += capacity;
        evict(all, kBlocksKept);
        return;
      } catch (const std::bad_alloc&) {
      }
    }
  }
  to_system(block);
}

void* resize_block(void* block, size_t bytes) noexcept {
  if (!block) return take_block(bytes);
  const size_t before = header_of(block)->capacity;
  if (bytes <= before && bytes >= before / 2) return block;
  void* moved = take_block(bytes);
  if (!moved) return nullptr;
  std::memcpy(moved, block, before < bytes ? before : bytes);
  return_block(block);
  return moved;
}

size_t blocks_unused() noexcept {
  Unused& all = unused();
  const std::unique_lock<std::mutex> lock(all.mutex, std::try_to_lock);
  return lock.owns_lock() ? all.bytes : 0;
}

void release_blocks() noexcept {
  Unused& all = unused();
  const std::unique_lock<std::mutex> lock(all.mutex, std::try_to_lock);
  if (lock.owns_lock()) evict(all, 0);
}

}  // namespace convkern
