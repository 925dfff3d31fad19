// Pooling where lines of a plane lie contiguous: vectors run along x. First the lines of a window are reduced to one,
// padded with the op's identity; a line that windows step through by s is dealt out to s phases; then
//   y[o] = op over k of phase[(k*d) % s][o + (k*d) / s]
// so that every tap is a plain vector load and the work of an output grows with the sum of the window's sides. With
// indices there is no first step: lines are dealt out one by one. Windows of no fixed stride (adaptive, global) are
// reduced one by one from the line.
#include <atomic>

#include "algo/windows.h"
#include "runtime/pool.h"

namespace convkern {
namespace {

enum Slot { tap_slot, position_slot, line_slot, phase_slot, table_slot };

constexpr int64_t block_elements = 3072;  // of the padded lines of a block: they and their phases stay in L1

template <class T>
class Planes {
  using P = typename PositionOf<T>::type;

 public:
  explicit Planes(const PoolCall<T>& call)
      : c_(call), ax_(call.axis(2)), zy_(most_taps(c_.axis(0)) * most_taps(c_.axis(1))) {
    const int64_t kx = most_taps(ax_), reach = (ax_.taps - 1) * ax_.dilation + 1;
    const bool hollow = std::any_of(ax_.count, ax_.count + ax_.out, [](int64_t n) { return n == 0; });
    regular_ = ax_.stride > 0 && reach <= 2 * ax_.in + 64 && !(c_.indices && hollow);
    stride_ = regular_ ? ax_.stride : 1;
    pairs_ = regular_ && !c_.indices && zy_ <= most_lines && stride_ == 2 && ax_.taps == 2 && ax_.dilation == 1 &&
             ax_.pad == 0 && ax_.in >= 2 * ax_.out && one_divisor(ax_);
    triples_ = regular_ && !c_.indices && zy_ <= most_lines && stride_ == 2 && ax_.taps == 3 && ax_.dilation == 1 &&
               ax_.pad <= 1 && one_divisor(ax_);
    x_block_ = ax_.out;
    if (regular_ && !triples_) {
      x_block_ = std::min(ax_.out, std::max<int64_t>(64, block_elements / stride_));
      x_block_ = divide_up(ax_.out, divide_up(ax_.out, x_block_));
      pitch_ = padded(x_block_);
    } else {
      pitch_ = ax_.in;
    }
    x_blocks_ = divide_up(ax_.out, x_block_);
    const int64_t rows = c_.axis(1).out;
    y_block_ = c_.indices || pairs_ || triples_
                   ? rows
                   : std::clamp<int64_t>(block_elements / std::max<int64_t>(1, pitch_), 1, rows);
    const double work = static_cast<double>(c_.pool.n * c_.pool.c * c_.outputs()) * (zy_ * stride_ + kx);
    threads_ = work < 65536 ? 1 : num_threads();
    const int64_t planes = c_.pool.n * c_.pool.c * c_.axis(0).out * x_blocks_;
    if (threads_ > 1 && planes * divide_up(rows, y_block_) < 4 * threads_)
      y_block_ = std::max<int64_t>(1, divide_up(rows, divide_up(4 * threads_, planes)));
    y_blocks_ = divide_up(rows, y_block_);
    units_ = planes * y_blocks_;
    if (c_.adds() && c_.pool.divisor == 0 && !one_divisor(ax_)) {
      divisors_.resize(ax_.out + max_panel_lanes, T(1));  // a vector may reach past the end of a row
      for (int64_t x = 0; x < ax_.out; ++x) divisors_[x] = static_cast<T>(divisor_at(ax_, x));
    }
    if (c_.indices && regular_)
      for (int64_t x = 0; x < ax_.out; ++x) {
        lane_position_.push_back(static_cast<P>(x * stride_ - ax_.pad));
        lane_start_.push_back(static_cast<P>(ax_.first[x]));
      }
  }

  bool run() const {
    if (pairs_ && all_rows_alike()) return all_pairs();
    const int64_t tasks = std::min<int64_t>(units_, 8 * threads_);
    std::atomic<bool> failed{false};
    parallel_for(tasks, threads_, [&](int64_t task, int) {
      for (int64_t unit = task * units_ / tasks; unit < (task + 1) * units_ / tasks; ++unit)
        if (!one(unit)) failed.store(true, std::memory_order_relaxed);
      for (int slot = tap_slot; slot <= table_slot; ++slot) scratch_release(slot);
    });
    return !failed.load();
  }

