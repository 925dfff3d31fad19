// Copies a padded box of an image into scratch, so that whoever computes sees neither halos, padding modes nor odd
// strides:   staged[b,c,z,y,x] = image[g, b0+b, c0+c, pad(start + (z,y,x))].
// The scratch keeps the image's own order (whatever is contiguous there is contiguous here) with pitches that are no
// large power of two. Knows no kernel and no output.
#pragma once

#include <string.h>

#include <algorithm>

#include "core/problem.h"
#include "kernels/table.h"

namespace convkern {

struct Box {
  int64_t b0, batch, c0, channels;
  int64_t start[3], count[3];  // padded coordinates; start may be negative
};

struct StagedLayout {
  enum Inner { x, channel, batch } inner;
  int64_t split;  // x positions are de-interleaved by this stride: x -> (x % split, x / split)
  ptrdiff_t batch_pitch, channel_pitch, axis_pitch[3], phase_pitch;  // elements; axis_pitch[2] is of x / split
  int64_t elements;

  // Offset of tap (or output) position x, in padded coordinates from the box's start.
  ptrdiff_t x_offset(int64_t i) const { return (i % split) * phase_pitch + (i / split) * axis_pitch[2]; }
};

inline int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// A pitch of many times 1 KiB would put one column of the box into a few cache sets.
inline int64_t spread_pitch(int64_t elements, int64_t element_size) {
  return elements * element_size % 1024 == 0 && elements > 0 ? elements + 64 / element_size : elements;
}

// slack: elements that may be read past the end of an x row.
inline StagedLayout staged_layout(StagedLayout::Inner inner, const Box& box, int64_t split, int64_t slack,
                                  int64_t element_size) {
  StagedLayout s = {};
  s.inner = inner;
  s.split = split;
  if (inner == StagedLayout::x) {
    const int64_t row = (box.count[2] + split - 1) / split;
    s.axis_pitch[2] = 1;
    s.phase_pitch = row;
    s.axis_pitch[1] = row * split;
    s.axis_pitch[0] = s.axis_pitch[1] * box.count[1];
    s.channel_pitch = spread_pitch(s.axis_pitch[0] * box.count[0], element_size);
    s.batch_pitch = s.channel_pitch * box.channels;
    s.elements = s.batch_pitch * box.batch + slack;
    return s;
  }
  const bool by_channel = inner == StagedLayout::channel;
  const int64_t run = spread_pitch(by_channel ? box.channels : box.batch, element_size);
  s.axis_pitch[2] = run;
  s.axis_pitch[1] = s.axis_pitch[2] * box.count[2];
  s.axis_pitch[0] = s.axis_pitch[1] * box.count[1];
  const int64_t volume = s.axis_pitch[0] * box.count[0];
  s.channel_pitch = by_channel ? 1 : volume;
  s.batch_pitch = by_channel ? volume : 1;
  s.elements = volume * (by_channel ? box.batch : box.channels) + slack;
  return s;
}

// Which dimension of the image lies contiguous (x where none does).
inline StagedLayout::Inner inner_dimension(const Problem& p) {
  if (p.image.axis[2] == 1 && p.axis[2].in > 1) return StagedLayout::x;
  if (p.image.channel == 1 && p.channels > 1) return StagedLayout::channel;
  if (p.image.batch == 1 && p.batch > 1) return StagedLayout::batch;
  return StagedLayout::x;
}

// The columns start + phase, start + phase + split, ... among `count` padded ones: the i-th is column first + i * split
// of the image, inside it for lo <= i < hi.
struct PhaseColumns {
  int64_t first, count, lo, hi;

