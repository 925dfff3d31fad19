// How a problem is cut into tiles that are transformed, and what a call holds at a time. Along a transformed axis
//   image index = q s + t d - pad,   t = t' s/g + r,   q = q' d/g + rho,   g = gcd(s, d)
//               = (q' + t') lcm(s, d) + rho s + r d - pad
// which is a plain convolution of step 1 for every rho (outputs of its own) and r (one more term of the sum). Its taps
// t' are cut into parts (terms, too), its outputs q' into tiles: a tile of N numbers serves N - part + 1 outputs. Pure
// arithmetic, the same for any number of threads and samples but for what is held at a time.
#pragma once

#include <math.h>

#include <numeric>
#include <vector>

#include "core/chunk.h"
#include "kernels/table.h"

namespace convkern {

// One transformed axis.
struct FftAxis {
  Axis axis;
  int64_t phases, residues;  // d/g and s/g, at most `out` and `taps` of them
  int64_t step;              // lcm(s, d), of image indices between the numbers of a tile
  int64_t size;              // numbers of a tile
  int64_t part, outs;        // most taps and outputs of a tile: part + outs - 1 <= size

  FftAxis(const Axis& a, int64_t numbers, int64_t taps, bool zeros) : axis(a), size(numbers), part(taps) {
    // One output steps nowhere, nor does one tap.
    if (a.out <= 1)
      axis.stride = axis.dilation;
    else if (a.taps <= 1)
      axis.dilation = axis.stride;
    phases = std::clamp<int64_t>(out_step(), 1, std::max<int64_t>(1, a.out));
    residues = std::clamp<int64_t>(tap_step(), 1, std::max<int64_t>(1, a.taps));
    step = tap_step() * axis.dilation;
    outs = numbers - taps + 1;
    // What a single tile reads too much wraps around: zeros of the padding behind the image onto those before it.
    if (!zeros || phases > 1 || residues > 1 || a.pad <= 0 || taps < most_taps() || most_outs() > numbers) return;
    const int64_t needed = most_outs() + taps - 1, image = std::max<int64_t>(0, spread(a.in + a.pad, step));
    const int64_t spare = std::min(spread(a.pad, step), needed - image);
    if (needed > numbers && needed - spare <= numbers) outs = most_outs();
  }

  static int64_t spread(int64_t whole, int64_t by) { return (whole + by - 1) / by; }
  int64_t out_step() const { return axis.dilation / std::gcd(axis.stride, axis.dilation); }
  int64_t tap_step() const { return axis.stride / std::gcd(axis.stride, axis.dilation); }
  int64_t most_outs() const { return spread(axis.out, out_step()); }  // of a phase
  int64_t most_taps() const { return spread(axis.taps, tap_step()); }
  int64_t tiles() const { return phases * spread(most_outs(), outs); }
  int64_t parts() const { return residues * spread(most_taps(), part); }

  // Tile i: its first output, how many, and the image index of its first number for part 0.
  struct Tile {
    int64_t first, count, start;
  };
  Tile tile(int64_t i) const {
    const int64_t per_phase = spread(most_outs(), outs), rho = i / per_phase, begin = i % per_phase * outs;
    const int64_t there = axis.out > rho ? spread(axis.out - rho, out_step()) : 0;
    Tile t;
    t.first = rho + begin * out_step();
    t.count = std::clamp<int64_t>(there - begin, 0, outs);
    t.start = t.first * axis.stride - axis.pad;
    return t;
  }
  struct Part {
    int64_t first, count, offset;
  };
  Part of(int64_t i) const {
    const int64_t per_residue = spread(most_taps(), part), r = i / per_residue, begin = i % per_residue * part;
    const int64_t there = axis.taps > r ? spread(axis.taps - r, tap_step()) : 0;
    Part t;
    t.first = r + begin * tap_step();
    t.count = std::clamp<int64_t>(there - begin, 0, part);
    t.offset = t.first * axis.dilation;
    return t;
  }
};

// Lengths of the complex transforms: multiples of every vector, with factors 2, 3 and 5.
inline constexpr int64_t fft_sizes[] = {16,  32,  48,   64,   80,   96,   128,  144,  160, 192, 240,
                                        256, 288, 320,  384,  400,  480,  512,  576,  640, 720, 768,
                                        800, 960, 1024, 1152, 1280, 1536, 1600, 1920, 2048};

// The tile of a problem. One line: x alone is transformed, as rows that follow each other.
struct FftCut {
  bool one_line;
  int64_t ny, nx;  // complex numbers: 2 ny real rows of nx
  FftAxis y, x;