 private:
  // Part of a plane: outputs of lines [y0, y1) at z, [x0, x1) of each.
  struct Part {
    const T* from;
    ptrdiff_t to;
    int64_t z, y0, y1, x0, x1;
  };

  int64_t padded(int64_t outputs) const {
    return divide_up((outputs - 1) * stride_ + (ax_.taps - 1) * ax_.dilation + 1, stride_) * stride_;
  }

  bool one(int64_t unit) const {
    const int64_t bx = unit % x_blocks_, by = unit / x_blocks_ % y_blocks_, rest = unit / (x_blocks_ * y_blocks_);
    const int64_t z = rest % c_.axis(0).out, plane = rest / c_.axis(0).out;
    const int64_t n = plane / c_.pool.c, c = plane % c_.pool.c;
    Part part{c_.x + n * c_.from[0] + c * c_.from[1],
              n * c_.to[0] + c * c_.to[1] + z * c_.to[2],
              z,
              by * y_block_,
              std::min(c_.axis(1).out, (by + 1) * y_block_),
              bx * x_block_,
              std::min(ax_.out, (bx + 1) * x_block_)};
    if (pairs_) return pairs(part);
    if (triples_) return triples(part);
    if (!c_.indices) return regular_ ? values(part) : irregular(part);
    return regular_ ? with_indices(part) : one_by_one(part);
  }

  void fill(const Part& p, int64_t y, T value) const {
    for (int64_t x = p.x0; x < p.x1; ++x) {
      c_.y[p.to + y * c_.to[3] + x] = value;
      if (c_.indices) c_.indices[p.to + y * c_.to[3] + x] = -1;
    }
  }

  // Lines [y0, y1) of the block, columns [a, b) of the image reduced along z and y to `to`, rows `pitch` apart.
  bool reduce_lines(const Part& p, int64_t a, int64_t b, T* to, int64_t pitch) const {
    const T** taps = scratch_of<const T*>(tap_slot, std::max(zy_, ax_.taps));
    if (!taps) return false;
    for (int64_t y = p.y0; y < p.y1;) {
      const Run run = c_.run_at(1, y, p.y1);
      T* row = to + (y - p.y0) * pitch;
      int64_t count = 0;
      c_.each_line(p.z, y, [&](int64_t iz, int64_t iy, int64_t) {
        taps[count++] = p.from + iz * c_.from[2] + iy * c_.from[3] + a;
      });
      if (count == 0) {
        for (; y < run.end; ++y, row += pitch) std::fill(row, row + (b - a), identity_of<T>(c_.pool.op));
      } else {
        TapJob<T> job{taps,    count, run.step * c_.from[3], run.end - y, b - a, row, pitch, Finish::multiply, T(1),
                      nullptr, false};
        if (job.step == b - a && pitch == b - a) job.width *= job.rows, job.rows = 1;
        c_.kernels.tap.run[c_.pool.op](job);
      }
      y = run.end;
    }
    return true;
  }

  // `rows` padded lines of `pitch` elements dealt out: phases[f] = base + f * rows * pitch / stride.
  const T* deal(const T* line, int64_t elements, T* phases) const {
    if (stride_ == 1) return line;
    const int64_t each = elements / stride_;
    if (stride_ == 2) {
      c_.kernels.tap.halve(line, each, each, phases, phases + each);
      return phases;
    }
    for (int64_t f = 0; f < std::min(stride_, (ax_.taps - 1) * ax_.dilation + 1); ++f)
      for (int64_t i = 0; i < each; ++i) phases[f * each + i] = line[i * stride_ + f];
    return phases;
  }

