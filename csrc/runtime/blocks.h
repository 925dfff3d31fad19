// Memory for arrays that come and go with every training step: blocks that are given back are kept for the next request
// of their size, since memory from the system costs a page fault for every 4 KiB. Blocks begin at a cache line. Knows
// no arrays; safe from many threads, and after fork.
#pragma once

#include <cstddef>

namespace convkern {

constexpr size_t kBlockAlignment = 64;                            // bytes
constexpr size_t kBlockSmallest = static_cast<size_t>(16) << 10;  // smaller ones come from malloc and go back to it
constexpr size_t kBlocksKept = static_cast<size_t>(256) << 20;    // bytes of unused blocks; the oldest go first

// At least `bytes` of memory, not cleared; nullptr where there is none.
void* take_block(size_t bytes) noexcept;

// Gives back what take_block returned; nullptr is nothing.
void return_block(void* block) noexcept;

// A block of another size with the old one's contents; the old one is gone, or untouched where nullptr is returned.
void* resize_block(void* block, size_t bytes) noexcept;

// Bytes in unused blocks.
size_t blocks_unused() noexcept;

// Gives all unused blocks to the system.
void release_blocks() noexcept;

// Asks the system to hold fresh memory of 4 MB and more in huge pages, so that reading through it costs few page walks.
void prefer_huge_pages(void* memory, size_t bytes) noexcept;

}  // namespace convkern
