"""Separable linear filters: weighted sums and running means along axes, and what is built of them.

out[i] = sum_k weights[k] in[i + k - size // 2 - origin]
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import passes
from .passes import Pass
from .support import (
    INVALID,
    Array,
    Handover,
    as_axes,
    as_axis,
    as_input,
    as_output,
    drop_in,
    finish,
    integer,
    mode_number,
    parts,
    per_axis,
    real,
    window_start,
    workplace,
)


def filtered(kind: str, array: Array, steps: Sequence[Pass], result: Array, cval: Any) -> Array:
    """Run linear passes with real weights over a real or complex array."""
    if result.dtype.kind == "c":
        if array.dtype.kind != "c":
            raise Handover("real input, complex output")
        for part, value in zip(("real", "imag"), parts(cval), strict=True):
            filtered(kind, getattr(array, part), steps, getattr(result, part), value)
        return result
    if array.dtype.kind == "c":
        raise Handover(INVALID)
    value = real(cval)
    if not steps:
        result[...] = array
        return result
    work = workplace(result, array)
    passes.run(kind, array, steps, work, value)
    return finish(work, result)


def step_of(weights: Any, axis: int, mode: Any, origin: Any = 0) -> Pass:
    """A pass with weights, checked."""
    try:
        line = np.ascontiguousarray(weights, np.float64)
    except (TypeError, ValueError):
        raise Handover(INVALID) from None
    if line.ndim != 1 or line.size < 1:
        raise Handover(INVALID)
    return Pass(axis, line.size, window_start(line.size, origin), mode_number(mode), line)


def as_weights(weights: Any) -> Array:
    """Weights as an array of numbers, complex ones in double precision."""
    try:
        line = np.asarray(weights)
        return line.astype(np.complex128 if line.dtype.kind == "c" else np.float64)
    except (TypeError, ValueError):
        raise Handover(INVALID) from None


def is_complex(array: Array) -> bool:
    """Whether an array is complex."""
    return bool(array.dtype.kind == "c")


def correlated(array: Array, weights: Array, turn: Callable[[Any], Pass], result: Array, cval: Any) -> Array:
    """Correlate with real or complex weights, part by part as SciPy does; `turn` makes a pass of real weights."""
    if not is_complex(weights):
        return filtered("sum", array, [turn(weights)], result, cval)
    if np.may_share_memory(array, result):
        array = array.copy()
    low, high = parts(cval)
    first, second = turn(weights.real), turn(weights.imag)
    if not is_complex(array):
        if high:
            raise Handover(INVALID)
        filtered("sum", array, [first], result.real, low)
        filtered("sum", array, [second], result.imag, low)
        return result
    filtered("sum", array, [first], result, complex(low, high))
    spare = np.empty(array.shape, array.real.dtype)
    result.real -= filtered("sum", array.imag, [second], spare, high)
    result.imag += filtered("sum", array.real, [second], spare, low)
    return result


@drop_in
def correlate1d(
    input: Any,  # noqa: A002
    weights: Any,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> Array:
    """Correlate along one axis with a line of weights, as scipy.ndimage.correlate1d.

    Parameters
    ----------
    {input}
    weights : array_like
        One-dimensional, real or complex.
    {axis}
    {output}
    {mode}
    {cval}
    {origin}

    {result}

    Examples
    --------
    >>> from convkern import ndimage
    >>> ndimage.correlate1d([2, 8, 0, 4, 1, 9, 9, 0], [1, 3])
    array([ 8, 26,  8, 12,  7, 28, 36,  9])
    """
    array, line = as_input(input), as_weights(weights)
    axis = as_axis(axis, array.ndim)
    result = as_output(output, array, complex_result=is_complex(array) or is_complex(line))
    return correlated(array, line.conj(), lambda real_: step_of(real_, axis, mode, origin), result, cval)


@drop_in
def convolve1d(
    input: Any,  # noqa: A002
    weights: Any,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> Array:
    """Convolve along one axis with a line of weights, as scipy.ndimage.convolve1d.

    Parameters
    ----------
    {input}
    weights : array_like
        One-dimensional, real or complex.
    {axis}
    {output}
    {mode}
    {cval}
    {origin}

    {result}

    Examples
    --------
    >>> from convkern import ndimage
    >>> ndimage.convolve1d([2, 8, 0, 4, 1, 9, 9, 0], [1, 3])
    array([14, 24,  4, 13, 12, 36, 27,  0])
    """
    array, line = as_input(input), as_weights(weights)
    axis = as_axis(axis, array.ndim)
    if line.ndim != 1:
        raise Handover(INVALID)
    shift = -integer(origin) - (line.size % 2 == 0)
    result = as_output(output, array, complex_result=is_complex(array) or is_complex(line))
    return correlated(array, line[::-1], lambda real_: step_of(real_, axis, mode, shift), result, cval)


def mean_step(size: Any, axis: int, mode: Any, origin: Any) -> Pass:
    """The pass of a running mean."""
    width = integer(size)
    if width < 1:
        raise Handover(INVALID)
    return Pass(axis, width, window_start(width, origin), mode_number(mode))


@drop_in
def uniform_filter1d(
    input: Any,  # noqa: A002
    size: int,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> Array:
    """Running mean along one axis, as scipy.ndimage.uniform_filter1d.

    Parameters
    ----------
    {input}
    size : int
        Length of the window.
    {axis}
    {output}
    {mode}
    {cval}
    {origin}

    {result}

    Examples
    --------
    >>> from convkern import ndimage
    >>> ndimage.uniform_filter1d([2, 8, 0, 4, 1, 9, 9, 0], size=3)
    array([4, 3, 4, 1, 4, 6, 6, 3])
    """
    array = as_input(input)
    step = mean_step(size, as_axis(axis, array.ndim), mode, origin)
    return filtered("mean", array, [step], as_output(output, array, complex_result=is_complex(array)), cval)


@drop_in
def uniform_filter(
    input: Any,  # noqa: A002
    size: Any = 3,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Array:
    """Running means over several axes, as scipy.ndimage.uniform_filter.

    Parameters
    ----------
    {input}
    size : int or sequence of int, optional
        Length of the window on all axes or each. Default 3.
    {output}
    {modes}
    {cval}
    {origins}
    {axes}

    {result}

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import ndimage
    >>> ndimage.uniform_filter(np.arange(9.0).reshape(3, 3))[1]
    array([3.33333333, 4.        , 4.66666667])
    """
    array = as_input(input)
    numbers_ = as_axes(axes, array.ndim)
    settings = zip(numbers_, *(per_axis(value, len(numbers_)) for value in (size, mode, origin)), strict=True)
    steps = [mean_step(int(s), axis, m, o) for axis, s, m, o in settings if s > 1]
    return filtered("mean", array, steps, as_output(output, array, complex_result=is_complex(array)), cval)
