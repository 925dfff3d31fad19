// Pooling where channels lie contiguous: vectors run along the channels of an output pixel, taps are pixels.
//   y[x][c] = op over (z, y, x) taps of image[...][c]
// Windows are cut to the image, so there is no padding. Where windows are large, a line is first reduced along z and y,
// so that the work of an output grows with the sum of the window's sides and not with their product.
#include <atomic>

#include "algo/windows.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

enum Slot { tap_slot, position_slot, line_slot };

constexpr int64_t line_elements = 16384;  // of a line reduced along z and y, at least one vector a pixel

template <class T>
class ChannelsLast {
 public:
  explicit ChannelsLast(const PoolCall<T>& call) : c_(call), w_(call.kernels.lanes) {
    const int64_t zy = most_taps(c_.axis(0)) * most_taps(c_.axis(1)), kx = most_taps(c_.axis(2));
    const int64_t step = std::max<int64_t>(1, c_.axis(2).in / std::max<int64_t>(1, c_.axis(2).out));
    by_axis_ = !c_.indices && zy > 1 && zy * kx > (zy + 1) * step + kx + 4;
    taps_ = std::max(zy * kx, std::max(zy, kx));
    lines_ = c_.pool.n * c_.axis(0).out * c_.axis(1).out;
    const double work = static_cast<double>(lines_) * c_.axis(2).out * c_.pool.c * static_cast<double>(zy * kx);
    threads_ = work < 65536 ? 1 : num_threads();
    if (threads_ > 1 && lines_ < 4 * threads_) {
      const int64_t wanted = divide_up(4 * threads_, std::max<int64_t>(1, lines_));
      if (!by_axis_) x_parts_ = std::min(c_.axis(2).out, wanted);
      c_parts_ = std::min(divide_up(c_.pool.c, w_), divide_up(wanted, x_parts_));
    }
  }

  bool run() const {
    const int64_t units = lines_ * x_parts_ * c_parts_, tasks = std::min<int64_t>(units, 8 * threads_);
    std::atomic<bool> failed{false};
    parallel_for(tasks, threads_, [&](int64_t task, int) {
      for (int64_t unit = task * units / tasks; unit < (task + 1) * units / tasks; ++unit)
        if (!one(unit)) failed.store(true, std::memory_order_relaxed);
      scratch_release(tap_slot);
      scratch_release(position_slot);
      scratch_release(line_slot);
    });
    return !failed.load();
  }

 private:
  bool one(int64_t unit) const {
    const int64_t c_part = unit % c_parts_, x_part = unit / c_parts_ % x_parts_, line = unit / (c_parts_ * x_parts_);
    const int64_t y = line % c_.axis(1).out, z = line / c_.axis(1).out % c_.axis(0).out;
    const int64_t n = line / (c_.axis(1).out * c_.axis(0).out), panels = divide_up(c_.pool.c, w_);
    const int64_t c0 = c_part * panels / c_parts_ * w_, c1 = (c_part + 1) * panels / c_parts_ * w_;
    const int64_t width = std::min(c1, c_.pool.c) - c0;
    const int64_t x0 = x_part * c_.axis(2).out / x_parts_, x1 = (x_part + 1) * c_.axis(2).out / x_parts_;
    const T* from = c_.x + n * c_.from[0] + c0;
    const ptrdiff_t to = n * c_.to[0] + c0 + z * c_.to[2] + y * c_.to[3];
    return by_axis_ ? axes(from, z, y, to, width) : direct(from, z, y, to, x0, x1, width);
  }

  void empty(ptrdiff_t to, int64_t x0, int64_t x1, int64_t width) const {
    for (int64_t x = x0; x < x1; ++x)
      for (int64_t i = 0; i < width; ++i) {
        c_.y[to + x * c_.to[4] + i] = identity_of<T>(c_.pool.op);
        if (c_.indices) c_.indices[to + x * c_.to[4] + i] = -1;
      }
  }

  void finish(TapJob<T>& job, int64_t z, int64_t y, int64_t x) const {
    const Ending<T> end = c_.adds() ? c_.ending(z, y, x) : Ending<T>{Finish::multiply, T(1)};
    job.finish = end.finish, job.factor = end.factor, job.divisors = nullptr;
  }

