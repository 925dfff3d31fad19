// Depthwise convolution, one input channel a group: a vector of channels at a time through the tap kernel.
//   result[g*mult + m, q] = bias + sum_t image[g, q*stride + t*dilation - pad] * kernel[g, m, t]      g on the lanes
// Channels-last images with zero padding are read in place, each output leaving out the taps that fall outside; others
// go through transposes into a padded scratch. The order of the sum is that of `direct`.
#include <stdio.h>

#include <atomic>
#include <vector>

#include "algo/algorithms.h"
#include "core/operand.h"
#include "runtime/arena.h"
#include "runtime/cpu.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

enum Slot { stage_slot, table_slot, line_slot, kernel_slot = 5 };

// The same problem with its groups as channels: what staging and in-place reading look at.
Problem as_channels(const Problem& p) {
  Problem q = p;
  q.channels = p.groups;
  q.image.channel = p.image.group;
  return q;
}

template <class T>
struct Layout {
  Region blocks;
  int64_t lanes, panels, splits;  // vectors of channels, and the parts they are shared out in
  int threads;

  Layout(const Kernels<T>& kernels, const Problem& p, int max_threads)
      : blocks(all_outputs(p, p.axis[1].out, p.axis[2].out)),
        lanes(kernels.lanes),
        panels(ceil_div(p.groups, kernels.lanes)),
        splits(1),
        threads(1) {
    const int64_t most_bytes = cpu_info().l2 / 4;
    const auto fits = [&] { return stage_elements(p) * int64_t{sizeof(T)} <= most_bytes; };
    blocks.set(3, even_piece(blocks.extent[3], 512));
    while (blocks.piece(3) > 8 && !fits()) blocks.set(3, even_piece(blocks.extent[3], blocks.piece(3) / 2));
    if (blocks.parts[3] == 1) {
      blocks.cut(2, 1);
      while (blocks.piece(2) > 1 && !fits()) blocks.cut(2, std::min(blocks.extent[2], 2 * blocks.parts[2]));
    }
    const double work = static_cast<double>(p.batch * p.pixels() * p.taps()) * panels * p.outputs;
    if (work < 20000) return;
    threads = max_threads;
    // Threads share out the pixels where there are enough lines of them, so that none writes beside another.
    for (int64_t n = 2 * blocks.parts[2]; blocks.count() < 2 * threads && n * 4 <= blocks.extent[2]; n *= 2)
      blocks.cut(2, n);
    splits = std::min(panels, ceil_div(2 * threads, blocks.count()));
  }
  int64_t stage_elements(const Problem& p) const {
    const Box box = touched(p, blocks.largest(), Chunking(p, INT64_MAX)[0]);
    return box.count[0] * box.count[1] * box.count[2] * lanes;
  }
  int64_t tasks() const { return splits * blocks.count(); }
};

// Outputs [0, size) of an axis by what they see of the image: those in [lo, hi) all their taps.
struct Inside {
  int64_t lo, hi;
  explicit Inside(const Axis& x) : lo(std::clamp<int64_t>(x.pad > 0 ? ceil_div(x.pad, x.stride) : 0, 0, x.out)), hi(0) {
    const int64_t reach = x.in + x.pad - (x.taps - 1) * x.dilation;
    hi = std::clamp<int64_t>(reach > 0 ? ceil_div(reach, x.stride) : 0, lo, x.out);
  }
};

// The taps [lo, hi) of output q that fall inside the image.
struct Seen {
  int64_t lo, hi;
  Seen(const Axis& x, int64_t q) {
    const int64_t first = q * x.stride - x.pad;
    lo = std::clamp<int64_t>(first < 0 ? ceil_div(-first, x.dilation) : 0, 0, x.taps);
    hi = std::clamp<int64_t>(first < x.in ? ceil_div(x.in - first, x.dilation) : 0, lo, x.taps);
  }
};

