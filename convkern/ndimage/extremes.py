"""Maximum and minimum filters, flat or with heights.

    out[i] = max_k (in[i + k - size // 2 - origin] + structure[k])        minus and min for the minimum
Full flat windows go axis by axis, all others tap by tap; both on the arrays' own dtype.
"""

from typing import Any, NamedTuple

import numpy as np

from . import passes
from .dense import run_taps
from .passes import Pass
from .support import (
    CONSTANT,
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
    line_type,
    mode_number,
    native,
    per_axis,
    real,
    representable,
    window_start,
    workplace,
)


class Extreme(NamedTuple):
    """Which extreme, and the value beyond the border."""

    minimum: bool
    cval: float

    @property
    def kind(self) -> str:
        """The kernels' name of it."""
        return "minimum" if self.minimum else "maximum"


def real_input(value: Any) -> Array:
    """The array; SciPy refuses complex ones."""
    array = as_input(value)
    if array.dtype.kind == "c":
        raise Handover(INVALID)
    return array


def axis_by_axis(array: Array, steps: list[Pass], result: Array, extreme: Extreme) -> Array:
    """Run flat windows over one axis after another."""
    if not steps:
        result[...] = array
        return result
    if any(step.mode == CONSTANT for step in steps) and not (
        representable(extreme.cval, array.dtype) and representable(extreme.cval, result.dtype)
    ):
        raise Handover("cval is no value of the dtype")
    if result.dtype.newbyteorder("=") == array.dtype.newbyteorder("="):
        work = workplace(result, array)
        if not passes.run(extreme.kind, array, steps, work, extreme.cval):
            raise Handover("NaN")
        return finish(work, result)
    # SciPy rounds to the dtype of the result after each axis.
    first = np.empty(array.shape, array.dtype.newbyteorder("="))
    if not passes.run(extreme.kind, array, steps[:1], first, extreme.cval):
        raise Handover("NaN")
    rounded = np.empty(array.shape, result.dtype.newbyteorder("="))
    passes.convert(first, rounded)
    return axis_by_axis(rounded, steps[1:], result, extreme) if steps[1:] else finish(rounded, result)


def check_structure(array: Array, heights: Array, extreme: Extreme, mode: int) -> None:
    """Leave to SciPy the heights that the dtype cannot hold, or with which a sum might wrap around."""
    if array.dtype.kind == "f":
        if not representable(float(heights[0]), array.dtype) or np.isnan(heights).any():
            raise Handover("heights beyond the dtype")
        if array.dtype == np.float32 and np.float32(heights[0]) != heights[0]:
            raise Handover("heights beyond the dtype")
        return
    if array.dtype.kind == "b" or (np.rint(heights) != heights).any() or not np.isfinite(heights).all():
        raise Handover("heights beyond the dtype")
    info = np.iinfo(array.dtype)
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if mode == CONSTANT:
        low, high = min(low, int(extreme.cval)), max(high, int(extreme.cval))
    if low + heights.min() < info.min or high + heights.max() > info.max or heights.min() < info.min:
        raise Handover("heights beyond the dtype")


def tap_by_tap(array: Array, window: Array, heights: Array | None, settings: Any, result: Array) -> Array:
    """Go through the window's taps; `window` and `heights` have the array's dimensions."""
    before, mode, extreme = settings
    if mode == CONSTANT and not (np.isfinite(extreme.cval) and representable(float(int(extreme.cval)), array.dtype)):
        raise Handover("cval is no value of the dtype")
    if array.dtype.kind == "f" and array.dtype != np.float64 and mode == CONSTANT:
        extreme = extreme._replace(cval=float(array.dtype.type(extreme.cval)))
    taps = np.argwhere(window)
    weights = None
    if heights is not None:
        weights = np.ascontiguousarray(heights[window], np.float64) * (-1 if extreme.minimum else 1)
        check_structure(array, weights, extreme, mode)
    same = result.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
    work = workplace(result, array) if same else np.empty(array.shape, array.dtype.newbyteorder("="))
    if array.size:
        run_taps(
            extreme.kind,
            native(array),
            taps - np.array(before),
            weights,
            mode,
            work,
            extreme.cval,
            line_type(array.dtype),
        )
    if same:
        return finish(work, result)
    passes.convert(work, rounded := workplace(result, work))
    return finish(rounded, result)


