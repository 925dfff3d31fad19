"""Gradients of average pooling in its input.

A position's gradient is the sum over the windows that hold it: itself a pooling, of the gradient divided by each
window's divisor.
"""

from typing import Any

import numpy.typing as npt

from .arrays import FloatArray, as_array
from .call import IntOrTuple
from .pool_call import apply, read_divisor
from .problem import dtype_name, read_layout, read_shape, split_shape
from .windows import Prepared, prepared


def spread(
    plan: Prepared, grad: FloatArray, input_shape: tuple[int, ...], divisor: float, out: FloatArray | None
) -> FloatArray:
    """Adds up what reaches each position of the input."""
    pooling = plan[0]
    if grad.shape != pooling.result:
        raise ValueError(f"grad: got shape {grad.shape}, needs {pooling.result} for an input of shape {input_shape}")
    if not divisor and not pooling.divisor:
        grad = (grad / pooling.divisors).astype(grad.dtype.newbyteorder("="))
    result: FloatArray = apply(plan, grad, input_shape, False, out)
    return result


def average_gradient(
    rank: int,
    grad: npt.ArrayLike,
    input_shape: Any,
    kind: str,
    arguments: tuple[Any, ...],
    divisor_override: Any,
    layout: str | None,
    out: FloatArray | None,
) -> FloatArray:
    array = as_array(grad, "grad")
    shape, divisor = read_shape(input_shape, "input_shape"), read_divisor(divisor_override)
    plan = prepared(
        "add", dtype_name(array.dtype, "grad"), divisor, True, kind, rank, shape, *arguments, layout, "input_shape"
    )
    return spread(plan, array, shape, divisor, out)


def adaptive_gradient(
    rank: int, grad: npt.ArrayLike, input_shape: Any, layout: str | None, out: FloatArray | None
) -> FloatArray:
    array = as_array(grad, "grad")
    sizes = split_shape("grad", array.shape, rank, read_layout(layout, rank))[3]
    return average_gradient(rank, array, input_shape, "adaptive", (sizes,), None, layout, out)


