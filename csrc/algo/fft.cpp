// Convolution by transforms, in overlapping tiles (overlap-save): with X and W the transforms of a tile and of the
// kernel,
//   y = inverse( sum_k X_k conj(W_k) )      k: channels, taps of axes that are not transformed, parts of the kernel
// A tile's columns are transformed with image columns in the lanes, its rows with column frequencies in the lanes;
// between the two a vector of columns changes lanes in registers. The products keep the frequencies in the lanes, so
// nothing is packed for them. A sample in which a NaN or an infinity appears is computed anew by `direct`.
#include <stdio.h>

#include "algo/fft_run.h"
#include "algo/redo.h"

namespace convkern {
namespace {

constexpr int64_t most_step = int64_t{1} << 30;  // two of them multiply safely
constexpr int64_t most_planes = 2048;            // whose spectra are held at a time; as in convkern/algorithms/fft.py

template <class T>
class Fft final : public Algorithm {
 public:
  Fft(const ck_spec& spec, const Kernels<T>& kernels) : spec_(spec), kernels_(kernels), redo_(spec, kernels) {}

  // Chooses the tiles; null, or why not.
  const char* prepare() {
    const ck_operands o = canonical_operands(spec_);
    if (!transient() && least_fft_kernel(spec_) > most_fft_kernel)
      return "the kernel's spectra would take more than 2**27 numbers";
    for (int64_t phase = 0; phase < phase_count(spec_); ++phase) {
      const Problem p = lower(spec_, o, phase);
      const FftAxis alone({1, 1, 1, 1, 1, 0}, 1, 1, false);
      FftCut cut = {true, 0, 0, alone, alone};
      if (!nothing(p)) {
        if (!choose_cut(p, kernels_.lanes, sizeof(T), cpu_info().l2, spec_.max_workspace, transient(), &cut))
          return "no tile fits into max_workspace";
        if (!layout(p, cut, 1).fits(spec_.max_workspace)) return "no tile fits into max_workspace";
      }
      cuts_.push_back(cut);
      tables_.push_back(nullptr);
      for (int64_t other = 0; other < phase && cut.ny; ++other)
        if (tables_[other] && cuts_[other].ny == cut.ny && cuts_[other].nx == cut.nx &&
            cuts_[other].one_line == cut.one_line)
          tables_.back() = tables_[other];
      if (cut.ny && !tables_.back())
        tables_.back() = std::make_shared<FftTables<T>>(cut.ny, cut.nx, cut.one_line, kernels_.lanes);
    }
    return nullptr;
  }

  ck_status pack(const ck_array& kernel) override {
    if (!packed_.allocate(kernel_elements() * int64_t{sizeof(T)})) return CK_OUT_OF_MEMORY;
    ck_operands o = canonical_operands(spec_);
    o.kernel = kernel;
    std::atomic<bool> failed{false};
    T* to = reinterpret_cast<T*>(packed_.data);
    each_phase(o, nullptr, &failed, [&](const FftRun<T>& run, int64_t) {
      run.all_kernels(to);
      to += group_elements(run.layout);
    });
    release();
    return failed.load() ? CK_OUT_OF_MEMORY : redo_.pack(kernel);
  }

  ck_status run(const ck_operands& o) const override {
    bool gaps = phases_leave_gaps(spec_);
    for (int64_t phase = 0; phase < phase_count(spec_) && !gaps; ++phase) gaps = nothing(lower(spec_, o, phase));
    if (gaps) fill_with_bias<T>(spec_, o);
    std::atomic<bool>* tainted = redo_.marks();
    if (!tainted) return CK_OUT_OF_MEMORY;
    std::atomic<bool> failed{false};
    const T* packed = reinterpret_cast<const T*>(packed_.data);
    each_phase(o, tainted, &failed, [&](const FftRun<T>& run, int64_t) {
      const T* u = packed;
      if (o.kernel.data) {
        u = nullptr;
        if (!run.layout.kernel_by_chunk) {
          T* fresh = scratch_of<T>(kernel_slot, group_elements(run.layout));
          if (!fresh) return run.fail();
          run.all_kernels(fresh);
          u = fresh;
        }
      } else {
        packed += group_elements(run.layout);
      }
      run.all(u);
    });
    release();
    return failed.load() ? CK_OUT_OF_MEMORY : redo_.run(o, tainted);
  }

