// Sizes for `direct`: orientation and tile by counted cycles, chunks and blocks by what fits the caches.
#include "algo/direct.h"

#include <math.h>

#include "runtime/cpu.h"

namespace convkern {
namespace {

// Loads a cycle that tiles may count on. Of vectors of 64 bytes CPUs load two, of others up to three; a tile that needs
// them all is slower than one that does not, the more where another thread shares the core.
template <class T>
double loads_per_cycle(const Kernels<T>& kernels) {
  return kernels.lanes * sizeof(T) >= 64 ? 2.1 : 2.5;
}

// Cycles of `count` rows against one panel, `depth` steps: tiles of even height, each with a fixed cost.
template <class T>
double panel_cycles(const TileShape<T>& shape, double count, double depth, double vector_loads, double loads) {
  const double tiles = std::max(1.0, std::ceil(count / shape.rows)), rows = count / tiles;
  return tiles * (depth * step_cycles(rows, shape.vectors, vector_loads, loads) + 40 + rows * shape.vectors);
}

template <class T>
double panels_cycles(const Kernels<T>& kernels, const TileShape<T>& shape, int64_t positions, double rows, double depth,
                     bool unaligned) {
  const Panels<T> panels(kernels, shape, positions);
  const auto one = [&](const TileShape<T>& s) {
    return panel_cycles(s, rows, depth, s.vectors * (unaligned ? 1.5 : 1.0), loads_per_cycle(kernels));
  };
  return panels.panels ? (panels.panels - 1) * one(*panels.main) + one(*panels.last) : 0;
}

// Cycles an element: lines gathered from channels-last pixels, lines split by a stride, lines gathered for panels, sums
// transposed.
constexpr double gathered_element = 4, split_element = 0.7, panel_element = 0.4, transposed_element = 0.3;
constexpr double far_step = 2;  // cycles a step of a tile whose pixels' channels lie in lines of their own
constexpr double cut_row = 10;  // cycles lost where a line of results is left for the next row of a tile
// What it costs two threads to write to one cache line, in elements staged: with outputs or with pixels in the lanes.
constexpr int64_t shared_line = 4000, shared_pixels = 1000;
constexpr double partial_vector = 5;  // cycles to store one that has lanes to spare

constexpr int64_t most_block_rows = 1024;  // where sums lie in the result, or a line's at a time in scratch

// The same for pixels of `count` channels, of those that lie `pitch` apart, turned into lines or back through shuffles:
// squares of a vector's lanes, or powers of two.
double turned_element(int64_t count, ptrdiff_t pitch, int lanes) {
  if (count >= lanes) return 0.6;
  const bool dense = pitch == count && (count & (count - 1)) == 0;
  return dense ? 0.4 : 1.5;
}

// Elements of a sample of one group.
int64_t sample_elements(const Problem& p) {
  int64_t elements = p.channels;
  for (const Axis& a : p.axis) elements *= a.in;
  return elements;
}

}  // namespace

template <class T>
Orientation choose_orientation(const Kernels<T>& kernels, const Problem& p, bool allow_pixels) {
  const double depth = static_cast<double>(p.depth()), images = static_cast<double>(p.groups * p.batch);
  const double pixels = static_cast<double>(p.pixels()), results = images * pixels * p.outputs;
  const double rows = std::min(pixels, 512.0);
  const bool channels_inner = p.image.channel == 1 && p.channels > 1;
  const bool gathers = gathers_pixels(p);
  Orientation best = {false, channels_inner, 0, 0};
  for (int i = 0; i < kernels.shapes; ++i) {
    const TileShape<T>& shape = kernels.tile[i];
    const double tiles = images * pixels / shape.rows * ceil_div(p.outputs, int64_t{shape.vectors} * kernels.lanes);
    const double store = p.result.output != 1             ? results * transposed_element
                         : p.outputs % kernels.lanes != 0 ? images * pixels * partial_vector
                                                          : 0;
    const double cycles = images * pixels / rows * panels_cycles(kernels, shape, p.outputs, rows, depth, false) +
                          store + (gathers && p.image.channel != 1 ? far_step * tiles * depth : 0);
    if (i == 0 || cycles <= best.cycles) best = {false, channels_inner, i, cycles};
  }
  if (!allow_pixels) return best;
  Orientation pixels_best = {true, false, 0, 0};
  double least = HUGE_VAL;
  for (int i = 0; i < kernels.shapes; ++i) {
    const bool join = gathers && lines_join(p.result, all_outputs(p, p.axis[1].out, p.axis[2].out).largest());
    const int64_t x = join ? p.pixels() : p.axis[2].out;
    const double lines = images * pixels / std::max<int64_t>(1, x);
    const double read = images * static_cast<double>(sample_elements(p));
    const bool turned = p.image.channel == 1 && p.axis[2].stride == 1;
    const double gather = gathers ? images * pixels * p.channels * panel_element
                                  : read * (p.image.axis[2] == 1 ? p.axis[2].stride > 1 ? split_element : 0
                                            : turned ? turned_element(p.channels, p.image.axis[2], kernels.lanes)
                                                     : gathered_element);
    const double store = p.result.axis[2] == 1  ? 0
                         : p.result.output == 1 ? results * turned_element(p.outputs, p.result.axis[2], kernels.lanes)
                                                : results * transposed_element;
    const double cycles =
        lines * panels_cycles(kernels, kernels.tile[i], x, static_cast<double>(p.outputs), depth, !gathers) + gather +
        store;
    const int64_t width = int64_t{kernels.tile[i].vectors} * kernels.lanes;
    const double cuts = p.result.axis[2] == 1 ? lines * static_cast<double>(ceil_div(x, width) * p.outputs) : 0;
    if (cycles + cuts * cut_row >= least) continue;
    least = cycles + cuts * cut_row;
    pixels_best = {true, false, i, cycles};
  }
  return pixels_best.cycles < (gathers ? 1.0 : 0.95) * best.cycles ? pixels_best : best;
}

// Bytes of the image that a block of the region's largest size reads in a chunk.
int64_t image_bytes(const Problem& p, const Region& region, const Chunk& chunk, int64_t element) {
  const Box box = touched(p, region.largest(), chunk);
  return box.batch * box.channels * box.count[0] * box.count[1] * box.count[2] * element;
}

// Blocks as large as the cache and the row table take, x first, then y, z and samples.
void grow(const Problem& p, Region& region, const Chunk& chunk, int64_t samples, int64_t most_rows, int64_t most_bytes,
          int64_t element) {
  const auto fits = [&] { return image_bytes(p, region, chunk, element) <= most_bytes; };
  for (int d : {0, 1, 2}) region.set(d, 1);
  region.set(3, even_piece(region.extent[3], most_rows));
  while (region.piece(3) > 8 && !fits()) region.set(3, even_piece(region.extent[3], region.piece(3) / 2));
  for (int d = 2; d >= 0 && region.piece(d + 1) == region.extent[d + 1]; --d) {
    const int64_t most = std::max<int64_t>(1, most_rows / region.rows());
    region.set(d, even_piece(region.extent[d], d == 0 ? std::min(most, samples) : most));
    while (region.piece(d) > 1 && !fits()) region.set(d, even_piece(region.extent[d], region.piece(d) - 1));
  }
}

// Which axes have their borders set apart: those with zero padding where that leaves rows enough for tiles. Lines of an
// image whose x lies contiguous stay whole: a staged line costs about the same whatever its length.
void set_apart(const Problem& p, const Orientation& o, bool worth_it, bool (&apart)[CK_MAX_SPATIAL]) {
  const bool taps_few =
      worth_it && p.taps() <= 512 && p.axis[2].taps <= p.axis[2].out && p.axis[1].taps <= p.axis[1].out;
  const bool shares = p.result.output != 1 && p.batch > 1;  // one thread would do the borders of another's planes
  const int64_t rows[CK_MAX_SPATIAL] = {p.axis[1].out * p.axis[2].out, p.axis[0].out * p.axis[2].out,
                                        p.axis[0].out * p.axis[1].out};
  for (int a = 0; a < CK_MAX_SPATIAL; ++a)
    apart[a] = p.pad_mode == CK_PAD_ZEROS && !o.pixels_on_lanes && !shares && taps_few && p.axis[a].taps > 1 &&
               p.axis[a].out >= 4 && rows[a] >= 5 && (a < 2 || o.channels_inner);
}

// A kernel that does not stay in L2 beside the rest: better to share out its panels than the pixels.
template <class T>
bool large_kernel(const Problem& p) {
  return p.depth() * p.outputs * int64_t{sizeof(T)} > cpu_info().l2 * 2 / 5;
}

template <class T>
bool pixels_collide(const Problem& p) {
  constexpr int64_t period = 4096;  // bytes of a way
  return p.image.channel == 1 && p.channels > 1 &&
         p.image.axis[2] * p.axis[2].stride * int64_t{sizeof(T)} % period == 0;
}

struct Apart {
  bool axis[CK_MAX_SPATIAL];
  Apart(const Problem& p, const Orientation& o, bool worth_it) { set_apart(p, o, worth_it, axis); }
};

// Rows that meet all panels before the next do. Of short sums the results are most of the work: where L2 does not hold
// them and they are taken panel by panel, they lie in more lines and pages than stay near, each a piece of one.
template <class T>
int64_t rows_before_next(const Kernels<T>& kernels, const Problem& p, const Orientation& o, int threads) {
  constexpr int64_t l1 = 32 << 10, short_sum = 32, shortest = 8;
  const TileShape<T>& shape = kernels.tile[o.shape];
  const int64_t pixel = p.outputs * int64_t{sizeof(T)}, l2 = cpu_info().l2;  // bytes of results
  if (p.depth() > short_sum || p.groups * p.batch * p.pixels() * pixel <= threads * l2) return INT64_MAX;
  if (o.pixels_on_lanes) {
    const bool scattered = p.result.axis[2] == 1 && pixel * shape.vectors * kernels.lanes >= l1;
    return scattered ? 4 * shape.rows : INT64_MAX;
  }
  const bool few = p.depth() <= shortest;  // tiles of so few steps have the next one's lines fetched
  const int64_t block = std::min(most_block_rows, p.pixels()) * pixel;
  if (p.result.output != 1 || block < l2 * (few ? 7 : 10) / 16) return INT64_MAX;
  return few ? shape.rows : 4 * shape.rows;
}

template <class T>
Blocking<T>::Blocking(const Kernels<T>& kernels, const Problem& p, const Orientation& orientation, bool direct_store,
                      bool packed, int max_threads)
    : chunks(p, 1, orientation.channels_inner && (packed || !large_kernel<T>(p))),
      blocks(p, Apart(p, orientation, packed || !large_kernel<T>(p)).axis),
      panels(kernels, kernels.tile[orientation.shape], p.outputs),
      collides(!orientation.pixels_on_lanes && pixels_collide<T>(p)),
      splits(1),
      threads(1),
      groups_inner(false),
      rows_together(rows_before_next(kernels, p, orientation, max_threads)) {
  const int64_t l2 = cpu_info().l2, element = sizeof(T);
  const bool on_pixels = orientation.pixels_on_lanes;
  const int64_t width = int64_t{kernels.tile[orientation.shape].vectors} * kernels.lanes;
  Region& interior = blocks.region[0];

  // A chunk's kernel panel takes a quarter of L2; a block's image part three eighths, if it is read as one; its sums a
  // quarter.
  const bool gathers = on_pixels && gathers_pixels(p);
  const int64_t most_bytes = gathers ? INT64_MAX : l2 * 3 / 8;
  int64_t most_rows, depth = std::max<int64_t>(64, l2 / 4 / (width * element));
  for (;; depth /= 2) {
    chunks = Chunking(p, depth, chunks.channels_inner);
    most_rows = gathers && chunks.count() == 1 ? INT64_MAX : direct_store || on_pixels ? most_block_rows : 512;
    grow(p, interior, chunks[0], gathers ? 1 : p.batch, most_rows, most_bytes, element);
    // Lines with pixels on lanes are copied: too few of them, and what blocks share is copied over and over.
    const Axis& y = p.axis[1];
    const bool thin = on_pixels && chunks.piece[0] > 1 && interior.parts[2] > 1 &&
                      2 * interior.piece(2) * y.stride <= (y.taps - 1) * y.dilation;
    if (chunks.depth() <= 64 || (!thin && image_bytes(p, interior, chunks[0], element) <= most_bytes)) break;
  }
  for (int r = 1; r < blocks.regions; ++r)
    grow(p, blocks.region[r], chunks[0], interior.piece(0), most_rows, most_bytes, element);

  const double alone = serial_cycles(kernels.lanes * sizeof(T));
  if (orientation.cycles > alone) threads = max_threads;
  // Lines whose pixels are gathered are cut only where the last panel of each piece is one of many; else their outputs
  // are the parts to share out.
  const int64_t fewest_rows = 4 * int64_t{kernels.tile[orientation.shape].rows};
  const int64_t panel_count = on_pixels ? std::max<int64_t>(1, p.outputs / fewest_rows) : panels.panels;
  if (threads > 1) {
    constexpr int64_t line_pair = 128;  // bytes: CPUs fetch lines by twos
    groups_inner =
        p.groups > 1 && p.result.output == 1 && p.groups * p.outputs * int64_t{sizeof(T)} <= threads * line_pair;
    const int64_t groups = groups_inner ? 1 : p.groups;
    const int64_t wanted = threads * (!groups_inner && orientation.cycles > threads * 8 * alone ? 4 : 1);
    // Each part of the panels stages the block anew, so no more parts than threads where there is staging to do.
    const bool in_place = !collides && (chunks.channels_inner || (p.taps() == 1 && p.result.output == 1));
    const int64_t parts = in_place ? wanted : threads;
    const auto total = [&] { return groups * interior.count() * splits; };
    if (total() < parts && large_kernel<T>(p)) splits = std::min(panel_count, ceil_div(parts, total()));
    // A thread waits for a line of results that the other writes to: planes are not cut where panels make about even
    // shares and it costs less to stage the image for each thread.
    const bool even = 5 * threads * ceil_div(panel_count, int64_t{threads}) <= 6 * panel_count;
    const int64_t samples = p.groups * p.batch;
    const bool few_samples = samples < threads || (samples % threads != 0 && samples < 4 * threads);
    const bool whole_planes =
        p.result.output != 1 && few_samples && even && !gathers &&
        sample_elements(p) * (threads - 1) < p.outputs * (on_pixels ? shared_pixels : shared_line);
    if (whole_planes) splits = std::max<int64_t>(splits, threads);
    // Smaller blocks, as long as each keeps a few tiles of rows.
    const int64_t fewest = gathers ? 8 * width : on_pixels ? width : 28;
    for (int d : {2, 1, 3, 0})
      for (int64_t n = 2 * interior.parts[d]; n <= interior.extent[d]; n *= 2) {
        if (total() >= (splits > 1 ? parts : wanted) || interior.rows() / 2 < fewest) break;
        interior.cut(d, n);
      }
    if (total() < threads) splits = std::min(panel_count, ceil_div(threads, groups * interior.count()));
    // An even share for every thread, where a few more blocks give one.
    for (int64_t n = interior.parts[2]; n <= interior.extent[2] && n < interior.parts[2] + threads; ++n) {
      const int64_t others = total() / interior.parts[2];
      if (others * n % threads != 0 && total() < 16 * threads) continue;
      interior.cut(2, n);
      break;
    }
  }
  if (chunks.count() > 1 && !direct_store && !on_pixels) {
    const int64_t most = std::max<int64_t>(1, l2 / 4 / (interior.rows() * width * element));
    splits = std::max(splits, ceil_div(panel_count, most));
  }
}

template <class T>
int64_t scratch_bytes(const Problem& p, const Orientation& orientation, const Blocking<T>& b) {
  const int64_t width = b.panels.main->vectors * b.panels.lanes;
  int64_t most = 0;
  for (int r = 0; r < b.blocks.regions; ++r) {
    const Block block = b.blocks.region[r].largest();
    const bool gathers = orientation.pixels_on_lanes && gathers_pixels(p);
    const int64_t stage = gathers
                              ? b.chunks.depth() * width * int64_t{sizeof(T)}
                              : image_bytes(p, b.blocks.region[r], b.chunks[0], sizeof(T)) + width * int64_t{sizeof(T)};
    const int64_t rows = orientation.pixels_on_lanes ? p.outputs : block.rows();
    const int64_t panels = b.chunks.count() == 1         ? 1
                           : orientation.pixels_on_lanes ? block.lines() * ceil_div(block.extent[3], width)
                                                         : ceil_div(b.panels.panels, b.splits);
    most = std::max(most, stage + panels * rows * width * int64_t{sizeof(T)} + rows * int64_t{sizeof(void*)});
  }
  return most + 2 * b.chunks.depth() * int64_t{sizeof(Tap)};
}

#define CK_INSTANTIATE(T)                                                           \
  template Orientation choose_orientation(const Kernels<T>&, const Problem&, bool); \
  template struct Blocking<T>;                                                      \
  template int64_t scratch_bytes(const Problem&, const Orientation&, const Blocking<T>&);
CK_INSTANTIATE(float)
CK_INSTANTIATE(double)
#undef CK_INSTANTIATE

}  // namespace convkern
