// The makers that algo/list.inc names, for both dtypes.
#pragma once

#include "core/plan.h"

namespace convkern {

#define CK_ALGORITHM(NAME) \
  template <class T>       \
  std::unique_ptr<Algorithm> make_##NAME(const ck_spec& spec, const Kernels<T>& kernels, const char** reason);
#include "algo/list.inc"
#undef CK_ALGORITHM

// A stride and a kernel that are both huge fall into more phases than anyone can mean; what keeps a record of each
// phase declines them.
inline constexpr int64_t most_phases = int64_t{1} << 16;

// Everything but the sums: result = clamp(bias + residual). Fills outputs that no tap reaches.
template <class T>
void fill_with_bias(const ck_spec& spec, const ck_operands& operands);

}  // namespace convkern
