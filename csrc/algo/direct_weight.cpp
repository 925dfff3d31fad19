// The weight gradient by definition, as a sum of outer products over the pixels p of the output gradient:
//   dw[o][c][t] = sum_p x[c][p*stride + t*dilation - pad] * dy[o][p]
// Lanes are outputs, rows the image's channels and taps, steps k the pixels, chunk by chunk: a chunk's panel of the
// gradient and the block's sums stay in L2 while all rows of the block go past. Where few rows have few
// pixels to share, the pixels are cut into parts with sums of their own, added up in order at the end; parts come from
// the problem alone, so that bits do not depend on threads. Of one tap, image and gradient may change places.
#include "algo/direct_weight.h"

#include <stdio.h>

#include <atomic>

#include "algo/direct_weight_cuts.h"
#include "core/operand.h"
#include "runtime/arena.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

using namespace weight;

enum Slot { stage_slot, table_slot, sums_slot, panel_slot, parts_slot };

// One call: everything the tasks share.
template <class T>
struct Run {
  const ck_spec& spec;
  const Kernels<T>& kernels;
  const Problem& p;
  const Choice& choice;
  const Cuts<T>& cuts;
  const T *image, *kernel, *residual;
  T *result, *parts;

  // Runs of pixels: `listed` taps of a list start runs of `run` steps, all `along` apart.
  struct Lists {
    const char** row;
    Tap* tap;
    int64_t *listed, *run;
    Tap along;
  };

  bool task(int64_t index) const {
    const Panels<T>& panels = cuts.panels;
    const int64_t splits = cuts.splits, split = index % splits;
    const int64_t first = split * panels.panels / splits, last = (split + 1) * panels.panels / splits;
    const Block block = cuts.blocks[index / splits % cuts.blocks.count()];
    const int64_t part = index / (splits * cuts.blocks.count()) % cuts.parts;
    const int64_t g = index / (splits * cuts.blocks.count() * cuts.parts);
    const int64_t taps = block.rows() / block.extent[0], rows = block.rows(), lists = choice.by_tap ? taps : 1;

    Lists list;
    const int64_t depth = cuts.chunks.depth();
    char* table = static_cast<char*>(
        scratch(table_slot, rows * sizeof(char*) + lists * (depth * sizeof(Tap) + 2 * sizeof(int64_t))));
    T* panel = scratch_of<T>(panel_slot, depth * panels.width(0));
    // Sums lie [row][lane]: those of a block, or the block's part of all sums of a part.
    ptrdiff_t pixel;
    const bool even = even_stride(p.result, block, &pixel);
    const bool in_result = cuts.parts == 1 && p.result.output == 1 && even && !residual;
    const bool in_place = cuts.in_place;
    const int64_t ld =
        cuts.parts > 1 ? panels.padded() : panels.start(last - 1) + panels.width(last - 1) - panels.start(first);
    T* sums = nullptr;
    if (cuts.parts == 1)
      sums = scratch_of<T>(sums_slot, rows * ld);
    else
      sums = parts + (g * cuts.parts + part) * cuts.part_sums(p) + block.start[0] * taps * ld + panels.start(first);
    if (!table || !panel || !sums) return false;
    list.row = reinterpret_cast<const char**>(table);
    list.tap = reinterpret_cast<Tap*>(list.row + rows);
    list.listed = reinterpret_cast<int64_t*>(list.tap + lists * depth);
    list.run = list.listed + lists;

    const int64_t count = cuts.chunks.count(), begin = part * count / cuts.parts, end = (part + 1) * count / cuts.parts;
    for (int64_t i = begin; i < end; ++i) {
      const Chunk chunk = cuts.chunks[i];
      int64_t width = panels.width(first);
      ptrdiff_t step[4] = {p.kernel.channel, p.kernel.axis[0], p.kernel.axis[1], p.kernel.axis[2]}, start = 0;
      for (int d = 0; d < 4; ++d) start += chunk.start[d] * step[d];
      for (int d = 3; d >= 0; --d) step[d] = in_place ? step[d] : d == 3 ? width : step[d + 1] * chunk.whole[d + 1];
      for (ptrdiff_t& bytes : step) bytes *= sizeof(T);
      if (!pixels_of(g, block, chunk, step, list)) return false;
      for (int64_t j = first; j < last; ++j) {
        const int64_t w = panels.width(j), used = panels.used(j);
        const T* from = kernel + g * p.kernel.group + panels.start(j) * p.kernel.output;
        if (!in_place) pack_panel(kernels, p, from, chunk, used, w, panel);
        for (int64_t t = 0; w != width && !in_place && t < lists; ++t)
          for (Tap *tap = list.tap + t * depth, *end = tap + list.listed[t]; tap != end; ++tap)
            tap->b = tap->b / width * w;
        if (!in_place) list.along.b = list.along.b / width * w;
        width = w;
        const bool here = in_result && used == w;
        TileJob<T> job = {};
        job.start = i > begin ? Start::load : Start::zero;
        job.clamp = here && spec.clamp && i + 1 == end;
        job.lo = static_cast<T>(spec.lo), job.hi = static_cast<T>(spec.hi);
        T* c = here ? result + first_output(p.result, g, block) + panels.start(j)
                    : sums + panels.start(j) - panels.start(first);
        const ptrdiff_t row = here ? pixel : ld;
        for (int64_t t = 0; t < lists; ++t) {
          job.taps = list.tap + t * depth;
          job.listed = list.listed[t];
          job.run = list.run[t];
          job.along = list.along;
          job.ldc = (choice.by_tap ? taps : 1) * row * ptrdiff_t{sizeof(T)};
          multiply_panel(panels.shape(j), job, list.row, choice.by_tap ? block.extent[0] : rows,
                         reinterpret_cast<const char*>(in_place ? from + start : panel), c + t * row,
                         static_cast<const T*>(nullptr));
        }
        if (cuts.parts == 1 && !here && i + 1 == end) finish(g, block, j, c, ld);
      }
    }
    scratch_release(stage_slot);
    return true;
  }

