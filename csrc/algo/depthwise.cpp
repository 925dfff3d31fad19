// Depthwise convolution, one input channel a group: a vector of channels at a time through the tap kernel.
//   result[g*mult + m, q] = bias + sum_t image[g, q*stride + t*dilation - pad] * kernel[g, m, t]      g on the lanes
// Lines of the image are copied, padded and aligned, into a ring that moves down with the outputs, so that each is
// copied once for all the lines of the window that read it. The order of the sum is that of `direct`.
#include <stdio.h>

#include <atomic>
#include <vector>

#include "algo/algorithms.h"
#include "algo/depthwise.h"
#include "algo/depthwise_folded.h"
#include "algo/depthwise_planes.h"
#include "algo/depthwise_sweep.h"
#include "core/operand.h"
#include "runtime/arena.h"
#include "runtime/cpu.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

enum Slot { stage_slot, table_slot, line_slot, carry_slot, kernel_slot = 5 };

constexpr int64_t max_held = 256;

template <class T>
struct Rings {
  Region blocks;
  int64_t lanes, panels, splits;  // vectors of channels, and the parts they are shared out in
  int64_t together;               // vectors of channels in a ring: L2 holds long runs, L1 what is transposed
  int64_t hold;                   // output lines stored at once
  int threads_;
  int64_t staged_;

  Rings(const Kernels<T>& kernels, const Problem& p, int max_threads)
      : blocks(all_outputs(p, p.axis[1].out, p.axis[2].out)),
        lanes(kernels.lanes),
        panels(ceil_div(p.groups, kernels.lanes)),
        splits(1),
        together(1),
        hold(1),
        threads_(1) {
    blocks.set(3, even_piece(blocks.extent[3], 2048));
    while (blocks.piece(3) > 8 && ring_bytes(p) > cpu_info().l2 / 2)
      blocks.set(3, even_piece(blocks.extent[3], blocks.piece(3) / 2));
    if (blocks.parts[3] == 1) {
      blocks.cut(2, 1);
      if (p.result.axis[2] == 1 && p.result.axis[1] == p.axis[2].out)  // lines that lie end to end leave together
        hold = std::clamp<int64_t>(16 * lanes / blocks.extent[3], 1, blocks.extent[2]);
    }
    const bool runs = p.image.group == 1;
    const double work = static_cast<double>(p.batch * p.pixels() * p.taps()) * panels * p.outputs;
    if (work >= 20000) {
      threads_ = max_threads;
      // Threads share out the lines, which are long runs of memory where channels lie together, else the channels.
      const int64_t wanted = 2 * threads_;
      if (panels >= 2 * wanted && !runs) splits = std::min(panels, ceil_div(wanted, blocks.count()));
      for (int64_t n = 2 * blocks.parts[2]; splits * blocks.count() < wanted && n * 4 <= blocks.extent[2]; n *= 2)
        blocks.cut(2, n);
      splits = std::max(splits, std::min(panels, ceil_div(wanted, blocks.count())));
    }
    const int64_t most_bytes = runs ? cpu_info().l2 / 4 : cpu_info().l1 * 3 / 4;
    together = std::clamp<int64_t>(most_bytes / ring_bytes(p), 1, ceil_div(panels, splits));
    staged_ = together * ring_bytes(p) / int64_t{sizeof(T)} + line_elements();
  }
  int64_t columns(const Problem& p) const { return touched(p, blocks.largest(), Chunking(p, INT64_MAX)[0]).count[2]; }
  // Lines of the image in the ring, for each tap along z.
  int64_t span(const Problem& p) const {
    return (p.axis[1].taps - 1) * p.axis[1].dilation + 1 + (hold - 1) * p.axis[1].stride;
  }
  int64_t ring_bytes(const Problem& p) const {  // of one vector of channels
    return p.axis[0].taps * span(p) * (columns(p) * lanes + lanes) * int64_t{sizeof(T)};
  }
  int64_t line_elements() const { return hold * blocks.piece(3) * lanes; }
  int64_t staged() const { return staged_; }  // elements a thread needs
  int64_t tasks() const { return splits * blocks.count(); }
  int threads() const { return threads_; }
};

