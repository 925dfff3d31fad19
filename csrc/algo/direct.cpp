// View-GEMM without an im2col buffer: the microkernel reads the image (or a staged, padded block of it that fits L2)
// through row pointers and tap offsets, for all directions.
// Tiles, blocks and threads share out rows, never a sum, so every ISA with FMA and every thread count gives the same
// bits.
#include <stdio.h>

#include <atomic>
#include <numeric>
#include <utility>
#include <vector>

#include "algo/algorithms.h"
#include "algo/direct_run.h"
#include "algo/direct_weight.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

constexpr int64_t small_kernel = 65536;  // elements up to which one core packs a kernel
constexpr int most_own = 64;             // workers that have one of their own

template <class T>
class Direct final : public Algorithm {
 public:
  Direct(const ck_spec& spec, const Kernels<T>& kernels, const std::vector<int64_t>& phases)
      : spec_(spec), kernels_(kernels) {
    const ck_operands canonical = canonical_operands(spec);
    for (const int64_t i : phases) {
      const Problem p = lower(spec, canonical, i);
      const Orientation o = choose_orientation(kernels, p, true);
      phases_.push_back({i, o, packed_elements_});
      packed_elements_ += p.groups * kernel_elements(p, o);
    }
  }

  ck_status pack(const ck_array& kernel) override {
    if (!packed_.allocate(packed_bytes())) return CK_OUT_OF_MEMORY;
    ck_operands o = canonical_operands(spec_);
    o.kernel = kernel;
    for (size_t i = 0; i < phases_.size(); ++i)
      pack_phase(lower(spec_, o, phases_[i].index), o, phases_[i].orientation, phases_[i].orientation.channels_inner,
                 reinterpret_cast<T*>(packed_.data) + phases_[i].packed);
    return CK_OK;
  }

  ck_status run(const ck_operands& o) const override {
    if (whole() && phases_leave_gaps(spec_)) fill_with_bias<T>(spec_, o);
    for (size_t i = 0; i < phases_.size(); ++i) {
      const Problem p = lower(spec_, o, phases_[i].index);
      if (p.pixels() == 0) continue;
      const Blocking<T> blocking = make_blocking(p, phases_[i].orientation, !o.kernel.data);
      const Orientation& orientation = phases_[i].orientation;
      const int64_t elements = p.groups * kernel_elements(p, orientation);
      const auto packed_here = [&](bool anew) -> const T* {
        T* fresh = scratch_of<T>(kernel_slot, elements);
        if (fresh && anew) pack_phase(p, o, orientation, blocking.chunks.channels_inner, fresh);
        return fresh;
      };
      // Where several blocks use the same kernel it is packed once for this call; a small one by every worker for
      // itself, since lines that one core wrote come slowly to another.
      const bool once = o.kernel.data && blocking.blocks.count() > 1;
      const bool own = once && elements <= small_kernel && blocking.threads > 1 && blocking.threads <= most_own;
      const T* packed = nullptr;
      if (!o.kernel.data)
        packed = reinterpret_cast<const T*>(packed_.data) + phases_[i].packed;
      else if (once && !own && !(packed = packed_here(true)))
        return CK_OUT_OF_MEMORY;
      bool has_own[most_own] = {};
      std::atomic<bool> failed{false};
      parallel_for(blocking.tasks(p), blocking.threads, [&](int64_t task, int worker) {
        DirectRun<T> run{spec_, o, kernels_, p, orientation, blocking, packed};
        if (own) run.packed = packed_here(!std::exchange(has_own[worker], true));
        if ((own && !run.packed) || !run.task(task)) failed.store(true, std::memory_order_relaxed);
      });
      scratch_release(kernel_slot);
      if (failed.load()) return CK_OUT_OF_MEMORY;
    }
    return CK_OK;
  }

  int64_t workspace() const override {
    const ck_operands canonical = canonical_operands(spec_);
    int64_t most = 0;
    for (size_t i = 0; i < phases_.size(); ++i) {
      const Problem p = lower(spec_, canonical, phases_[i].index);
      if (p.pixels() == 0) continue;
      const Blocking<T> b = make_blocking(p, phases_[i].orientation, true);
      most = std::max(most, std::min<int64_t>(b.threads, b.tasks(p)) * scratch_bytes(p, phases_[i].orientation, b));
    }
    return most;
  }
  int64_t packed_bytes() const override { return packed_elements_ * int64_t{sizeof(T)}; }

