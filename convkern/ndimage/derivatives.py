"""Differences along one axis smoothed along the others, and sums of derivatives over all axes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .gaussian import gaussian_filter
from .linear import correlate1d, filtered, is_complex, step_of
from .support import Array, Handover, as_axes, as_axis, as_input, as_output, drop_in, per_axis


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
