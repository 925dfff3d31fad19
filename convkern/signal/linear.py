"""convolve, correlate, fftconvolve and oaconvolve: SciPy's arguments and conventions around compute().

    full[i] = sum over j of in1[j] in2[i - j];   correlate reverses and conjugates in2 first

Bad input and unusual types go to SciPy as they came. It knows no algorithm.
"""

import warnings
from collections.abc import Iterable
from functools import lru_cache
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import is_array
from ..original import original
from .compute import SCIPY, Call, all_finite, compute
from .layout import MODES, Shape, UnfitError, spans

Array = npt.NDArray[Any]
Axes = int | Iterable[int] | None

METHODS = ("auto", "direct", "fft")
NUMERIC = frozenset("?bhilqBHILQfdFD")
# One-dimensional products up to so many multiply-adds take NumPy's loop less time than our call.
FEW = 8192
FLOAT64 = np.dtype(np.float64)


def plain(value: Any) -> Array:
    """A NumPy array of numbers that compute() takes; UnfitError for all else."""
    if type(value) is not np.ndarray:
        if is_array(value) and not isinstance(value, np.generic):  # a masked array, another library's
            raise UnfitError(f"input of type {type(value).__name__}")
        value = np.asarray(value)
    if value.dtype.char not in NUMERIC:
        raise UnfitError(f"dtype {value.dtype.name}")
    if not value.dtype.isnative:
        value = value.astype(value.dtype.newbyteorder("="))
    array: Array = value
    return array


def operands(in1: Any, in2: Any) -> tuple[Array, Array]:
    """Both as plain arrays of at least one element and one dimension."""
    first, second = plain(in1), plain(in2)
    if first.ndim == 0 or second.ndim == 0:
        raise UnfitError("no dimensions")
    if first.size == 0 or second.size == 0:
        raise UnfitError("empty input")
    return first, second


def axis_numbers(axes: Axes, ndim: int) -> Shape:
    """Axes as sorted numbers from 0; UnfitError where they are no valid choice."""
    if axes is None:
        return tuple(range(ndim))
    try:
        numbers = [index(a) for a in axes] if isinstance(axes, Iterable) else [index(axes)]
    except TypeError:
        raise UnfitError("axes that do not fit") from None
    numbers = [a + ndim if a < 0 else a for a in numbers]
    if not numbers or len(set(numbers)) != len(numbers) or min(numbers) < 0 or max(numbers) >= ndim:
        raise UnfitError("axes that do not fit")
    return tuple(sorted(numbers))


@lru_cache(maxsize=1024)
def problem(shape1: Shape, shape2: Shape, axes: Shape, mode: str, accuracy: str, lenient: bool) -> Call:
    """The Call for these shapes."""
    return Call(shape1, shape2, axes, mode, spans(mode, shape1, shape2, axes, lenient=lenient), accuracy)


def convolve(
    in1: npt.ArrayLike, in2: npt.ArrayLike, mode: str = "full", method: str = "auto", *, axes: Axes = None
) -> Any:
    """Linear convolution of two arrays along all axes, or along ``axes``.

    Parameters
    ----------
    in1, in2 : array_like
        Numbers of any type, of the same number of dimensions.
    mode : {"full", "same", "valid"}
        Size of the result along each convolved axis, for sizes n of in1 and k of in2: "full" n + k - 1, all that is not
        zero; "same" n, the middle of "full" from index (k - 1)//2 on; "valid" abs(n - k) + 1, where one array lies
        inside the other entirely. Default "full".
    method : {"auto", "direct", "fft"}
        "direct" sums every output over its own window; "auto" and "fft" take what is predicted to be fastest, with an
        error of at most some 1e-6 of max(abs(result)) in float32. Default "auto".
    axes : int or sequence of int, optional
        Axes to convolve along; the arrays are broadcast along all others, so that one call does a batch of signals,
        each channel with its own kernel or all with the same. By default all. SciPy has no such argument. With axes
        counted from the end, missing leading axes are added to the array with fewer.

    Returns
    -------
    ndarray
        Of ``numpy.result_type(in1, in2)``: float32 stays float32, integers are exact and wrap as NumPy's do.

    Raises
    ------
    ValueError, TypeError
        SciPy's own.

    See Also
    --------
    correlate, fftconvolve, convolve2d

    Notes
    -----
    Signature and conventions are those of :func:`scipy.signal.convolve`. With method "fft", too, a NaN or an infinity
    reaches only the outputs that it is a term of.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.signal import convolve
    >>> convolve([1, 2, 3], [1, 1])
    array([1, 3, 5, 3])

    A batch of two signals, each with both of two kernels:

    >>> signals = np.arange(8.0).reshape(2, 1, 4)
    >>> kernels = np.array([[[1.0, -1.0], [0.5, 0.5]]])
    >>> convolve(signals, kernels, "valid", axes=-1)
    array([[[1. , 1. , 1. ],
            [0.5, 1.5, 2.5]],
    <BLANKLINE>
           [[1. , 1. , 1. ],
            [4.5, 5.5, 6.5]]])
    """
    if type(in1) is np.ndarray and type(in2) is np.ndarray and axes is None and few(in1, in2, mode, method):
        return np.convolve(in1, in2, mode)  # type: ignore[call-overload]
    try:
        check_flags(mode, method)
        x, w = operands(in1, in2)
        if axes is None:
            if few(x, w, mode, method):
                return np.convolve(x, w, mode)  # type: ignore[call-overload]
            numbers = same_dimensions(x, w)
        else:
            x, w = padded_dimensions(x, w, axes)
            numbers = axis_numbers(axes, x.ndim)
        return settle(x, w, numbers, mode, method)
    except UnfitError as unfit:
        reason = str(unfit)
    return unaided("convolve", reason, in1, in2, mode, method, axes)


