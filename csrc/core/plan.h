// A plan: one spec, one algorithm, one kernel table, and the packed kernel operand. What every algorithm fills in.
// Knows no algorithm by name beyond the list in algo/list.inc.
#pragma once

#include <memory>
#include <new>

#include "convkern.h"
#include "core/problem.h"
#include "kernels/line_table.h"
#include "kernels/table.h"
#include "runtime/blocks.h"

namespace convkern {

// Memory that may not be had: data is null then.
struct Buffer {
  std::unique_ptr<char[]> storage;
  char* data = nullptr;
  int64_t bytes = 0;

  bool allocate(int64_t size) {
    constexpr int64_t alignment = 64, slack = 128;
    storage.reset(new (std::nothrow) char[size + alignment + slack]);
    if (!storage) return false;
    prefer_huge_pages(storage.get(), size);
    const auto address = reinterpret_cast<uintptr_t>(storage.get());
    data = storage.get() + (alignment - address % alignment) % alignment;
    bytes = size;
    return true;
  }
};

// An algorithm bound to a spec. Methods are const and safe from many threads at once but for pack.
class Algorithm {
 public:
  virtual ~Algorithm() = default;
  virtual ck_status pack(const ck_array& kernel) = 0;
  // operands.kernel.data is null where packed() holds the kernel; operands.bias is final.
  virtual ck_status run(const ck_operands& operands) const = 0;
  virtual int64_t workspace() const = 0;
  virtual int64_t packed_bytes() const = 0;
  virtual void detail(char* text, size_t size) const = 0;
};

// A row of algo/list.inc: its name and two makers, which return null and set `reason` where the spec is not served.
template <class T>
using MakeAlgorithm = std::unique_ptr<Algorithm> (*)(const ck_spec& spec, const Kernels<T>& kernels,
                                                     const char** reason);

// The line kernels of an instruction set; null where it is unknown or not supported here.
const LineTable* line_table(const char* isa);

// The kernels of an ISA for a dtype; null where it is not supported here.
template <class T>
const Kernels<T>* find_kernels(const char* isa);

}  // namespace convkern

struct ck_plan {
  ck_spec spec;
  std::unique_ptr<convkern::Algorithm> algorithm;
  convkern::Buffer bias;  // a copy, once packed with one
  bool packed = false;
};
