// The two operands of a product as addresses. ImageView: where the outputs of a block and the taps of a chunk lie, in
// the image itself or in a staged copy. The kernel operand: packing a range of k for some outputs, from any strides.
// Knows no ISA but through the kernel table, and no threads.
#pragma once

#include "core/chunk.h"
#include "kernels/table.h"

namespace convkern {

// Offsets in elements from base:  output (b,z,y,x): b*batch + sum row[a]*i[a];   tap (c,t): c*channel + tap(a, t).
template <class T>
struct ImageView {
  const T* base;
  ptrdiff_t batch, channel, row[3], tap[3];
  int64_t split, phase_pitch;  // x taps of a de-interleaved copy: t*dilation -> (t*dilation % split, / split)
  int64_t dilation;

  // In place: the box lies inside the image and g's data starts at image.
  ImageView(const Problem& p, const T* image, const Box& box)
      : batch(p.image.batch), channel(p.image.channel), split(1), phase_pitch(0), dilation(1) {
    base = image + box.b0 * batch + box.c0 * channel;
    for (int a = 0; a < CK_MAX_SPATIAL; ++a) {
      base += box.start[a] * p.image.axis[a];
      row[a] = p.image.axis[a] * p.axis[a].stride;
      tap[a] = p.image.axis[a] * p.axis[a].dilation;
    }
  }
  ImageView(const Problem& p, const T* staged, const StagedLayout& s)
      : base(staged),
        batch(s.batch_pitch),
        channel(s.channel_pitch),
        split(s.split),
        phase_pitch(s.phase_pitch),
        dilation(p.axis[2].dilation) {
    for (int a = 0; a < CK_MAX_SPATIAL; ++a) {
      row[a] = s.axis_pitch[a] * p.axis[a].stride;
      tap[a] = s.axis_pitch[a] * p.axis[a].dilation;
    }
    if (split > 1) row[2] = s.axis_pitch[2];
  }