  int64_t rows() const { return 2 * ny; }
  int64_t numbers() const { return 2 * ny * nx; }
  int64_t tiles() const { return y.tiles() * x.tiles(); }
  int64_t parts() const { return y.parts() * x.parts(); }
};

// Cycles of a problem's one sample and group; `element` in bytes. The model in convkern/algorithms/fft.py follows this.
inline double fft_cycles(const Problem& p, const FftCut& cut, int lanes, int64_t element, int64_t l2) {
  const double vectors = static_cast<double>(cut.numbers()) / lanes, tiles = static_cast<double>(cut.tiles());
  const double images = static_cast<double>(p.channels * cut.parts()), outputs = static_cast<double>(p.outputs);
  const int64_t planes = p.axis[0].out * (cut.one_line ? p.axis[1].out : 1);
  const int64_t sums = p.axis[0].taps * (cut.one_line ? p.axis[1].taps : 1);
  double transform = 7 + 0.9 * log2(static_cast<double>(cut.numbers() / 2));
  const double pairs = images * outputs * static_cast<double>(sums);
  const bool streams = pairs * static_cast<double>(cut.numbers() * element) > static_cast<double>(l2);
  if (streams || cut.numbers() * element > 3 * l2 / 4) transform += 6;
  return vectors * (static_cast<double>(planes) * tiles * ((images + outputs) * transform + 1.4 * pairs) +
                    0.2 * pairs * (transform + 8));
}

// The largest spectra of a kernel that are kept, in numbers. What the smallest tiles cannot keep below it is refused,
// with the same bound here and in convkern/algorithms/fft.py.
inline constexpr int64_t most_fft_kernel = int64_t{1} << 27;
inline double least_fft_kernel(const ck_spec& s) {
  double numbers = static_cast<double>(s.co) * static_cast<double>(s.ci / s.groups) * static_cast<double>(s.kernel[0]);
  const bool one_line = s.kernel[1] == 1;
  for (int a = 1; a < CK_MAX_SPATIAL; ++a) {
    const int64_t residues =
        std::max<int64_t>(1, std::min(s.kernel[a], s.stride[a] / std::gcd(s.stride[a], s.dilation[a])));
    const int64_t size = a == 1 ? (one_line ? 1 : 32) : one_line ? 512 : 16;
    if (size > 1)
      numbers *= static_cast<double>(residues) *
                 static_cast<double>(size * ceil_div(ceil_div(s.kernel[a], residues), size / 2));
  }
  return numbers;
}

// Ways to transform one axis.
struct FftWays {
  struct Way {
    int64_t n, size, part;  // complex length (0: none of its own), numbers, taps of a part
  };
  std::vector<Way> ways;