  bool values(const Part& p) const {
    const int64_t lines = p.y1 - p.y0, outputs = p.x1 - p.x0, pitch = padded(outputs);
    const int64_t low = p.x0 * stride_ - ax_.pad, a = std::clamp<int64_t>(low, 0, ax_.in);
    const int64_t b = std::clamp<int64_t>(low + pitch, a, ax_.in);
    const bool one_line = zy_ == 1 && lines == 1 && b - a == pitch;
    T* line = scratch_of<T>(line_slot, lines * pitch);
    T* phases = scratch_of<T>(phase_slot, stride_ > 1 ? lines * pitch : 1);
    const T** taps = scratch_of<const T*>(tap_slot, std::max(zy_, ax_.taps));
    if (!line || !phases || !taps) return false;
    const T* source = line;
    if (one_line && c_.axis(0).count[p.z] * c_.axis(1).count[p.y0] == 1) {
      source = p.from + c_.axis(0).first[p.z] * c_.from[2] + c_.axis(1).first[p.y0] * c_.from[3] + a;
    } else {
      const T identity = identity_of<T>(c_.pool.op);
      if (b - a < pitch)
        for (int64_t i = 0; i < lines; ++i) {
          std::fill(line + i * pitch, line + i * pitch + (a - low), identity);
          std::fill(line + i * pitch + (b - low), line + (i + 1) * pitch, identity);
        }
      if (b > a && !reduce_lines(p, a, b, line + (a - low), pitch)) return false;
    }
    const T* dealt = deal(source, lines * pitch, phases);
    const int64_t each = lines * pitch / stride_;
    for (int64_t k = 0; k < ax_.taps; ++k) {
      const int64_t at = k * ax_.dilation;
      taps[k] = dealt + at % stride_ * each + at / stride_;
    }
    TapJob<T> job{taps, ax_.taps, pitch / stride_,    0, outputs, nullptr, c_.to[3], Finish::multiply,
                  T(1), nullptr,  c_.to[3] == outputs};
    for (int64_t y = p.y0; y < p.y1;) {
      int64_t end = p.y1;
      if (c_.adds() && c_.pool.divisor == 0) {
        end = y + 1;
        while (end < p.y1 && divisor_at(c_.axis(1), end) == divisor_at(c_.axis(1), y)) ++end;
      }
      job.rows = end - y, job.width = outputs;
      job.out = c_.y + p.to + y * c_.to[3] + p.x0;
      finish(job, p.z, y, p.x0);
      if (outputs == c_.to[3] && outputs == job.step && !job.divisors) job.width *= job.rows, job.rows = 1;
      c_.kernels.tap.run[c_.pool.op](job);
      for (int64_t k = 0; k < ax_.taps; ++k) taps[k] += (end - y) * job.step;
      y = end;
    }
    return true;
  }

  // Whether the lines of all planes together are rows of outputs with the same windows at one distance.
  bool all_rows_alike() const {
    const ck_pool_axis& ay = c_.axis(1);
    const ptrdiff_t plane = c_.from[3] * ay.in, result = c_.to[3] * ay.out;
    return c_.axis(0).in == 1 && c_.axis(0).out == 1 && c_.runs[1].size() == 1 && ay.count[0] > 0 && ay.first[0] == 0 &&
           c_.from[3] >= 2 * ax_.out && (ay.out == 1 || c_.runs[1][0].step * ay.out == ay.in) &&
           (c_.pool.c == 1 || c_.from[1] == plane) && (c_.pool.n == 1 || c_.from[0] == plane * c_.pool.c) &&
           c_.to[3] == ax_.out && (c_.pool.c == 1 || c_.to[1] == result) &&
           (c_.pool.n == 1 || c_.to[0] == result * c_.pool.c);
  }
  bool all_pairs() const {
    const ck_pool_axis& ay = c_.axis(1);
    const int64_t rows = c_.pool.n * c_.pool.c * ay.out, tasks = std::min<int64_t>(rows, 8 * threads_);
    const ptrdiff_t step = ay.in / ay.out * c_.from[3];
    parallel_for(tasks, threads_, [&](int64_t task, int) {
      const int64_t begin = rows * task / tasks, end = rows * (task + 1) / tasks;
      const T* taps[most_lines];
      for (int64_t k = 0; k < ay.count[0]; ++k) taps[k] = c_.x + begin * step + k * ay.dilation * c_.from[3];
      TapJob<T> job{taps,    ay.count[0],      step, end - begin, ax_.out, c_.y + begin * ax_.out,
                    ax_.out, Finish::multiply, T(1), nullptr,     true,    c_.ahead};
      finish(job, 0, 0, 0);
      c_.kernels.tap.pairs[c_.pool.op](job);
    });
    return true;
  }

  // Windows of two neighbours, side by side: lines and pairs in registers, without a line in between.
  bool pairs(const Part& p) const {
    const T* taps[most_lines];
    const bool whole = p.x1 - p.x0 == c_.to[3];
    for (int64_t y = p.y0; y < p.y1;) {
      const Run run = c_.run_at(1, y, p.y1);
      int64_t count = 0;
      c_.each_line(p.z, y, [&](int64_t iz, int64_t iy, int64_t) {
        taps[count++] = p.from + iz * c_.from[2] + iy * c_.from[3] + 2 * p.x0;
      });
      const ptrdiff_t step = run.step * c_.from[3];
      TapJob<T> job{taps,
                    count,
                    step,
                    run.end - y,
                    p.x1 - p.x0,
                    c_.y + p.to + y * c_.to[3] + p.x0,
                    c_.to[3],
                    Finish::multiply,
                    T(1),
                    nullptr,
                    whole && step >= 2 * c_.to[3],
                    c_.ahead};
      finish(job, p.z, y, p.x0);
      if (count == 0)
        for (; y < run.end; ++y) fill(p, y, identity_of<T>(c_.pool.op));
      else
        c_.kernels.tap.pairs[c_.pool.op](job);
      y = run.end;
    }
    return true;
  }

