"""Convolution and transposed convolution: PyTorch's names and argument order, NumPy arrays in and out.

Each function names its arguments and hands them to call(); what they mean stands in the docstring of conv2d.
"""

import numpy.typing as npt

from .arrays import FloatArray
from .call import Activation, IntOrTuple, Padding, call


def conv1d(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str | None = None,
    activation: Activation = None,
    residual: npt.ArrayLike | None = None,
    algorithm: str = "auto",
    accuracy: str = "default",
    out: FloatArray | None = None,
) -> FloatArray:
    """One-dimensional convolution (cross-correlation) of a batch of multi-channel signals.

    Parameters
    ----------
    x : array_like
        (N, C_in, W) or (C_in, W); with layout "NWC" (N, W, C_in) or (W, C_in).
    weight : array_like
        (C_out, C_in/groups, kernel width).
    bias, stride, padding, dilation, groups, padding_mode, activation, residual, algorithm, accuracy, out
        As for :func:`conv2d`, with one spatial axis.
    layout : {"NCW", "NWC"}, optional

    Returns
    -------
    ndarray
        (N, C_out, W_out), or as the layout and x have it.

    Raises
    ------
    ValueError, TypeError
        As :func:`conv2d`.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.conv1d(np.arange(6.0)[None], [[[1.0, 0.0, -1.0]]], padding="same")
    array([[-1., -2., -2., -2., -2.,  4.]])
    """
    return call(
        "forward", 1, x, weight, bias, None, None, stride, padding, 0, dilation, groups, padding_mode, layout,
        activation, residual, algorithm, accuracy, out,
    )  # fmt: skip


def conv2d(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str | None = None,
    activation: Activation = None,
    residual: npt.ArrayLike | None = None,
    algorithm: str = "auto",
    accuracy: str = "default",
    out: FloatArray | None = None,
) -> FloatArray:
    """Two-dimensional convolution (cross-correlation) of a batch of multi-channel images.

    ``y[n, o, p] = activation(bias[o] + residual[n, o, p] + sum over c, k of
    pad(x)[n, c, p*stride + k*dilation] weight[o, c, k])``, with c over the input channels of o's group.

    Parameters
    ----------
    x : array_like
        (N, C_in, H, W), or (C_in, H, W) without a batch; with layout "NHWC" (N, H, W, C_in) or (H, W, C_in). float32 or
        float64, any strides; nested lists of numbers are converted.
    weight : array_like
        (C_out, C_in/groups, kernel height, kernel width) in every layout, of x's dtype, any strides.
    bias : array_like, optional
        (C_out,), added to every position.
    stride : int or tuple of int
        Steps of the window along each axis, in elements. Default 1.
    padding : int, tuple, "valid", "same" or "full"
        Elements added around x: one number, one per axis, or a (low, high) pair per axis. "valid" adds none, "same"
        makes the output ceil(input/stride) with an odd element on the high side (TensorFlow's rule), "full" adds
        dilation*(kernel - 1) on both sides. Default 0.
    dilation : int or tuple of int
        Distance between the taps of a window, in elements. Default 1.
    groups : int
        Channels are cut into so many groups that do not see each other; C_in groups make it depthwise. Default 1.
    padding_mode : {"zeros", "reflect", "replicate", "circular", "symmetric"}
        What the added elements hold. "reflect" does not repeat the edge and needs padding smaller than the axis;
        "symmetric" repeats it and, as "circular", needs padding no larger than the axis.
    layout : {"NCHW", "NHWC"}, optional
        Where x and the result have their channels. Default "NCHW".
    activation : {"relu", "relu6"} or (low, high), optional
        Limits applied last; either end of the pair may be None.
    residual : array_like, optional
        Added before the activation; of the result's shape.
    algorithm : str
        "auto", or the name of one: see :func:`explain`.
    accuracy : {"default", "strict"}
        "default" keeps the error below about 2e-5 of max(abs(y)) in float32, unless sums cancel to far less than
        their terms; "strict" uses only algorithms in which
        each output depends on its own window alone.
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides. It may share memory with the other arrays.

    Returns
    -------
    ndarray
        (N, C_out, H_out, W_out) with H_out = (H + low + high - dilation*(kernel - 1) - 1)//stride + 1, or as the
        layout and x have it; ``out`` if it was given.

    Raises
    ------
    ValueError
        If shapes do not fit together, or an argument has a value that is not offered; the text names it.
    TypeError
        If an array is not float32 or float64, dtypes differ, or a size is not an integer.
    MemoryError
        If the result, or an algorithm's workspace, cannot be allocated.

    See Also
    --------
    plan : keeps the packed weights from call to call.
    explain : says which algorithm is chosen and why.

    Notes
    -----
    Names and argument order are PyTorch's (``torch.nn.functional.conv2d``).

    Examples
    --------
    >>> import numpy as np, convkern
    >>> image = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    >>> edges = np.array([[[[1, 0, -1]] * 3]], np.float32)
    >>> convkern.conv2d(image, edges)
    array([[[[-6., -6.],
             [-6., -6.]]]], dtype=float32)
    >>> convkern.conv2d(image, edges, padding="same", activation="relu").shape
    (1, 1, 4, 4)
    """
    return call(
        "forward", 2, x, weight, bias, None, None, stride, padding, 0, dilation, groups, padding_mode, layout,
        activation, residual, algorithm, accuracy, out,
    )  # fmt: skip


