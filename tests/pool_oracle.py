"""The definition of pooling in plain NumPy loops over outputs, in float64, against which the library is compared.

Arrays are (n, channels, *spatial); per-axis settings are tuples. A window reads o*stride + k*dilation - padding, what
lies outside being left out. It knows nothing of convkern. Integer-valued data gives exact maxima and sums.
"""

import itertools

import numpy as np


def output_size(size, kernel, stride, padding, dilation, ceil_mode):
    """Count the windows that fit; with ceil_mode one more, if it begins before the padding at the end."""
    reach = dilation * (kernel - 1) + 1
    starts = [start for start in range(-padding, size + padding, stride) if start + reach <= size + padding]
    if ceil_mode:
        more = starts[-1] + stride if starts else -padding
        if starts[-1] + reach < size + padding and more < size:
            starts.append(more)
    return len(starts)


def regular(size, kernel, stride, padding, dilation, ceil_mode):
    """List for each output of an axis (positions read, positions including padding)."""
    windows = []
    for o in range(output_size(size, kernel, stride, padding, dilation, ceil_mode)):
        start = o * stride - padding
        taps = [start + k * dilation for k in range(kernel)]
        windows.append(([i for i in taps if 0 <= i < size], len([i for i in taps if i < size + padding])))
    return windows


def adaptive(size, out):
    windows = []
    for o in range(out):
        inside = [i for i in range(size) if o * size // out <= i < -(-(o + 1) * size // out)]
        windows.append((inside, len(inside)))
    return windows


def outputs(windows):
    """Each output position with the positions of its window and its volume including padding."""
    for where in np.ndindex(*map(len, windows)):
        axes = [axis[o] for axis, o in zip(windows, where, strict=True)]
        taps = list(itertools.product(*(inside for inside, _ in axes)))
        yield where, taps, int(np.prod([count for _, count in axes]))


def extreme(x, windows, kind):
    """(values, indices): the first extreme value, or the last NaN; -1 where a window is empty."""
    shape = (*x.shape[:2], *map(len, windows))
    worst = -np.inf if kind == "max" else np.inf
    values, indices = np.full(shape, worst), np.full(shape, -1, np.int64)
    sizes = x.shape[2:]
    for where, taps, _ in outputs(windows):
        for n, c in np.ndindex(*x.shape[:2]):
            best, found = worst, -1
            for tap in taps:
                value = x[(n, c, *tap)]
                better = value > best if kind == "max" else value < best
                if found < 0 or better or np.isnan(value):
                    best, found = value, int(np.ravel_multi_index(tap, sizes))
            values[(n, c, *where)], indices[(n, c, *where)] = best, found
    return values, indices


def average(x, windows, include_pad=True, divisor=None):
    y = np.zeros((*x.shape[:2], *map(len, windows)))
    for where, taps, volume in outputs(windows):
        total = sum(np.asarray(x[(slice(None), slice(None), *tap)], np.float64) for tap in taps)
        y[(slice(None), slice(None), *where)] = total / (divisor or (volume if include_pad else max(1, len(taps))))
    return y


def average_gradient(grad, sizes, windows, include_pad=True, divisor=None):
    dx = np.zeros((*grad.shape[:2], *sizes))
    for where, taps, volume in outputs(windows):
        share = grad[(slice(None), slice(None), *where)] / (divisor or (volume if include_pad else max(1, len(taps))))
        for tap in taps:
            dx[(slice(None), slice(None), *tap)] += share
    return dx
