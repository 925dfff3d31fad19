"""Axis arithmetic: per-axis settings, the forms of padding, output sizes, and the adjoint of a border.

    output = (input + low + high - dilation*(kernel - 1) - 1) // stride + 1

All sizes are Python integers, so nothing here overflows. It knows nothing of arrays' layouts or of algorithms.
"""

import operator
from typing import Any

import numpy as np
import numpy.typing as npt

Pair = tuple[int, int]

PADDING_MODES = ("zeros", "reflect", "replicate", "circular", "symmetric")
PADDING_WORDS = ("valid", "same", "full")


def frozen(value: Any, name: str) -> Any:
    """An int, str or (nested) tuple of ints from what the caller gave: hashable, exact, without numpy scalars.

    Raises
    ------
    TypeError
        For booleans, floats and anything else that is not an integer, a string or a sequence of integers.
    """
    if type(value) is int or isinstance(value, str):
        return value
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, tuple | list):
        return tuple(frozen(item, name) for item in value)
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        return operator.index(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{name}: got {value!r} ({kind}), needs an integer or a tuple of integers") from None


def axis_values(value: Any, name: str, rank: int, minimum: int) -> tuple[int, ...]:
    """One integer per spatial axis, each at least ``minimum``, from an int or a tuple."""
    value = frozen(value, name)
    values = (value,) if isinstance(value, int) else value
    if isinstance(values, str) or any(not isinstance(item, int) for item in values):
        raise TypeError(f"{name}: got {value!r}, needs an integer or a tuple of {rank} integers")
    if len(values) == 1:
        values *= rank
    if len(values) != rank:
        raise ValueError(f"{name}: got {len(values)} values {value!r}, needs one integer or {rank}")
    if min(values) < minimum:
        raise ValueError(f"{name}: got {value!r}, needs values of at least {minimum}")
    return values


def extent(kernel: int, dilation: int) -> int:
    """Input positions one window spans."""
    return dilation * (kernel - 1) + 1


def output_size(size: int, kernel: int, stride: int, dilation: int, pad: Pair) -> int:
    """Output positions along an axis: 0 for an empty axis it does not fit in, -1 where the window does not fit."""
    room = size + sum(pad) - extent(kernel, dilation)
    if room < 0:
        return -1 if size else 0
    return room // stride + 1


def same_pair(size: int, kernel: int, stride: int, dilation: int) -> Pair:
    """TensorFlow's rule: output = ceil(size / stride), an odd position goes to the high side."""
    total = max((-(-size // stride) - 1) * stride + extent(kernel, dilation) - size, 0)
    return total // 2, total - total // 2


def padding_pairs(
    value: Any,
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    *,
    cropped: bool = False,
) -> tuple[Pair, ...]:
    """(low, high) per axis from every form of the padding argument.

    Parameters
    ----------
    value
        An int, one int or (low, high) pair per axis, "valid", "same" or "full".
    sizes, kernel, stride, dilation
        One value per axis.
    cropped
        Whether a high side may be negative.
    """
    rank = len(sizes)
    value = frozen(value, "padding")
    if isinstance(value, str):
        if value == "valid":
            return ((0, 0),) * rank
        if value == "full":
            return tuple((extent(k, d) - 1,) * 2 for k, d in zip(kernel, dilation, strict=True))
        if value == "same":
            return tuple(map(same_pair, sizes, kernel, stride, dilation))
        raise ValueError(f"padding: got {value!r}, needs integers or one of {', '.join(PADDING_WORDS)}")
    items = (value,) if isinstance(value, int) else value
    if len(items) == 1:
        items *= rank
    if len(items) != rank:
        raise ValueError(f"padding: got {value!r}, needs one value or {rank}, each an integer or a (low, high) pair")
    pairs = []
    for item in items:
        pair = (item, item) if isinstance(item, int) else item
        if isinstance(pair, str) or len(pair) != 2 or not all(isinstance(side, int) for side in pair):
            raise ValueError(f"padding: got {value!r}, needs an integer or a (low, high) pair for each axis")
        if pair[0] < 0 or (pair[1] < 0 and not cropped):
            raise ValueError(f"padding: got {value!r}, needs values of at least 0")
        pairs.append(pair)
    return tuple(pairs)


def check_padding_mode(mode: str, sizes: tuple[int, ...], padding: tuple[Pair, ...]) -> None:
    """Raises ValueError where a border would read beyond the other side of the image."""
    if mode not in PADDING_MODES:
        raise ValueError(f"padding_mode: got {mode!r}, needs one of {', '.join(PADDING_MODES)}")
    if mode == "zeros":
        return
    for size, pair in zip(sizes, padding, strict=True):
        widest = max(pair)
        if mode == "replicate":
            fits, rule = size > 0, "an axis with at least one element"
        elif mode == "reflect":
            fits, rule = widest < size, "padding smaller than the axis"
        else:
            fits, rule = widest <= size, "padding no larger than the axis"
        if widest and not fits:
            raise ValueError(f"padding: got {widest} on an axis of size {size}; padding_mode {mode!r} needs {rule}")


def fold_border(padded: npt.NDArray[Any], first_axis: int, padding: tuple[Pair, ...], mode: str) -> npt.NDArray[Any]:
    """The adjoint of padding: adds each border value to the position it was read from.

    Works in place, axis by axis from ``first_axis``, and returns the view of ``padded`` without its border.
    """
    for axis, (low, high) in enumerate(padding, start=first_axis):
        line = np.moveaxis(padded, axis, 0)
        size = line.shape[0] - low - high
        inner, before, after = line[low : low + size], line[:low], line[low + size :]
        if mode == "reflect":
            inner[1 : low + 1] += before[::-1]
            inner[size - 1 - high : size - 1] += after[::-1]
        elif mode == "symmetric":
            inner[:low] += before[::-1]
            inner[size - high :] += after[::-1]
        elif mode == "circular":
            inner[size - low :] += before
            inner[:high] += after
        elif mode == "replicate" and size:
            inner[0] += before.sum(axis=0)
            inner[-1] += after.sum(axis=0)
        padded = np.moveaxis(inner, 0, axis)
    return padded
