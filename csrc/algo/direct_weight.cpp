// The weight gradient by definition, as a sum of outer products over the pixels p of the output gradient:
//   dw[o][c][t] = sum_p x[c][p*stride + t*dilation - pad] * dy[o][p]
// Lanes are outputs, rows the image's channels and taps, steps k the pixels, chunk by chunk: a chunk's panel of the
// gradient stays in L1 while all rows of the block go past it, and the block's sums stay in L2. Where few rows have few
// pixels to share, the pixels are cut into parts with sums of their own, added up in order at the end; parts come from
// the problem alone, so that bits do not depend on threads. Of one tap, image and gradient may change places.
#include "algo/direct_weight.h"

#include <math.h>
#include <stdio.h>

#include <atomic>

#include "core/gemm.h"
#include "core/operand.h"
#include "runtime/arena.h"
#include "runtime/cpu.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

enum Slot { stage_slot, table_slot, sums_slot, panel_slot, parts_slot };

// One tap, and all that it meets lies in the image: both operands are then the same, pixels with channels.
bool one_tap(const Problem& p) {
  for (const Axis& a : p.axis)
    if (a.out != 1 || a.pad > 0 || (a.taps - 1) * a.dilation - a.pad >= a.in) return false;
  return true;
}

// The image's pixels that the tap meets as the gradient's; lines that lie evenly behind each other become one.
Problem only_pixels(Problem p) {
  for (int a = 0; a < CK_MAX_SPATIAL; ++a) {
    p.image.offset -= p.image.axis[a] * p.axis[a].pad;
    p.image.axis[a] *= p.axis[a].dilation;
    p.axis[a] = {1, p.axis[a].taps, p.axis[a].taps, 1, 1, 0};
  }
  for (int a = 0; a + 1 < CK_MAX_SPATIAL; ++a) {
    const int64_t n = p.axis[a + 1].taps;
    if (p.axis[a].taps == 1) continue;
    if (n != 1 && (p.image.axis[a] != p.image.axis[a + 1] * n || p.kernel.axis[a] != p.kernel.axis[a + 1] * n))
      continue;
    if (n == 1) p.image.axis[a + 1] = p.image.axis[a], p.kernel.axis[a + 1] = p.kernel.axis[a];
    p.axis[a + 1].in = p.axis[a + 1].taps = n * p.axis[a].taps;
    p.axis[a].in = p.axis[a].taps = 1;
  }
  return p;
}

Problem interchange(const Problem& p) {
  Problem q = p;
  std::swap(q.batch, q.outputs);
  q.image.offset = p.kernel.offset, q.kernel.offset = p.image.offset;
  q.image.group = p.kernel.group, q.kernel.group = p.image.group;
  q.image.batch = p.kernel.output, q.kernel.output = p.image.batch;
  q.image.channel = p.kernel.channel, q.kernel.channel = p.image.channel;
  for (int a = 0; a < CK_MAX_SPATIAL; ++a) std::swap(q.image.axis[a], q.kernel.axis[a]);
  std::swap(q.result.batch, q.result.output);
  std::swap(q.residual.batch, q.residual.output);
  return q;
}

constexpr int64_t fewest_steps = 192;                                                                 // of a part
constexpr double copied_element = 0.25, turned_element = 0.5, listed_step = 3, stored_element = 0.5;  // cycles

// Steps of a chunk: its panel fits L1.
template <class T>
int64_t panel_depth(int64_t width) {
  return std::max<int64_t>(32, std::max<int64_t>(cpu_info().l1, 16 << 10) / (width * int64_t{sizeof(T)}));
}

// How the product is turned and which tiles it takes.
struct Choice {
  bool interchanged;
  bool by_tap;  // a tile's rows are channels of one tap, which leaves out the pixels of zero padding
  int shape;
  double cycles;
};

// Share of all pairs of tap and pixel along an axis that lie in the image.
double share_inside(const Axis& a) {
  double inside = 0;
  const int64_t most = std::min<int64_t>(a.out, 64);  // of huge kernels some taps stand for all
  for (int64_t i = 0; i < most; ++i) {
    const int64_t at = (most > 1 ? i * (a.out - 1) / (most - 1) : 0) * a.stride - a.pad;
    const int64_t lo = at < 0 ? ceil_div(-at, a.dilation) : 0, hi = at < a.in ? ceil_div(a.in - at, a.dilation) : 0;
    inside += static_cast<double>(std::max<int64_t>(0, std::min(hi, a.taps) - lo)) / std::max<int64_t>(1, a.taps);
  }
  return inside / static_cast<double>(std::max<int64_t>(1, most));
}

