"""Correlation and convolution with weights of the array's own number of dimensions.

    out[i] = sum_k weights[k] in[i + k - size // 2 - origin]
Float arrays of up to three filtered axes go through conv1d to conv3d, everything else tap by tap.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from .. import _core
from ..api import conv1d, conv2d, conv3d
from ..config import current
from . import passes
from .passes import Pass
from .support import (
    CONSTANT,
    INVALID,
    MODES,
    Array,
    Handover,
    as_axes,
    as_input,
    as_output,
    drop_in,
    finish,
    integer,
    mode_number,
    native,
    parts,
    per_axis,
    real,
    window_start,
    workplace,
)

PADDING = {
    MODES["nearest"]: "replicate",
    MODES["wrap"]: "circular",
    MODES["reflect"]: "symmetric",
    MODES["mirror"]: "reflect",
    CONSTANT: "zeros",
}
CONVOLUTIONS = {1: conv1d, 2: conv2d, 3: conv3d}
NEGLIGIBLE = np.finfo(np.float64).eps  # SciPy leaves out weights up to this
FEWEST = 4096  # elements from which on conv2d is faster than going tap by tap


class Window(NamedTuple):
    """Weights of the array's dimensions, and how many elements of the window lie before the output on each axis."""

    weights: Array
    before: tuple[int, ...]
    mode: int


def convolved(array: Array, window: Window, work: Array, cval: float) -> bool:
    """Try conv1d to conv3d: leading axes without a window are the batch. False where those do not serve."""
    sizes = window.weights.shape
    lead = next((i for i, size in enumerate(sizes) if size > 1), len(sizes) - 1)
    dims = array.ndim - lead
    if dims > 3 or array.size < FEWEST or array.dtype != work.dtype or array.dtype.kind != "f":
        return False
    ends = [(before, size - 1 - before) for before, size in zip(window.before[lead:], sizes[lead:], strict=True)]
    shape = array.shape[lead:]
    if any(max(end) >= extent for end, extent in zip(ends, shape, strict=True)):
        return False
    image = array.reshape(math.prod(array.shape[:lead]), 1, *shape)
    settings: dict[str, Any] = {"padding": tuple(ends), "padding_mode": PADDING[window.mode]}
    if window.mode == CONSTANT and cval != 0:
        image = np.pad(image, [(0, 0), (0, 0), *ends], constant_values=cval)
        settings = {}
    weights = window.weights.reshape(1, 1, *sizes[lead:]).astype(array.dtype)
    CONVOLUTIONS[dims](image, weights, out=work.reshape(-1, 1, *shape), **settings)
    # A weight of zero times infinity is NaN, but SciPy does not look at what lies there.
    return bool((np.abs(window.weights) > NEGLIGIBLE).all() or np.isfinite(work).all())


def tap_by_tap(array: Array, window: Window, work: Array, cval: float) -> None:
    """Go through the taps in order, those with negligible weights left out."""
    taps = np.argwhere(np.abs(window.weights) > NEGLIGIBLE)
    weights = np.ascontiguousarray(window.weights[tuple(taps.T)])
    whole = Pass(0, weights.size, 0, window.mode, weights)
    element = passes.element_type(array.dtype, work.dtype, [whole], cval)
    run_taps("sum", array, taps - np.array(window.before), weights, window.mode, work, cval, element)


def run_taps(
    kind: str,
    array: Array,
    offsets: Array,
    weights: Array | None,
    mode: int,
    work: Array,
    cval: float,
    element: int,
) -> None:
    """Call the kernel, which wants contiguous arrays of at least two dimensions."""
    offsets = np.ascontiguousarray(offsets, np.int64)
    array = np.ascontiguousarray(array)
    if array.ndim == 1:
        array, work, offsets = array[None], work[None], np.insert(offsets, 0, 0, axis=1)
    _core.filter_taps(kind, array, work, element, offsets, weights, mode, cval, current().isa)


def real_correlation(array: Array, window: Window, result: Array, cval: Any) -> Array:
    """Correlate a real array with real weights into `result`."""
    value = real(cval)
    work = workplace(result, array)
    array = native(array)
    if result.size and not convolved(array, window, work, value):
        tap_by_tap(array, window, work, value)
    return finish(work, result)


