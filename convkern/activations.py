"""Activations and their gradients, compiled and threaded, in place by ``out=``.

    y = f(x),   dx = grad f'(x)

A gradient takes what its function took, but those of sigmoid and tanh, which take what it gave.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import FloatArray, as_array, as_arrays, check_out, operand, readable
from .config import current

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def permutation(array: FloatArray) -> tuple[int, ...]:
    """The axes from the slowest in memory to the fastest."""
    return tuple(sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis])))


def dense(array: FloatArray) -> FloatArray:
    """The array itself where its elements lie in memory without gaps and can be read, else a copy in C order."""
    native = array.dtype.isnative and readable(array)
    if native and (array.flags.c_contiguous or array.transpose(permutation(array)).flags.c_contiguous):
        return array
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def in_order_of(array: FloatArray, like: FloatArray) -> FloatArray:
    """``array`` in the memory order of ``like``, itself where it is so already."""
    if array.strides == like.strides and array.dtype == like.dtype and readable(array):
        return array
    same = np.empty_like(like)
    same[...] = array
    return same


def destination(out: FloatArray | None, like: FloatArray, *operands: FloatArray | None) -> FloatArray:
    """Where the core may write: ``out``, if it lies in memory as ``like`` does and shares at most whole operands."""
    if out is not None:
        check_out(out, like.shape, like.dtype)
        whole = all(
            item is None
            or not np.may_share_memory(out, item)
            or (
                out.__array_interface__["data"][0] == item.__array_interface__["data"][0]
                and out.strides == item.strides
            )
            for item in operands
        )
        if whole and out.strides == like.strides and out.dtype == like.dtype and readable(out):
            return out
    return np.empty_like(like)


def delivered(result: FloatArray, out: FloatArray | None) -> FloatArray:
    if out is None or result is out:
        return result
    out[...] = result
    return out


def isa() -> str:
    return current().isa or _core.get_isa()


def unary(
    op: str,
    a: float,
    b: float,
    source: npt.ArrayLike,
    grad: npt.ArrayLike | None,
    out: FloatArray | None,
    name: str = "x",
) -> FloatArray:
    """f(source), or grad f'(source)."""
    gradient: FloatArray | None = None
    if grad is None:
        array = as_array(source, name)
    else:
        given, array = as_arrays((grad, "grad"), (source, name))
        array = as_array(array, name)
        gradient = operand(given, "grad", array.shape, array.dtype.newbyteorder("="))
    array = dense(array)
    if gradient is not None:
        gradient = in_order_of(gradient, array)
    result = destination(out, array, array, gradient)
    _core.unary(op, array, gradient, result, float(a), float(b), isa())
    return delivered(result, out)


def gelu_kind(approximate: str) -> str:
    if approximate not in ("none", "tanh"):
        raise ValueError(f"approximate: got {approximate!r}, needs 'none' or 'tanh'")
    return "gelu" if approximate == "none" else "gelu_tanh"


def positive(name: str, value: Any) -> float:
    if not value > 0:
        raise ValueError(f"{name}: got {value!r}, needs a number above 0")
    return float(value)


