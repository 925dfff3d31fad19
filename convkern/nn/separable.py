"""Depthwise convolution, each channel by itself, and separable convolution, which mixes the channels behind it."""

from __future__ import annotations

from ..call import Activation, IntOrTuple, Padding
from ..padding import axis_values
from ..spec import LAYOUTS
from .combine import Sequential
from .conv import Conv
from .init import Initialiser, Random, generator


class DepthwiseConv(Conv):
    """Convolution of every channel by itself; DepthwiseConv1d, 2d and 3d fix the number of axes.

    Parameters
    ----------
    channels : int
    kernel_size, stride, padding, dilation, bias, padding_mode, activation, init, rng
        As for :class:`Conv`.
    multiplier : int
        Outputs per channel. Default 1.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: IntOrTuple,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        dilation: IntOrTuple = 1,
        multiplier: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        activation: Activation = None,
        init: str | Initialiser = "fan_in_uniform",
        rng: Random = None,
    ) -> None:
        self.channels, self.multiplier = channels, multiplier
        super().__init__(
            channels, channels * multiplier, kernel_size, stride, padding, dilation, channels, bias, padding_mode,
            activation=activation, init=init, rng=rng,
        )  # fmt: skip


class DepthwiseConv1d(DepthwiseConv):
    """:class:`DepthwiseConv` over (N, C, W)."""

    rank = 1


class DepthwiseConv2d(DepthwiseConv):
    """:class:`DepthwiseConv` over (N, C, H, W)."""

    rank = 2


class DepthwiseConv3d(DepthwiseConv):
    """:class:`DepthwiseConv` over (N, C, D, H, W)."""

    rank = 3


class SeparableConv(Sequential):
    """A depthwise convolution followed by a 1x1 one that mixes the channels (Chollet 2017, Howard et al. 2017).

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, dilation, bias, padding_mode, init, rng
        As for :class:`Conv`; stride, padding and dilation are those of the depthwise half, ``bias`` is of the 1x1 half.

    Attributes
    ----------
    layers : dict
        "depthwise" and "pointwise".
    """

    rank = 0

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrTuple,
        stride: IntOrTuple = 1,
        padding: Padding = 0,
        dilation: IntOrTuple = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        init: str | Initialiser = "fan_in_uniform",
        rng: Random = None,
    ) -> None:
        rank = self.rank or (len(kernel_size) if isinstance(kernel_size, tuple) else 0)
        if rank not in LAYOUTS:
            raise ValueError(f"kernel_size: got {kernel_size!r}, needs a tuple of 1 to 3 integers")
        kernel, rng = axis_values(kernel_size, "kernel_size", rank, 1), generator(rng)
        depthwise = DepthwiseConv(
            in_channels, kernel, stride, padding, dilation, 1, False, padding_mode, init=init, rng=rng
        )
        pointwise = Conv(in_channels, out_channels, (1,) * rank, bias=bias, init=init, rng=rng)
        super().__init__(depthwise=depthwise, pointwise=pointwise)


class SeparableConv1d(SeparableConv):
    """:class:`SeparableConv` over (N, C, W)."""

    rank = 1


class SeparableConv2d(SeparableConv):
    """:class:`SeparableConv` over (N, C, H, W)."""

    rank = 2


class SeparableConv3d(SeparableConv):
    """:class:`SeparableConv` over (N, C, D, H, W)."""

    rank = 3
