"""Convolution layers over 1, 2 or 3 axes: one Conv, and thin names for it.

    y = activation(conv(x, weight) + bias);  dx, dweight, dbias are three more convolutions

The kernels are convkern's; here are only parameters and what backward has to remember.
"""

from __future__ import annotations

import math

import numpy as np

import convkern

from ..call import Activation, IntOrTuple, Padding
from ..channels import channels_of
from ..padding import axis_values, extent
from ..problem import describe, read_activation
from ..spec import LAYOUTS
from .init import Initialiser, Random, generator, initial
from .layer import Array, Layer, Shape

LAST = {3: "NWC", 4: "NHWC", 5: "NDHWC"}
FORWARD = {1: convkern.conv1d, 2: convkern.conv2d, 3: convkern.conv3d}


def bias_gradient(grad: Array, channels_last: bool, out: Array) -> Array:
    """Grad summed over all axes but the channels, in float64."""
    shape = channels_of(grad, LAST.get(grad.ndim) if channels_last else None, "grad")
    grad = shape.dense(grad)
    out[...] = shape.moments(grad, grad, np.zeros(shape.c, grad.dtype))[0]
    return out


class Kernel(Layer):
    """What convolutions and transposed ones share: sizes, a weight and a bias over 1 to 3 axes."""

    parameter_names = ("weight", "bias")
    rank = 0  # taken from kernel_size, unless the class has one
    weight: Array
    bias: Array | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrTuple,
        stride: IntOrTuple,
        padding: Padding,
        dilation: IntOrTuple,
        groups: int,
    ) -> None:
        super().__init__()
        self.rank = rank = self.rank or (len(kernel_size) if isinstance(kernel_size, tuple) else 0)
        if rank not in LAYOUTS:
            raise ValueError(f"kernel_size: got {kernel_size!r}, needs a tuple of 1 to 3 integers, or Conv1d, 2d or 3d")
        self.kernel_size = axis_values(kernel_size, "kernel_size", rank, 1)
        if groups < 1 or in_channels % groups or out_channels % groups or min(in_channels, out_channels) < 1:
            raise ValueError(
                f"groups: got {groups}, needs a divisor of {in_channels} input and {out_channels} output channels"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.stride = axis_values(stride, "stride", rank, 1)
        self.dilation = axis_values(dilation, "dilation", rank, 1)
        self.padding = padding

    def draw(self, shape: Shape, bias: bool, init: str | Initialiser, rng: Random) -> None:
        """Initial weight and bias."""
        random = generator(rng)
        self.weight, self.bias = initial(init, shape, random), None
        if bias:
            bound = 1 / math.sqrt(self.weight[0].size) if init == "fan_in_uniform" else 0.0
            self.bias = random.uniform(-bound, bound, self.out_channels).astype(np.float32)

    @property
    def layout(self) -> str:
        return LAYOUTS[self.rank][self.channels_last]

    def check(self, shape: Shape) -> None:
        """Raises ValueError with both shapes unless the input has the axes and channels this layer reads."""
        if len(shape) != self.rank + 2 or shape[self.channel_axis()] != self.in_channels:
            axes = ", ".join("DHW"[-self.rank :])
            order = f"{axes}, {self.in_channels}" if self.channels_last else f"{self.in_channels}, {axes}"
            raise ValueError(f"got an input of shape {tuple(shape)}, needs (N, {order}) for weight {self.weight.shape}")


class Conv(Kernel):
    """Convolution over as many axes as ``kernel_size`` has; Conv1d, Conv2d and Conv3d fix that number.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or tuple of int
        A tuple where the number of axes is not in the class's name.
    stride, padding, dilation, groups, padding_mode
        As for :func:`convkern.conv2d`.
    bias : bool
        Whether a bias is added. Default True.
    activation : {"relu", "relu6"} or (low, high), optional
        Limits applied in the same pass, in training too; cheaper than a layer of its own.
    init : str or callable
        Initialiser of the weight; see :mod:`convkern.nn.init`. With the default one the bias is uniform within
        1/sqrt(fan_in), as PyTorch's, and 0 with others.
    rng : int or numpy.random.Generator, optional
        What weights are drawn from; by default the generator that :func:`convkern.nn.manual_seed` sets.

    Attributes
    ----------
    weight, bias : ndarray
        ``(out_channels, in_channels/groups, *kernel)`` and ``(out_channels,)``, or None.

    Raises
    ------
    ValueError
        If groups do not divide the channels or a number is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> layer = nn.Conv2d(3, 8, 3, stride=2, padding=1)
    >>> y = layer(np.ones((4, 3, 32, 32), np.float32))
    >>> y.shape, layer.backward(np.ones_like(y)).shape, layer.grad["weight"].shape
    ((4, 8, 16, 16), (4, 3, 32, 32), (8, 3, 3, 3))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrTuple,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        dilation: IntOrTuple = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        activation: Activation = None,
        init: str | Initialiser = "fan_in_uniform",
        rng: Random = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self.padding_mode, self.activation = padding_mode, activation
        self.clamp = read_activation(activation)
        self.draw((out_channels, in_channels // groups, *self.kernel_size), bias, init, rng)

    def forward(self, x: Array, training: bool = False, residual: Array | None = None) -> Array:
        self.check(x.shape)
        y = FORWARD[self.rank](
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups,
            padding_mode=self.padding_mode, layout=self.layout, activation=self.activation, residual=residual,
        )  # fmt: skip
        self.saved = x, y if self.clamp else None
        return y

    def masked(self, grad: Array) -> Array:
        """The gradient before the activation, which is 0 where a limit was reached."""
        y = self.remembered()[1]
        if self.clamp is None:
            return grad
        if self.clamp == (0.0, math.inf):
            return convkern.relu_grad(grad, y)
        inside: Array = (y > self.clamp[0]) & (y < self.clamp[1])
        return grad * inside

    def backward(self, grad: Array) -> Array:
        grad = self.masked(grad)
        self._weights(grad)
        return convkern.conv_grad_input(
            grad, self.weight, self.saved[0].shape, self.stride, self.padding, self.dilation, self.groups,
            padding_mode=self.padding_mode, layout=self.layout,
        )  # fmt: skip

    def backward_weights(self, grad: Array) -> None:
        self._weights(self.masked(grad))

    def _weights(self, grad: Array) -> None:
        if not self.trainable:
            return
        convkern.conv_grad_weight(
            grad, self.saved[0], self.weight.shape, self.stride, self.padding, self.dilation, self.groups,
            padding_mode=self.padding_mode, layout=self.layout, out=self.gradient("weight"),
        )  # fmt: skip
        if self.bias is not None:
            bias_gradient(grad, self.channels_last, self.gradient("bias"))

    def output_shape(self, input_shape: Shape) -> Shape:
        self.check(input_shape)
        return describe(
            "forward", self.rank, tuple(input_shape), np.float32, self.weight.shape, self.stride, self.padding, 0,
            self.dilation, self.groups, self.padding_mode, self.layout, None,
        ).result  # fmt: skip

    def multiply_adds(self, input_shape: Shape) -> int:
        return int(math.prod(self.output_shape(input_shape)) * self.weight[0].size)

    def receptive(self, size: Shape, jump: tuple[float, ...]) -> tuple[Shape, tuple[float, ...]]:
        return grow(size, jump, self.kernel_size, self.stride, self.dilation)


def grow(
    size: Shape, jump: tuple[float, ...], kernel: Shape, stride: Shape, dilation: Shape
) -> tuple[Shape, tuple[float, ...]]:
    """A receptive field and the distance of its neighbours, after a window slides over it."""
    spans = [extent(k, d) - 1 for k, d in zip(kernel, dilation, strict=True)]
    return (
        tuple(s + math.ceil(span * j) for s, span, j in zip(size, spans, jump, strict=True)),
        tuple(j * step for j, step in zip(jump, stride, strict=True)),
    )


class Conv1d(Conv):
    """:class:`Conv` over (N, C, W)."""

    rank = 1


class Conv2d(Conv):
    """:class:`Conv` over (N, C, H, W)."""

    rank = 2


class Conv3d(Conv):
    """:class:`Conv` over (N, C, D, H, W)."""

    rank = 3