template <class T>
struct Run {
  const ck_spec& spec;
  const ck_operands& operands;
  const Kernels<T>& kernels;
  const Problem& p;  // as lowered
  const Problem& q;  // groups as channels
  const Layout<T>& layout;
  const T* packed;  // [panel][output][tap][lane]

  bool task(int64_t index) const {
    const int64_t split = index % layout.splits;
    const Block block = layout.blocks[index / layout.splits];
    bool ok = true;
    for (int64_t j = split * layout.panels / layout.splits; ok && j < (split + 1) * layout.panels / layout.splits; ++j)
      ok = panel(block, j);
    scratch_release(stage_slot);
    return ok;
  }

  // One vector of channels of a block.
  bool panel(const Block& block, int64_t index) const {
    const int64_t w = layout.lanes, g = index * w, used = std::min(w, p.groups - g), taps_x = p.axis[2].taps;
    ptrdiff_t* table = scratch_of<ptrdiff_t>(table_slot, 2 * p.axis[0].taps * p.axis[1].taps);
    T* line = scratch_of<T>(line_slot, block.extent[3] * w);
    if (!table || !line) return false;
    const bool in_place = q.image.channel == 1 && used == w && p.pad_mode == CK_PAD_ZEROS;
    const Box box = touched(p, block, Chunking(p, INT64_MAX)[0]);
    ptrdiff_t pitch[CK_MAX_SPATIAL] = {w * box.count[2] * box.count[1], w * box.count[2], w};
    if (in_place) std::copy(q.image.axis, q.image.axis + CK_MAX_SPATIAL, pitch);
    T* staged = in_place ? nullptr : scratch_of<T>(stage_slot, pitch[0] * box.count[0]);
    if (!in_place && !staged) return false;

    DepthwiseJob<T> job;
    job.line = table, job.weight = table + p.axis[0].taps * p.axis[1].taps;
    job.step = p.axis[2].stride * pitch[2], job.tap_step = p.axis[2].dilation * pitch[2];
    job.lo = static_cast<T>(spec.lo), job.hi = static_cast<T>(spec.hi);
    const T* image = static_cast<const T*>(operands.image.data) + q.image.offset + g * q.image.channel;
    const T* bias = p.bias_per_output ? static_cast<const T*>(operands.bias) : nullptr;
    const Inside middle(p.axis[2]);
    int64_t staged_sample = -1;
    for (int64_t i = 0; i < block.lines(); ++i) {
      const Block at = line_of(block, i);
      const int64_t sample = at.start[0], x0 = at.start[3], x1 = x0 + block.extent[3];
      const T* from = image + sample * q.image.batch;
      if (!in_place && sample != staged_sample) {
        Box one = box;
        one.channels = used;
        stage_channels_last(kernels, q, from, one, w, staged);
        staged_sample = sample;
      }
      // Lines of taps, in place only those inside the image; where output 0 of the line would start to read.
      const Seen all_z{p.axis[0], at.start[1]}, all_y{p.axis[1], at.start[2]};
      const int64_t z_lo = in_place ? all_z.lo : 0, z_hi = in_place ? all_z.hi : p.axis[0].taps;
      const int64_t y_lo = in_place ? all_y.lo : 0, y_hi = in_place ? all_y.hi : p.axis[1].taps;
      job.lines = 0;
      for (int64_t z = z_lo; z < z_hi; ++z)
        for (int64_t y = y_lo; y < y_hi; ++y) {
          table[job.lines] = z * p.axis[0].dilation * pitch[0] + y * p.axis[1].dilation * pitch[1];
          table[p.axis[0].taps * p.axis[1].taps + job.lines++] = (z * p.axis[1].taps + y) * taps_x * w;
        }
      const int64_t corner[CK_MAX_SPATIAL] = {at.start[1] * p.axis[0].stride - p.axis[0].pad,
                                              at.start[2] * p.axis[1].stride - p.axis[1].pad,
                                              x0 * p.axis[2].stride - p.axis[2].pad};
      const T* start = in_place ? from : staged;
      for (int a = 0; a < CK_MAX_SPATIAL; ++a) start += (corner[a] - (in_place ? 0 : box.start[a])) * pitch[a];

      for (int64_t o = 0; o < p.outputs; ++o) {
        T lane_bias[max_panel_lanes];
        for (int64_t l = 0; bias && l < w; ++l) lane_bias[l] = l < used ? bias[(g + l) * p.outputs + o] : T(0);
        job.bias = bias ? lane_bias : nullptr;
        const T* weights = packed + (index * p.outputs + o) * p.taps() * w;
        const auto view = [&](auto* data, const Problem::Result& v) {
          if (data) data += first_output(v, g, at) + o * v.output;
          return MatrixView<std::remove_reference_t<decltype(*data)>>{data, v.axis[2], v.group};
        };
        const MatrixView<T> out = view(static_cast<T*>(operands.result.data), p.result);
        const MatrixView<const T> extra = view(static_cast<const T*>(operands.residual.data), p.residual);
        const bool plain = out.column == 1 && used == w && !extra.data;
        T* to = plain ? out.data : line;
        job.clamp = spec.clamp && plain;
        job.out_step = plain ? out.row : w;
        // Outputs [begin, end) of the line that share the taps [lo, hi).
        const auto run = [&](int64_t begin, int64_t end, int64_t lo, int64_t hi) {
          if (begin >= end) return;
          job.taps = hi - lo;
          job.weights = weights + lo * w;
          kernels.depthwise(job, start + (begin - x0) * job.step + lo * job.tap_step, to + (begin - x0) * job.out_step,
                            end - begin);
        };
        if (!in_place) {
          run(x0, x1, 0, taps_x);
        } else {
          const int64_t lo = std::clamp(middle.lo, x0, x1), hi = std::clamp(middle.hi, lo, x1);
          for (int64_t x = x0; x < lo; ++x) run(x, x + 1, Seen(p.axis[2], x).lo, Seen(p.axis[2], x).hi);
          run(lo, hi, 0, taps_x);
          for (int64_t x = hi; x < x1; ++x) run(x, x + 1, Seen(p.axis[2], x).lo, Seen(p.axis[2], x).hi);
        }
        if (!plain) kernels.store(line, w, block.extent[3], used, out, extra, spec.clamp != 0, job.lo, job.hi);
      }
    }
    return true;
  }
};