  // The rows, and for each of their taps (or all together) the chunk's pixels that it meets.
  bool pixels_of(int64_t g, const Block& block, const Chunk& chunk, const ptrdiff_t (&step)[4], Lists& list) const {
    const Box box = touched(p, block, chunk);
    const T* base = image + g * p.image.group;
    ImageView<T> v(p, base, box);
    if (chunk.steps() > 0 && !inside(p, box) && choice.stages(p)) {
      const StagedLayout layout = staged_layout(inner_dimension(p), box, 1, 0, sizeof(T));
      T* staged = scratch_of<T>(stage_slot, layout.elements);
      if (!staged) return false;
      stage(kernels, p, base, box, layout, staged);
      v = ImageView<T>(p, staged, layout);
    }
    list.along = {v.tap[2] * ptrdiff_t{sizeof(T)}, step[3]};
    if (!choice.by_tap) {
      const char** row = list.row;
      for (int64_t c = 0; c < block.extent[0]; ++c)
        for (int64_t z = 0; z < block.extent[1]; ++z)
          for (int64_t y = 0; y < block.extent[2]; ++y) {
            const T* at = v.base + c * v.batch + z * v.row[0] + y * v.row[1];
            for (int64_t x = 0; x < block.extent[3]; ++x, at += v.row[2]) *row++ = reinterpret_cast<const char*>(at);
          }
      list.listed[0] = lines_of_pixels(v, chunk, 0, step, list.tap);
      list.run[0] = chunk.extent[3];
      return true;
    }
    for (int64_t c = 0; c < block.extent[0]; ++c) list.row[c] = reinterpret_cast<const char*>(v.base + c * v.batch);
    Block one = block;
    one.extent[0] = one.extent[1] = one.extent[2] = one.extent[3] = 1;
    int64_t t = 0;
    for (int64_t z = 0; z < block.extent[1]; ++z)
      for (int64_t y = 0; y < block.extent[2]; ++y)
        for (int64_t x = 0; x < block.extent[3]; ++x, ++t) {
          one.start[1] = block.start[1] + z, one.start[2] = block.start[2] + y, one.start[3] = block.start[3] + x;
          const Chunk part = seen(p, one, chunk);
          ptrdiff_t at = z * v.row[0] + y * v.row[1] + x * v.row[2];
          for (int a = 0; a < CK_MAX_SPATIAL; ++a) at += (part.start[a + 1] - chunk.start[a + 1]) * v.tap[a];
          list.listed[t] = lines_of_pixels(v, part, at, step, list.tap + t * cuts.chunks.depth());
          list.run[t] = part.extent[3];
        }
    return true;
  }