  bool direct(const T* from, int64_t z, int64_t y, ptrdiff_t to, int64_t x0, int64_t x1, int64_t width) const {
    const T** taps = scratch_of<const T*>(tap_slot, taps_);
    int64_t* position = scratch_of<int64_t>(position_slot, c_.indices ? taps_ : 1);
    if (!taps || !position) return false;
    const ck_pool_axis& ax = c_.axis(2);
    for (int64_t x = x0; x < x1;) {
      const Run run = c_.run_at(2, x, x1);
      int64_t count = 0;
      c_.each_line(z, y, [&](int64_t iz, int64_t iy, int64_t) {
        for (int64_t k = 0; k < ax.count[x]; ++k, ++count) {
          const int64_t ix = ax.first[x] + k * ax.dilation;
          taps[count] = from + iz * c_.from[2] + iy * c_.from[3] + ix * c_.from[4];
          if (c_.indices) position[count] = (iz * c_.axis(1).in + iy) * ax.in + ix;
        }
      });
      const ptrdiff_t at = to + x * c_.to[4];
      if (count == 0) {
        empty(to, x, run.end, width);
      } else if (c_.indices) {
        c_.kernels.tap.index[c_.pool.op]({taps, position, count, run.step * c_.from[4], run.end - x, width, c_.y + at,
                                          c_.indices + at, c_.to[4], run.step, position[0], nullptr, nullptr});
      } else {
        TapJob<T> job{taps, count, run.step * c_.from[4], run.end - x, width, c_.y + at, c_.to[4], {}, {}, {}, false};
        job.ahead = c_.ahead / 2;  // a pixel's taps are streams of their own
        finish(job, z, y, x);
        c_.kernels.tap.run[c_.pool.op](job);
      }
      x = run.end;
    }
    return true;
  }

  // Along z and y into a line of pixels, then along x; some channels at a time.
  bool axes(const T* from, int64_t z, int64_t y, ptrdiff_t to, int64_t width) const {
    const ck_pool_axis& ax = c_.axis(2);
    const int64_t piece = std::min(width, std::max<int64_t>(w_, line_elements / ax.in / w_ * w_));
    const T** taps = scratch_of<const T*>(tap_slot, taps_);
    T* line = scratch_of<T>(line_slot, piece * ax.in);
    if (!taps || !line) return false;
    for (int64_t c = 0; c < width; c += piece) {
      const int64_t some = std::min(piece, width - c);
      int64_t count = 0;
      c_.each_line(
          z, y, [&](int64_t iz, int64_t iy, int64_t) { taps[count++] = from + c + iz * c_.from[2] + iy * c_.from[3]; });
      if (count == 0) {
        empty(to + c, 0, ax.out, some);
        continue;
      }
      const bool flat = some == c_.from[4];
      TapJob<T> job{
          taps, count,   c_.from[4], flat ? 1 : ax.in, flat ? some * ax.in : some, line, some, Finish::multiply,
          T(1), nullptr, false};
      c_.kernels.tap.run[c_.pool.op](job);
      for (const Run& run : c_.runs[2]) {
        if (ax.count[run.begin] == 0) {
          empty(to + c, run.begin, run.end, some);
          continue;
        }
        for (int64_t k = 0; k < ax.count[run.begin]; ++k)
          taps[k] = line + (ax.first[run.begin] + k * ax.dilation) * some;
        TapJob<T> across{taps,
                         ax.count[run.begin],
                         run.step * some,
                         run.end - run.begin,
                         some,
                         c_.y + to + c + run.begin * c_.to[4],
                         c_.to[4],
                         {},
                         {},
                         {},
                         false};
        finish(across, z, y, run.begin);
        c_.kernels.tap.run[c_.pool.op](across);
      }
    }
    return true;
  }

  const PoolCall<T>& c_;
  int64_t w_, taps_, lines_, x_parts_ = 1, c_parts_ = 1;
  int threads_;
  bool by_axis_;
};

}  // namespace

template <class T>
bool pool_channels_last(const PoolCall<T>& call) {
  return ChannelsLast<T>(call).run();
}
template bool pool_channels_last(const PoolCall<float>&);
template bool pool_channels_last(const PoolCall<double>&);

}  // namespace convkern