def conv3d(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str | None = None,
    activation: Activation = None,
    residual: npt.ArrayLike | None = None,
    algorithm: str = "auto",
    accuracy: str = "default",
    out: FloatArray | None = None,
) -> FloatArray:
    """Three-dimensional convolution (cross-correlation) of a batch of multi-channel volumes.

    Parameters
    ----------
    x : array_like
        (N, C_in, D, H, W) or (C_in, D, H, W); with layout "NDHWC" channels last.
    weight : array_like
        (C_out, C_in/groups, kernel depth, height, width).
    bias, stride, padding, dilation, groups, padding_mode, activation, residual, algorithm, accuracy, out
        As for :func:`conv2d`, with three spatial axes.
    layout : {"NCDHW", "NDHWC"}, optional

    Returns
    -------
    ndarray
        (N, C_out, D_out, H_out, W_out), or as the layout and x have it.

    Raises
    ------
    ValueError, TypeError
        As :func:`conv2d`.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x, w = np.ones((1, 2, 4, 5, 6)), np.ones((3, 2, 2, 2, 2))
    >>> convkern.conv3d(x, w, stride=(1, 2, 2)).shape
    (1, 3, 3, 2, 3)
    """
    return call(
        "forward", 3, x, weight, bias, None, None, stride, padding, 0, dilation, groups, padding_mode, layout,
        activation, residual, algorithm, accuracy, out,
    )  # fmt: skip


def conv_transpose1d(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
    *,
    layout: str | None = None,
    activation: Activation = None,
    residual: npt.ArrayLike | None = None,
    algorithm: str = "auto",
    accuracy: str = "default",
    out: FloatArray | None = None,
) -> FloatArray:
    """One-dimensional transposed convolution: the adjoint of :func:`conv1d` in x.

    Parameters
    ----------
    x : array_like
        (N, C_in, W) or (C_in, W); with layout "NWC" channels last.
    weight : array_like
        (C_in, C_out/groups, kernel width).
    bias, stride, padding, output_padding, groups, dilation, activation, residual, algorithm, accuracy, out
        As for :func:`conv_transpose2d`, with one spatial axis.
    layout : {"NCW", "NWC"}, optional

    Returns
    -------
    ndarray
        (N, C_out, W_out), or as the layout and x have it.

    Raises
    ------
    ValueError, TypeError
        As :func:`conv2d`.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.conv_transpose1d([[1.0, 2.0, 3.0]], [[[1.0, 10.0]]], stride=2)
    array([[ 1., 10.,  2., 20.,  3., 30.]])
    """
    return call(
        "transposed", 1, x, weight, bias, None, None, stride, padding, output_padding, dilation, groups, "zeros",
        layout, activation, residual, algorithm, accuracy, out,
    )  # fmt: skip


