"""Transposed convolution layers: y = conv_grad_input(x).

So dx is a convolution of dy, and dweight is a weight gradient with the roles of x and dy exchanged.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import convkern

from ..call import IntOrTuple, Padding
from ..padding import extent
from ..problem import describe
from .conv import FORWARD, Kernel, bias_gradient
from .init import Initialiser, Random
from .layer import Array, Shape

TRANSPOSED = {1: convkern.conv_transpose1d, 2: convkern.conv_transpose2d, 3: convkern.conv_transpose3d}


class ConvTranspose(Kernel):
    """Transposed convolution: the input gradient of a convolution as a layer, for going back up in resolution.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation
        PyTorch's arguments in its order; see :func:`convkern.conv_transpose2d`.
    init, rng
        As for :class:`Conv`.

    Attributes
    ----------
    weight, bias : ndarray
        ``(in_channels, out_channels/groups, *kernel)`` and ``(out_channels,)``, or None.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> nn.ConvTranspose2d(8, 4, 2, stride=2)(np.ones((1, 8, 5, 5), np.float32)).shape
    (1, 4, 10, 10)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrTuple,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        output_padding: IntOrTuple = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: IntOrTuple = 1,
        *,
        init: str | Initialiser = "fan_in_uniform",
        rng: Random = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self.output_padding = output_padding
        self.draw((in_channels, out_channels // groups, *self.kernel_size), bias, init, rng)

    def forward(self, x: Array, training: bool = False) -> Array:
        self.check(x.shape)
        self.saved = x
        return TRANSPOSED[self.rank](
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation,
            layout=self.layout,
        )  # fmt: skip

    def _problem(self, x_shape: Shape) -> Any:
        return describe(
            "transposed", self.rank, tuple(x_shape), np.float32, self.weight.shape, self.stride, self.padding,
            self.output_padding, self.dilation, self.groups, "zeros", self.layout, None,
        )  # fmt: skip

    def backward(self, grad: Array) -> Array:
        x = self.remembered()
        if self.trainable and self.bias is not None:
            bias_gradient(grad, self.channels_last, self.gradient("bias"))
        # y = conv_grad_input(x): here grad is that convolution's input and x the gradient of its output. A negative
        # padding says how much of grad no window reaches.
        pads = self._problem(x.shape).spec.padding
        first = 1 if self.channels_last else 2
        reached = [slice(None)] * first
        reached += [slice(n + min(high, 0)) for n, (_, high) in zip(grad.shape[first:], pads, strict=False)]
        grad = grad[tuple(reached)]
        settings: dict[str, Any] = {
            "stride": self.stride,
            "padding": tuple((low, max(high, 0)) for low, high in pads),
            "dilation": self.dilation,
            "groups": self.groups,
            "layout": self.layout,
        }
        if self.trainable:
            convkern.conv_grad_weight(x, grad, self.weight.shape, out=self.gradient("weight"), **settings)
        return FORWARD[self.rank](grad, self.weight, **settings)

    def output_shape(self, input_shape: Shape) -> Shape:
        self.check(input_shape)
        shape: Shape = self._problem(input_shape).result
        return shape

    def multiply_adds(self, input_shape: Shape) -> int:
        return int(math.prod(input_shape) * self.weight[0].size)

    def receptive(self, size: Shape, jump: tuple[float, ...]) -> tuple[Shape, tuple[float, ...]]:
        # An output sees ceil(extent / stride) neighbouring inputs.
        seen = [-(-extent(k, d) // s) for k, d, s in zip(self.kernel_size, self.dilation, self.stride, strict=True)]
        return (
            tuple(a + math.ceil((n - 1) * j) for a, n, j in zip(size, seen, jump, strict=True)),
            tuple(j / s for j, s in zip(jump, self.stride, strict=True)),
        )


class ConvTranspose1d(ConvTranspose):
    """:class:`ConvTranspose` over (N, C, W)."""

    rank = 1


class ConvTranspose2d(ConvTranspose):
    """:class:`ConvTranspose` over (N, C, H, W)."""

    rank = 2


class ConvTranspose3d(ConvTranspose):
    """:class:`ConvTranspose` over (N, C, D, H, W)."""

    rank = 3
