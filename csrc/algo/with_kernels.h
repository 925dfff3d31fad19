// The kernels of a call that names its dtype and instruction set: f(kernels, a value of the dtype).
#pragma once

#include "core/plan.h"

namespace convkern {

template <class F>
ck_status with_kernels(int dtype, const char* isa, F&& f) {
  const Kernels<float>* single = find_kernels<float>(isa);
  const Kernels<double>* twofold = find_kernels<double>(isa);
  if (!single || !twofold) return CK_UNSUPPORTED;
  return dtype == CK_FLOAT32 ? f(*single, 0.0f) : f(*twofold, 0.0);
}

}  // namespace convkern
