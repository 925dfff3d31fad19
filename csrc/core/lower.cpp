// From a spec to plain forward problems:
//   forward      as it stands;
//   grad_input   iy = q*s + r for each residue r of the stride: only taps k with (r + p - k*d) % s == 0 reach it, and
//                dy is read at q + (r + p - k*d) / s, a stride-1 problem with channels and outputs exchanged;
//   grad_weight  dw[k] = sum_o dy[o] x[o*s + k*d - p]: batch and channels, stride and dilation exchange roles.
#include <algorithm>
#include <numeric>

#include "core/problem.h"

namespace convkern {
namespace {

constexpr int spatial = CK_MAX_SPATIAL;

// Taps k0, k0 + step, ... of one axis all reach the same residue r of the stride.
struct Residue {
  int64_t r, k0, step, taps, out;
};

int64_t floor_mod(int64_t a, int64_t m) {
  const int64_t r = a % m;
  return r < 0 ? r + m : r;
}

Residue residue(const ck_spec& s, int a, int64_t k0) {
  Residue v;
  v.k0 = k0;
  v.step = s.stride[a] / std::gcd(s.stride[a], s.dilation[a]);
  v.taps = (s.kernel[a] - k0 + v.step - 1) / v.step;
  v.r = floor_mod(k0 * s.dilation[a] - s.pad[a], s.stride[a]);
  v.out = v.r < s.in[a] ? (s.in[a] - v.r + s.stride[a] - 1) / s.stride[a] : 0;
  return v;
}

int64_t residue_count(const ck_spec& s, int a) {
  return std::min(s.kernel[a], s.stride[a] / std::gcd(s.stride[a], s.dilation[a]));
}

template <class View>
void set_result(View& view, const ck_array& array, const ck_spec& s) {
  view.offset = 0;
  for (int a = 0; a < spatial; ++a) view.axis[a] = array.stride[2 + a];
  if (s.direction == CK_GRAD_WEIGHT) {
    view.batch = array.stride[1];
    view.output = array.stride[0];
    view.group = array.stride[0] * (s.co / s.groups);
  } else {
    view.batch = array.stride[0];
    view.output = array.stride[1];
    view.group = array.stride[1] * ((s.direction == CK_FORWARD ? s.co : s.ci) / s.groups);
  }
}

void lower_forward(const ck_spec& s, const ck_operands& o, Problem& p) {
  p.batch = s.n;
  p.channels = s.ci / s.groups;
  p.outputs = s.co / s.groups;
  for (int a = 0; a < spatial; ++a) {
    p.axis[a] = {s.out[a], s.in[a], s.kernel[a], s.stride[a], s.dilation[a], s.pad[a]};
    p.image.axis[a] = o.image.stride[2 + a];
    p.kernel.axis[a] = o.kernel.stride[2 + a];
  }
  p.image.batch = o.image.stride[0];
  p.image.channel = o.image.stride[1];
  p.image.group = p.image.channel * p.channels;
  p.kernel.output = o.kernel.stride[0];
  p.kernel.channel = o.kernel.stride[1];
  p.kernel.group = p.kernel.output * p.outputs;
}

void lower_grad_input(const ck_spec& s, const ck_operands& o, int64_t phase, Problem& p) {
  p.batch = s.n;
  p.channels = s.co / s.groups;
  p.outputs = s.ci / s.groups;
  p.image.batch = o.image.stride[0];
  p.image.channel = o.image.stride[1];
  p.image.group = p.image.channel * p.channels;
  p.kernel.output = o.kernel.stride[1];
  p.kernel.channel = o.kernel.stride[0];
  p.kernel.group = o.kernel.stride[0] * p.channels;
  for (int a = spatial - 1; a >= 0; --a) {
    const int64_t count = residue_count(s, a);
    const Residue v = residue(s, a, phase % count);
    phase /= count;
    const int64_t stride = s.stride[a], d = s.dilation[a] * v.step / stride, last = v.taps - 1;
    // dy index of tap j is q + first - j*d; taps are walked backwards so that the dilation is positive.
    const int64_t first = (v.r + s.pad[a] - v.k0 * s.dilation[a]) / stride;
    p.axis[a] = {v.out, s.out[a], v.taps, 1, d, last * d - first};
    p.image.axis[a] = o.image.stride[2 + a];
    p.kernel.axis[a] = -o.kernel.stride[2 + a] * v.step;
    p.kernel.offset += o.kernel.stride[2 + a] * (v.k0 + last * v.step);
    for (Problem::Result* view : {&p.result, &p.residual}) {
      view->offset += view->axis[a] * v.r;
      view->axis[a] *= stride;
    }
  }
}

void lower_grad_weight(const ck_spec& s, const ck_operands& o, Problem& p) {
  p.batch = s.ci / s.groups;
  p.channels = s.n;
  p.outputs = s.co / s.groups;
  for (int a = 0; a < spatial; ++a) {
    p.axis[a] = {s.kernel[a], s.in[a], s.out[a], s.dilation[a], s.stride[a], s.pad[a]};
    p.image.axis[a] = o.image.stride[2 + a];
    p.kernel.axis[a] = o.kernel.stride[2 + a];
  }
  p.image.batch = o.image.stride[1];
  p.image.channel = o.image.stride[0];
  p.image.group = p.image.batch * p.batch;
  p.kernel.output = o.kernel.stride[1];
  p.kernel.channel = o.kernel.stride[0];
  p.kernel.group = p.kernel.output * p.outputs;
}

bool pointwise(const Axis& a) { return a.taps == 1 && a.stride == 1 && a.pad == 0 && a.out == a.in; }

// Axis a and a+1 become one where both are pointwise and every view steps through them evenly.
void merge_pointwise(Problem& p, bool has_residual) {
  for (int a = 0; a + 1 < spatial; ++a) {
    Axis &outer = p.axis[a], &inner = p.axis[a + 1];
    if (!pointwise(outer) || !pointwise(inner)) continue;
    if (outer.in == 1) continue;
    const int64_t n = inner.in;
    if (n != 1 && (p.image.axis[a] != p.image.axis[a + 1] * n || p.result.axis[a] != p.result.axis[a + 1] * n ||
                   (has_residual && p.residual.axis[a] != p.residual.axis[a + 1] * n)))
      continue;
    if (n == 1) {
      p.image.axis[a + 1] = p.image.axis[a];
      p.result.axis[a + 1] = p.result.axis[a];
      p.residual.axis[a + 1] = p.residual.axis[a];
    }
    inner.in = inner.out = outer.in * n;
    outer.in = outer.out = 1;
  }
}

}  // namespace

int64_t phase_count(const ck_spec& s) {
  if (s.direction != CK_GRAD_INPUT) return 1;
  int64_t count = 1;
  for (int a = 0; a < spatial; ++a) count *= residue_count(s, a);
  return count;
}

bool phases_leave_gaps(const ck_spec& s) {
  if (s.direction != CK_GRAD_INPUT) return false;
  for (int a = 0; a < spatial; ++a) {
    int64_t reached = 0;
    for (int64_t k0 = 0; k0 < residue_count(s, a); ++k0) reached += residue(s, a, k0).out > 0;
    if (reached < std::min(s.stride[a], s.in[a])) return true;
  }
  return false;
}

Problem lower(const ck_spec& s, const ck_operands& o, int64_t phase) {
  Problem p = {};
  p.groups = s.groups;
  p.pad_mode = s.direction == CK_GRAD_INPUT ? int{CK_PAD_ZEROS} : s.pad_mode;
  p.bias_per_output = s.direction != CK_GRAD_WEIGHT;
  set_result(p.result, o.result, s);
  set_result(p.residual, o.residual, s);
  if (s.direction == CK_FORWARD) {
    lower_forward(s, o, p);
  } else if (s.direction == CK_GRAD_INPUT) {
    lower_grad_input(s, o, phase, p);
  } else {
    lower_grad_weight(s, o, p);
  }
  merge_pointwise(p, o.residual.data != nullptr);
  return p;
}

ck_operands canonical_operands(const ck_spec& s) {
  const auto contiguous = [](ck_array& array, int64_t inner, const int64_t* extent, bool last) {
    int64_t stride = 1;
    if (last) array.stride[1] = 1, stride = inner;
    for (int a = spatial - 1; a >= 0; --a) array.stride[2 + a] = stride, stride *= extent[a];
    if (!last) array.stride[1] = stride, stride *= inner;
    array.stride[0] = stride;
  };
  ck_operands o = {};
  ck_array x, y, w;
  x.data = y.data = w.data = nullptr;
  contiguous(x, s.ci, s.in, s.channels_last);
  contiguous(y, s.co, s.out, s.channels_last);
  contiguous(w, s.ci / s.groups, s.kernel, false);
  o.image = s.direction == CK_GRAD_INPUT ? y : x;
  o.kernel = s.direction == CK_GRAD_WEIGHT ? y : w;
  o.result = o.residual = s.direction == CK_FORWARD ? y : s.direction == CK_GRAD_INPUT ? x : w;
  return o;
}

}  // namespace convkern
