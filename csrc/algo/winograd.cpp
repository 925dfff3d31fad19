// Winograd F(m x m, r x r), or F(m, r) along one axis: a block of t x t image patches (t = m + r - 1) is transformed,
// multiplied point by point with the transformed kernel by the one loop nest (rows: patches, sum over channels), and
// transformed back.   V[p][tile][k] = B^T d B     M[p][tile][o] = sum_k V[p][tile][k] U[p][k][o]     Y = A^T M A
// k runs over taps along z, phases of the stride and channels (winograd_form.h). A block's V, M and Y stay near L2. A
// patch inside a channels-last image is read in place, others are staged.
// A sample in which a NaN or an infinity appears is computed anew by `direct`, so that they reach no other output.
#include <stdio.h>

#include <atomic>
#include <vector>

#include "algo/direct.h"
#include "algo/redo.h"
#include "algo/winograd_run.h"
#include "algo/winograd_weight.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

// One problem by Winograd: of an input gradient with a stride, one of its phases.
template <class T>
class Tiles {
 public:
  Tiles(const ck_spec& spec, const Kernels<T>& kernels, int64_t phase, const WinogradKernels<T>& winograd,
        const Form& form)
      : spec_(spec), kernels_(kernels), phase_(phase), winograd_(winograd), form_(form) {}

  ck_status pack(const ck_array& kernel) {
    ck_operands o = canonical_operands(spec_);
    o.kernel = kernel;
    const Problem p = problem(o);
    const WinogradLayout<T> layout(kernels_, form_, p, num_threads());
    if (!packed_.allocate(p.groups * layout.kernel_elements() * int64_t{sizeof(T)})) return CK_OUT_OF_MEMORY;
    return transform_kernel(p, o, layout, reinterpret_cast<T*>(packed_.data)) ? CK_OK : CK_OUT_OF_MEMORY;
  }

  ck_status run(const ck_operands& o, std::atomic<bool>* tainted) const {
    const Problem p = problem(o);
    if (p.pixels() == 0) return CK_OK;
    const WinogradLayout<T> layout(kernels_, form_, p, num_threads());
    const T* packed = reinterpret_cast<const T*>(packed_.data);
    // Few threads, or little to do: each for itself. Lines that one core wrote come slowly to another.
    const int64_t kernel_bytes = layout.kernel_elements() * int64_t{sizeof(T)};
    const int64_t few = layout.splits > 1 ? 16 << 20 : 8 << 20;  // with splits, none transforms it all
    const bool own = kernel_bytes <= (layout.threads <= 4 ? few : 512 << 10);
    const bool short_sum = Few::serves(kernels_, winograd_, form_, p);
    if (o.kernel.data && own) {
      packed = nullptr;
    } else if (o.kernel.data) {
      T* fresh = scratch_of<T>(kernel_slot, p.groups * layout.kernel_elements());
      if (!fresh || !transform_kernel(p, o, layout, fresh)) return CK_OUT_OF_MEMORY;
      packed = fresh;
    }
    std::atomic<bool> failed{false};
    if (short_sum) {
      const Few few(kernels_, form_, p, num_threads());
      const WinogradFewRun<T> run{spec_, o, kernels_, winograd_, p, layout, few, tainted};
      const uint64_t call = ++winograd_calls;
      parallel_for(few.tasks(p), num_threads(), [&](int64_t task, int) {
        const int64_t g = few.group(p, task);
        const T* kernel = packed ? packed + g * layout.kernel_elements()
                                 : transform_own(kernels_, winograd_, p, o, layout, call, g, 0, 1);
        if (!kernel || !run.task(task, kernel)) failed.store(true, std::memory_order_relaxed);
      });
      scratch_release(kernel_slot);
      return failed.load() ? CK_OUT_OF_MEMORY : CK_OK;
    }
    const WinogradRun<T> run{spec_, o, kernels_, winograd_, p, layout, packed, ++winograd_calls, tainted};
    parallel_for(p.groups * layout.tiles.count() * layout.splits, layout.threads, [&](int64_t task, int) {
      if (!run.task(task)) failed.store(true, std::memory_order_relaxed);
    });
    scratch_release(kernel_slot);
    return failed.load() ? CK_OUT_OF_MEMORY : CK_OK;
  }

