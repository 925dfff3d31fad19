"""Activations, y = f(x): element by element, in place by ``out=``."""

import numpy.typing as npt

from .arrays import FloatArray
from .elementwise import SELU_ALPHA, SELU_SCALE, gelu_kind, positive, unary


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
    The error is at most 2 units in the last place in float32, 2 in float64.

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
    The error is at most 3 units in the last place in float32, 3 in float64.

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
    With "none" the error is at most 14 units in the last place in float32, 7 in float64.

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
    The error is at most 3 units in the last place in float32, 3 in float64.

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
    The error is at most 3 units in the last place in float32, 3 in float64.

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
    The error is at most 3 units in the last place in float32, 3 in float64.

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
    The error is at most 3 units in the last place in float32, 3 in float64.

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