  // All parts of a kernel of `taps` taps that a tile of `size` numbers may serve, unless a shorter one does as well.
  void add(const Axis& a, bool zeros, int64_t n, int64_t size) {
    const FftAxis whole(a, size, 1, zeros);
    const int64_t taps = std::max<int64_t>(1, whole.most_taps()), outs = std::max<int64_t>(1, whole.most_outs());
    // All of them, half a tile, or what leaves room for all outputs.
    for (const int64_t part : {taps <= size ? taps : 0, taps > size / 2 ? size / 2 : 0,
                               outs < size / 2 && size - outs + 1 < taps ? size - outs + 1 : 0}) {
      if (part < 1) continue;
      const FftAxis way(a, size, part, zeros);
      bool better = true;
      for (const Way& other : ways) {
        const FftAxis known(a, other.size, other.part, zeros);
        better &= known.size > way.size || known.tiles() > way.tiles() || known.parts() > way.parts();
      }
      if (better) ways.push_back({n, size, part});
    }
  }
};

// The cheapest tile of which a block and the kernel fit; false where there is none.
inline bool choose_cut(const Problem& p, int lanes, int64_t element, int64_t l2, int64_t most, bool transient,
                       FftCut* best) {
  const bool one_line = p.axis[1].taps == 1, zeros = p.pad_mode == CK_PAD_ZEROS;
  const Axis alone = {1, 1, 1, 1, 1, 0};
  const Axis &ax = p.axis[2], &ay = one_line ? alone : p.axis[1];
  double least = HUGE_VAL;
  const auto consider = [&](int64_t ny, int64_t nx, const FftAxis& y, const FftAxis& x) {
    const FftCut cut = {one_line, ny, nx, y, x};
    const int64_t unit = 2 * ny * (nx + 1) * element;
    if (unit * (p.outputs + std::min<int64_t>(p.channels, 16)) > most / 2) return;
    // An image and its spectra of one output each way, and a kernel that is no weight.
    int64_t span = (p.axis[0].taps - 1) * p.axis[0].dilation + 1, sums = p.axis[0].taps;
    if (one_line) span *= (p.axis[1].taps - 1) * p.axis[1].dilation + 1, sums *= p.axis[1].taps;
    if (unit * (span + p.outputs) + (transient ? p.outputs * sums * cut.numbers() * element : 0) > most / 8 * 7) return;
    const double pairs = static_cast<double>(p.groups * p.outputs * p.channels * cut.parts());
    const double taps = static_cast<double>(p.axis[0].taps * (one_line ? p.axis[1].taps : 1));
    if (!transient && pairs * taps * static_cast<double>(cut.numbers()) > most_fft_kernel) return;
    const double cycles = fft_cycles(p, cut, lanes, element, l2);
    if (cycles < least) least = cycles, *best = cut;
  };
  FftWays along_y, along_x;
  if (one_line) {
    const FftAxis y(alone, 1, 1, zeros);
    for (const int64_t ny : fft_sizes)
      for (const int64_t nx : fft_sizes)
        if (nx >= ny && nx <= 2 * ny) {
          along_x.ways.clear();
          along_x.add(ax, zeros, nx, 2 * ny * nx);
          for (const FftWays::Way& w : along_x.ways) consider(ny, nx, y, FftAxis(ax, w.size, w.part, zeros));
        }
    return least < HUGE_VAL;
  }
  for (const int64_t n : fft_sizes) {
    along_y.add(ay, zeros, n, 2 * n);
    along_x.add(ax, zeros, n, n);
  }
  for (const FftWays::Way& y : along_y.ways)
    for (const FftWays::Way& x : along_x.ways)
      consider(y.n, x.n, FftAxis(ay, y.size, y.part, zeros), FftAxis(ax, x.size, x.part, zeros));
  return least < HUGE_VAL;
}

// What is held at a time: blocks of outputs (samples, z, y where it is not transformed, tiles), with the spectra of all
// that they read and write, for a range of the sum at a time.
//   V[group][unit][x][re, im][lane]   groups: `lanes` positions of the column transform; units: lines of it
struct FftLayout {
  const Problem& p;
  const FftCut& cut;
  int lanes;
  int64_t element, groups, line;  // line: elements of a unit in a group, padded against cache conflicts
  Region blocks;
  bool apart;                     // a thread does a block by itself; otherwise all share each block
  bool in_place;                  // results take their image's place
  int64_t chunk, chunks;          // images (part, channel) a tile that are summed at a time
  bool transient;                 // the kernel is no weight: its spectra count as workspace
  bool kernel_by_chunk;           // they are made chunk by chunk
  int64_t columns;                // of a tile that a task of the column transform does
  int64_t panel;                  // columns that are transformed at a time
  int64_t members;                // groups of one channel that are done together, as they lie side by side
  int64_t image_run, result_run;  // channels, or members, side by side
  ptrdiff_t image_step;           // between them
  int threads;