  int64_t workspace() const {
    const Problem p = problem(canonical_operands(spec_));
    if (p.pixels() == 0) return 0;
    const WinogradLayout<T> layout(kernels_, form_, p, num_threads());
    if (Few::serves(kernels_, winograd_, form_, p)) {
      const Few few(kernels_, form_, p, num_threads());
      return std::min<int64_t>(num_threads(), few.tasks(p)) * few.bytes(form_, p, layout.panels.width(0));
    }
    const int64_t tasks = p.groups * layout.tiles.count() * layout.splits;
    return std::min<int64_t>(layout.threads, tasks) * layout.bytes(p);
  }
  int64_t packed_bytes() const { return packed_.bytes; }
  int detail(char* text, size_t size) const {
    const Problem p = problem(canonical_operands(spec_));
    const WinogradLayout<T> l(kernels_, form_, p, num_threads());
    const TileAxis &y = form_.y, &x = form_.x;
    char name[64];
    if (y.t > 1)
      snprintf(name, sizeof name, "F(%lldx%lld,%lldx%lld)", static_cast<long long>(y.m), static_cast<long long>(x.m),
               static_cast<long long>(y.r), static_cast<long long>(x.r));
    else
      snprintf(name, sizeof name, "F(%lld,%lld)", static_cast<long long>(x.m), static_cast<long long>(x.r));
    return snprintf(text, size, "%s, depth %lld, %lld blocks of %lld tiles x %lld splits", name,
                    static_cast<long long>(l.depth), static_cast<long long>(p.groups * l.tiles.count()),
                    static_cast<long long>(l.tiles.rows()), static_cast<long long>(l.splits));
  }

 private:
  using Few = WinogradFewLayout<T>;

  Problem problem(const ck_operands& o) const {
    const Problem p = lower(spec_, o, phase_);
    return form_.exchanged ? exchange_axes(p) : p;
  }

  bool transform_kernel(const Problem& p, const ck_operands& o, const WinogradLayout<T>& layout, T* to) const {
    const int64_t panels = layout.panels.panels;
    std::atomic<bool> failed{false};
    const int threads = p.groups * p.outputs * layout.depth > 4096 ? num_threads() : 1;
    parallel_for(p.groups * panels, threads, [&](int64_t task, int) {
      const int64_t g = task / panels, j = task % panels;
      const T* kernel = static_cast<const T*>(o.kernel.data) + p.kernel.offset + g * p.kernel.group;
      if (!transform_panel(kernels_, winograd_, p, kernel, layout, j,
                           to + g * layout.kernel_elements() + layout.kernel_start(j)))
        failed.store(true, std::memory_order_relaxed);
    });
    return !failed.load();
  }

  ck_spec spec_;
  const Kernels<T>& kernels_;
  int64_t phase_;
  const WinogradKernels<T>& winograd_;
  Form form_;
  Buffer packed_;
};

// All phases of a spec: those that have a form by tiles, the rest, such as those of a single tap, by `direct`.
template <class T>
class Winograd final : public Algorithm {
 public:
  Winograd(const ck_spec& spec, const Kernels<T>& kernels, std::vector<Tiles<T>> tiles, std::unique_ptr<Algorithm> rest)
      : spec_(spec), tiles_(std::move(tiles)), rest_(std::move(rest)), redo_(spec, kernels) {}

  ck_status pack(const ck_array& kernel) override {
    for (Tiles<T>& tiles : tiles_) {
      const ck_status status = tiles.pack(kernel);
      if (status != CK_OK) return status;
    }
    const ck_status status = rest_ ? rest_->pack(kernel) : CK_OK;
    return status != CK_OK ? status : redo_.pack(kernel);
  }