def avg_pool1d_grad(
    grad: npt.ArrayLike,
    input_shape: tuple[int, ...],
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: IntOrTuple = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Gradient of :func:`avg_pool1d` in x.

    Parameters
    ----------
    grad : array_like
        Gradient of the result, of its shape.
    input_shape : tuple of int
        Shape of x.
    kernel_size, stride, padding, ceil_mode, count_include_pad, layout
        As the pooling had them.
    out : ndarray, optional
        Array for the gradient, of shape ``input_shape``.

    Returns
    -------
    ndarray
        Of shape ``input_shape`` and grad's dtype.

    Raises
    ------
    ValueError, TypeError
        As the pooling; also if grad does not have the result's shape.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.avg_pool1d_grad(np.ones((1, 1, 2)), (1, 1, 4), 2).sum()
    np.float64(2.0)
    """
    arguments = (kernel_size, stride, padding, 1, ceil_mode, count_include_pad)
    return average_gradient(1, grad, input_shape, "regular", arguments, None, layout, out)


def adaptive_avg_pool1d_grad(
    grad: npt.ArrayLike, input_shape: tuple[int, ...], *, layout: str | None = None, out: FloatArray | None = None
) -> FloatArray:
    """Gradient of :func:`adaptive_avg_pool1d` in x, and of :func:`global_avg_pool1d`.

    Parameters
    ----------
    grad : array_like
        Gradient of the result, of its shape, which says what the output sizes were.
    input_shape : tuple of int
        Shape of x.
    layout : {"NCW", "NWC"}, optional
        As the pooling had it.
    out : ndarray, optional
        Array for the gradient, of shape ``input_shape``.

    Returns
    -------
    ndarray
        Of shape ``input_shape`` and grad's dtype.

    Raises
    ------
    ValueError, TypeError
        As the pooling; also if grad does not have the result's shape.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.adaptive_avg_pool1d_grad(np.ones((1, 1, 1)), (1, 1, 4)).ravel()[0]
    np.float64(0.25)
    """
    return adaptive_gradient(1, grad, input_shape, layout, out)


def avg_pool2d_grad(
    grad: npt.ArrayLike,
    input_shape: tuple[int, ...],
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: IntOrTuple = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Gradient of :func:`avg_pool2d` in x.

    Parameters
    ----------
    grad : array_like
        Gradient of the result, of its shape.
    input_shape : tuple of int
        Shape of x.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, layout
        As the pooling had them.
    out : ndarray, optional
        Array for the gradient, of shape ``input_shape``.

    Returns
    -------
    ndarray
        Of shape ``input_shape`` and grad's dtype.

    Raises
    ------
    ValueError, TypeError
        As the pooling; also if grad does not have the result's shape.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.avg_pool2d_grad(np.ones((1, 1, 2, 2)), (1, 1, 4, 4), 2).sum()
    np.float64(4.0)
    """
    arguments = (kernel_size, stride, padding, 1, ceil_mode, count_include_pad)
    return average_gradient(2, grad, input_shape, "regular", arguments, divisor_override, layout, out)


def adaptive_avg_pool2d_grad(
    grad: npt.ArrayLike, input_shape: tuple[int, ...], *, layout: str | None = None, out: FloatArray | None = None
) -> FloatArray:
    """Gradient of :func:`adaptive_avg_pool2d` in x, and of :func:`global_avg_pool2d`.

    Parameters
    ----------
    grad : array_like
        Gradient of the result, of its shape, which says what the output sizes were.
    input_shape : tuple of int
        Shape of x.
    layout : {"NCHW", "NHWC"}, optional
        As the pooling had it.
    out : ndarray, optional
        Array for the gradient, of shape ``input_shape``.

    Returns
    -------
    ndarray
        Of shape ``input_shape`` and grad's dtype.

    Raises
    ------
    ValueError, TypeError
        As the pooling; also if grad does not have the result's shape.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.adaptive_avg_pool2d_grad(np.ones((1, 1, 1, 1)), (1, 1, 4, 4)).ravel()[0]
    np.float64(0.0625)
    """
    return adaptive_gradient(2, grad, input_shape, layout, out)


def avg_pool3d_grad(
    grad: npt.ArrayLike,
    input_shape: tuple[int, ...],
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: IntOrTuple = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Gradient of :func:`avg_pool3d` in x.

    Parameters
    ----------
    grad : array_like
        Gradient of the result, of its shape.
    input_shape : tuple of int
        Shape of x.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, layout
        As the pooling had them.
    out : ndarray, optional
        Array for the gradient, of shape ``input_shape``.

    Returns
    -------
    ndarray
        Of shape ``input_shape`` and grad's dtype.

    Raises
    ------
    ValueError, TypeError
        As the pooling; also if grad does not have the result's shape.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.avg_pool3d_grad(np.ones((1, 1, 2, 2, 2)), (1, 1, 4, 4, 4), 2).sum()
    np.float64(8.0)
    """
    arguments = (kernel_size, stride, padding, 1, ceil_mode, count_include_pad)
    return average_gradient(3, grad, input_shape, "regular", arguments, divisor_override, layout, out)


def adaptive_avg_pool3d_grad(
    grad: npt.ArrayLike, input_shape: tuple[int, ...], *, layout: str | None = None, out: FloatArray | None = None
) -> FloatArray:
    """Gradient of :func:`adaptive_avg_pool3d` in x, and of :func:`global_avg_pool3d`.

    Parameters
    ----------
    grad : array_like
        Gradient of the result, of its shape, which says what the output sizes were.
    input_shape : tuple of int
        Shape of x.
    layout : {"NCDHW", "NDHWC"}, optional
        As the pooling had it.
    out : ndarray, optional
        Array for the gradient, of shape ``input_shape``.

    Returns
    -------
    ndarray
        Of shape ``input_shape`` and grad's dtype.

    Raises
    ------
    ValueError, TypeError
        As the pooling; also if grad does not have the result's shape.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.adaptive_avg_pool3d_grad(np.ones((1, 1, 1, 1, 1)), (1, 1, 4, 4, 4)).ravel()[0]
    np.float64(0.015625)
    """
    return adaptive_gradient(3, grad, input_shape, layout, out)
