"""Softmax, its logarithm and the parametric rectifier: functions along an axis, or with a setting a channel.

softmax  y = exp(x - max x) / sum exp(x - max x)      prelu  y = x where x > 0, weight x elsewhere
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import FloatArray, as_array, as_arrays, operand
from .channels import Channels, channels_of
from .config import check_integer
from .elementwise import delivered, dense, destination, in_order_of, isa


def along(
    dim: int, x: npt.ArrayLike, grad: npt.ArrayLike | None, out: FloatArray | None, logarithm: bool
) -> FloatArray:
    gradient: FloatArray | None = None
    if grad is None:
        array = as_array(x, "x")
    else:
        given, array = as_arrays((grad, "grad"), (x, "y"))
        array = as_array(array, "y")
        gradient = operand(given, "grad", array.shape, array.dtype.newbyteorder("="))
    if array.ndim == 0:
        raise ValueError("x: got a number, needs at least one axis")
    axis = check_integer("dim", dim, -array.ndim, array.ndim - 1) % array.ndim
    array = np.require(dense(array), requirements=["C", "A"])
    if gradient is not None:
        gradient = in_order_of(gradient, array)
    result = destination(out, array, array, gradient)
    outer, inner = math.prod(array.shape[:axis]), math.prod(array.shape[axis + 1 :])
    _core.softmax(outer, array.shape[axis], inner, array, gradient, result, logarithm, isa())
    return delivered(result, out)


def softmax(x: npt.ArrayLike, dim: int = -1, *, out: FloatArray | None = None) -> FloatArray:
    """Exponentials along an axis, divided by their sum.

    Parameters
    ----------
    x : array_like
        float32 or float64, of at least one axis.
    dim : int
        The axis along which the exponentials sum to one. Default the last.
    out : ndarray, optional
        Array for the result, of x's shape and dtype; may be x itself.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.softmax(np.zeros((1, 4)))
    array([[0.25, 0.25, 0.25, 0.25]])
    """
    return along(dim, x, None, out, False)


def softmax_grad(grad: npt.ArrayLike, y: npt.ArrayLike, dim: int = -1, *, out: FloatArray | None = None) -> FloatArray:
    """Gradient of :func:`softmax` in x.

    Parameters
    ----------
    grad : array_like
        Gradient of the result.
    y : array_like
        The function's output.
    dim : int
        As the function had it.
    out : ndarray, optional
        Array for the gradient, of its shape; may be grad itself.

    Returns
    -------
    ndarray
        Of grad's shape and dtype.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> y = convkern.softmax(np.zeros(2))
    >>> convkern.softmax_grad(np.array([1.0, 0.0]), y)
    array([ 0.25, -0.25])
    """
    return along(dim, y, grad, out, False)


def log_softmax(x: npt.ArrayLike, dim: int = -1, *, out: FloatArray | None = None) -> FloatArray:
    """Logarithm of :func:`softmax`, computed without the exponentials' rounding.

    Parameters
    ----------
    x : array_like
        float32 or float64, of at least one axis.
    dim : int
        The axis along which the exponentials sum to one. Default the last.
    out : ndarray, optional
        Array for the result, of x's shape and dtype; may be x itself.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.log_softmax(np.zeros((1, 4)))
    array([[-1.38629436, -1.38629436, -1.38629436, -1.38629436]])
    """
    return along(dim, x, None, out, True)


def log_softmax_grad(
    grad: npt.ArrayLike, y: npt.ArrayLike, dim: int = -1, *, out: FloatArray | None = None
) -> FloatArray:
    """Gradient of :func:`log_softmax` in x.

    Parameters
    ----------
    grad : array_like
        Gradient of the result.
    y : array_like
        The function's output.
    dim : int
        As the function had it.
    out : ndarray, optional
        Array for the gradient, of its shape; may be grad itself.

    Returns
    -------
    ndarray
        Of grad's shape and dtype.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> y = convkern.log_softmax(np.zeros(2))
    >>> convkern.log_softmax_grad(np.array([1.0, 0.0]), y)
    array([ 0.5, -0.5])
    """
    return along(dim, y, grad, out, True)


def slopes(weight: npt.ArrayLike, shape: Channels, dtype: np.dtype[Any]) -> tuple[FloatArray, int]:
    """The slope of each channel, and how many of them the caller gave."""
    given = np.asarray(weight, dtype).reshape(-1)
    if given.size not in (1, shape.c):
        raise ValueError(f"weight: got shape {np.shape(weight)}, needs (1,) or ({shape.c},), the channels of x")
    return np.ascontiguousarray(np.broadcast_to(given, (shape.c,))), given.size


def prelu(
    x: npt.ArrayLike, weight: npt.ArrayLike, *, layout: str | None = None, out: FloatArray | None = None
) -> FloatArray:
    """Parametric rectified linear unit, x where x > 0 and weight x elsewhere.

    Parameters
    ----------
    x : array_like
        (N, C, ...), or as the layout has it.
    weight : array_like
        (C,) or (1,): the slopes below 0.
    layout : str, optional
        Where x has its channels, as for :func:`conv2d`. Default: axis 1.
    out : ndarray, optional
        Array for the result, of x's shape and dtype; may be x itself.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.prelu(np.array([[-2.0, -2.0]]), np.array([0.5, 0.25]))
    array([[-1. , -0.5]])
    """
    array = as_array(x, "x")
    shape = channels_of(array, layout)
    array = shape.dense(array)
    result = destination(out, array, array)
    weights, _ = slopes(weight, shape, array.dtype)
    _core.prelu(*shape, array, None, result, weights, isa())
    return delivered(result, out)


def prelu_grad(
    grad: npt.ArrayLike,
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Gradients of :func:`prelu` in x and in the weight.

    Parameters
    ----------
    grad : array_like
        Gradient of the result.
    x : array_like
        The function's input.
    weight : array_like
        (C,) or (1,), as the function had it.
    layout : str, optional
        As the function had it.
    out : ndarray, optional
        Array for the gradient in x; may be grad itself.

    Returns
    -------
    dx : ndarray
        Of x's shape and dtype.
    dweight : ndarray
        Of the weight's size, (C,) or (1,); summed in float64.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.prelu_grad(np.ones((1, 2)), np.array([[-2.0, 3.0]]), np.array([0.5]))
    (array([[0.5, 1. ]]), array([-2.]))
    """
    given, array = as_arrays((grad, "grad"), (x, "x"))
    array = as_array(array, "x")
    shape = channels_of(array, layout)
    array = shape.dense(array)
    gradient = in_order_of(operand(given, "grad", array.shape, array.dtype), array)
    weights, count = slopes(weight, shape, array.dtype)
    below, zero = np.minimum(array, 0), np.zeros(shape.c, array.dtype)
    sums = shape.moments(below, gradient, zero)[1]
    dweight = sums if count == shape.c else sums.sum(keepdims=True)
    result = destination(out, array, array, gradient)
    _core.prelu(*shape, array, gradient, result, weights, isa())
    return delivered(result, out), dweight.astype(array.dtype)
