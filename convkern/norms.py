"""Batch normalisation and local response normalisation, with their gradients.

batch     y = (x - mean) invstd weight + bias,        invstd = 1 / sqrt(var + eps)
response  y = x / d^beta,   d = k + alpha/size sum x^2 over `size` neighbouring channels
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import FloatArray, as_array, as_arrays, operand
from .channels import channels_of
from .config import check_integer
from .elementwise import delivered, destination, in_order_of, isa
from .spec import LIMIT


def setting(value: Any, name: str, c: int) -> npt.NDArray[np.float64] | None:
    """One value a channel, as the core takes it."""
    if value is None:
        return None
    array = np.asarray(value)
    if array.shape != (c,):
        raise ValueError(f"{name}: got shape {array.shape}, needs ({c},), the channels of x")
    return np.ascontiguousarray(array, np.float64)


def check_running(value: Any, name: str, c: int, *, written: bool) -> None:
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        raise TypeError(f"{name}: got {type(value).__name__}, needs a NumPy array of floats")
    if value.shape != (c,):
        raise ValueError(f"{name}: got shape {value.shape}, needs ({c},), the channels of x")
    if written and not value.flags.writeable:
        raise ValueError(f"{name}: got a read-only array, needs one that training can update")


def batch_norm(
    x: npt.ArrayLike,
    running_mean: npt.NDArray[Any] | None,
    running_var: npt.NDArray[Any] | None,
    weight: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    layout: str | None = None,
    return_stats: bool = False,
    out: FloatArray | None = None,
) -> Any:
    """Normalises each channel to mean 0 and variance 1, then scales and shifts it [1]_.

    Parameters
    ----------
    x : array_like
        (N, C), (N, C, ...) or, with a channels-last layout, (N, ..., C).
    running_mean, running_var : ndarray or None
        (C,): what inference uses; training moves them in place by momentum towards the batch's mean and unbiased
        variance, or leaves them alone where both are None.
    weight, bias : array_like, optional
        (C,): the scale (default 1) and the shift (default 0).
    training : bool
        Whether to use the batch's own mean and (biased) variance. Default False.
    momentum : float
        Part of the batch in the new running values. Default 0.1.
    eps : float
        Added to the variance. Default 1e-5.
    layout : str, optional
        Where x has its channels, as for :func:`conv2d`. Default: axis 1.
    return_stats : bool
        Whether to return the statistics used, which the gradient needs. Default False.
    out : ndarray, optional
        Array for the result, of x's shape and dtype; may be x itself.

    Returns
    -------
    y : ndarray
        Of x's shape and dtype.
    mean, invstd : ndarray
        With return_stats: (C,), in x's dtype.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs; also for training on one value a channel.

    References
    ----------
    .. [1] S. Ioffe and C. Szegedy, "Batch Normalization", 2015, https://arxiv.org/abs/1502.03167

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.batch_norm(np.array([[1.0], [3.0]]), None, None, training=True, eps=0.0)
    array([[-1.],
           [ 1.]])
    """
    array = as_array(x, "x")
    shape = channels_of(array, layout)
    array = shape.dense(array)
    dtype = array.dtype
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean: needs both running_mean and running_var, or neither")
    if running_mean is not None and running_var is not None:
        check_running(running_mean, "running_mean", shape.c, written=training)
        check_running(running_var, "running_var", shape.c, written=training)
    elif not training:
        raise ValueError("running_mean: got None, which only training can do without")
    if training and shape.n * shape.inner < 2 and shape.c:
        raise ValueError(f"x: got shape {array.shape}, needs more than one value for each channel in training")
    new_mean = None if running_mean is None else running_mean.astype(np.float64)
    new_var = None if running_var is None else running_var.astype(np.float64)
    result = destination(out, array, array)
    used = np.empty(shape.c, dtype), np.empty(shape.c, dtype)
    _core.batch_norm(
        *shape, array, setting(weight, "weight", shape.c), setting(bias, "bias", shape.c), new_mean, new_var,
        result, *used, bool(training), momentum, eps, isa(),
    )  # fmt: skip
    if training and running_mean is not None and running_var is not None:
        running_mean[...], running_var[...] = new_mean, new_var
    y = delivered(result, out)
    return (y, *used) if return_stats else y


def batch_norm_grad(
    grad: npt.ArrayLike,
    x: npt.ArrayLike,
    mean: npt.ArrayLike,
    invstd: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    training: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gradients of :func:`batch_norm` in x, the weight and the bias.

    Parameters
    ----------
    grad : array_like
        Gradient of the result, of its shape.
    x : array_like
        The function's input.
    mean, invstd : array_like
        (C,): the statistics it used, as it returned them with ``return_stats=True``.
    weight : array_like, optional
        (C,), as the function had it.
    training : bool
        Whether the statistics were the batch's own and so depend on x. Default False.
    layout : str, optional
        As the function had it.
    out : ndarray, optional
        Array for the gradient in x; may be grad itself.

    Returns
    -------
    dx : ndarray
        Of x's shape and dtype.
    dweight, dbias : ndarray
        (C,), of x's dtype, summed in float64.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x = np.array([[1.0], [3.0]])
    >>> convkern.batch_norm_grad(np.ones((2, 1)), x, [2.0], [1.0])
    (array([[1.],
           [1.]]), array([0.]), array([2.]))
    """
    given, array = as_arrays((grad, "grad"), (x, "x"))
    array = as_array(array, "x")
    shape = channels_of(array, layout)
    array = shape.dense(array)
    dtype = array.dtype
    gradient = in_order_of(operand(given, "grad", array.shape, dtype), array)
    result = destination(out, array, array, gradient)
    dweight, dbias = np.empty(shape.c, dtype), np.empty(shape.c, dtype)
    _core.batch_norm_grad(
        *shape, array, gradient, setting(mean, "mean", shape.c), setting(invstd, "invstd", shape.c),
        setting(weight, "weight", shape.c), result, dweight, dbias, bool(training), isa(),
    )  # fmt: skip
    return delivered(result, out), dweight, dbias


