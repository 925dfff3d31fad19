// For algorithms in which a NaN or an infinity would reach outputs whose window does not hold it: they notice one where
// they store it, mark the sample, and have `direct` compute that sample anew. Other samples keep their bits. Of a
// weight gradient, which has no samples, groups are marked and computed anew.
#pragma once

#include <atomic>
#include <initializer_list>

#include "algo/algorithms.h"
#include "runtime/arena.h"

namespace convkern {

template <class T>
class Redo {
 public:
  Redo(const ck_spec& spec, const Kernels<T>& kernels) : samples_(spec.n), inputs_(0), outputs_(0) {
    ck_spec one = spec;
    one.n = 1;
    if (spec.direction == CK_GRAD_WEIGHT) {
      one.n = spec.n;
      samples_ = spec.groups;
      inputs_ = one.ci = spec.ci / spec.groups;
      outputs_ = one.co = spec.co / spec.groups;
      one.groups = 1;
    }
    const char* reason;
    direct_ = make_direct<T>(one, kernels, &reason);
  }
  explicit operator bool() const { return direct_ != nullptr; }
  ck_status pack(const ck_array& kernel) { return direct_->pack(kernel); }
  int64_t packed_bytes() const { return direct_->packed_bytes(); }

  // One mark a sample, clear; null where memory is out. They last until the thread asks for the next ones.
  std::atomic<bool>* marks() const {
    constexpr int slot = 6;
    auto* marks = static_cast<std::atomic<bool>*>(scratch(slot, samples_ * sizeof(std::atomic<bool>)));
    for (int64_t b = 0; marks && b < samples_; ++b) new (marks + b) std::atomic<bool>(false);
    return marks;
  }

  ck_status run(const ck_operands& o, const std::atomic<bool>* marks) const {
    for (int64_t b = 0; b < samples_; ++b) {
      if (!marks[b].load()) continue;
      ck_operands one = o;
      const auto move = [&](ck_array& array, int64_t elements) {
        if (array.data) array.data = static_cast<T*>(array.data) + b * elements;
      };
      move(one.image, outputs_ ? inputs_ * o.image.stride[1] : o.image.stride[0]);
      if (outputs_) move(one.kernel, outputs_ * o.kernel.stride[1]);
      for (ck_array* array : {&one.result, &one.residual}) move(*array, (outputs_ ? outputs_ : 1) * array->stride[0]);
      const ck_status status = direct_->run(one);
      if (status != CK_OK) return status;
    }
    return CK_OK;
  }

 private:
  int64_t samples_;
  int64_t inputs_, outputs_;  // channels of a group of a weight gradient
  std::unique_ptr<Algorithm> direct_;
};

}  // namespace convkern
