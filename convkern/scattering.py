"""Moving values by the indices of a pooling, and the gradients of pooling that way.

scatter  to[index[i]] += or = from[i];      gather  from[i] = to[index[i]]          within each channel's plane
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import FloatArray, as_array, check_out
from .problem import Shape, read_layout, read_shape, split_shape


def dense(value: Any, name: str) -> FloatArray:
    array = as_array(value, name)
    return np.require(array, array.dtype.newbyteorder("="), ["C", "A"])


def read_indices(value: Any) -> npt.NDArray[np.int64]:
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"indices: got dtype {array.dtype}, needs integers")
    return np.require(array, np.int64, ["C", "A"])


def target(out: FloatArray | None, shape: Shape, dtype: np.dtype[Any]) -> FloatArray:
    """Where the core writes: ``out`` if it is fit for that, else memory that finished() copies from."""
    if out is not None:
        check_out(out, shape, dtype)
        if out.flags.c_contiguous and out.flags.aligned and out.dtype.isnative:
            return out
    return np.empty(shape, dtype)


def finished(result: FloatArray, out: FloatArray | None) -> FloatArray:
    if out is None or result is out:
        return result
    out[...] = result
    return out


def scatter(
    op: str,
    rank: int,
    source: npt.ArrayLike,
    name: str,
    indices: npt.ArrayLike,
    shape: Any,
    shape_name: str,
    layout: str | None,
    out: FloatArray | None,
) -> FloatArray:
    values, index, last = dense(source, name), read_indices(indices), read_layout(layout, rank)
    shape = read_shape(shape, shape_name)
    batched, n, channels, sizes = split_shape(shape_name, shape, rank, last)
    if index.shape != values.shape:
        raise ValueError(f"indices: got shape {index.shape}, needs {values.shape} as {name}")
    inner = split_shape(name, values.shape, rank, last)
    if inner[:3] != (batched, n, channels):
        raise ValueError(f"{name}: got shape {values.shape}, needs the batch and channels of {shape_name} {shape}")
    if out is not None and (np.may_share_memory(out, values) or np.may_share_memory(out, index)):
        return finished(
            scatter(op, rank, values, name, index, shape, shape_name, layout, None), check_out(out, shape, values.dtype)
        )
    result = target(out, shape, values.dtype)
    size = math.prod(sizes)
    if not _core.scatter(op, last, n, channels, size, math.prod(inner[3]), result, values, index):
        raise ValueError(f"indices: got one outside 0 to {size - 1}, the positions of a plane of {shape_name} {shape}")
    return finished(result, out)


def max_pool1d_grad(
    grad: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_shape: tuple[int, ...],
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Gradient of a pooling over one spatial axis that gave indices: max, min, adaptive, global or fractional.

    Parameters
    ----------
    grad : array_like
        Gradient of the result, of its shape.
    indices : array_like of int
        What the pooling returned with ``return_indices=True``; -1 is nowhere.
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
        If shapes do not fit each other, or an index lies outside the plane.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x = np.arange(4.0).reshape(1, 1, 4)
    >>> y, indices = convkern.max_pool1d(x, 2, return_indices=True)
    >>> convkern.max_pool1d_grad(np.ones_like(y), indices, x.shape).ravel()[-4:]
    array([0., 1., 0., 1.])
    """
    return scatter("add", 1, grad, "grad", indices, input_shape, "input_shape", layout, out)


def max_pool2d_grad(
    grad: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_shape: tuple[int, ...],
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Gradient of a pooling over two spatial axes that gave indices: max, min, adaptive, global or fractional.

    Parameters
    ----------
    grad : array_like
        Gradient of the result, of its shape.
    indices : array_like of int
        What the pooling returned with ``return_indices=True``; -1 is nowhere.
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
        If shapes do not fit each other, or an index lies outside the plane.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> y, indices = convkern.max_pool2d(x, 2, return_indices=True)
    >>> convkern.max_pool2d_grad(np.ones_like(y), indices, x.shape).ravel()[-4:]
    array([0., 1., 0., 1.])
    """
    return scatter("add", 2, grad, "grad", indices, input_shape, "input_shape", layout, out)


def max_pool3d_grad(
    grad: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_shape: tuple[int, ...],
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Gradient of a pooling over three spatial axes that gave indices: max, min, adaptive, global or fractional.

    Parameters
    ----------
    grad : array_like
        Gradient of the result, of its shape.
    indices : array_like of int
        What the pooling returned with ``return_indices=True``; -1 is nowhere.
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
        If shapes do not fit each other, or an index lies outside the plane.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x = np.arange(64.0).reshape(1, 1, 4, 4, 4)
    >>> y, indices = convkern.max_pool3d(x, 2, return_indices=True)
    >>> convkern.max_pool3d_grad(np.ones_like(y), indices, x.shape).ravel()[-4:]
    array([0., 1., 0., 1.])
    """
    return scatter("add", 3, grad, "grad", indices, input_shape, "input_shape", layout, out)
