"""Separable linear filters: weighted sums and running means along axes, and what is built of them.

out[i] = sum_k weights[k] in[i + k - size // 2 - origin]
"""

import functools
import numbers
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


@functools.lru_cache(maxsize=64)
def gaussian_weights(sigma: float, order: int, radius: int) -> Array:
    """The `order`-th derivative of a Gaussian at radius, ..., -radius, for correlation.

    The derivative is q(x) g(x) with a polynomial q: q_0 = 1, q_{n+1} = q_n' - q_n x / sigma^2.
    """
    x = np.arange(-radius, radius + 1)
    bell = np.exp(-0.5 / (sigma * sigma) * x**2)
    bell /= bell.sum()
    if order > 0:
        powers = np.arange(order + 1)
        q = np.zeros(order + 1)
        q[0] = 1
        step = np.diag(powers[1:].astype(float), 1) + np.diag(np.full(order, -1.0) / (sigma * sigma), -1)
        for _ in range(order):
            q = step.dot(q)
        bell = (x[:, None] ** powers).dot(q) * bell
    line = np.ascontiguousarray(bell[::-1])
    line.flags.writeable = False
    return line


def gaussian_step(sigma: Any, axis: int, order: Any, mode: Any, truncate: Any, radius: Any) -> Pass:
    """The pass of a Gaussian or one of its derivatives."""
    reach = int(real(truncate) * real(sigma) + 0.5) if radius is None else radius
    if not isinstance(reach, numbers.Integral) or reach < 0 or integer(order) < 0 or real(sigma) == 0:
        raise Handover(INVALID)
    return step_of(gaussian_weights(real(sigma), integer(order), int(reach)), axis, mode)


@drop_in
def gaussian_filter1d(
    input: Any,  # noqa: A002
    sigma: float,
    axis: int = -1,
    order: int = 0,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    truncate: float = 4.0,
    *,
    radius: int | None = None,
) -> Array:
    """Smooth with a Gaussian along one axis, or take a derivative of one, as scipy.ndimage.gaussian_filter1d.

    Parameters
    ----------
    {input}
    sigma : scalar
        Standard deviation, in elements.
    {axis}
    order : int, optional
        0 smooths; 1, 2, ... correlate with that derivative of the Gaussian.
    {output}
    {mode}
    {cval}
    truncate : float, optional
        Where the window ends, in standard deviations. Default 4.
    radius : int, optional
        Where it ends, in elements; `truncate` is then not used.

    {result}

    Examples
    --------
    >>> from convkern import ndimage
    >>> ndimage.gaussian_filter1d([1.0, 2.0, 3.0, 4.0, 5.0], 1).round(2)
    array([1.43, 2.07, 3.  , 3.93, 4.57])
    """
    array = as_input(input)
    step = gaussian_step(sigma, as_axis(axis, array.ndim), order, mode, truncate, radius)
    return filtered("sum", array, [step], as_output(output, array, complex_result=is_complex(array)), cval)


def gaussian_steps(dims: int, sigma: Any, order: Any, mode: Any, truncate: Any, radius: Any, axes: Any) -> list[Pass]:
    """The passes of gaussian_filter; axes with sigma 0 have none."""
    numbers_ = as_axes(axes, dims)
    settings = [per_axis(value, len(numbers_)) for value in (sigma, order, mode, radius)]
    return [
        gaussian_step(s, axis, o, m, truncate, r)
        for axis, s, o, m, r in zip(numbers_, *settings, strict=True)
        if real(s) > 1e-15
    ]


@drop_in
def gaussian_filter(
    input: Any,  # noqa: A002
    sigma: Any,
    order: Any = 0,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    truncate: float = 4.0,
    *,
    radius: Any = None,
    axes: Any = None,
) -> Array:
    """Smooth with a Gaussian over several axes, or take derivatives of one, as scipy.ndimage.gaussian_filter.

    Parameters
    ----------
    {input}
    sigma : scalar or sequence of scalars
        Standard deviation on all axes or each, in elements; 0 leaves an axis alone.
    order : int or sequence of int, optional
        0 smooths; 1, 2, ... take that derivative.
    {output}
    {modes}
    {cval}
    truncate : float, optional
        Where the window ends, in standard deviations. Default 4.
    radius : None, int or sequence of int, optional
        Where it ends, in elements; `truncate` is then not used.
    {axes}

    {result}

    Notes
    -----
    float32 arrays are summed in float32, with an error of at most ``(size + 3) * 2**-24 * sum(abs(weights))`` times the
    largest magnitude of the input, on each axis; all others in float64, in SciPy's order.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import ndimage
    >>> ndimage.gaussian_filter(np.arange(0, 50, 2).reshape(5, 5), sigma=1)
    array([[ 4,  6,  8,  9, 11],
           [10, 12, 14, 15, 17],
           [20, 22, 24, 25, 27],
           [29, 31, 33, 34, 36],
           [35, 37, 39, 40, 42]])
    """
    array = as_input(input)
    steps = gaussian_steps(array.ndim, sigma, order, mode, truncate, radius, axes)
    return filtered("sum", array, steps, as_output(output, array, complex_result=is_complex(array)), cval)