  // Windows of three by steps of two: as pairs, each with the neighbour before it. Those that the right border cuts
  // are done one by one.
  bool triples(const Part& p) const {
    const T* taps[most_lines];
    const int64_t whole = std::min(ax_.out, (ax_.in + ax_.pad - 1) / 2);
    for (int64_t y = p.y0; y < p.y1;) {
      const Run run = c_.run_at(1, y, p.y1);
      int64_t count = 0;
      c_.each_line(p.z, y, [&](int64_t iz, int64_t iy, int64_t) {
        taps[count++] = p.from + iz * c_.from[2] + iy * c_.from[3] + 1 - ax_.pad;
      });
      T* out = c_.y + p.to + y * c_.to[3];
      TapJob<T> job{taps,  count,    run.step * c_.from[3], run.end - y, whole,
                    out,   c_.to[3], Finish::multiply,      T(1),        nullptr,
                    false, c_.ahead, ax_.pad == 1};
      finish(job, p.z, y, 0);
      if (count == 0) {
        for (; y < run.end; ++y) fill(p, y, identity_of<T>(c_.pool.op));
        continue;
      }
      c_.kernels.tap.triples[c_.pool.op](job);
      for (; y < run.end; ++y, out += c_.to[3]) {
        for (int64_t x = whole; x < ax_.out; ++x) {
          const auto column = [&](int64_t i) {
            T value = taps[0][i];
            for (int64_t k = 1; k < count; ++k) value = joined(value, taps[k][i]);
            return value;
          };
          const int64_t first = ax_.first[x] - (1 - ax_.pad);
          T value = ax_.count[x] ? column(first) : identity_of<T>(c_.pool.op);
          for (int64_t i = 1; i < ax_.count[x]; ++i) value = joined(value, column(first + i));
          if (c_.adds()) value = job.finish == Finish::multiply ? value * job.factor : value / job.factor;
          out[x] = value;
        }
        for (int64_t k = 0; k < count && whole < ax_.out; ++k) taps[k] += job.step;
      }
    }
    return true;
  }

  void finish(TapJob<T>& job, int64_t z, int64_t y, int64_t x) const {
    if (!c_.adds()) return;
    const Ending<T> end = c_.ending(z, y, x);
    job.finish = end.finish, job.factor = end.factor;
    if (divisors_.empty()) return;
    job.finish = Finish::divide_each;
    job.factor = static_cast<T>(divisor_at(c_.axis(0), z) * divisor_at(c_.axis(1), y));
    job.divisors = divisors_.data() + x;
  }

  bool irregular(const Part& p) const {
    const bool whole = ax_.out == 1 && ax_.count[0] == ax_.in && ax_.dilation == 1;
    const bool plane = whole && c_.axis(1).out == 1 && c_.axis(1).count[0] == c_.axis(1).in &&
                       c_.axis(1).dilation == 1 && c_.from[3] == ax_.in && most_taps(c_.axis(0)) == 1;
    const T* line;
    int64_t width = ax_.in, pitch = ax_.in;
    if (plane) {
      line = p.from + c_.axis(0).first[p.z] * c_.from[2];
      width *= c_.axis(1).in;
    } else {
      T* scratch = scratch_of<T>(line_slot, (p.y1 - p.y0) * pitch);
      if (!scratch || !reduce_lines(p, 0, ax_.in, scratch, pitch)) return false;
      line = scratch;
    }
    for (int64_t y = p.y0; y < p.y1; ++y, line += pitch) {
      T* to = c_.y + p.to + y * c_.to[3];
      Ending<T> end = c_.adds() ? c_.ending(p.z, y, 0) : Ending<T>{Finish::multiply, T(1)};
      for (int64_t x = 0; x < ax_.out; ++x) {
        const T* window = line + ax_.first[x];
        const int64_t count = plane ? width : ax_.count[x];
        T value = identity_of<T>(c_.pool.op);
        if (count > 0 && (ax_.dilation == 1 ? count > 8 : false)) {
          value = c_.kernels.tap.reduce[c_.pool.op](window, count);
        } else if (count > 0) {
          value = window[0];
          for (int64_t k = 1; k < count; ++k) value = joined(value, window[k * ax_.dilation]);
        }
        if (c_.adds()) {
          if (!divisors_.empty()) end = c_.ending(p.z, y, x);
          value = end.finish == Finish::multiply ? value * end.factor : value / end.factor;
        }
        to[x] = value;
      }
    }
    return true;
  }