  void detail(char* text, size_t size) const override {
    const Problem p = lower(spec_, canonical_operands(spec_), phases_[0].index);
    const Orientation& o = phases_[0].orientation;
    const Blocking<T> b = make_blocking(p, o, true);
    snprintf(text, size, "%s on lanes, tile %dx%d, %lld blocks x %lld splits, %lld chunks of %lld%s",
             o.pixels_on_lanes ? "pixels" : "outputs", kernels_.tile[o.shape].rows, kernels_.tile[o.shape].vectors,
             static_cast<long long>(p.groups * b.blocks.count()), static_cast<long long>(b.splits),
             static_cast<long long>(b.chunks.count()), static_cast<long long>(b.chunks.depth()),
             phases_.size() > 1 ? ", by phases" : "");
  }

 private:
  struct Phase {
    int64_t index;
    Orientation orientation;
    int64_t packed;  // where its packed kernel starts, elements
  };

  bool whole() const { return static_cast<int64_t>(phases_.size()) == phase_count(spec_); }

  int64_t kernel_elements(const Problem& p, const Orientation& o) const {  // of one group
    if (o.pixels_on_lanes) return p.outputs * p.depth();
    return Panels<T>(kernels_, kernels_.tile[o.shape], p.outputs).padded() * p.depth();
  }

  Blocking<T> make_blocking(const Problem& p, const Orientation& o, bool packed) const {
    return Blocking<T>(kernels_, p, o, p.result.output == 1, packed, num_threads());
  }

  void pack_phase(const Problem& p, const ck_operands& o, const Orientation& orientation, bool channels_inner,
                  T* to) const {
    const Panels<T> panels(kernels_, kernels_.tile[orientation.shape], p.outputs);
    const bool on_pixels = orientation.pixels_on_lanes;
    const Chunk all = Chunking(p, INT64_MAX, channels_inner)[0];
    const int64_t pieces = on_pixels ? 1 : panels.panels;
    const int threads = p.groups * p.outputs * p.depth() > small_kernel ? num_threads() : 1;
    parallel_for(p.groups * pieces, threads, [&](int64_t task, int) {
      const int64_t g = task / pieces, j = task % pieces;
      const T* kernel = static_cast<const T*>(o.kernel.data) + p.kernel.offset + g * p.kernel.group;
      if (on_pixels) {
        pack_rows(p, kernel, p.outputs, all, to + g * p.outputs * p.depth());
      } else {
        pack_panel(kernels_, p, kernel + panels.start(j) * p.kernel.output, all, panels.used(j), panels.width(j),
                   to + (g * panels.padded() + panels.start(j)) * p.depth());
      }
    });
  }

  ck_spec spec_;
  const Kernels<T>& kernels_;
  std::vector<Phase> phases_;
  int64_t packed_elements_ = 0;
  Buffer packed_;
};

}  // namespace

template <class T>
std::unique_ptr<Algorithm> make_direct(const ck_spec& spec, const Kernels<T>& kernels, const char** reason) {
  if (phase_count(spec) > most_phases) return *reason = "the stride has too many phases", nullptr;
  if (spec.direction == CK_GRAD_WEIGHT) return make_direct_weight(spec, kernels);
  std::vector<int64_t> phases(phase_count(spec));
  std::iota(phases.begin(), phases.end(), int64_t{0});
  return std::make_unique<Direct<T>>(spec, kernels, phases);
}
template <class T>
std::unique_ptr<Algorithm> make_direct_phases(const ck_spec& spec, const Kernels<T>& kernels,
                                              const std::vector<int64_t>& phases) {
  return std::make_unique<Direct<T>>(spec, kernels, phases);
}
template std::unique_ptr<Algorithm> make_direct(const ck_spec&, const Kernels<float>&, const char**);
template std::unique_ptr<Algorithm> make_direct(const ck_spec&, const Kernels<double>&, const char**);
template std::unique_ptr<Algorithm> make_direct_phases(const ck_spec&, const Kernels<float>&,
                                                       const std::vector<int64_t>&);
template std::unique_ptr<Algorithm> make_direct_phases(const ck_spec&, const Kernels<double>&,
                                                       const std::vector<int64_t>&);

}  // namespace convkern
