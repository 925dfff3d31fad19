// See arena.h. One thread_local table of blocks; no locks, no sharing between threads.
#include "runtime/arena.h"

#include <cstdlib>

#include "runtime/blocks.h"

namespace convkern {
namespace {

constexpr size_t kPage = 4096;  // blocks come in whole pages, so that nearly equal requests do not allocate anew

struct Block {
  void* memory = nullptr;
  size_t bytes = 0;  // without the slack

  Block() = default;
  ~Block() { release(); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  void release() {
    std::free(memory);
    memory = nullptr;
    bytes = 0;
  }

  void* reserve(size_t wanted) {
    if (memory != nullptr && wanted <= bytes) return memory;
    release();  // first, so that the peak is the larger of the two, not their sum
    if (wanted > static_cast<size_t>(-1) / 2) return nullptr;
    const size_t total = (wanted + kScratchSlack + kPage - 1) / kPage * kPage;
    if (posix_memalign(&memory, kScratchAlignment, total) != 0) {
      memory = nullptr;
      return nullptr;
    }
    prefer_huge_pages(memory, total);
    bytes = total - kScratchSlack;
    return memory;
  }
};

thread_local Block blocks[kScratchSlots];

}  // namespace

void* scratch(int slot, size_t bytes) { return blocks[slot].reserve(bytes); }

void scratch_release(int slot) {
  if (blocks[slot].bytes > kScratchRetained) blocks[slot].release();
}

size_t scratch_held() {
  size_t total = 0;
  for (const Block& block : blocks) total += block.bytes;
  return total;
}

}  // namespace convkern