  // Where the lines of a part of a chunk begin, from `at` on, and their first steps; returns how many they are.
  static int64_t lines_of_pixels(const ImageView<T>& v, const Chunk& part, ptrdiff_t at, const ptrdiff_t (&step)[4],
                                 Tap* to) {
    constexpr ptrdiff_t size = sizeof(T);
    const Tap* const begin = to;
    const int64_t *n = part.extent, *first = part.first;
    if (n[3] == 0) return 0;
    for (int64_t b = 0; b < n[0]; ++b)
      for (int64_t z = 0; z < n[1]; ++z)
        for (int64_t y = 0; y < n[2]; ++y)
          *to++ = {(at + b * v.channel + z * v.tap[0] + y * v.tap[1]) * size,
                   (first[0] + b) * step[0] + (first[1] + z) * step[1] + (first[2] + y) * step[2] + first[3] * step[3]};
    return to - begin;
  }

  // The sums of a block and panel into the result.
  void finish(int64_t g, const Block& block, int64_t j, const T* c, int64_t ld) const {
    const Panels<T>& panels = cuts.panels;
    ptrdiff_t pixel, extra_pixel = 0;
    const bool even =
        even_stride(p.result, block, &pixel) && (!residual || even_stride(p.residual, block, &extra_pixel));
    const auto put = [&](const Block& of, int64_t rows, const T* from, ptrdiff_t row, ptrdiff_t extra_row) {
      MatrixView<T> out = {result + first_output(p.result, g, of) + panels.start(j) * p.result.output, row,
                           p.result.output};
      MatrixView<const T> extra = {nullptr, 0, 0};
      if (residual)
        extra = {residual + first_output(p.residual, g, of) + panels.start(j) * p.residual.output, extra_row,
                 p.residual.output};
      // Some columns at a time: each is a stream of its own where channels and taps lie along the result's lines, and
      // streams a large power of two apart crowd a few cache sets.
      const int64_t used = panels.used(j), together = p.result.output == 1 ? used : kernels.lanes;
      for (int64_t l = 0; l < used; l += together, out.data += together * out.column) {
        kernels.store(from + l, ld, rows, std::min(together, used - l), out, extra, spec.clamp != 0,
                      static_cast<T>(spec.lo), static_cast<T>(spec.hi));
        if (residual) extra.data += together * extra.column;
      }
    };
    if (even) return put(block, block.rows(), c, pixel, extra_pixel);
    for (int64_t line = 0; line < block.lines(); ++line)
      put(line_of(block, line), block.extent[3], c + line * block.extent[3] * ld, p.result.axis[2], p.residual.axis[2]);
  }

  // The parts' sums of a block and split, added up in order.
  void gather(int64_t index) const {
    const Panels<T>& panels = cuts.panels;
    const int64_t splits = cuts.splits, split = index % splits, ld = panels.padded();
    const int64_t first = split * panels.panels / splits, last = (split + 1) * panels.panels / splits;
    const Block block = cuts.blocks[index / splits % cuts.blocks.count()];
    const int64_t g = index / (splits * cuts.blocks.count()), taps = block.rows() / block.extent[0];
    for (int64_t j = first; j < last; ++j) {
      T* sums = parts + g * cuts.parts * cuts.part_sums(p) + block.start[0] * taps * ld + panels.start(j);
      for (int64_t s = 1; s < cuts.parts; ++s)
        kernels.store(sums + s * cuts.part_sums(p), ld, block.rows(), panels.width(j), {sums, ld, 1}, {sums, ld, 1},
                      false, 0, 0);
      finish(g, block, j, sums, ld);
    }
  }
};

template <class T>
class DirectWeight final : public Algorithm {
 public:
  DirectWeight(const ck_spec& spec, const Kernels<T>& kernels) : spec_(spec), kernels_(kernels) {
    Problem p = lower(spec_, canonical_operands(spec_), 0);
    const bool may_turn = one_tap(p);
    if (may_turn) p = only_pixels(p);
    choice_ = choose(kernels_, p, may_turn ? interchange(p) : p, may_turn);
  }