def extreme_filter(
    given: Any,
    size: Any,
    footprint: Any,
    structure: Any,
    output: Any,
    mode: Any,
    cval: Any,
    origin: Any,
    minimum: bool,
    axes: Any,
) -> Array:
    """The filter behind maximum, minimum, dilation and erosion."""
    if size is not None and footprint is not None:
        raise Handover("both size and footprint")
    array = real_input(given)
    result = as_output(output, array)
    numbers = as_axes(axes, array.ndim)
    count = len(numbers)
    extreme = Extreme(minimum, real(cval))
    if size is None and footprint is None and structure is None:
        raise Handover(INVALID)
    window = None if footprint is None else np.asarray(footprint, bool)
    heights = None if structure is None else np.asarray(structure, np.float64)
    if heights is not None:
        size = None
        window = np.ones(heights.shape, bool) if window is None else window
        if heights.shape != window.shape:
            raise Handover(INVALID)
    if window is not None:
        if not window.any():  # SciPy crashes on it where heights are given as well
            raise ValueError("All-zero footprint is not supported.")
        if window.ndim != count:
            raise Handover(INVALID)
        if heights is None and window.all():
            size, window = window.shape, None
    if window is None:
        settings = zip(numbers, *(per_axis(value, count) for value in (size, origin, mode)), strict=True)
        steps = [extreme_step(s, axis, o, m) for axis, s, o, m in settings if s > 1]
        return axis_by_axis(array, steps, result, extreme)
    if list(numbers) != sorted(numbers):
        raise Handover("axes out of order")
    before, extents = [0] * array.ndim, [1] * array.ndim
    for axis, extent, start in zip(numbers, window.shape, per_axis(origin, count), strict=True):
        before[axis] = window_start(extent, start)
        extents[axis] = extent
    if heights is not None:
        heights = heights.reshape(extents) if heights.any() else None
    return tap_by_tap(array, window.reshape(extents), heights, (before, mode_number(mode), extreme), result)


def extreme_step(size: Any, axis: int, origin: Any, mode: Any) -> Pass:
    """The pass of a flat window along one axis."""
    width = int(real(size))
    if width < 1:
        raise Handover(INVALID)
    return Pass(axis, width, window_start(width, origin), mode_number(mode))


def along_axis(
    given: Any, size: Any, axis: Any, output: Any, mode: Any, cval: Any, origin: Any, minimum: bool
) -> Array:
    """Filter along one axis."""
    array = real_input(given)
    result = as_output(output, array)
    step = extreme_step(integer(size), as_axis(axis, array.ndim), origin, mode)
    return axis_by_axis(array, [step], result, Extreme(minimum, real(cval)))


@drop_in
def maximum_filter1d(
    input: Any,  # noqa: A002
    size: int,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> Array:
    """Running maximum along one axis, as scipy.ndimage.maximum_filter1d.

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
    >>> ndimage.maximum_filter1d([2, 8, 0, 4, 1, 9, 9, 0], size=3)
    array([8, 8, 8, 4, 9, 9, 9, 9])
    """
    return along_axis(input, size, axis, output, mode, cval, origin, minimum=False)


@drop_in
def minimum_filter1d(
    input: Any,  # noqa: A002
    size: int,
    axis: int = -1,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: int = 0,
) -> Array:
    """Running minimum along one axis, as scipy.ndimage.minimum_filter1d.

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
    >>> ndimage.minimum_filter1d([2, 8, 0, 4, 1, 9, 9, 0], size=3)
    array([2, 0, 0, 0, 1, 1, 0, 0])
    """
    return along_axis(input, size, axis, output, mode, cval, origin, minimum=True)


@drop_in
def maximum_filter(
    input: Any,  # noqa: A002
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Array:
    """Maximum over a window, as scipy.ndimage.maximum_filter.

    Parameters
    ----------
    {input}
    {window}
    {output}
    {modes}
    {cval}
    {origins}
    {axes}

    {result}

    Notes
    -----
    Full windows cost the same whatever their size (van Herk 1992; Gil and Werman 1993). 64-bit integers are compared
    as they are, where SciPy rounds them to float64.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import ndimage
    >>> ndimage.maximum_filter(np.array([[0, 1, 5], [2, 0, 0], [0, 0, 0]]), size=2)
    array([[0, 1, 5],
           [2, 2, 5],
           [2, 2, 0]])
    """
    return extreme_filter(input, size, footprint, None, output, mode, cval, origin, False, axes)


@drop_in
def minimum_filter(
    input: Any,  # noqa: A002
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Array:
    """Minimum over a window, as scipy.ndimage.minimum_filter.

    Parameters
    ----------
    {input}
    {window}
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
    >>> ndimage.minimum_filter(np.array([[4, 1, 5], [2, 3, 6], [7, 8, 9]]), size=(3, 1))
    array([[2, 1, 5],
           [2, 1, 5],
           [2, 3, 6]])
    """
    return extreme_filter(input, size, footprint, None, output, mode, cval, origin, True, axes)
