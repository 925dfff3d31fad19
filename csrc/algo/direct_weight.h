// The weight gradient of `direct`; see direct_weight.cpp.
#pragma once

#include "core/plan.h"

namespace convkern {

template <class T>
std::unique_ptr<Algorithm> make_direct_weight(const ck_spec& spec, const Kernels<T>& kernels);

}  // namespace convkern
