"""Gradients of a convolution in its input, its weight and its bias, for any number of spatial axes (1 to 3).

    grad_x = adjoint in x,  grad_w = adjoint in w,  grad_b = sum over batch and positions

Under a padding mode they are those of the convolution of the padded input, with the border folded back.
"""

import numpy as np
import numpy.typing as npt

from .arrays import FloatArray, as_array, as_arrays
from .call import IntOrTuple, Padding, call
from .problem import kernel_axes, read_layout, read_shape, split_shape
from .spec import LAYOUTS


def conv_grad_input(
    grad: npt.ArrayLike,
    weight: npt.ArrayLike,
    input_shape: tuple[int, ...],
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str | None = None,
    algorithm: str = "auto",
    accuracy: str = "default",
    out: FloatArray | None = None,
) -> FloatArray:
    """Gradient of a convolution in its input.

    Parameters
    ----------
    grad : array_like
        Gradient of the convolution's output, of its shape; (N, C_out, ...) or, with a channels-last layout,
        (N, ..., C_out). Without N where ``input_shape`` has none.
    weight : array_like
        ``(C_out, C_in/groups, *kernel)``, of grad's dtype; as many kernel axes as the convolution has, 1 to 3.
    input_shape : tuple of int
        Shape of the convolution's x, in its layout; a strided convolution's output alone does not tell.
    stride, padding, dilation, groups, padding_mode, layout, algorithm, accuracy
        As the convolution had them: see :func:`conv2d`.
    out : ndarray, optional
        Array for the result, of shape ``input_shape``, any strides.

    Returns
    -------
    ndarray
        Of shape ``input_shape``.

    Raises
    ------
    ValueError, TypeError
        As :func:`conv2d`; also if grad does not have the shape that such a convolution returns.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> grad, w = np.ones((1, 1, 3)), np.array([[[1.0, 2.0]]])
    >>> convkern.conv_grad_input(grad, w, (1, 1, 4))
    array([[[1., 3., 3., 2.]]])
    """
    grad, weight = as_arrays((grad, "grad"), (weight, "weight"))
    rank = kernel_axes(weight.shape, "weight")
    shape = read_shape(input_shape, "input_shape")
    return call(
        "grad_input", rank, grad, weight, None, shape, None, stride, padding, 0, dilation, groups, padding_mode, layout,
        None, None, algorithm, accuracy, out,
    )  # fmt: skip


def conv_grad_weight(
    grad: npt.ArrayLike,
    x: npt.ArrayLike,
    weight_shape: tuple[int, ...],
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str | None = None,
    algorithm: str = "auto",
    accuracy: str = "default",
    out: FloatArray | None = None,
) -> FloatArray:
    """Gradient of a convolution in its weight, summed over the batch.

    Parameters
    ----------
    grad : array_like
        Gradient of the convolution's output, of its shape and x's dtype.
    x : array_like
        The convolution's input, (N, C_in, ...) or as the layout has it, or without N.
    weight_shape : tuple of int
        ``(C_out, C_in/groups, *kernel)``; a strided convolution's output alone does not tell the kernel.
    stride, padding, dilation, groups, padding_mode, layout, algorithm, accuracy
        As the convolution had them: see :func:`conv2d`.
    out : ndarray, optional
        Array for the result, of shape ``weight_shape``, any strides.

    Returns
    -------
    ndarray
        Of shape ``weight_shape``, in every layout.

    Raises
    ------
    ValueError, TypeError
        As :func:`conv2d`; also if grad does not have the shape that such a convolution returns.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x, grad = np.arange(4.0).reshape(1, 1, 4), np.ones((1, 1, 3))
    >>> convkern.conv_grad_weight(grad, x, (1, 1, 2))
    array([[[3., 6.]]])
    """
    grad, x = as_arrays((grad, "grad"), (x, "x"))
    shape = read_shape(weight_shape, "weight_shape")
    rank = kernel_axes(shape, "weight_shape")
    return call(
        "grad_weight", rank, x, grad, None, None, shape, stride, padding, 0, dilation, groups, padding_mode, layout,
        None, None, algorithm, accuracy, out,
    )  # fmt: skip


def conv_grad_bias(grad: npt.ArrayLike, *, layout: str | None = None) -> FloatArray:
    """Gradient of a convolution in its bias: grad summed over batch and positions, in float64.

    Parameters
    ----------
    grad : array_like
        Gradient of the convolution's output, (N, C_out, ...) of 3 to 5 dimensions; with a layout also without N.
    layout : {"NCW", "NWC", "NCHW", "NHWC", "NCDHW", "NDHWC"}, optional
        Where grad has its channels. Default: after N, whatever the number of axes.

    Returns
    -------
    ndarray
        (C_out,), of grad's dtype.

    Raises
    ------
    ValueError, TypeError
        If grad's dtype or number of dimensions is not one of these, or the layout unknown.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.conv_grad_bias(np.ones((2, 3, 4, 5), np.float32))
    array([40., 40., 40.], dtype=float32)
    """
    array = as_array(grad, "grad")
    ranks = {name: rank for rank, names in LAYOUTS.items() for name in names}
    if layout is not None and layout not in ranks:
        raise ValueError(f"layout: got {layout!r}, needs one of {', '.join(ranks)}")
    rank = array.ndim - 2 if layout is None else ranks[layout]
    if rank not in LAYOUTS:
        raise ValueError(f"grad: got shape {array.shape}, needs (N, C_out, ...) with 1 to 3 spatial axes")
    channels_last = read_layout(layout, rank)
    batched = split_shape("grad", array.shape, rank, channels_last)[0]
    channel = array.ndim - 1 if channels_last else int(batched)
    others = tuple(axis for axis in range(array.ndim) if axis != channel)
    total: FloatArray = array.sum(axis=others, dtype=np.float64).astype(array.dtype.newbyteorder("="))
    return total