def correlation(array: Array, weights: Array, rest: tuple[Window, Array], cval: Any) -> Array:
    """Correlate real or complex arrays with real or complex weights, part by part, as SciPy does."""
    window, result = rest
    if result.dtype.kind != "c":
        return real_correlation(array, window._replace(weights=weights), result, cval)
    low, high = parts(cval)

    def part(of: Array, with_weights: Array, into: Array, constant: float) -> Array:
        return real_correlation(of, window._replace(weights=np.ascontiguousarray(with_weights)), into, constant)

    if np.may_share_memory(array, result):
        array = array.copy()
    if array.dtype.kind != "c":
        if high:
            raise Handover(INVALID)
        part(array, weights.real, result.real, low)
        part(array, weights.imag, result.imag, low)
        return result
    part(array.real, weights.real, result.real, low)
    part(array.imag, weights.real, result.imag, high)
    if weights.dtype.kind == "c":
        spare = np.empty(array.shape, array.real.dtype)
        result.real -= part(array.imag, weights.imag, spare, high)
        result.imag += part(array.real, weights.imag, spare, low)
    return result


def correlate_or_convolve(
    given: Any, weights: Any, output: Any, mode: Any, cval: Any, origin: Any, axes: Any, turn: bool
) -> Array:
    """Check the arguments of both functions; `turn` for convolution."""
    array = as_input(given)
    try:
        weights = np.asarray(weights)
        is_complex = weights.dtype.kind == "c"
        weights = weights.astype(np.complex128 if is_complex else np.float64)
    except (TypeError, ValueError):
        raise Handover(INVALID) from None
    numbers = as_axes(axes, array.ndim)
    if weights.ndim != len(numbers) or 0 in weights.shape or not numbers:
        raise Handover(INVALID)
    if is_complex and not turn:
        weights = weights.conj()
    origins = [integer(each) for each in per_axis(origin, len(numbers))]
    if turn:
        weights = weights[(slice(None, None, -1),) * weights.ndim]
        origins = [-o - (size % 2 == 0) for o, size in zip(origins, weights.shape, strict=True)]
    before = [0] * array.ndim
    extents = [1] * array.ndim
    for axis, size, start in zip(numbers, weights.shape, origins, strict=True):
        before[axis] = window_start(size, start)
        extents[axis] = size
    # SciPy spreads the weights' axes in their own order over the axes in ascending order.
    if list(numbers) != sorted(numbers):
        raise Handover("axes out of order")
    window = Window(weights, tuple(before), mode_number(mode))
    result = as_output(output, array, complex_result=is_complex or array.dtype.kind == "c")
    if result.dtype.kind == "c" and not is_complex and array.dtype.kind != "c":
        raise Handover("real input, complex output")
    return correlation(array, weights.reshape(extents), (window, result), cval)


@drop_in
def correlate(
    input: Any,  # noqa: A002
    weights: Any,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Array:
    """Correlate with weights over all axes or some, as scipy.ndimage.correlate.

    Parameters
    ----------
    {input}
    weights : array_like
        With as many dimensions as there are axes, real or complex.
    {output}
    {mode}
    {cval}
    {origins}
    {axes}

    {result}

    Notes
    -----
    float32 arrays are summed in float32, float64 arrays in float64, in any order; all others in float64 in SciPy's
    order, so that what is cut to integers is the same.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import ndimage
    >>> ndimage.correlate(np.arange(9).reshape(3, 3), [[0, 1, 0], [1, -4, 1], [0, 1, 0]], mode="nearest")
    array([[ 4,  3,  2],
           [ 1,  0, -1],
           [-2, -3, -4]])
    """
    return correlate_or_convolve(input, weights, output, mode, cval, origin, axes, turn=False)


@drop_in
def convolve(
    input: Any,  # noqa: A002
    weights: Any,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Array:
    """Convolve with weights over all axes or some, as scipy.ndimage.convolve.

    Parameters
    ----------
    {input}
    weights : array_like
        With as many dimensions as there are axes, real or complex.
    {output}
    {mode}
    {cval}
    {origins}
    {axes}

    {result}

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import ndimage
    >>> a = np.array([[1, 2, 0, 0], [5, 3, 0, 4], [0, 0, 0, 7], [9, 3, 0, 0]])
    >>> ndimage.convolve(a, [[1, 1, 1], [1, 1, 0], [1, 0, 0]], mode="constant", cval=0.0)
    array([[11, 10,  7,  4],
           [10,  3, 11, 11],
           [15, 12, 14,  7],
           [12,  3,  7,  0]])
    """
    return correlate_or_convolve(input, weights, output, mode, cval, origin, axes, turn=True)
