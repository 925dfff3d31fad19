"""choose_conv_method and correlation_lags: what surrounds convolve() and correlate() in SciPy."""

import timeit
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..original import original
from .compute import SCIPY, largest
from .layout import MODES, UnfitError
from .linear import METHODS, convolve, few, operands, problem, same_dimensions

Array = npt.NDArray[Any]
EXACT = 2**52 - 1  # products of integers up to here survive an FFT in float64
LAGS = np.dtype(np.intp)


def choose_conv_method(in1: npt.ArrayLike, in2: npt.ArrayLike, mode: str = "full", measure: bool = False) -> Any:
    """The method that :func:`convolve` and :func:`correlate` are predicted to be fastest with.

    Parameters
    ----------
    in1, in2 : array_like
        As for :func:`convolve`.
    mode : {"full", "same", "valid"}
        As for :func:`convolve`.
    measure : bool
        Time both methods instead of predicting them. Default False.

    Returns
    -------
    method : {"direct", "fft"}
        "direct", too, for integers so large that an FFT would round them, and for types that it does not take.
    times : dict
        Seconds of each method by its name, only with ``measure=True``.

    Raises
    ------
    ValueError, TypeError
        SciPy's own.

    Notes
    -----
    Signature and conventions are those of :func:`scipy.signal.choose_conv_method`. The answer is about convkern's two
    methods on this machine, so it may differ from SciPy's.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.signal import choose_conv_method
    >>> choose_conv_method(np.ones(10), np.ones(3))
    'direct'
    """
    try:
        x, w = operands(in1, in2)
        if mode not in MODES:
            raise UnfitError("an unknown mode or method")
        axes = same_dimensions(x, w)
        if measure:
            times = {name: seconds(partial(convolve, x, w, mode=mode, method=name)) for name in METHODS[:0:-1]}
            return min(times, key=lambda name: times[name]), times
        dtype = np.result_type(x, w)
        if dtype.kind == "b":
            return "direct"
        for array in (x, w):
            if array.dtype.kind in "iu" and bound(x, w) > EXACT:
                return "direct"
        call = problem(x.shape, w.shape, axes, mode, "default", False)
        if few(x, w, mode, "auto") or call.product:
            return "direct"
        real = np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype
        products = 1 if dtype.kind != "c" else 4 if x.dtype.kind == w.dtype.kind else 2
        route = call.route("float32" if real == np.float32 else "float64", "default", products)
        return "direct" if route.exact else "fft"
    except UnfitError as unfit:
        reason = str(unfit)
    return original(SCIPY, "choose_conv_method", reason)(in1, in2, mode, measure)


def correlation_lags(in1_len: int, in2_len: int, mode: str = "full") -> Array:
    """The displacement of in2 against in1 that each element of a correlation stands for.

    Parameters
    ----------
    in1_len, in2_len : int
        Sizes of the two signals along the axis.
    mode : {"full", "same", "valid"}
        The mode of the correlation.

    Returns
    -------
    ndarray
        Integers, one for each element of ``correlate(in1, in2, mode)`` along the axis; positive where in2 lies later.

    Raises
    ------
    ValueError
        For any other mode.

    Notes
    -----
    Signature and conventions are those of :func:`scipy.signal.correlation_lags`.

    Examples
    --------
    >>> from convkern.signal import correlation_lags
    >>> correlation_lags(4, 3)
    array([-2, -1,  0,  1,  2,  3])
    >>> correlation_lags(4, 3, "valid")
    array([0, 1])
    """
    if mode == "full":
        return np.arange(1 - in2_len, in1_len)
    if mode == "same":
        first = (in1_len + in2_len - 1) // 2 - in1_len // 2 - in2_len + 1
        return np.arange(first, first + in1_len)
    if mode == "valid":
        last = in1_len - in2_len
        return np.arange(last + 1) if last >= 0 else np.arange(last, 1)
    raise ValueError(f"Mode {mode} is invalid")


def bound(x: Array, w: Array) -> int:
    """What no element of the convolution of two integer arrays exceeds."""
    sizes = [largest(array) if array.dtype.kind in "biu" else float(np.abs(array).max()) for array in (x, w)]
    return int(sizes[0]) * int(sizes[1]) * min(x.size, w.size)


def seconds(run: Any) -> float:
    """Time of one call, the best of three series of at least some milliseconds."""
    timer = timeit.Timer(run)
    number = 1
    while timer.timeit(number) < 2e-3 and number < 10**6:
        number *= 5
    return min(timer.repeat(3, number)) / number