template <class T>
class Depthwise final : public Algorithm {
 public:
  Depthwise(const ck_spec& spec, const Kernels<T>& kernels) : spec_(spec), kernels_(kernels) {}

  ck_status pack(const ck_array& kernel) override {
    if (!packed_.allocate(packed_bytes())) return CK_OUT_OF_MEMORY;
    ck_operands o = canonical_operands(spec_);
    o.kernel = kernel;
    T* to = reinterpret_cast<T*>(packed_.data);
    for (int64_t phase = 0; phase < phase_count(spec_); ++phase) to = pack_phase(lower(spec_, o, phase), o, to);
    return CK_OK;
  }

  ck_status run(const ck_operands& o) const override {
    if (phases_leave_gaps(spec_)) fill_with_bias<T>(spec_, o);
    T* packed = reinterpret_cast<T*>(packed_.data);
    if (o.kernel.data) {
      packed = scratch_of<T>(kernel_slot, packed_bytes() / int64_t{sizeof(T)});
      if (!packed) return CK_OUT_OF_MEMORY;
    }
    std::atomic<bool> failed{false};
    for (int64_t phase = 0; phase < phase_count(spec_); ++phase) {
      const Problem p = lower(spec_, o, phase), q = as_channels(p);
      T* next = o.kernel.data ? pack_phase(p, o, packed) : packed + packed_elements(p);
      if (p.pixels() > 0) {
        const Layout<T> layout(kernels_, p, num_threads());
        const Run<T> run{spec_, o, kernels_, p, q, layout, packed};
        parallel_for(layout.tasks(), layout.threads, [&](int64_t task, int) {
          if (!run.task(task)) failed.store(true, std::memory_order_relaxed);
        });
      }
      packed = next;
    }
    scratch_release(kernel_slot);
    return failed.load() ? CK_OUT_OF_MEMORY : CK_OK;
  }

