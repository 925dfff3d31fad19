"""Gradients of the activations, dx = grad f'(x).

Each takes what its function took, but those of sigmoid and tanh, which take what it gave.
"""

import numpy.typing as npt

from .arrays import FloatArray
from .elementwise import SELU_ALPHA, SELU_SCALE, gelu_kind, positive, unary


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