template <class T>
Choice choose(const Kernels<T>& kernels, const Problem& plain, const Problem& turned, bool may_turn) {
  Choice best = {false, false, 0, HUGE_VAL};
  for (int turn = 0; turn <= may_turn; ++turn) {
    const Problem& p = turn ? turned : plain;
    const double depth = static_cast<double>(p.depth()), taps = static_cast<double>(p.pixels());
    double inside = 1;
    for (const Axis& a : p.axis) inside *= p.pad_mode == CK_PAD_ZEROS ? share_inside(a) : 1;
    const double pack =
        depth * static_cast<double>(p.outputs) * (p.kernel.output == 1 ? copied_element : turned_element);
    const double store = p.result.output == 1
                             ? 0
                             : taps * static_cast<double>(p.batch) * static_cast<double>(p.outputs) * stored_element;
    const int64_t apart = p.image.axis[2] * p.axis[2].dilation * int64_t{sizeof(T)};
    const double scattered = apart % 1024 == 0 ? 0.1 : apart >= 256 ? 0.05 : 0;
    for (int by_tap = 1; by_tap >= 0; --by_tap)
      for (int i = 0; i < kernels.shapes; ++i) {
        const Panels<T> panels(kernels, kernels.tile[i], p.outputs);
        const double count = static_cast<double>(p.batch) * (by_tap ? 1 : taps), times = by_tap ? taps : 1;
        const auto one = [&](const TileShape<T>& s) {
          const double tiles = ceil(count / s.rows), rows = count / tiles;
          const double steps = depth * (by_tap ? inside : 1),
                       begun = ceil(steps / double(panel_depth<T>(s.vectors * kernels.lanes)));
          return times * tiles *
                 (steps * (step_cycles(rows, s.vectors, s.vectors) + 0.3 + scattered * rows) +
                  begun * (60 + 2 * rows * s.vectors));
        };
        const double lists = by_tap && taps > 1 ? listed_step * taps * depth * inside : 0;
        const double cycles = static_cast<double>(p.groups) *
                              ((panels.panels - 1) * one(*panels.main) + one(*panels.last) + pack + store + lists);
        if (cycles >= best.cycles) continue;
        best = {turn != 0, by_tap != 0, i, cycles};
      }
  }
  return best;
}

// Cuts of one problem.
template <class T>
struct Cuts {
  Chunking chunks;
  Region blocks;  // channels and taps
  Panels<T> panels;
  int64_t splits;  // of the panels
  int64_t parts;   // of the chunks, with sums of their own
  bool in_place;   // the gradient is read where it lies
  int threads;