  int64_t workspace() const override {
    int64_t most = 0;
    for (int64_t phase = 0; phase < phase_count(spec_); ++phase) {
      const Problem p = lower(spec_, canonical_operands(spec_), phase);
      if (p.pixels() == 0) continue;
      const Layout<T> layout(kernels_, p, num_threads());
      const int64_t elements = layout.stage_elements(p) + layout.blocks.piece(3) * layout.lanes;
      most = std::max(most, std::min<int64_t>(layout.threads, layout.tasks()) * elements * int64_t{sizeof(T)});
    }
    return most;
  }
  int64_t packed_bytes() const override {
    int64_t elements = 0;
    for (int64_t phase = 0; phase < phase_count(spec_); ++phase)
      elements += packed_elements(lower(spec_, canonical_operands(spec_), phase));
    return elements * int64_t{sizeof(T)};
  }
  void detail(char* text, size_t size) const override {
    const Problem p = lower(spec_, canonical_operands(spec_), 0);
    const Layout<T> l(kernels_, p, num_threads());
    snprintf(text, size, "%lld panels of %lld channels x %lld blocks", static_cast<long long>(l.panels),
             static_cast<long long>(l.lanes), static_cast<long long>(l.blocks.count()));
  }

 private:
  int64_t packed_elements(const Problem& p) const { return round_up(p.groups, kernels_.lanes) * p.outputs * p.taps(); }

  // Weights as [panel][output][tap][lane]; returns what follows them.
  T* pack_phase(const Problem& p, const ck_operands& o, T* to) const {
    const int64_t w = kernels_.lanes;
    Problem q = p;  // lanes are groups
    q.kernel.output = p.kernel.group;
    for (int64_t g = 0; g < p.groups; g += w)
      for (int64_t m = 0; m < p.outputs; ++m, to += p.taps() * w)
        pack_panel(kernels_, q,
                   static_cast<const T*>(o.kernel.data) + p.kernel.offset + g * p.kernel.group + m * p.kernel.output,
                   Chunking(p, INT64_MAX)[0], std::min(w, p.groups - g), w, to);
    return to;
  }

  ck_spec spec_;
  const Kernels<T>& kernels_;
  Buffer packed_;
};

}  // namespace

template <class T>
std::unique_ptr<Algorithm> make_depthwise(const ck_spec& spec, const Kernels<T>& kernels, const char** reason) {
  if (spec.direction == CK_GRAD_WEIGHT) return *reason = "not for the weight gradient", nullptr;
  const int64_t summed = spec.direction == CK_FORWARD ? spec.ci : spec.co;
  if (summed != spec.groups) return *reason = "for one summed channel a group only", nullptr;
  if (phase_count(spec) > most_phases) return *reason = "the stride has too many phases", nullptr;
  double window = 1;  // a staged copy holds at least this many vectors of channels
  for (int a = 0; a < CK_MAX_SPATIAL; ++a)
    window *= static_cast<double>(spec.kernel[a] - 1) * static_cast<double>(spec.dilation[a]) + 1;
  if (window > 1 << 30) return *reason = "for windows that span at most 2**30 pixels", nullptr;
  return std::make_unique<Depthwise<T>>(spec, kernels);
}
template std::unique_ptr<Algorithm> make_depthwise(const ck_spec&, const Kernels<float>&, const char**);
template std::unique_ptr<Algorithm> make_depthwise(const ck_spec&, const Kernels<double>&, const char**);

}  // namespace convkern
