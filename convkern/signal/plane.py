"""convolve2d, correlate2d and sepfir2d: SciPy's two-dimensional filters with their borders.

    convolve2d   full[i] = sum over j of in2[j] bordered(in1)[i - j];   "same" starts at (k - 1)//2 of it
    correlate2d  the same with in2 reversed and conjugated;             "same" starts at k//2

Bad input and unusual types go to SciPy as they came. It knows no algorithm.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..config import current
from ..original import original
from .compute import SCIPY, Call, compute
from .layout import MODES, Shape, UnfitError, spans
from .linear import NUMERIC, operands, plain, turned

Array = npt.NDArray[Any]
BORDERS = {
    "fill": "zeros",
    "pad": "zeros",
    "wrap": "circular",
    "circular": "circular",
    "symm": "symmetric",
    "symmetric": "symmetric",
}
BOTH = (0, 1)
REFLECT = 2  # of csrc/algo/lines.h: mirrored with the edge repeated


def convolve2d(
    in1: npt.ArrayLike, in2: npt.ArrayLike, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0
) -> Any:
    """Convolution of two images, with a choice of what lies beyond the first.

    Parameters
    ----------
    in1 : array_like
        (H, W), numbers of any type.
    in2 : array_like
        (kernel height, kernel width).
    mode : {"full", "same", "valid"}
        As for :func:`convolve`. Default "full".
    boundary : {"fill", "wrap", "symm"}
        What lies beyond in1: ``fillvalue``, in1 again, or in1 mirrored with its edge repeated. Default "fill".
    fillvalue : scalar
        Default 0.

    Returns
    -------
    ndarray
        Of ``numpy.result_type(in1, in2)``: float32 stays float32, integers are exact and wrap as NumPy's do.

    Raises
    ------
    ValueError, TypeError
        SciPy's own.

    Notes
    -----
    Signature and conventions are those of :func:`scipy.signal.convolve2d`. With
    ``convkern.config(accuracy="strict")`` every output of floats is summed over its own window alone; otherwise large
    kernels may take an FFT, with an error of some 1e-6 of max(abs(result)) in float32.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.signal import convolve2d
    >>> convolve2d(np.eye(3), np.ones((2, 2)), "same", "symm")
    array([[4., 2., 0.],
           [2., 2., 1.],
           [0., 1., 2.]])
    """
    return planes("convolve2d", in1, in2, mode, boundary, fillvalue)


def correlate2d(
    in1: npt.ArrayLike, in2: npt.ArrayLike, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0
) -> Any:
    """Cross-correlation of two images, with a choice of what lies beyond the first.

    Parameters
    ----------
    in1, in2, mode, boundary, fillvalue
        As for :func:`convolve2d`.

    Returns
    -------
    ndarray
        As that of :func:`convolve2d`. With mode "same" and even sizes of in2 it lies one element apart from
        :func:`correlate`'s, as in SciPy.

    Raises
    ------
    ValueError, TypeError
        SciPy's own.

    Notes
    -----
    Signature and conventions are those of :func:`scipy.signal.correlate2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.signal import correlate2d
    >>> correlate2d(np.eye(3, dtype=int), [[1, 2], [3, 4]], "valid")
    array([[5, 3],
           [2, 5]])
    """
    return planes("correlate2d", in1, in2, mode, boundary, fillvalue)


def sepfir2d(input: npt.ArrayLike, hrow: npt.ArrayLike, hcol: npt.ArrayLike) -> Any:  # noqa: A002
    """Convolution of an image's rows with one filter and of its columns with another, its border mirrored.

    Parameters
    ----------
    input : array_like
        (H, W), numbers of any type.
    hrow, hcol : array_like
        (K,) each, K odd. hrow runs along the rows, hcol along the columns.

    Returns
    -------
    ndarray
        (H, W): float32 for input of at most 16 bits and float32, complex64 and complex128 for such input, else float64.

    Raises
    ------
    ValueError, TypeError
        SciPy's own: filters of even length, of a type wider than the result's.

    Notes
    -----
    Signature and conventions are those of :func:`scipy.signal.sepfir2d`. Beyond its border the image is mirrored with
    its edge repeated, again and again if a filter is longer than that.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.signal import sepfir2d
    >>> sepfir2d(np.eye(3), [0.5, 1, 0.5], [1])
    array([[1.5, 0.5, 0. ],
           [0.5, 1. , 0.5],
           [0. , 0.5, 1.5]])
    """
    try:
        image = plain(input)
        if image.ndim != 2:
            raise UnfitError("shapes that do not fit")
        dtype = np.result_type(image, np.float32)
        return separable(image.astype(dtype, copy=False), filter_taps(hrow, dtype), filter_taps(hcol, dtype))
    except UnfitError as unfit:
        reason = str(unfit)
    return original(SCIPY, "sepfir2d", reason)(input, hrow, hcol)


def separable(image: Array, rows: Array, columns: Array) -> Array:
    """sepfir2d() of arrays of one dtype."""
    if image.size == 0:
        return image.copy()
    element = _core.line_type(image.dtype)
    if element is not None:  # both passes over a band of lines that stays in the cache
        result = np.empty(image.shape, image.dtype)
        across, along = ((h.size, h.size // 2, REFLECT, h[::-1].astype(np.float64)) for h in (columns, rows))
        source = np.require(image, requirements=("C", "A"))[None, :, :, None]
        _core.filter_lines("sum", source, result[None, :, :, None], element, across, along, True, 0.0, current().isa)
        return result
    for kernel in (rows[None, :], columns[:, None]):
        if kernel.size > 1:
            call = problem(image.shape, kernel.shape, "same", "symmetric", 0, False)
            image = compute(call, image, kernel, image.dtype)
        else:
            image = image * kernel[0, 0]
    return image


def filter_taps(taps: npt.ArrayLike, dtype: np.dtype[Any]) -> Array:
    """A filter of sepfir2d() in the image's type; lists of numbers take it, arrays must not be wider."""
    array = plain(taps)
    if array.ndim != 1 or array.size % 2 == 0:
        raise UnfitError("shapes that do not fit")
    if isinstance(taps, np.ndarray):
        fits = np.can_cast(array.dtype, dtype)
    else:
        fits = array.dtype.kind in "biuf" or dtype.kind == "c"
    if not fits:
        raise UnfitError("filters of a wider type")
    return array.astype(dtype, copy=False)


def planes(name: str, in1: Any, in2: Any, mode: str, boundary: str, fillvalue: Any) -> Any:
    """convolve2d() and correlate2d()."""
    if boundary in BORDERS and BORDERS[boundary] != "zeros" and mode != "valid" and 0 in np.shape(in1):
        # SciPy 1.17 divides by the size here, which ends the process.
        raise ValueError(f"in1: got shape {np.shape(in1)}, boundary {boundary!r} needs at least one element")
    try:
        x, w = operands(in1, in2)
        if not x.ndim == w.ndim == 2:
            raise UnfitError("shapes that do not fit")
        if mode not in MODES or boundary not in BORDERS:
            raise UnfitError("an unknown mode or boundary")
        dtype = x.dtype if x.dtype == w.dtype else np.result_type(x, w)
        if dtype.char not in NUMERIC or dtype.kind == "b":
            raise UnfitError(f"dtype {dtype.name}")
        if type(fillvalue) is not int and (type(fillvalue) is not float or dtype.kind not in "fc"):
            raise UnfitError(f"fillvalue of type {type(fillvalue).__name__} for {dtype.name}")
        if dtype.kind in "iu" and not np.iinfo(dtype).min <= fillvalue <= np.iinfo(dtype).max:
            raise UnfitError("fillvalue beyond the type")
        border = BORDERS[boundary]
        turn = name == "correlate2d"
        call = problem(x.shape, w.shape, mode, border, fillvalue if border == "zeros" else 0, turn)
        result = compute(call, x, turned(w, BOTH) if turn else w, dtype)
        if turn and mode == "valid" and dtype.kind == "c" and any(n < k for n, k in zip(x.shape, w.shape, strict=True)):
            return result.conj()  # SciPy exchanges the arrays here, and conjugates what was in1
        return result
    except UnfitError as unfit:
        reason = str(unfit)
    return original(SCIPY, name, reason)(in1, in2, mode, boundary, fillvalue)


@lru_cache(maxsize=1024)
def problem(shape1: Shape, shape2: Shape, mode: str, border: str, fill: Any, late: bool) -> Call:
    """The Call for these shapes; ``late`` centres even kernels as correlate2d does."""
    kept = spans(mode, shape1, shape2, BOTH, lenient=False)
    if mode == "same" and late:
        kept = tuple((k // 2, n) for (_, n), k in zip(kept, shape2, strict=True))
    if mode == "valid":
        border, fill = "zeros", 0
    return Call(shape1, shape2, BOTH, mode, kept, "default", border, fill)
