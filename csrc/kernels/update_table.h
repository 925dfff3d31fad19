// What optimizers need of an instruction set: rules as plain structs, kernels as function pointers. A part of
// kernels/table.h; knows no layers and no threads.
#pragma once

#include <stdint.h>

namespace convkern {

// How a parameter p follows its gradient g; kernels/update.h has the equations.
enum class Rule : int32_t { sgd, adam, rmsprop };
inline constexpr int update_rules = 3;

// What a rule takes beside the arrays; a rule reads its own fields only.
template <class T>
struct UpdateSettings {
  T rate;       // of sgd and rmsprop; of adam over 1 - beta1^steps
  T decay;      // times p is added to g
  T keep;       // times p comes before anything else (adam: 1 - lr * weight decay, or 1)
  T momentum;   // what stays of the velocity; of adam's mean
  T gain;       // what of g is added to adam's mean: 1 - beta1
  T fade, add;  // what stays of the square, and what of g^2 is added
  T root;       // times the square root: of adam 1 / sqrt(1 - beta2^steps)
  T eps;
  bool nesterov;
};

// The arrays of `count` elements that one call works on: state[0] velocity of sgd, mean of adam, square of rmsprop;
// state[1] square of adam, velocity of rmsprop. A velocity may be null: no momentum.
template <class T>
struct UpdateKernels {
  void (*run[update_rules])(const UpdateSettings<T>& settings, T* p, const T* g, T* const* state, int64_t count);
  double (*squares)(const T* g, int64_t count);  // sum of g^2, in double
  void (*scale)(T* g, int64_t count, T factor);
  void (*limit)(T* g, int64_t count, T bound);  // to [-bound, bound]; NaN stays
};

}  // namespace convkern
