"""Smoothing with a Gaussian and derivatives of one, axis by axis.

weights[k] = q(x) exp(-x^2 / (2 sigma^2)) / sum,   x = radius - k,   q the polynomial of the derivative
"""

import functools
import numbers
from typing import Any

import numpy as np

from .linear import filtered, is_complex, step_of
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
    integer,
    per_axis,
    real,
)


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
