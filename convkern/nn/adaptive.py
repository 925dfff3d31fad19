"""Pooling to a size instead of over windows of one: adaptive, global and fractional pooling."""

from __future__ import annotations

import math
from typing import Any

from ..call import IntOrTuple
from ..padding import axis_values
from .init import Random, generator
from .layer import Array, Shape
from .pooling import Pool


class Adaptive(Pool):
    """Pooling to an output size, or to 1 where ``output_size`` is left out."""

    def __init__(self, output_size: Any) -> None:
        super().__init__(output_size)
        sizes = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size,) * self.rank
        if len(sizes) != self.rank or any(size is not None and size < 0 for size in sizes):
            raise ValueError(
                f"output_size: got {output_size!r}, needs {self.rank} sizes of at least 0, or None to keep one"
            )
        self.output_size = sizes

    def output_shape(self, input_shape: Shape) -> Shape:
        self.check(input_shape)
        own = self.spatial(input_shape)
        size = (n if wanted is None else wanted for n, wanted in zip(own, self.output_size, strict=True))
        return self.sized(tuple(input_shape), tuple(size))

    def receptive(self, size: Shape, jump: tuple[float, ...]) -> tuple[Shape, tuple[float, ...]]:
        return (math.inf,) * len(size), jump  # type: ignore[return-value]  # the windows depend on the input


class AdaptiveAvgPool(Adaptive):
    """Means over equal parts of the input, as many as ``output_size`` says; 1d, 2d and 3d fix the number of axes.

    Parameters
    ----------
    output_size : int or tuple of int
        None in a tuple keeps an axis.
    """

    def forward(self, x: Array, training: bool = False) -> Array:
        self.check(x.shape)
        self.saved = x.shape
        y: Array = self.call("adaptive_avg_pool{}d", x, self.output_size)
        return y

    def backward(self, grad: Array) -> Array:
        dx: Array = self.call("adaptive_avg_pool{}d_grad", grad, self.remembered())
        return dx


class AdaptiveMaxPool(Adaptive):
    """Maxima over equal parts of the input; parameters as for :class:`AdaptiveAvgPool`."""

    def forward(self, x: Array, training: bool = False) -> Array:
        self.check(x.shape)
        y, indices = self.call("adaptive_max_pool{}d", x, self.output_size, return_indices=True)
        self.saved = indices, x.shape
        result: Array = y
        return result

    def backward(self, grad: Array) -> Array:
        dx: Array = self.call("max_pool{}d_grad", grad, *self.remembered())
        return dx


class GlobalAvgPool(AdaptiveAvgPool):
    """The mean of each channel; spatial axes stay with size 1. GlobalAvgPool1d, 2d and 3d."""

    def __init__(self) -> None:
        super().__init__(1)


class GlobalMaxPool(AdaptiveMaxPool):
    """The maximum of each channel; spatial axes stay with size 1. GlobalMaxPool1d, 2d and 3d."""

    def __init__(self) -> None:
        super().__init__(1)


class FractionalMaxPool(Pool):
    """Maxima over windows at random distances, so that sizes shrink by any ratio (Graham 2014).

    Parameters
    ----------
    kernel_size : int or tuple of int
    output_size : int or tuple of int, optional
    output_ratio : float or tuple of float, optional
        Instead of output_size: the share of the input's size, between 0 and 1.
    rng : int or numpy.random.Generator, optional
        What windows are drawn from, anew in every training call; inference uses the middle of the range.
    """

    def __init__(
        self, kernel_size: IntOrTuple, output_size: Any = None, output_ratio: Any = None, *, rng: Random = None
    ) -> None:
        super().__init__(kernel_size, output_size, output_ratio)
        if (output_size is None) == (output_ratio is None):
            raise ValueError("output_size, output_ratio: got both or neither, needs one of them")
        self.kernel_size = axis_values(kernel_size, "kernel_size", self.rank, 1)
        self.output_size, self.output_ratio, self.rng = output_size, output_ratio, generator(rng)

    def output_shape(self, input_shape: Shape) -> Shape:
        self.check(input_shape)
        if self.output_size is not None:
            return self.sized(tuple(input_shape), axis_values(self.output_size, "output_size", self.rank, 1))
        ratios = self.output_ratio if isinstance(self.output_ratio, tuple) else (self.output_ratio,) * self.rank
        own = self.spatial(input_shape)
        return self.sized(tuple(input_shape), tuple(int(n * r) for n, r in zip(own, ratios, strict=True)))

    def forward(self, x: Array, training: bool = False) -> Array:
        self.check(x.shape)
        count = (len(x), x.shape[self.channel_axis()], self.rank)
        assert self.rng is not None
        samples = self.rng.random(count) if training else [[[0.5] * count[2]] * count[1]] * count[0]
        y, indices = self.call(
            "fractional_max_pool{}d", x, self.kernel_size, self.output_size, self.output_ratio, True, samples
        )
        self.saved = indices, x.shape
        result: Array = y
        return result

    def backward(self, grad: Array) -> Array:
        dx: Array = self.call("max_pool{}d_grad", grad, *self.remembered())
        return dx


class AdaptiveAvgPool1d(AdaptiveAvgPool):
    """:class:`AdaptiveAvgPool` over (N, C, W)."""

    rank = 1


class AdaptiveAvgPool2d(AdaptiveAvgPool):
    """:class:`AdaptiveAvgPool` over (N, C, H, W)."""

    rank = 2


class AdaptiveAvgPool3d(AdaptiveAvgPool):
    """:class:`AdaptiveAvgPool` over (N, C, D, H, W)."""

    rank = 3


class AdaptiveMaxPool1d(AdaptiveMaxPool):
    """:class:`AdaptiveMaxPool` over (N, C, W)."""

    rank = 1


class AdaptiveMaxPool2d(AdaptiveMaxPool):
    """:class:`AdaptiveMaxPool` over (N, C, H, W)."""

    rank = 2


class AdaptiveMaxPool3d(AdaptiveMaxPool):
    """:class:`AdaptiveMaxPool` over (N, C, D, H, W)."""

    rank = 3


class GlobalAvgPool1d(GlobalAvgPool):
    """:class:`GlobalAvgPool` over (N, C, W)."""

    rank = 1


class GlobalAvgPool2d(GlobalAvgPool):
    """:class:`GlobalAvgPool` over (N, C, H, W)."""

    rank = 2


class GlobalAvgPool3d(GlobalAvgPool):
    """:class:`GlobalAvgPool` over (N, C, D, H, W)."""

    rank = 3


class GlobalMaxPool1d(GlobalMaxPool):
    """:class:`GlobalMaxPool` over (N, C, W)."""

    rank = 1


class GlobalMaxPool2d(GlobalMaxPool):
    """:class:`GlobalMaxPool` over (N, C, H, W)."""

    rank = 2


class GlobalMaxPool3d(GlobalMaxPool):
    """:class:`GlobalMaxPool` over (N, C, D, H, W)."""

    rank = 3


class FractionalMaxPool1d(FractionalMaxPool):
    """:class:`FractionalMaxPool` over (N, C, W)."""

    rank = 1


class FractionalMaxPool2d(FractionalMaxPool):
    """:class:`FractionalMaxPool` over (N, C, H, W)."""

    rank = 2


class FractionalMaxPool3d(FractionalMaxPool):
    """:class:`FractionalMaxPool` over (N, C, D, H, W)."""

    rank = 3
