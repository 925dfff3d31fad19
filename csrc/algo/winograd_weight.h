// Winograd for the weight gradient of 3x3 kernels; see winograd_weight.cpp.
#pragma once

#include <memory>

#include "core/plan.h"

namespace convkern {

// m: outputs of a tile of the forward problem, which here are the taps that a tile sums over.
template <class T>
std::unique_ptr<Algorithm> make_winograd_weight(const ck_spec& spec, const Kernels<T>& kernels, int64_t m,
                                                const char** reason);

}  // namespace convkern