def derivative_and_smooth(input: Any, axis: Any, output: Any, mode: Any, cval: Any, smooth: list[int]) -> Array:  # noqa: A002
    """Difference along `axis`, `smooth` along the others: Prewitt and Sobel."""
    array = as_input(input)
    axis = as_axis(axis, array.ndim)
    modes = per_axis(mode, array.ndim)
    others = [i for i in range(array.ndim) if i != axis]
    steps = [step_of([-1, 0, 1], axis, modes[axis]), *(step_of(smooth, i, modes[i]) for i in others)]
    return filtered("sum", array, steps, as_output(output, array, complex_result=is_complex(array)), cval)


@drop_in
def prewitt(input: Any, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0) -> Array:  # noqa: A002
    """Difference along one axis, sums of three along the others, as scipy.ndimage.prewitt.

    Parameters
    ----------
    {input}
    {axis}
    {output}
    {modes}
    {cval}

    {result}

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import ndimage
    >>> ndimage.prewitt(np.arange(9).reshape(3, 3))
    array([[3, 6, 3],
           [3, 6, 3],
           [3, 6, 3]])
    """
    return derivative_and_smooth(input, axis, output, mode, cval, [1, 1, 1])


@drop_in
def sobel(input: Any, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: Any = 0.0) -> Array:  # noqa: A002
    """Difference along one axis, weights 1 2 1 along the others, as scipy.ndimage.sobel.

    Parameters
    ----------
    {input}
    {axis}
    {output}
    {modes}
    {cval}

    {result}

    Notes
    -----
    As SciPy's, the result has the dtype of the input: on unsigned bytes it wraps around. Ask for ``output=numpy.int16``
    or a float type.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import ndimage
    >>> ndimage.sobel(np.arange(9).reshape(3, 3))
    array([[4, 8, 4],
           [4, 8, 4],
           [4, 8, 4]])
    """
    return derivative_and_smooth(input, axis, output, mode, cval, [1, 2, 1])


def combine(
    input: Any,  # noqa: A002
    derivative: Callable[..., Array],
    output: Any,
    mode: Any,
    cval: Any,
    axes: Any,
    square: bool,
) -> Array:
    """The sum over axes of derivative(array, axis, output, mode, cval), squared and rooted or plain."""
    array = as_input(input)
    if square and is_complex(array):
        raise Handover("complex magnitude")
    numbers_ = as_axes(axes, array.ndim)
    modes = per_axis(mode, len(numbers_))
    result = as_output(output, array, complex_result=is_complex(array))
    if not numbers_:
        result[...] = array
        return result
    if np.may_share_memory(array, result):
        array = array.copy()
    for i, (axis, each) in enumerate(zip(numbers_, modes, strict=True)):
        part = derivative(array, axis, result.dtype if i else result, each, cval)
        if square:
            np.multiply(part, part, part)
        if i:
            result += part
    if square:
        np.sqrt(result, result, casting="unsafe")
    return result


@drop_in
def generic_laplace(
    input: Any,  # noqa: A002
    derivative2: Callable[..., Array],
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    extra_arguments: tuple[Any, ...] = (),
    extra_keywords: dict[str, Any] | None = None,
    *,
    axes: Any = None,
) -> Array:
    """Sum of second derivatives over the axes, with a function given for them, as scipy.ndimage.generic_laplace.

    Parameters
    ----------
    {input}
    derivative2 : callable
        ``derivative2(input, axis, output, mode, cval, *extra_arguments, **extra_keywords)``.
    {output}
    {modes}
    {cval}
    extra_arguments : tuple, optional
        Further arguments of `derivative2`.
    extra_keywords : dict, optional
        Further keyword arguments of `derivative2`.
    {axes}

    {result}
    """
    keywords = extra_keywords or {}

    def each(*args: Any) -> Array:
        return derivative2(*args, *extra_arguments, **keywords)

    return combine(input, each, output, mode, cval, axes, square=False)