  // threads: at most; limit: bytes. fits() says whether it was possible.
  FftLayout(const Problem& problem, const FftCut& tile, int width, int64_t bytes, int max_threads, int64_t limit,
            int64_t l1, int64_t l2, bool transient_kernel)
      : p(problem),
        cut(tile),
        lanes(width),
        element(bytes),
        groups(tile.ny / width),
        line((tile.nx + 1) * 2 * width),
        blocks(all_outputs(problem, 1, 1)),
        apart(false),
        in_place(false),
        transient(transient_kernel),
        kernel_by_chunk(false),
        threads(max_threads) {
    const int64_t samples = blocks.extent[0], z = std::max<int64_t>(1, p.axis[0].out);
    const int64_t y = cut.one_line ? std::max<int64_t>(1, p.axis[1].out) : 1;
    for (int d = 0; d < 4; ++d) blocks.extent[d] = (const int64_t[]){samples, z, y, cut.tiles()}[d];
    for (int d = 0; d < 4; ++d) blocks.parts[d] = blocks.extent[d];
    chunk = images(), chunks = 1;
    in_place = terms(chunk) == 1 && p.outputs == 1 && p.axis[0].stride == 1 && (!cut.one_line || p.axis[1].stride == 1);
    members = 1;
    image_step = p.image.channel;
    image_run = p.image.channel == 1 && p.channels > 1 ? std::min<int64_t>(lanes, p.channels) : 1;
    result_run = p.result.output == 1 && p.outputs > 1 ? std::min<int64_t>(lanes, p.outputs) : 1;
    panel = lanes;
    if (in_place && p.groups > 1 && p.image.group == 1 && p.result.group == 1 && !transient_kernel) {
      members = image_run = result_run = std::min<int64_t>(lanes, p.groups);
      while (members > 1 && threads * (block_bytes() + task_bytes()) > limit / 2) members = image_run = --result_run;
      image_step = p.image.group;
    }
    const int64_t column = cut.rows() * std::max(image_run, result_run) * element;
    columns = std::clamp<int64_t>((int64_t{128} << 10) / column / lanes * lanes, lanes, cut.nx);
    columns = round_up(ceil_div(cut.nx, ceil_div(cut.nx, columns)), lanes);
    if (std::max(image_run, result_run) == 1) {
      panel = std::clamp<int64_t>(l1 * 3 / 4 / (cut.rows() * element) / lanes * lanes, lanes, columns);
      panel = round_up(ceil_div(columns, ceil_div(columns, panel)), lanes);
    }
    const int64_t one = block_bytes(), kernel = kernel_bytes(chunk);
    const bool small = kernel <= l2;
    const int64_t parts = ceil_div(p.groups, members);
    const bool many = parts * blocks.count() >= 2 * threads;
    kernel_by_chunk = transient_kernel && kernel > limit / 3;
    if (kernel_by_chunk) shorten(limit / 3, [&] { return kernel_bytes(chunk); });
    while (threads > 1 && threads * task_bytes() > limit / 4) --threads;
    int64_t most = limit - threads * task_bytes();
    if (transient_kernel) most -= kernel_bytes(chunk);
    apart = small && !kernel_by_chunk && (threads == 1 || many) && threads * one <= most;
    // Planes that are summed are read again by every block: larger ones read fewer twice, though they leave L2.
    if (apart) most = std::min(most / threads, std::max(plane_taps() > 1 ? 4 * one : one, l2 / 2));
    if (!apart) shorten(most, [&] { return block_bytes(); });
    // Planes first: neighbours read the same. Then tiles, then samples, so that the kernel's spectra serve more; one
    // term gains nothing by that.
    const int64_t enough = !apart ? INT64_MAX : terms(images()) * p.outputs == 1 ? 1 : 8;
    for (const int d : {1, 2, 3, 0}) {
      const bool shares = (d == 1 && p.axis[0].taps > 1) || (d == 2 && p.axis[1].taps > 1);
      for (int64_t size = 2; blocks.parts[d] > 1; size *= 2) {
        const int64_t now = blocks.parts[d];
        if (!shares && 2 * blocks.piece(0) * blocks.piece(3) > enough) break;
        blocks.cut(d, ceil_div(blocks.extent[d], size));
        if (block_bytes() <= most && !(apart && threads > 1 && parts * blocks.count() < 2 * threads)) continue;
        blocks.cut(d, now);
        break;
      }
    }
  }
  template <class F>
  void shorten(int64_t most, F&& bytes) {
    while (chunk > 1 && bytes() > most) chunk = ceil_div(chunk, 2);
    chunks = ceil_div(images(), chunk);
  }
  bool fits(int64_t limit) const { return workspace() <= limit; }

  int64_t images() const { return std::max<int64_t>(1, p.channels * cut.parts()); }
  int64_t plane_taps() const { return p.axis[0].taps * (cut.one_line ? p.axis[1].taps : 1); }
  int64_t terms(int64_t images) const { return images * plane_taps(); }
  // Planes that n output planes read.
  int64_t planes(int a, int64_t n) const {
    if (a == 1 && !cut.one_line) return 1;
    return (n - 1) * p.axis[a].stride + (p.axis[a].taps - 1) * p.axis[a].dilation + 1;
  }
  int64_t unit() const { return groups * line; }
  int64_t read(const Block& b) const {  // units
    return b.extent[0] * planes(0, b.extent[1]) * planes(1, b.extent[2]) * b.extent[3] * chunk;
  }
  ptrdiff_t step(const Problem::Result& r) const { return members > 1 ? r.group : r.output; }
  int64_t written(const Block& b) const { return in_place ? 0 : b.rows() * p.outputs; }
  int64_t table(const Block& b) const { return b.rows() * terms(chunk); }
  int64_t block_bytes() const {
    const Block b = blocks.largest();
    return (read(b) * members + written(b)) * unit() * element + table(b) * int64_t{sizeof(ptrdiff_t)};
  }
  // The kernel's spectra: U[group][x][output][term][re, im][lane].
  int64_t kernel_elements(int64_t of_images) const { return cut.numbers() * p.outputs * terms(of_images); }
  int64_t kernel_bytes(int64_t of_images) const { return kernel_elements(of_images) * element; }
  int64_t channel_pitch() const { return cut.rows() * panel + 16; }
  int64_t task_bytes() const { return std::max(image_run, result_run) * channel_pitch() * element; }
  int64_t workspace() const {
    return (apart ? threads : 1) * block_bytes() + threads * task_bytes() + (transient ? kernel_bytes(chunk) : 0);
  }
};

}  // namespace convkern