def correlate(
    in1: npt.ArrayLike, in2: npt.ArrayLike, mode: str = "full", method: str = "auto", *, axes: Axes = None
) -> Any:
    """Cross-correlation of two arrays along all axes, or along ``axes``.

    ``z[i] = sum over j of in1[j] conj(in2[j - i + size of in2 - 1])`` in mode "full".

    Parameters
    ----------
    in1, in2 : array_like
        Numbers of any type, of the same number of dimensions.
    mode, method, axes
        As for :func:`convolve`.

    Returns
    -------
    ndarray
        Of ``numpy.result_type(in1, in2)``. :func:`correlation_lags` has the lags along an axis.

    Raises
    ------
    ValueError, TypeError
        SciPy's own.

    Notes
    -----
    Signature and conventions are those of :func:`scipy.signal.correlate`.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.signal import correlate, correlation_lags
    >>> signal, part = np.array([0, 0, 1, 2, 3, 0]), np.array([1, 2, 3])
    >>> z = correlate(signal, part)
    >>> int(correlation_lags(6, 3)[z.argmax()])
    2
    """
    if type(in1) is np.ndarray and type(in2) is np.ndarray and axes is None and few(in1, in2, mode, method):
        return np.correlate(in1, in2, mode)  # type: ignore[call-overload]
    try:
        check_flags(mode, method)
        x, w = operands(in1, in2)
        if axes is None:
            if few(x, w, mode, method):
                return np.correlate(x, w, mode)  # type: ignore[call-overload]
            numbers = same_dimensions(x, w)
        else:
            x, w = padded_dimensions(x, w, axes)
            numbers = axis_numbers(axes, x.ndim)
        return settle(x, turned(w, numbers), numbers, mode, method)
    except UnfitError as unfit:
        reason = str(unfit)
    return unaided("correlate", reason, in1, in2, mode, method, axes)


def fftconvolve(in1: npt.ArrayLike, in2: npt.ArrayLike, mode: str = "full", axes: Axes = None) -> Any:
    """Linear convolution of two arrays, by whatever method is predicted to be fastest.

    Parameters
    ----------
    in1, in2 : array_like
        Numbers of any type, of the same number of dimensions.
    mode : {"full", "same", "valid"}
        As for :func:`convolve`.
    axes : int or sequence of int, optional
        Axes to convolve along; along the others the arrays are broadcast. By default all.

    Returns
    -------
    ndarray
        float32, float64, complex64 or complex128, the widest that the arrays need; integers count as float64.

    Raises
    ------
    ValueError, TypeError
        SciPy's own.

    Notes
    -----
    Signature and conventions are those of :func:`scipy.signal.fftconvolve`. Short kernels take no FFT at all. A NaN or
    an infinity reaches only the outputs that it is a term of.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.signal import fftconvolve
    >>> images = np.ones((8, 3, 32, 32), np.float32)
    >>> fftconvolve(images, np.ones((1, 3, 5, 5), np.float32), "same", axes=(2, 3)).dtype
    dtype('float32')
    """
    return in_floats("fftconvolve", in1, in2, mode, axes)


