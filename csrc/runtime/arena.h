// Scratch memory of the calling thread: a few slots, each one block that grows on demand and is used again by the next
// call, so that a warm plan allocates nothing. Knows nothing of what is kept in it; contents do not survive a growth.
#pragma once

#include <cstddef>
#include <cstdint>

namespace convkern {

constexpr int kScratchSlots = 8;                                    // 0 <= slot < kScratchSlots
constexpr size_t kScratchAlignment = 64;                            // bytes
constexpr size_t kScratchSlack = 128;                               // readable and writable bytes past the end
constexpr size_t kScratchRetained = static_cast<size_t>(64) << 20;  // largest block kept after scratch_release

// At least `bytes` of memory (plus the slack, so that whole vectors may be read past the end), aligned to 64 bytes.
// nullptr when it cannot be had; the slot is then empty. Valid until this thread asks for the same slot again or
// releases it; freed when the thread ends. The memory is not cleared.
void* scratch(int slot, size_t bytes);

// The same for `elements` of a type.
template <class T>
T* scratch_of(int slot, int64_t elements) {
  return static_cast<T*>(scratch(slot, static_cast<size_t>(elements) * sizeof(T)));
}

// Says that the slot's block is no longer read: one larger than kScratchRetained is given back to the system, a smaller
// one is kept for the next call. Call it wherever a block may be large.
void scratch_release(int slot);

// Bytes this thread holds in all its slots.
size_t scratch_held();

}  // namespace convkern