def local_response_norm(
    x: npt.ArrayLike,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Divides each value by a power of the squares in neighbouring channels [1]_.

    ``y = x / (k + alpha/size * sum of x**2 over size channels around)**beta``

    Parameters
    ----------
    x : array_like
        (N, C, ...), or as the layout has it.
    size : int
        Channels summed over: size // 2 before and (size - 1) // 2 after each.
    alpha, beta, k : float
        Defaults 1e-4, 0.75 and 1.
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

    References
    ----------
    .. [1] A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet classification with deep convolutional neural
       networks", 2012

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.local_response_norm(np.ones((1, 3, 1)), 3, alpha=3.0, beta=1.0).ravel()
    array([0.33333333, 0.25      , 0.33333333])
    """
    array = as_array(x, "x")
    count = check_integer("size", size, 1, LIMIT)
    shape = channels_of(array, layout)
    array = shape.dense(array)
    result = destination(out, array, array)
    _core.response(*shape, array, None, result, count, float(alpha), float(beta), float(k), isa())
    return delivered(result, out)


def local_response_norm_grad(
    grad: npt.ArrayLike,
    x: npt.ArrayLike,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Gradient of :func:`local_response_norm` in x.

    Parameters
    ----------
    grad : array_like
        Gradient of the result.
    x : array_like
        The function's input.
    size, alpha, beta, k, layout
        As the function had them.
    out : ndarray, optional
        Array for the gradient; may be grad itself.

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
    >>> convkern.local_response_norm_grad(np.ones((1, 3, 1)), np.zeros((1, 3, 1)), 3).ravel()
    array([1., 1., 1.])
    """
    given, array = as_arrays((grad, "grad"), (x, "x"))
    array = as_array(array, "x")
    count = check_integer("size", size, 1, LIMIT)
    shape = channels_of(array, layout)
    array = shape.dense(array)
    gradient = shape.dense(operand(given, "grad", array.shape, array.dtype))
    result = destination(out, array, array, gradient)
    _core.response(*shape, array, gradient, result, count, float(alpha), float(beta), float(k), isa())
    return delivered(result, out)