def conv_transpose2d(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
    *,
    layout: str | None = None,
    activation: Activation = None,
    residual: npt.ArrayLike | None = None,
    algorithm: str = "auto",
    accuracy: str = "default",
    out: FloatArray | None = None,
) -> FloatArray:
    """Two-dimensional transposed convolution: the adjoint of :func:`conv2d` in x, with a bias and an activation.

    Every input pixel adds its value times the weight to a window of the output; windows lie ``stride`` apart. No zeros
    are inserted and multiplied: each residue of the stride is a convolution of its own with the taps that reach it.

    Parameters
    ----------
    x : array_like
        (N, C_in, H, W) or (C_in, H, W); with layout "NHWC" channels last. float32 or float64, any strides.
    weight : array_like
        (C_in, C_out/groups, kernel height, kernel width), of x's dtype, any strides.
    bias : array_like, optional
        (C_out,).
    stride : int or tuple of int
        Steps between windows in the output, in elements. Default 1.
    padding : int, tuple, "valid", "same" or "full"
        Elements cut off the output, in the forms that :func:`conv2d` takes; "same" makes it input*stride. Default 0.
    output_padding : int or tuple of int
        Elements added at the high side of the output, less than the stride or the dilation. Default 0.
    groups : int
        Channels are cut into so many groups that do not see each other. Default 1.
    dilation : int or tuple of int
        Distance between the taps of a window, in elements. Default 1.
    layout : {"NCHW", "NHWC"}, optional
        Where x and the result have their channels. Default "NCHW".
    activation : {"relu", "relu6"} or (low, high), optional
        Limits applied last; either end of the pair may be None.
    residual : array_like, optional
        Added before the activation; of the result's shape.
    algorithm : str
        "auto", or the name of one: see :func:`explain`.
    accuracy : {"default", "strict"}
        As for :func:`conv2d`.
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C_out, H_out, W_out) with H_out = (H - 1)*stride - low - high + dilation*(kernel - 1) + output_padding + 1,
        or as the layout and x have it; ``out`` if it was given.

    Raises
    ------
    ValueError, TypeError
        As :func:`conv2d`.

    Notes
    -----
    Names and argument order, ``groups`` before ``dilation`` included, are PyTorch's.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x = np.array([[[[1, 2], [3, 4]]]], np.float32)
    >>> convkern.conv_transpose2d(x, np.ones((1, 1, 2, 2), np.float32), stride=2)
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.],
             [3., 3., 4., 4.],
             [3., 3., 4., 4.]]]], dtype=float32)
    """
    return call(
        "transposed", 2, x, weight, bias, None, None, stride, padding, output_padding, dilation, groups, "zeros",
        layout, activation, residual, algorithm, accuracy, out,
    )  # fmt: skip


def conv_transpose3d(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    output_padding: IntOrTuple = 0,
    groups: int = 1,
    dilation: IntOrTuple = 1,
    *,
    layout: str | None = None,
    activation: Activation = None,
    residual: npt.ArrayLike | None = None,
    algorithm: str = "auto",
    accuracy: str = "default",
    out: FloatArray | None = None,
) -> FloatArray:
    """Three-dimensional transposed convolution: the adjoint of :func:`conv3d` in x.

    Parameters
    ----------
    x : array_like
        (N, C_in, D, H, W) or (C_in, D, H, W); with layout "NDHWC" channels last.
    weight : array_like
        (C_in, C_out/groups, kernel depth, height, width).
    bias, stride, padding, output_padding, groups, dilation, activation, residual, algorithm, accuracy, out
        As for :func:`conv_transpose2d`, with three spatial axes.
    layout : {"NCDHW", "NDHWC"}, optional

    Returns
    -------
    ndarray
        (N, C_out, D_out, H_out, W_out), or as the layout and x have it.

    Raises
    ------
    ValueError, TypeError
        As :func:`conv2d`.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x, w = np.ones((1, 3, 2, 4, 5)), np.ones((3, 2, 2, 2, 2))
    >>> convkern.conv_transpose3d(x, w, stride=2).shape
    (1, 2, 4, 8, 10)
    """
    return call(
        "transposed", 3, x, weight, bias, None, None, stride, padding, output_padding, dilation, groups, "zeros",
        layout, activation, residual, algorithm, accuracy, out,
    )  # fmt: skip