template <class T>
struct Run {
  const ck_spec& spec;
  const ck_operands& operands;
  const Kernels<T>& kernels;
  const Problem& p;  // as lowered
  const Problem& q;  // groups as channels
  const Rings<T>& rings;
  const T* packed;  // [panel][output][tap][lane]

  bool task(int64_t index) const {
    const int64_t split = index % rings.splits, end = (split + 1) * rings.panels / rings.splits;
    const Block block = rings.blocks[index / rings.splits];
    bool ok = true;
    for (int64_t j = split * rings.panels / rings.splits; ok && j < end; j += rings.together)
      ok = panels(block, j, std::min(rings.together, end - j));
    scratch_release(stage_slot);
    return ok;
  }

  // `count` vectors of channels of a block.
  bool panels(const Block& block, int64_t first, int64_t count) const {
    const int64_t w = rings.lanes, g = first * w, used = std::min(count * w, p.groups - g), pitch = count * w;
    const int64_t span = rings.span(p), window = p.axis[0].taps * p.axis[1].taps;
    const Box box = touched(p, block, Chunking(p, INT64_MAX)[0]);
    const int64_t line = spread_pitch(box.count[2] * pitch, sizeof(T));
    T* ring = scratch_of<T>(stage_slot, p.axis[0].taps * span * line);
    T* held = scratch_of<T>(line_slot, rings.line_elements());
    ptrdiff_t* table = scratch_of<ptrdiff_t>(table_slot, 2 * rings.hold * window + p.axis[0].taps * span);
    if (!ring || !held || !table) return false;
    ptrdiff_t* kept = table + 2 * rings.hold * window;  // which line of the image each line of the ring holds

    DepthwiseJob<T> job;
    job.taps = p.axis[2].taps;
    job.step = p.axis[2].stride * pitch, job.tap_step = p.axis[2].dilation * pitch;
    job.lo = static_cast<T>(spec.lo), job.hi = static_cast<T>(spec.hi);
    const T* image = static_cast<const T*>(operands.image.data) + q.image.offset + g * q.image.channel;
    const T* bias = p.bias_per_output ? static_cast<const T*>(operands.bias) : nullptr;
    int64_t seen_lines[max_held];
    for (int64_t i = 0; i < block.lines(); i += rings.hold) {
      const Block at = line_of(block, i);
      const int64_t lines = std::min(rings.hold, block.extent[2] - (at.start[2] - block.start[2]));
      if (at.start[2] == block.start[2]) std::fill(kept, kept + p.axis[0].taps * span, PTRDIFF_MIN);
      for (int64_t l = 0; l < lines; ++l)
        seen_lines[l] = stage_window(at, l, box, image + at.start[0] * q.image.batch, used, pitch, line, ring, kept,
                                     table + 2 * l * window);

      for (int64_t j = 0; j < count; ++j)
        for (int64_t o = 0; o < p.outputs; ++o) {
          const int64_t lanes_used = std::min(w, used - j * w);
          T lane_bias[max_panel_lanes];
          for (int64_t l = 0; bias && l < w; ++l)
            lane_bias[l] = l < lanes_used ? bias[(g + j * w + l) * p.outputs + o] : T(0);
          job.bias = bias ? lane_bias : nullptr;
          job.weights = packed + ((first + j) * p.outputs + o) * p.taps() * w;
          const auto view = [&](auto* data, const Problem::Result& v) {
            if (data) data += first_output(v, g + j * w, at) + o * v.output;
            return MatrixView<std::remove_reference_t<decltype(*data)>>{data, v.axis[2], v.group};
          };
          const MatrixView<T> out = view(static_cast<T*>(operands.result.data), p.result);
          const MatrixView<const T> extra = view(static_cast<const T*>(operands.residual.data), p.residual);
          const bool plain = out.column == 1 && lanes_used == w && !extra.data;
          job.clamp = spec.clamp && plain;
          job.out_step = plain ? out.row : w;
          for (int64_t l = 0; l < lines; ++l) {
            job.line = table + 2 * l * window, job.weight = job.line + window, job.lines = seen_lines[l];
            T* to = plain ? out.data + l * p.result.axis[1] : held + l * block.extent[3] * w;
            kernels.depthwise(job, ring + j * w, to, block.extent[3]);
          }
          if (plain) continue;
          // Lines end to end in the result are one line; those of a residual may lie otherwise.
          const bool end_to_end = lines == 1 || !extra.data || p.residual.axis[1] == block.extent[3] * extra.row;
          for (int64_t l = 0; l < (end_to_end ? 1 : lines); ++l)
            kernels.store(held + l * block.extent[3] * w, w, block.extent[3] * (end_to_end ? lines : 1), lanes_used,
                          {out.data + l * p.result.axis[1], out.row, out.column},
                          {extra.data ? extra.data + l * p.residual.axis[1] : nullptr, extra.row, extra.column},
                          spec.clamp != 0, job.lo, job.hi);
        }
    }
    return true;
  }