@drop_in
def laplace(input: Any, output: Any = None, mode: Any = "reflect", cval: Any = 0.0, *, axes: Any = None) -> Array:  # noqa: A002
    """Sum of second differences over the axes, as scipy.ndimage.laplace.

    Parameters
    ----------
    {input}
    {output}
    {modes}
    {cval}
    {axes}

    {result}

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import ndimage
    >>> ndimage.laplace(np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]]))
    array([[ 0,  1,  0],
           [ 1, -4,  1],
           [ 0,  1,  0]])
    """

    def second(array: Array, axis: int, to: Any, mode: Any, cval: Any) -> Array:
        return correlate1d(array, [1, -2, 1], axis, to, mode, cval, 0)

    return combine(input, second, output, mode, cval, axes, square=False)


def spread(value: Any, axes: Any, dims: int) -> list[Any]:
    """One value for every axis of the array, 0 for those not in `axes`."""
    numbers_ = as_axes(axes, dims)
    values = per_axis(value, len(numbers_))
    found = [0] * dims
    for axis, each in zip(numbers_, values, strict=True):
        found[axis] = each
    return found


def of_order(dims: int, axis: int, order: int) -> list[int]:
    """Smoothing on all axes but one."""
    return [order if i == axis else 0 for i in range(dims)]


@drop_in
def gaussian_laplace(
    input: Any,  # noqa: A002
    sigma: Any,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    *,
    axes: Any = None,
    **kwargs: Any,
) -> Array:
    """Sum of the second derivatives of a Gaussian over the axes, as scipy.ndimage.gaussian_laplace.

    Parameters
    ----------
    {input}
    sigma : scalar or sequence of scalars
        Standard deviation on all axes or each, in elements.
    {output}
    {modes}
    {cval}
    {axes}
    **kwargs
        Further arguments of :func:`gaussian_filter`.

    {result}
    """
    dims = as_input(input).ndim
    sigmas = spread(sigma, axes, dims)

    def second(array: Array, axis: int, to: Any, mode: Any, cval: Any) -> Array:
        return gaussian_filter(array, sigmas, of_order(dims, axis, 2), to, mode, cval, **kwargs)

    return combine(input, second, output, mode, cval, axes, square=False)


@drop_in
def generic_gradient_magnitude(
    input: Any,  # noqa: A002
    derivative: Callable[..., Array],
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    extra_arguments: tuple[Any, ...] = (),
    extra_keywords: dict[str, Any] | None = None,
    *,
    axes: Any = None,
) -> Array:
    """Length of the gradient, with a function given for its parts, as scipy.ndimage.generic_gradient_magnitude.

    Parameters
    ----------
    {input}
    derivative : callable
        ``derivative(input, axis, output, mode, cval, *extra_arguments, **extra_keywords)``.
    {output}
    {modes}
    {cval}
    extra_arguments : tuple, optional
        Further arguments of `derivative`.
    extra_keywords : dict, optional
        Further keyword arguments of `derivative`.
    {axes}

    {result}
    """
    keywords = extra_keywords or {}

    def each(*args: Any) -> Array:
        return derivative(*args, *extra_arguments, **keywords)

    return combine(input, each, output, mode, cval, axes, square=True)


@drop_in
def gaussian_gradient_magnitude(
    input: Any,  # noqa: A002
    sigma: Any,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    *,
    axes: Any = None,
    **kwargs: Any,
) -> Array:
    """Length of the gradient of a smoothed array, as scipy.ndimage.gaussian_gradient_magnitude.

    Parameters
    ----------
    {input}
    sigma : scalar or sequence of scalars
        Standard deviation on all axes or each, in elements.
    {output}
    {modes}
    {cval}
    {axes}
    **kwargs
        Further arguments of :func:`gaussian_filter`.

    {result}
    """
    dims = as_input(input).ndim

    def first(array: Array, axis: int, to: Any, mode: Any, cval: Any) -> Array:
        return gaussian_filter(array, sigma, of_order(dims, axis, 1), to, mode, cval, **kwargs)

    return combine(input, first, output, mode, cval, axes, square=True)


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