def relu(x: npt.ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """Rectified linear unit, max(x, 0); a NaN stays one.

    Parameters
    ----------
    x : array_like
        float32 or float64, any shape and strides.
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
    >>> convkern.relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    return unary("relu", 0, 0, x, None, out)


def relu_grad(grad: npt.ArrayLike, x: npt.ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """Gradient of :func:`relu` in x.

    Parameters
    ----------
    grad : array_like
        Gradient of the result.
    x : array_like
        The function's input, or its output: they say the same.
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
    >>> convkern.relu_grad(np.ones(3), np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 1.])
    """
    return unary("relu", 0, 0, x, grad, out, "x")


def relu6(x: npt.ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """Rectified linear unit up to 6, min(max(x, 0), 6); a NaN stays one.

    Parameters
    ----------
    x : array_like
        float32 or float64, any shape and strides.
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
    >>> convkern.relu6(np.array([-1.0, 3.0, 8.0]))
    array([0., 3., 6.])
    """
    return unary("relu6", 0, 0, x, None, out)


def relu6_grad(grad: npt.ArrayLike, x: npt.ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """Gradient of :func:`relu6` in x.

    Parameters
    ----------
    grad : array_like
        Gradient of the result.
    x : array_like
        The function's input, or its output: they say the same.
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
    >>> convkern.relu6_grad(np.ones(3), np.array([-1.0, 3.0, 8.0]))
    array([0., 1., 0.])
    """
    return unary("relu6", 0, 0, x, grad, out, "x")


def leaky_relu(x: npt.ArrayLike, negative_slope: float = 0.01, *, out: FloatArray | None = None) -> FloatArray:
    """Leaky rectified linear unit, x where x > 0 and negative_slope x elsewhere.

    Parameters
    ----------
    x : array_like
        float32 or float64, any shape and strides.
    negative_slope : float
        Slope below 0. Default 0.01.
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
    >>> convkern.leaky_relu(np.array([-1.0, 0.0, 2.0]), 0.5)
    array([-0.5,  0. ,  2. ])
    """
    return unary("leaky_relu", negative_slope, 0, x, None, out)


def leaky_relu_grad(
    grad: npt.ArrayLike, x: npt.ArrayLike, negative_slope: float = 0.01, *, out: FloatArray | None = None
) -> FloatArray:
    """Gradient of :func:`leaky_relu` in x.

    Parameters
    ----------
    grad : array_like
        Gradient of the result.
    x : array_like
        The function's input.
    negative_slope : float
        Slope below 0. Default 0.01.
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
    >>> convkern.leaky_relu_grad(np.ones(3), np.array([-1.0, 0.0, 2.0]), 0.5)
    array([0.5, 0.5, 1. ])
    """
    return unary("leaky_relu", negative_slope, 0, x, grad, out, "x")


def elu(x: npt.ArrayLike, alpha: float = 1.0, *, out: FloatArray | None = None) -> FloatArray:
    """Exponential linear unit, x where x > 0 and alpha (exp(x) - 1) elsewhere.

    Parameters
    ----------
    x : array_like
        float32 or float64, any shape and strides.
    alpha : float
        Minus the limit at -infinity. Default 1.
    out : ndarray, optional
        Array for the result, of x's shape and dtype; may be x itself.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Notes
    -----
    The error is at most U_elu_f units in the last place in float32, U_elu_d in float64.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.elu(np.array([-1.0, 0.0, 2.0]).round(1))
    array([-0.63212056,  0.        ,  2.        ])
    """
    return unary("elu", alpha, 1, x, None, out)


def elu_grad(grad: npt.ArrayLike, x: npt.ArrayLike, alpha: float = 1.0, *, out: FloatArray | None = None) -> FloatArray:
    """Gradient of :func:`elu` in x.

    Parameters
    ----------
    grad : array_like
        Gradient of the result.
    x : array_like
        The function's input.
    alpha : float
        Minus the limit at -infinity. Default 1.
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
    >>> convkern.elu_grad(np.ones(3), np.array([-1.0, 0.0, 2.0]))
    array([0.36787944, 1.        , 1.        ])
    """
    return unary("elu", alpha, 1, x, grad, out, "x")


def selu(x: npt.ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """Scaled exponential linear unit, which keeps mean 0 and variance 1 [1]_.

    Parameters
    ----------
    x : array_like
        float32 or float64, any shape and strides.
    out : ndarray, optional
        Array for the result, of x's shape and dtype; may be x itself.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Notes
    -----
    The error is at most U_selu_f units in the last place in float32, U_selu_d in float64.

    References
    ----------
    .. [1] G. Klambauer et al., "Self-Normalizing Neural Networks", 2017, https://arxiv.org/abs/1706.02515

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.selu(np.array([-1.0, 0.0, 2.0]))
    array([-1.11133074,  0.        ,  2.10140197])
    """
    return unary("elu", SELU_ALPHA, SELU_SCALE, x, None, out)


def selu_grad(grad: npt.ArrayLike, x: npt.ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """Gradient of :func:`selu` in x.

    Parameters
    ----------
    grad : array_like
        Gradient of the result.
    x : array_like
        The function's input.
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
    >>> convkern.selu_grad(np.ones(3), np.array([-1.0, 0.0, 2.0]))
    array([0.6467686 , 1.75809934, 1.05070099])
    """
    return unary("elu", SELU_ALPHA, SELU_SCALE, x, grad, out, "x")


def gelu(x: npt.ArrayLike, approximate: str = "none", *, out: FloatArray | None = None) -> FloatArray:
    """Gaussian error linear unit, x times the probability that a standard normal variable is below x.

    Parameters
    ----------
    x : array_like
        float32 or float64, any shape and strides.
    approximate : {"none", "tanh"}
        Whether with the error function itself, or x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
    out : ndarray, optional
        Array for the result, of x's shape and dtype; may be x itself.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Notes
    -----
    With "none" the error is at most U_gelu_f units in the last place in float32, U_gelu_d in float64.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.gelu(np.array([-1.0, 0.0, 2.0]))
    array([-0.15865525,  0.        ,  1.95449974])
    """
    return unary(gelu_kind(approximate), 0, 0, x, None, out)


def gelu_grad(
    grad: npt.ArrayLike, x: npt.ArrayLike, approximate: str = "none", *, out: FloatArray | None = None
) -> FloatArray:
    """Gradient of :func:`gelu` in x.

    Parameters
    ----------
    grad : array_like
        Gradient of the result.
    x : array_like
        The function's input.
    approximate : {"none", "tanh"}
        Whether with the error function itself, or x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
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
    >>> convkern.gelu_grad(np.ones(3), np.array([-1.0, 0.0, 2.0]))
    array([-0.08331547,  0.5       ,  1.0852318 ])
    """
    return unary(gelu_kind(approximate), 0, 0, x, grad, out, "x")


def silu(x: npt.ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """Sigmoid linear unit (swish), x / (1 + exp(-x)).

    Parameters
    ----------
    x : array_like
        float32 or float64, any shape and strides.
    out : ndarray, optional
        Array for the result, of x's shape and dtype; may be x itself.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Notes
    -----
    The error is at most U_silu_f units in the last place in float32, U_silu_d in float64.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.silu(np.array([-1.0, 0.0, 2.0]))
    array([-0.26894142,  0.        ,  1.76159416])
    """
    return unary("silu", 0, 0, x, None, out)


def silu_grad(grad: npt.ArrayLike, x: npt.ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """Gradient of :func:`silu` in x.

    Parameters
    ----------
    grad : array_like
        Gradient of the result.
    x : array_like
        The function's input.
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
    >>> convkern.silu_grad(np.ones(3), np.array([-1.0, 0.0, 2.0]))
    array([0.07232949, 0.5       , 1.09078425])
    """
    return unary("silu", 0, 0, x, grad, out, "x")


def hardswish(x: npt.ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """Piecewise stand-in for silu, x min(max(x + 3, 0), 6) / 6.

    Parameters
    ----------
    x : array_like
        float32 or float64, any shape and strides.
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
    >>> convkern.hardswish(np.array([-3.0, 0.0, 3.0]))
    array([-0.,  0.,  3.])
    """
    return unary("hardswish", 0, 0, x, None, out)


def hardswish_grad(grad: npt.ArrayLike, x: npt.ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """Gradient of :func:`hardswish` in x.

    Parameters
    ----------
    grad : array_like
        Gradient of the result.
    x : array_like
        The function's input.
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
    >>> convkern.hardswish_grad(np.ones(3), np.array([-4.0, 0.0, 4.0]))
    array([0. , 0.5, 1. ])
    """
    return unary("hardswish", 0, 0, x, grad, out, "x")


def sigmoid(x: npt.ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """Logistic function, 1 / (1 + exp(-x)).

    Parameters
    ----------
    x : array_like
        float32 or float64, any shape and strides.
    out : ndarray, optional
        Array for the result, of x's shape and dtype; may be x itself.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Notes
    -----
    The error is at most U_sigmoid_f units in the last place in float32, U_sigmoid_d in float64.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.sigmoid(np.array([-1.0, 0.0, 2.0]))
    array([0.26894142, 0.5       , 0.88079708])
    """
    return unary("sigmoid", 0, 0, x, None, out)


def sigmoid_grad(grad: npt.ArrayLike, y: npt.ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """Gradient of :func:`sigmoid` in x.

    Parameters
    ----------
    grad : array_like
        Gradient of the result.
    y : array_like
        The function's output.
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
    >>> convkern.sigmoid_grad(np.ones(3), np.array([0.0, 0.5, 1.0]))
    array([0.  , 0.25, 0.  ])
    """
    return unary("sigmoid", 0, 0, y, grad, out, "y")


def tanh(x: npt.ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """Hyperbolic tangent.

    Parameters
    ----------
    x : array_like
        float32 or float64, any shape and strides.
    out : ndarray, optional
        Array for the result, of x's shape and dtype; may be x itself.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Notes
    -----
    The error is at most U_tanh_f units in the last place in float32, U_tanh_d in float64.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.tanh(np.array([-1.0, 0.0, 2.0]))
    array([-0.76159416,  0.        ,  0.96402758])
    """
    return unary("tanh", 0, 0, x, None, out)


def tanh_grad(grad: npt.ArrayLike, y: npt.ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """Gradient of :func:`tanh` in x.

    Parameters
    ----------
    grad : array_like
        Gradient of the result.
    y : array_like
        The function's output.
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
    >>> convkern.tanh_grad(np.ones(3), np.array([0.0, 0.5, 1.0]))
    array([1.  , 0.75, 0.  ])
    """
    return unary("tanh", 0, 0, y, grad, out, "y")


def softplus(
    x: npt.ArrayLike, beta: float = 1.0, threshold: float = 20.0, *, out: FloatArray | None = None
) -> FloatArray:
    """Smooth rectifier, log(1 + exp(beta x)) / beta.

    Parameters
    ----------
    x : array_like
        float32 or float64, any shape and strides.
    beta : float
        Sharpness, above 0. Default 1.
    threshold : float
        Where beta x is above it, the result is x. Default 20.
    out : ndarray, optional
        Array for the result, of x's shape and dtype; may be x itself.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Notes
    -----
    The error is at most U_softplus_f units in the last place in float32, U_softplus_d in float64.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.softplus(np.array([-1.0, 0.0, 2.0]))
    array([0.31326169, 0.69314718, 2.12692801])
    """
    return unary("softplus", positive("beta", beta), threshold, x, None, out)


def softplus_grad(
    grad: npt.ArrayLike, x: npt.ArrayLike, beta: float = 1.0, threshold: float = 20.0, *, out: FloatArray | None = None
) -> FloatArray:
    """Gradient of :func:`softplus` in x.

    Parameters
    ----------
    grad : array_like
        Gradient of the result.
    x : array_like
        The function's input.
    beta : float
        Sharpness, above 0. Default 1.
    threshold : float
        Where beta x is above it, the result is x. Default 20.
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
    >>> convkern.softplus_grad(np.ones(3), np.array([-1.0, 0.0, 2.0]))
    array([0.26894142, 0.5       , 0.88079708])
    """
    return unary("softplus", positive("beta", beta), threshold, x, grad, out, "x")