  Cuts(const Kernels<T>& kernels, const Problem& p, const Choice& choice, int max_threads)
      : chunks(p, 1),
        blocks(all_outputs(p, p.axis[1].out, p.axis[2].out)),
        panels(kernels, kernels.tile[choice.shape], p.outputs),
        splits(1),
        parts(1),
        in_place(p.kernel.output == 1 && p.outputs % (panels.main->vectors * panels.lanes) == 0),
        threads(1) {
    const int64_t l2 = cpu_info().l2, element = sizeof(T);
    const int64_t width = int64_t{panels.main->vectors} * panels.lanes;
    int64_t depth = panel_depth<T>(width);
    constexpr double serial_cycles = 30000;
    const bool lines = p.result.output == 1;  // sums may lie in the result itself
    const int64_t all = p.batch * p.pixels() * panels.padded() * element * p.groups;
    if (choice.cycles > 4 * serial_cycles) {
      while (parts < 4 && 2 * parts * all <= l2 / 4 && p.depth() >= 2 * parts * fewest_steps) parts *= 2;
    }
    depth = ceil_div(p.depth(), parts * ceil_div(p.depth(), parts * depth));
    // A block's sums take a quarter of L2 at most, all taps of a channel if they can. Where they lie in the result and
    // a block has whole lines of it.
    const int64_t most_sums = p.depth() > depth ? l2 / 4 : l2 / 2;
    const bool whole = lines && panels.padded() * 56 * element <= most_sums;
    const int64_t most = std::max<int64_t>(1, most_sums / ((whole ? panels.padded() : width) * element));
    for (int d : {0, 1, 2, 3}) blocks.cut(d, blocks.extent[d]);
    int64_t rows = 1;
    for (int d : {3, 2, 1, 0}) {
      blocks.set(d, even_piece(blocks.extent[d], std::max<int64_t>(1, most / rows)));
      rows *= blocks.piece(d);
      if (blocks.parts[d] > 1) break;
    }
    const auto staged = [&] {
      const Box box = touched(p, blocks.largest(), chunks[0]);
      return box.batch * box.channels * box.count[0] * box.count[1] * box.count[2] * element;
    };
    for (;; depth /= 2) {
      chunks = Chunking(p, depth);
      if (chunks.depth() <= 16 || staged() <= l2 * 3 / 8) break;
    }
    parts = std::min(parts, chunks.count());
    const auto sums = [&] { return ceil_div(panels.panels, splits) * width * blocks.rows() * element; };
    while (!(lines && chunks.count() == 1) && sums() > l2 / 4 && splits < panels.panels) ++splits;

    // Few rows are done before packing pays.
    in_place = in_place && p.batch * p.pixels() <= 12 * panels.main->rows;
    if (choice.cycles > serial_cycles) threads = max_threads;
    if (threads == 1) return;
    // What the cuts make be read, and packed or staged, once more: the image by another split, the gradient by another
    // block.
    const auto total = [&] { return p.groups * parts * blocks.count() * splits; };
    const double image = 0.1 * static_cast<double>(p.batch) *
                         static_cast<double>(p.channels * p.axis[0].in * p.axis[1].in * p.axis[2].in);
    const double grad = copied_element * static_cast<double>(p.depth()) * static_cast<double>(p.outputs);
    while (total() < threads || (total() < 8 * threads && total() % threads != 0)) {
      // Channels where they leave a tile or more, else the longest axis; sums of parts are laid out by channels.
      int along = 0;
      if (parts == 1 && (!choice.by_tap || blocks.piece(0) < 2 * panels.main->rows))
        for (int d = along = choice.by_tap ? 1 : 0; d < 4; ++d)
          if (blocks.piece(d) > blocks.piece(along)) along = d;
      const bool can_rows = blocks.piece(along) > 1 && (choice.by_tap || blocks.rows() >= 2 * panels.main->rows);
      const bool can_panels = splits < panels.panels;
      if (!can_rows && !can_panels) break;
      const bool uneven = panels.panels < 4 * threads && panels.panels % threads != 0;
      if (can_rows && (!can_panels || lines || uneven || grad < image))
        blocks.cut(along, blocks.parts[along] + 1);
      else
        ++splits;
    }
  }
  int64_t tasks(const Problem& p) const { return p.groups * parts * blocks.count() * splits; }
  int64_t all_sums(const Problem& p) const { return parts > 1 ? p.groups * parts * part_sums(p) : 0; }
  int64_t part_sums(const Problem& p) const { return p.batch * p.pixels() * panels.padded(); }
  int64_t block_sums() const { return blocks.rows() * ceil_div(panels.panels, splits) * panels.width(0); }
};

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

  struct Lists {
    const char** row;
    Tap* tap;
    int64_t* steps;
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
    char* table =
        static_cast<char*>(scratch(table_slot, rows * sizeof(char*) + lists * (depth * sizeof(Tap) + sizeof(int64_t))));
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
    list.steps = reinterpret_cast<int64_t*>(list.tap + lists * depth);

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
          for (Tap *tap = list.tap + t * depth, *end = tap + list.steps[t]; tap != end; ++tap)
            tap->b = tap->b / width * w;
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
          job.depth = list.steps[t];
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
    if (chunk.steps() > 0 && !inside(p, box) && !(choice.by_tap && p.pad_mode == CK_PAD_ZEROS)) {
      const StagedLayout layout = staged_layout(inner_dimension(p), box, 1, 0, sizeof(T));
      T* staged = scratch_of<T>(stage_slot, layout.elements);
      if (!staged) return false;
      stage(p, base, box, layout, staged);
      v = ImageView<T>(p, staged, layout);
    }
    if (!choice.by_tap) {
      const char** row = list.row;
      for (int64_t c = 0; c < block.extent[0]; ++c)
        for (int64_t z = 0; z < block.extent[1]; ++z)
          for (int64_t y = 0; y < block.extent[2]; ++y) {
            const T* at = v.base + c * v.batch + z * v.row[0] + y * v.row[1];
            for (int64_t x = 0; x < block.extent[3]; ++x, at += v.row[2]) *row++ = reinterpret_cast<const char*>(at);
          }
      list.steps[0] = pixels(v, chunk, 0, step, list.tap);
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
          list.steps[t] = pixels(v, part, at, step, list.tap + t * cuts.chunks.depth());
        }
    return true;
  }

  // Where the pixels of a part of a chunk lie, from `at` on, and their steps; returns how many they are.
  static int64_t pixels(const ImageView<T>& v, const Chunk& part, ptrdiff_t at, const ptrdiff_t (&step)[4], Tap* to) {
    constexpr ptrdiff_t size = sizeof(T);
    const Tap* const begin = to;
    const int64_t *n = part.extent, *first = part.first;
    for (int64_t b = 0; b < n[0]; ++b)
      for (int64_t z = 0; z < n[1]; ++z)
        for (int64_t y = 0; y < n[2]; ++y) {
          ptrdiff_t a = (at + b * v.channel + z * v.tap[0] + y * v.tap[1]) * size;
          ptrdiff_t k =
              (first[0] + b) * step[0] + (first[1] + z) * step[1] + (first[2] + y) * step[2] + first[3] * step[3];
          for (const Tap* const end = to + n[3]; to != end; ++to, a += v.tap[2] * size, k += step[3]) *to = {a, k};
        }
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
    if (!inside(p, box) && !(choice_.by_tap && p.pad_mode == CK_PAD_ZEROS))
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