  ck_status pack(const ck_array&) override { return CK_INVALID; }  // a gradient is no weight: nothing is packed

  ck_status run(const ck_operands& o) const override {
    const Problem p = problem(o);
    if (p.pixels() == 0) return CK_OK;
    const Cuts<T> cuts(kernels_, p, choice_, num_threads());
    T* parts = nullptr;
    if (cuts.parts > 1 && !(parts = scratch_of<T>(parts_slot, cuts.all_sums(p)))) return CK_OUT_OF_MEMORY;
    const T *image = static_cast<const T*>(o.image.data), *kernel = static_cast<const T*>(o.kernel.data);
    if (choice_.interchanged) std::swap(image, kernel);
    const Run<T> run{spec_,
                     kernels_,
                     p,
                     choice_,
                     cuts,
                     image + p.image.offset,
                     kernel + p.kernel.offset,
                     static_cast<const T*>(o.residual.data),
                     static_cast<T*>(o.result.data),
                     parts};
    std::atomic<bool> failed{false};
    parallel_for(cuts.tasks(p), cuts.threads, [&](int64_t task, int) {
      if (!run.task(task)) failed.store(true, std::memory_order_relaxed);
    });
    if (failed.load()) return CK_OUT_OF_MEMORY;
    if (cuts.parts > 1)
      parallel_for(cuts.tasks(p) / cuts.parts, cuts.threads, [&](int64_t task, int) { run.gather(task); });
    return CK_OK;
  }

  int64_t workspace() const override {
    const Problem p = problem(canonical_operands(spec_));
    if (p.pixels() == 0) return 0;
    const Cuts<T> cuts(kernels_, p, choice_, num_threads());
    const Box box = touched(p, cuts.blocks.largest(), cuts.chunks[0]);
    int64_t own = cuts.chunks.depth() * cuts.panels.width(0) + (cuts.parts > 1 ? 0 : cuts.block_sums());
    if (!inside(p, box) && choice_.stages(p))
      own += box.batch * box.channels * box.count[0] * box.count[1] * box.count[2];
    const int64_t rows = cuts.blocks.rows(), lists = choice_.by_tap ? rows / cuts.blocks.piece(0) : 1;
    const int64_t table = rows * sizeof(char*) + lists * cuts.chunks.depth() * sizeof(Tap);
    const int64_t running = std::min<int64_t>(cuts.threads, cuts.tasks(p));
    return running * (own * int64_t{sizeof(T)} + table) + cuts.all_sums(p) * int64_t{sizeof(T)};
  }
  int64_t packed_bytes() const override { return 0; }

  void detail(char* text, size_t size) const override {
    const Problem p = problem(canonical_operands(spec_));
    const Cuts<T> c(kernels_, p, choice_, num_threads());
    snprintf(text, size, "%s on lanes, tile %dx%d%s, %lld blocks x %lld splits, %lld chunks of %lld in %lld parts",
             choice_.interchanged ? "inputs" : "outputs", kernels_.tile[choice_.shape].rows,
             kernels_.tile[choice_.shape].vectors, choice_.by_tap ? " by taps" : "",
             static_cast<long long>(p.groups * c.blocks.count()), static_cast<long long>(c.splits),
             static_cast<long long>(c.chunks.count()), static_cast<long long>(c.chunks.depth()),
             static_cast<long long>(c.parts));
  }

 private:
  Problem problem(const ck_operands& o) const {
    const Problem p = lower(spec_, o, 0);
    if (!one_tap(p)) return p;
    return choice_.interchanged ? interchange(only_pixels(p)) : only_pixels(p);
  }

  ck_spec spec_;
  const Kernels<T>& kernels_;
  Choice choice_;
};

}  // namespace

template <class T>
std::unique_ptr<Algorithm> make_direct_weight(const ck_spec& spec, const Kernels<T>& kernels) {
  return std::make_unique<DirectWeight<T>>(spec, kernels);
}
template std::unique_ptr<Algorithm> make_direct_weight(const ck_spec&, const Kernels<float>&);
template std::unique_ptr<Algorithm> make_direct_weight(const ck_spec&, const Kernels<double>&);

}  // namespace convkern