  ptrdiff_t line(const Block& block, int64_t i) const {  // offset of the block's i-th x line
    const int64_t y = i % block.extent[2], z = i / block.extent[2] % block.extent[1];
    return i / (block.extent[2] * block.extent[1]) * batch + z * row[0] + y * row[1];
  }
  void rows(const Block& block, const char** pointers) const {
    for (int64_t i = 0; i < block.lines(); ++i) {
      const T* at = base + line(block, i);
      for (int64_t x = 0; x < block.extent[3]; ++x, at += row[2]) *pointers++ = reinterpret_cast<const char*>(at);
    }
  }
  ptrdiff_t tap_x(int64_t t) const {
    if (split == 1) return t * tap[2];
    return (t * dilation % split) * phase_pitch + t * dilation / split;
  }
  // A chunk's steps as runs as long as the image's strides allow: the steps that start one, and how far apart its steps
  // lie in the image.
  struct Runs {
    Chunk starts;
    int64_t length;
    ptrdiff_t step;
  };
  Runs runs(const Chunk& chunk) const {
    Runs runs = {chunk, 1, 0};
    const ptrdiff_t stride[4] = {channel, tap[0], tap[1], tap[2]};
    for (int level = 3; level >= 0; --level) {
      const int d = chunk.dimension(level);
      const int64_t n = chunk.extent[d];
      if (n == 0 || (n > 1 && d == 3 && split > 1)) break;
      if (n > 1 && runs.length > 1 && stride[d] != runs.step * runs.length) break;
      if (n > 1 && runs.length == 1) runs.step = stride[d];
      runs.length *= n;
      runs.starts.extent[d] = 1;
      if (n < chunk.whole[d]) break;  // steps are left out before the next
    }
    constexpr int64_t shortest = 8;  // below, one more loop costs more than looking steps up
    return runs.length < shortest ? Runs{chunk, 1, 0} : runs;
  }
  // Lists a chunk's steps for a product in which the image is the row side, or the vector side. The packed operand's
  // steps lie `packed` bytes apart.
  void list(const Chunk& chunk, bool on_rows, ptrdiff_t packed, Tap* taps, TileJob<T>* job) const {
    const auto tap_at = [&](ptrdiff_t offset, int64_t k) {
      offset *= sizeof(T);
      return on_rows ? Tap{offset, k * packed} : Tap{k * packed, offset};
    };
    const Runs r = runs(chunk);
    job->taps = taps;
    r.starts.each([&](int64_t k, const int64_t* i) {
      *taps++ = tap_at(i[0] * channel + i[1] * tap[0] + i[2] * tap[1] + tap_x(i[3]), k);
    });
    job->listed = taps - job->taps;
    job->run = r.length;
    job->along = tap_at(r.step, 1);
  }
};

// A padded box of one sample with its channels side by side, whatever the image's strides: to[z][y][x][c], c `pitch`
// wide and zero-filled. Lines of other layouts go through transposes. image: the sample's first channel of the box.
template <class T>
void stage_channels_last(const Kernels<T>& kernels, const Problem& p, const T* image, const Box& box, int64_t pitch,
                         T* to) {
  const int64_t line = box.count[2] * pitch;
  for (int64_t z = 0; z < box.count[0]; ++z)
    for (int64_t y = 0; y < box.count[1]; ++y, to += line) {
      const int64_t iz = pad_index(p.pad_mode, box.start[0] + z, p.axis[0].in);
      const int64_t iy = pad_index(p.pad_mode, box.start[1] + y, p.axis[1].in);
      if (iz < 0 || iy < 0) {
        memset(to, 0, line * sizeof(T));
        continue;
      }
      const T* from = image + iz * p.image.axis[0] + iy * p.image.axis[1];
      for (int64_t x = 0, run; x < box.count[2]; x += run) {
        const int64_t at = box.start[2] + x, ix = pad_index(p.pad_mode, at, p.axis[2].in);
        run = at >= 0 && at < p.axis[2].in ? std::min(box.count[2] - x, p.axis[2].in - at) : 1;
        if (ix < 0)
          memset(to + x * pitch, 0, pitch * sizeof(T));
        else
          kernels.pack({from + ix * p.image.axis[2], p.image.axis[2], p.image.channel}, run, box.channels,
                       to + x * pitch, pitch);
      }
    }
}

// The reverse: a box of a channels-last image with the pixels of a line side by side, in a layout with x innermost.
template <class T>
void stage_lines(const Kernels<T>& kernels, const Problem& p, const T* image, const Box& box,
                 const StagedLayout& layout, T* to) {
  for (int64_t b = 0; b < box.batch; ++b)
    for (int64_t z = 0; z < box.count[0]; ++z)
      for (int64_t y = 0; y < box.count[1]; ++y) {
        const int64_t iz = pad_index(p.pad_mode, box.start[0] + z, p.axis[0].in);
        const int64_t iy = pad_index(p.pad_mode, box.start[1] + y, p.axis[1].in);
        T* line = to + b * layout.batch_pitch + z * layout.axis_pitch[0] + y * layout.axis_pitch[1];
        const T* from = image + (box.b0 + b) * p.image.batch + box.c0 + iz * p.image.axis[0] + iy * p.image.axis[1];
        for (int64_t x = 0, run; x < box.count[2]; x += run) {
          const int64_t at = box.start[2] + x, ix = pad_index(p.pad_mode, at, p.axis[2].in);
          run = at >= 0 && at < p.axis[2].in ? std::min(box.count[2] - x, p.axis[2].in - at) : 1;
          if (iz < 0 || iy < 0 || ix < 0)
            for (int64_t c = 0; c < box.channels; ++c) std::fill_n(line + c * layout.channel_pitch + x, run, T(0));
          else
            kernels.store(from + ix * p.image.axis[2], p.image.axis[2], run, box.channels,
                          {line + x, 1, layout.channel_pitch}, {nullptr, 0, 0}, false, T(0), T(0));
        }
      }
}

// f(k, pointer, run, step): the kernel's elements for the chunk's k, as few evenly spaced runs as its strides allow.
template <class T, class F>
void kernel_runs(const Problem& p, const T* kernel, const Chunk& chunk, F&& f) {
  const ptrdiff_t strides[4] = {p.kernel.channel, p.kernel.axis[0], p.kernel.axis[1], p.kernel.axis[2]};
  int64_t extent[4];  // outermost first
  ptrdiff_t stride[4];
  for (int level = 0; level < 4; ++level) {
    const int d = chunk.channels_inner ? (level + 1) % 4 : level;
    extent[level] = chunk.whole[d];
    stride[level] = strides[d];
    kernel += (chunk.start[d] - chunk.first[d]) * strides[d];
  }
  int64_t run = extent[3];
  ptrdiff_t step = stride[3];
  extent[3] = 1;
  for (int d = 2; d >= 0; --d) {
    if (run == 1) step = stride[d];
    if (extent[d] != 1 && stride[d] != step * run) break;
    run *= extent[d];
    extent[d] = 1;
  }
  int64_t k = 0;
  for (int64_t a = 0; a < extent[0]; ++a)
    for (int64_t b = 0; b < extent[1]; ++b)
      for (int64_t c = 0; c < extent[2]; ++c, k += run)
        f(k, kernel + a * stride[0] + b * stride[1] + c * stride[2], run, step);
}

// panel[k][j] for `columns` outputs from `kernel` on; `width` wide, zero-filled. Steps that the kernel holds side by
// side as (c, t) but that are wanted as (t, c) go through transposes in a block of channels, then row by row.
template <class T>
void pack_panel(const Kernels<T>& kernels, const Problem& p, const T* kernel, const Chunk& chunk, int64_t columns,
                int64_t width, T* panel) {
  const int64_t taps = chunk.whole[1] * chunk.whole[2] * chunk.whole[3], channels = chunk.whole[0];
  const auto& k = p.kernel;
  const bool side_by_side = k.axis[2] == 1 && (chunk.whole[2] == 1 || k.axis[1] == p.axis[2].taps) &&
                            (chunk.whole[1] == 1 || k.axis[0] == p.axis[2].taps * p.axis[1].taps) &&
                            k.channel == p.taps() && taps == p.taps();
  constexpr int64_t most = 4096;  // elements of the block in between
  const int64_t group = most / std::max<int64_t>(1, taps * width);
  if (!chunk.channels_inner || taps == 1 || !side_by_side || group == 0) {
    kernel_runs(p, kernel, chunk, [&](int64_t at, const T* from, int64_t run, ptrdiff_t step) {
      kernels.pack({from, step, k.output}, run, columns, panel + at * width, width);
    });
    return;
  }
  T block[most];
  kernel += chunk.start[0] * k.channel;
  for (int64_t c = 0; c < channels; c += group) {
    const int64_t n = std::min(group, channels - c);
    kernels.pack({kernel + c * k.channel, 1, k.output}, n * taps, columns, block, width);
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t i = 0; i < n; ++i)
        memcpy(panel + (t * channels + c + i) * width, block + (i * taps + t) * width, width * sizeof(T));
  }
}

// rows[o][k]: the kernel of each of `outputs` outputs, contiguous.
template <class T>
void pack_rows(const Problem& p, const T* kernel, int64_t outputs, const Chunk& chunk, T* rows) {
  for (int64_t o = 0; o < outputs; ++o, rows += chunk.depth)
    kernel_runs(p, kernel + o * p.kernel.output, chunk, [&](int64_t k, const T* from, int64_t run, ptrdiff_t step) {
      for (int64_t i = 0; i < run; ++i) rows[k + i] = from[i * step];
    });
}

}  // namespace convkern