  ck_status run(const ck_operands& o) const override {
    if (phases_leave_gaps(spec_)) fill_with_bias<T>(spec_, o);
    std::atomic<bool>* tainted = redo_.marks();
    if (!tainted) return CK_OUT_OF_MEMORY;
    for (const Tiles<T>& tiles : tiles_) {
      const ck_status status = tiles.run(o, tainted);
      if (status != CK_OK) return status;
    }
    const ck_status status = rest_ ? rest_->run(o) : CK_OK;
    return status != CK_OK ? status : redo_.run(o, tainted);
  }

  int64_t workspace() const override {
    int64_t most = rest_ ? rest_->workspace() : 0;
    for (const Tiles<T>& tiles : tiles_) most = std::max(most, tiles.workspace());
    return most;
  }
  int64_t packed_bytes() const override {
    int64_t sum = redo_.packed_bytes() + (rest_ ? rest_->packed_bytes() : 0);
    for (const Tiles<T>& tiles : tiles_) sum += tiles.packed_bytes();
    return sum;
  }
  void detail(char* text, size_t size) const override {
    const int length = tiles_[0].detail(text, size);
    const int64_t phases = phase_count(spec_);
    if (phases > 1 && length > 0 && static_cast<size_t>(length) < size)
      snprintf(text + length, size - length, ", %zu of %lld phases", tiles_.size(), static_cast<long long>(phases));
  }

 private:
  ck_spec spec_;
  std::vector<Tiles<T>> tiles_;
  std::unique_ptr<Algorithm> rest_;
  Redo<T> redo_;
};

constexpr int64_t most_winograd_phases = 16, fewest_line_channels = 64;

template <class T>
std::unique_ptr<Algorithm> make(const ck_spec& spec, const Kernels<T>& kernels, int64_t m, const char** reason) {
  if (spec.direction == CK_GRAD_WEIGHT) return make_winograd_weight(spec, kernels, m, reason);
  const int64_t phases = phase_count(spec);
  if (phases > most_winograd_phases) return *reason = "the stride has too many phases", nullptr;
  std::vector<Tiles<T>> tiles;
  std::vector<int64_t> rest;
  for (int64_t i = 0; i < phases; ++i) {
    Problem p = lower(spec, canonical_operands(spec), i);
    Form form = {};
    form.exchanged = lies_along_y(p);
    if (form.exchanged) p = exchange_axes(p);
    const WinogradKernels<T>* winograd = find_form(kernels, p, m, &form);
    // Along a line a transform saves so little that only long sums and many outputs pay for it.
    const bool worth_it = phases == 1 || form.y.t > 1 || std::min(p.channels, p.outputs) >= fewest_line_channels;
    if (winograd && worth_it)
      tiles.emplace_back(spec, kernels, i, *winograd, form);
    else
      rest.push_back(i);
  }
  if (tiles.empty()) return *reason = "no tile for this kernel, stride and dilation", nullptr;
  return std::make_unique<Winograd<T>>(spec, kernels, std::move(tiles),
                                       rest.empty() ? nullptr : make_direct_phases(spec, kernels, rest));
}

}  // namespace

template <class T>
std::unique_ptr<Algorithm> make_winograd2(const ck_spec& spec, const Kernels<T>& kernels, const char** reason) {
  return make(spec, kernels, 2, reason);
}
template <class T>
std::unique_ptr<Algorithm> make_winograd4(const ck_spec& spec, const Kernels<T>& kernels, const char** reason) {
  return make(spec, kernels, 4, reason);
}
template std::unique_ptr<Algorithm> make_winograd2(const ck_spec&, const Kernels<float>&, const char**);
template std::unique_ptr<Algorithm> make_winograd2(const ck_spec&, const Kernels<double>&, const char**);
template std::unique_ptr<Algorithm> make_winograd4(const ck_spec&, const Kernels<float>&, const char**);
template std::unique_ptr<Algorithm> make_winograd4(const ck_spec&, const Kernels<double>&, const char**);

}  // namespace convkern