  // Brings the lines that output line at + l reads into the ring and writes where they and their weights lie; returns
  // how many there are, leaving out those of zeros.
  int64_t stage_window(const Block& at, int64_t l, const Box& box, const T* sample, int64_t used, int64_t pitch,
                       int64_t line, T* ring, ptrdiff_t* kept, ptrdiff_t* table) const {
    const Axis &z = p.axis[0], &y = p.axis[1];
    const int64_t span = rings.span(p);
    int64_t seen = 0;
    Box one = box;
    one.channels = used, one.count[0] = one.count[1] = 1;
    for (int64_t tz = 0; tz < z.taps; ++tz) {
      one.start[0] = at.start[1] * z.stride + tz * z.dilation - z.pad;
      if (pad_index(p.pad_mode, one.start[0], z.in) < 0) continue;
      for (int64_t ty = 0; ty < y.taps; ++ty) {
        one.start[1] = (at.start[2] + l) * y.stride + ty * y.dilation - y.pad;
        if (pad_index(p.pad_mode, one.start[1], y.in) < 0) continue;
        const int64_t place = tz * span + (one.start[1] + y.pad) % span;
        if (kept[place] != one.start[1]) {
          stage_channels_last(kernels, q, sample, one, pitch, ring + place * line);
          kept[place] = one.start[1];
        }
        table[seen] = place * line;
        table[z.taps * y.taps + seen++] = (tz * y.taps + ty) * p.axis[2].taps * rings.lanes;
      }
    }
    return seen;
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
      if (p.pixels() > 0 && Sweep<T>::serves(kernels_, p, o.residual.data != nullptr)) {
        const Sweep<T> sweep(kernels_, p, num_threads());
        parallel_for(sweep.tasks(), sweep.threads(), [&](int64_t task, int) {
          if (!sweep.task(spec_, o, packed, task, carry_slot)) failed.store(true, std::memory_order_relaxed);
        });
      } else if (p.pixels() > 0 && Planes<T>::serves(p, o.residual.data != nullptr)) {
        const Planes<T> planes(kernels_, p, num_threads());
        parallel_for(planes.tasks(), planes.threads(), [&](int64_t task, int) {
          if (!planes.task(spec_, o, packed, task, stage_slot)) failed.store(true, std::memory_order_relaxed);
        });
      } else if (p.pixels() > 0 && Folded<T>::serves(kernels_, p, o.residual.data != nullptr)) {
        const Folded<T> folded(kernels_, p, num_threads());
        parallel_for(folded.tasks(), folded.threads(), [&](int64_t task, int) {
          if (!folded.task(spec_, o, packed, task, stage_slot, table_slot))
            failed.store(true, std::memory_order_relaxed);
        });
      } else if (p.pixels() > 0) {
        const Rings<T> rings(kernels_, p, num_threads());
        const Run<T> run{spec_, o, kernels_, p, q, rings, packed};
        parallel_for(rings.tasks(), rings.threads(), [&](int64_t task, int) {
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
      const auto count = [&](const auto& way) {
        const int64_t threads = std::min<int64_t>(way.threads(), way.tasks());
        most = std::max(most, threads * way.staged() * int64_t{sizeof(T)});
      };
      if (Sweep<T>::serves(kernels_, p, false))
        count(Sweep<T>(kernels_, p, num_threads()));
      else if (Planes<T>::serves(p, false))
        count(Planes<T>(kernels_, p, num_threads()));
      else if (Folded<T>::serves(kernels_, p, false))
        count(Folded<T>(kernels_, p, num_threads()));
      else
        count(Rings<T>(kernels_, p, num_threads()));
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
    const Rings<T> l(kernels_, p, num_threads());
    snprintf(text, size, "%lld panels of %lld channels x %lld blocks", static_cast<long long>(l.panels),
             static_cast<long long>(l.lanes), static_cast<long long>(l.blocks.count()));
  }

 private:
  int64_t packed_elements(const Problem& p) const {
    return (round_up(p.groups, kernels_.lanes) + (ends_with_part(p) ? kernels_.lanes : 0)) * p.outputs * p.taps();
  }
  bool ends_with_part(const Problem& p) const {
    return p.outputs == 1 && p.groups > kernels_.lanes && p.groups % kernels_.lanes != 0;
  }

  // Weights as [panel][output][tap][lane], and of a last panel that is not full once more with channels before it;
  // returns what follows them.
  T* pack_phase(const Problem& p, const ck_operands& o, T* to) const {
    const int64_t w = kernels_.lanes;
    Problem q = p;  // lanes are groups
    q.kernel.output = p.kernel.group;
    const auto panel = [&](int64_t g) {
      for (int64_t m = 0; m < p.outputs; ++m, to += p.taps() * w)
        pack_panel(kernels_, q,
                   static_cast<const T*>(o.kernel.data) + p.kernel.offset + g * p.kernel.group + m * p.kernel.output,
                   Chunking(p, INT64_MAX)[0], std::min(w, p.groups - g), w, to);
    };
    for (int64_t g = 0; g < p.groups; g += w) panel(g);
    if (ends_with_part(p)) panel(p.groups - w);
    return to;
  }

  ck_spec spec_;
  const Kernels<T>& kernels_;
  Buffer packed_;
};

}  // namespace

template <class T>
std::unique_ptr<Algorithm> make_depthwise(const ck_spec& spec, const Kernels<T>& kernels, const char** reason) {
  const int64_t summed = spec.direction == CK_GRAD_INPUT ? spec.co : spec.ci;
  if (summed != spec.groups) return *reason = "for one summed channel a group only", nullptr;
  if (phase_count(spec) > most_phases) return *reason = "the stride has too many phases", nullptr;
  double window = 1;  // a staged copy holds at least this many vectors of channels
  for (int a = 0; a < CK_MAX_SPATIAL; ++a)
    window *= static_cast<double>(spec.kernel[a] - 1) * static_cast<double>(spec.dilation[a]) + 1;
  if (window > 1 << 30) return *reason = "for windows that span at most 2**30 pixels", nullptr;
  if (spec.direction == CK_GRAD_WEIGHT) return make_depthwise_weight<T>(spec, kernels);
  return std::make_unique<Depthwise<T>>(spec, kernels);
}
template std::unique_ptr<Algorithm> make_depthwise(const ck_spec&, const Kernels<float>&, const char**);
template std::unique_ptr<Algorithm> make_depthwise(const ck_spec&, const Kernels<double>&, const char**);

}  // namespace convkern