  bool better(T v, T best) const { return (c_.pool.op == CK_POOL_MAX ? v > best : v < best) || v != v; }
  T joined(T a, T b) const { return c_.adds() ? a + b : better(b, a) ? b : a; }

  bool with_indices(const Part& p) const {
    const int64_t outputs = p.x1 - p.x0, pitch = padded(outputs), low = p.x0 * stride_ - ax_.pad;
    const int64_t a = std::clamp<int64_t>(low, 0, ax_.in), b = std::clamp<int64_t>(low + pitch, a, ax_.in);
    const bool in_place = stride_ == 1 && b - a == pitch;
    T* line = scratch_of<T>(line_slot, pitch * (stride_ == 1 ? zy_ : 1));
    T* phases = scratch_of<T>(phase_slot, stride_ > 1 ? zy_ * pitch : 1);
    const T** taps = scratch_of<const T*>(tap_slot, zy_ * ax_.taps);
    int64_t* position = scratch_of<int64_t>(position_slot, zy_ * ax_.taps);
    if (!line || !phases || !taps || !position) return false;
    const T identity = identity_of<T>(c_.pool.op);
    const int64_t copies = stride_ == 1 ? zy_ : 1;
    for (int64_t i = 0; i < copies && !in_place; ++i) {
      std::fill(line + i * pitch, line + i * pitch + (a - low), identity);
      std::fill(line + i * pitch + (b - low), line + (i + 1) * pitch, identity);
    }
    for (int64_t y = p.y0; y < p.y1; ++y) {
      int64_t count = 0, start = -1;
      c_.each_line(p.z, y, [&](int64_t iz, int64_t iy, int64_t tap) {
        const T* from = p.from + iz * c_.from[2] + iy * c_.from[3];
        const T* dealt = from + low;
        if (!in_place) {
          T* copy = line + (stride_ == 1 ? tap * pitch : 0);
          std::copy(from + a, from + b, copy + (a - low));
          dealt = deal(copy, pitch, phases + tap * pitch);
        }
        const int64_t row = (iz * c_.axis(1).in + iy) * ax_.in;
        if (start < 0) start = row;
        for (int64_t k = 0; k < ax_.taps; ++k, ++count) {
          const int64_t at = k * ax_.dilation;
          taps[count] = dealt + at % stride_ * (pitch / stride_) + at / stride_;
          position[count] = row + at;
        }
      });
      const ptrdiff_t to = p.to + y * c_.to[3] + p.x0;
      if (count == 0)
        fill(p, y, identity);
      else
        c_.kernels.tap.index[c_.pool.op]({taps, position, count, 0, 1, outputs, c_.y + to, c_.indices + to, 0, 0, start,
                                          lane_position_.data() + p.x0, lane_start_.data() + p.x0});
    }
    return true;
  }

  bool one_by_one(const Part& p) const {
    for (int64_t y = p.y0; y < p.y1; ++y)
      for (int64_t x = p.x0; x < p.x1; ++x) {
        T best = identity_of<T>(c_.pool.op);
        int64_t where = -1;
        c_.each_line(p.z, y, [&](int64_t iz, int64_t iy, int64_t) {
          const T* from = p.from + iz * c_.from[2] + iy * c_.from[3];
          for (int64_t k = 0; k < ax_.count[x]; ++k) {
            const int64_t ix = ax_.first[x] + k * ax_.dilation;
            if (where >= 0 && !better(from[ix], best)) continue;
            best = from[ix];
            where = (iz * c_.axis(1).in + iy) * ax_.in + ix;
          }
        });
        c_.y[p.to + y * c_.to[3] + x] = best;
        c_.indices[p.to + y * c_.to[3] + x] = where;
      }
    return true;
  }

  const PoolCall<T>& c_;
  const ck_pool_axis& ax_;
  int64_t zy_, stride_, x_block_, x_blocks_, y_block_, y_blocks_, pitch_, units_;
  std::vector<T> divisors_;
  std::vector<P> lane_position_, lane_start_;
  int threads_;
  bool regular_, pairs_, triples_;
};

}  // namespace

template <class T>
bool pool_planes(const PoolCall<T>& call) {
  return Planes<T>(call).run();
}
template bool pool_planes(const PoolCall<float>&);
template bool pool_planes(const PoolCall<double>&);

}  // namespace convkern