  int64_t workspace() const override {
    int64_t most = 0;
    const ck_operands o = canonical_operands(spec_);
    for (int64_t phase = 0; phase < phase_count(spec_); ++phase) {
      const Problem p = lower(spec_, o, phase);
      if (!nothing(p)) most = std::max(most, layout(p, cuts_[phase], num_threads()).workspace());
    }
    return most;
  }
  int64_t packed_bytes() const override { return packed_.bytes + redo_.packed_bytes(); }
  void detail(char* text, size_t size) const override {
    const Problem p = lower(spec_, canonical_operands(spec_), 0);
    const FftCut& c = cuts_[0];
    if (nothing(p)) {
      snprintf(text, size, "nothing to sum");
      return;
    }
    const FftLayout l = layout(p, c, num_threads());
    const auto number = [](int64_t n) { return static_cast<long long>(n); };
    if (c.one_line)
      snprintf(text, size, "%lld tiles of %lld (%lld x %lld), kernel in %lld parts, %lld blocks%s", number(c.tiles()),
               number(c.numbers()), number(c.rows()), number(c.nx), number(c.parts()), number(l.blocks.count()),
               l.apart ? "" : ", shared");
    else
      snprintf(text, size, "%lld tiles of %lld x %lld, kernel in %lld parts, %lld blocks%s", number(c.tiles()),
               number(c.rows()), number(c.nx), number(c.parts()), number(l.blocks.count()), l.apart ? "" : ", shared");
  }

 private:
  static bool nothing(const Problem& p) { return p.depth() == 0 || p.pixels() == 0 || p.batch == 0; }
  bool transient() const { return spec_.direction == CK_GRAD_WEIGHT; }
  FftLayout layout(const Problem& p, const FftCut& cut, int threads) const {
    return FftLayout(p, cut, kernels_.lanes, sizeof(T), threads, spec_.max_workspace, cpu_info().l1, cpu_info().l2,
                     transient());
  }
  static int64_t group_elements(const FftLayout& l) { return l.p.groups * l.kernel_elements(l.images()); }
  static void release() {
    for (const int slot : {stage_slot, spectra_slot, table_slot, weights_slot, kernel_slot}) scratch_release(slot);
  }
  int64_t kernel_elements() const {
    int64_t elements = 0;
    const ck_operands o = canonical_operands(spec_);
    for (int64_t phase = 0; phase < phase_count(spec_); ++phase) {
      const Problem p = lower(spec_, o, phase);
      if (!nothing(p)) elements += group_elements(layout(p, cuts_[phase], 1));
    }
    return elements;
  }
  template <class F>
  void each_phase(const ck_operands& o, std::atomic<bool>* tainted, std::atomic<bool>* failed, F&& f) const {
    for (int64_t phase = 0; phase < phase_count(spec_); ++phase) {
      const Problem p = lower(spec_, o, phase);
      if (nothing(p)) continue;
      // Which axes lower() merges depends on strides; what the kernel was cut into does not.
      FftCut cut = cuts_[phase];
      const bool zeros = p.pad_mode == CK_PAD_ZEROS;
      cut.x = FftAxis(p.axis[2], cut.x.size, cut.x.part, zeros);
      if (!cut.one_line) cut.y = FftAxis(p.axis[1], cut.y.size, cut.y.part, zeros);
      const FftLayout l = layout(p, cut, num_threads());
      f(FftRun<T>{{spec_, o, kernels_, p, l, *tables_[phase], tainted, failed}}, phase);
    }
  }

  ck_spec spec_;
  const Kernels<T>& kernels_;
  Redo<T> redo_;
  std::vector<FftCut> cuts_;
  std::vector<std::shared_ptr<FftTables<T>>> tables_;
  Buffer packed_;
};

}  // namespace

template <class T>
std::unique_ptr<Algorithm> make_fft(const ck_spec& spec, const Kernels<T>& kernels, const char** reason) {
  if (phase_count(spec) > 256) return *reason = "the stride has too many phases", nullptr;
  if (spec.kernel[0] * spec.kernel[1] * spec.kernel[2] <= 1) return *reason = "not for 1x1 kernels", nullptr;
  for (int a = 0; a < CK_MAX_SPATIAL; ++a)
    if (spec.stride[a] > most_step || spec.dilation[a] > most_step)
      return *reason = "for strides and dilations of at most 2**30", nullptr;
  const bool gradient = spec.direction == CK_GRAD_WEIGHT;
  const int64_t outputs = (spec.direction == CK_GRAD_INPUT ? spec.ci : spec.co) / spec.groups;
  const int64_t planes = gradient ? spec.out[0] * spec.stride[0] : spec.kernel[0] * spec.dilation[0];
  if (planes > most_planes) return *reason = "for sums over at most 2048 planes of a volume", nullptr;
  if (outputs * (gradient ? spec.out[0] : 1) > most_planes)
    return *reason = "for at most 2048 outputs a group, times planes in a weight gradient", nullptr;
  auto fft = std::make_unique<Fft<T>>(spec, kernels);
  if (const char* why = fft->prepare()) return *reason = why, nullptr;
  return fft;
}
template std::unique_ptr<Algorithm> make_fft(const ck_spec&, const Kernels<float>&, const char**);
template std::unique_ptr<Algorithm> make_fft(const ck_spec&, const Kernels<double>&, const char**);

}  // namespace convkern