  PhaseColumns() = default;
  PhaseColumns(int64_t start, int64_t columns, int64_t in, int64_t split, int64_t phase)
      : first(start + phase), count(columns > phase ? (columns - phase + split - 1) / split : 0) {
    lo = first < 0 ? (-first + split - 1) / split : 0;
    lo = lo < count ? lo : count;
    hi = first < in ? (in - first + split - 1) / split : 0;
    hi = hi < lo ? lo : hi < count ? hi : count;
  }
  template <class F>
  void each_outside(F&& f) const {
    for (int64_t i = 0; i < lo; ++i) f(i);
    for (int64_t i = hi; i < count; ++i) f(i);
  }
};

namespace detail {

// `rows` x rows, `from_row` apart: the part inside the image is copied, the borders follow the padding mode.
template <class T>
void stage_rows(const Kernels<T>& kernels, const T* from, ptrdiff_t from_row, ptrdiff_t step, int64_t in, int mode,
                int64_t start, int64_t count, const StagedLayout& layout, int64_t rows, T* to) {
  const int64_t split = layout.split;
  const ptrdiff_t to_row = layout.axis_pitch[1];
  for (int64_t phase = 0; phase < split; ++phase, to += layout.phase_pitch) {
    const PhaseColumns columns(start, count, in, split, phase);
    kernels.every_nth(from + (columns.first + columns.lo * split) * step, from_row, step * split,
                      columns.hi - columns.lo, to + columns.lo, to_row, rows);
    columns.each_outside([&](int64_t i) {
      const int64_t source = pad_index(mode, columns.first + i * split, in);
      for (int64_t r = 0; r < rows; ++r) to[i + r * to_row] = source < 0 ? T(0) : from[source * step + r * from_row];
    });
  }
}

// One x row of pixels that are runs of `run` elements (channels or samples).
template <class T>
void stage_runs(const T* from, ptrdiff_t step, int64_t in, int mode, int64_t start, int64_t count, int64_t run,
                ptrdiff_t pitch, T* to) {
  const int64_t lo = start < 0 ? -start : 0, hi = in - start < count ? in - start : count;
  const bool together = step == run && pitch == run && lo < hi;  // few channels: one copy is many short ones
  if (together) memcpy(to + lo * pitch, from + (start + lo) * step, (hi - lo) * run * sizeof(T));
  for (int64_t i = 0; i < count; ++i, to += pitch) {
    if (together && i >= lo && i < hi) continue;
    const int64_t source = pad_index(mode, start + i, in);
    if (source < 0) {
      memset(to, 0, run * sizeof(T));
    } else {
      memcpy(to, from + source * step, run * sizeof(T));
    }
  }
}

}  // namespace detail

// image: base of the group. The box's batch and channel ranges must lie inside the image.
template <class T>
void stage(const Kernels<T>& kernels, const Problem& p, const T* image, const Box& box, const StagedLayout& layout,
           T* to) {
  const bool by_x = layout.inner == StagedLayout::x;
  const int64_t batches = layout.inner == StagedLayout::batch ? 1 : box.batch;
  const int64_t channels = layout.inner == StagedLayout::channel ? 1 : box.channels;
  for (int64_t b = 0; b < batches; ++b)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t z = 0; z < box.count[0]; ++z) {
        const int64_t iz = pad_index(p.pad_mode, box.start[0] + z, p.axis[0].in);
        for (int64_t y = 0, run; y < box.count[1]; y += run) {
          run = 1;
          const int64_t iy = pad_index(p.pad_mode, box.start[1] + y, p.axis[1].in);
          T* row = to + b * layout.batch_pitch + c * layout.channel_pitch + z * layout.axis_pitch[0] +
                   y * layout.axis_pitch[1];
          if (iz < 0 || iy < 0) {
            memset(row, 0, layout.axis_pitch[1] * sizeof(T));
            continue;
          }
          const T* from = image + (box.b0 + b) * p.image.batch + (box.c0 + c) * p.image.channel + iz * p.image.axis[0] +
                          iy * p.image.axis[1];
          if (by_x) {
            const int64_t at = box.start[1] + y;
            if (at >= 0 && at < p.axis[1].in) run = std::min(box.count[1] - y, p.axis[1].in - at);
            detail::stage_rows(kernels, from, p.image.axis[1], p.image.axis[2], p.axis[2].in, p.pad_mode, box.start[2],
                               box.count[2], layout, run, row);
          } else {
            detail::stage_runs(from, p.image.axis[2], p.axis[2].in, p.pad_mode, box.start[2], box.count[2],
                               layout.inner == StagedLayout::channel ? box.channels : box.batch, layout.axis_pitch[2],
                               row);
          }
        }
      }
}

}  // namespace convkern