def oaconvolve(in1: npt.ArrayLike, in2: npt.ArrayLike, mode: str = "full", axes: Axes = None) -> Any:
    """Linear convolution of two arrays: :func:`fftconvolve` by SciPy's other name.

    SciPy cuts the longer array into overlapping blocks here; convkern decides for itself.

    Parameters
    ----------
    in1, in2, mode, axes
        As for :func:`fftconvolve`.

    Returns
    -------
    ndarray
        As that of :func:`fftconvolve`.

    Raises
    ------
    ValueError, TypeError
        SciPy's own.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.signal import oaconvolve
    >>> oaconvolve(np.ones(1000), np.ones(10)).shape
    (1009,)
    """
    return in_floats("oaconvolve", in1, in2, mode, axes)


def few(x: Array, w: Array, mode: str, method: str) -> bool:
    """Whether NumPy's own loop is SciPy's definition of the result and the fastest way to it."""
    return (
        x.ndim == 1
        and w.ndim == 1
        and 0 < x.size * w.size <= FEW
        and (mode == "full" or mode == "valid" or (mode == "same" and x.size >= w.size))
        and (method == "auto" or method == "direct")
    )


def check_flags(mode: str, method: str) -> None:
    if mode not in MODES or method not in METHODS:
        raise UnfitError("an unknown mode or method")


def same_dimensions(x: Array, w: Array) -> Shape:
    if x.ndim != w.ndim:
        raise UnfitError("shapes that do not fit")
    return tuple(range(x.ndim))


def padded_dimensions(x: Array, w: Array, axes: Axes) -> tuple[Array, Array]:
    """With leading axes of length 1 where one array has fewer."""
    if x.ndim == w.ndim:
        return x, w
    numbers = tuple(axes) if isinstance(axes, Iterable) else (axes,)
    if any(not isinstance(a, int) or a >= 0 for a in numbers):
        raise ValueError(
            f"axes: got {axes!r} for {x.ndim} and {w.ndim} dimensions, needs axes counted from the end (negative)"
        )
    more = abs(x.ndim - w.ndim)
    return (x, w[(None,) * more]) if x.ndim > w.ndim else (x[(None,) * more], w)


def turned(w: Array, axes: Shape) -> Array:
    """Reversed along the axes, and conjugated."""
    reverse = tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(w.ndim))
    return w[reverse].conj() if w.dtype.kind == "c" else w[reverse]


def settle(x: Array, w: Array, axes: Shape, mode: str, method: str) -> Array:
    """convolve() on plain arrays."""
    dtype = x.dtype if x.dtype == w.dtype else np.result_type(x, w)
    if dtype.char not in NUMERIC or dtype.kind == "b":
        raise UnfitError(f"dtype {dtype.name}")
    call = problem(x.shape, w.shape, axes, mode, "strict" if method == "direct" else "default", False)
    result = compute(call, x, w, dtype)
    if method == "fft" and dtype.kind in "fc" and not all_finite(result):
        # SciPy's words; ours reach their own outputs only, which is no reason to be silent.
        text = "Use of fft convolution on input with NAN or inf results in NAN or inf output."
        warnings.warn(f"{text} Consider using method='direct' instead.", RuntimeWarning, stacklevel=3)
    return result


def in_floats(name: str, in1: Any, in2: Any, mode: str, axes: Axes) -> Any:
    """fftconvolve() and oaconvolve()."""
    try:
        if mode not in MODES:
            raise UnfitError("an unknown mode or method")
        x, w = operands(in1, in2)
        same_dimensions(x, w)
        call = problem(x.shape, w.shape, axis_numbers(axes, x.ndim), mode, "default", True)
        first, second = (FLOAT64 if a.dtype.kind in "biu" and not call.product else a.dtype for a in (x, w))
        return compute(call, x, w, np.result_type(first, second))
    except UnfitError as unfit:
        reason = str(unfit)
    return original(SCIPY, name, reason)(in1, in2, mode, axes)


def unaided(name: str, reason: str, in1: Any, in2: Any, mode: str, method: str, axes: Axes) -> Any:
    """SciPy's convolve() or correlate(), which know no axes."""
    if axes is not None:
        given = f"shapes {np.shape(in1)} and {np.shape(in2)}, mode {mode!r}, method {method!r}, axes {axes!r}"
        raise ValueError(f"{name}: got {given}, which axes= does not cover: {reason}")
    return original(SCIPY, name, reason)(in1, in2, mode, method)
