"""Pooling layers: a maximum, minimum, mean or p-norm over windows; convkern's pooling functions and their gradients.

One class for each kind and thin names for 1, 2 and 3 axes. Max pooling remembers where its maxima were, in training
only; backward after an inference call looks for them again.
"""

from __future__ import annotations

from typing import Any

import convkern

from ..call import IntOrTuple
from ..padding import axis_values
from ..spec import LAYOUTS
from ..windows import pooled_shape
from .conv import grow
from .layer import Array, Layer, Shape


class Pool(Layer):
    """What pooling layers share: a number of axes, and calling the function of that number."""

    rank = 0

    def __init__(self, *sizes: IntOrTuple | None) -> None:
        super().__init__()
        self.rank = self.rank or next((len(size) for size in sizes if isinstance(size, tuple)), 0)
        if self.rank not in LAYOUTS:
            raise ValueError(
                f"{type(self).__name__}: got no tuple of 1 to 3 sizes, needs one, or the name for 1d, 2d, 3d"
            )

    @property
    def layout(self) -> str:
        return LAYOUTS[self.rank][self.channels_last]

    def call(self, name: str, *arguments: Any, **settings: Any) -> Any:
        """Convkern's function of this name for this layer's number of axes."""
        return getattr(convkern, name.format(self.rank))(*arguments, layout=self.layout, **settings)

    def check(self, shape: Shape) -> None:
        if len(shape) != self.rank + 2:
            raise ValueError(f"got an input of shape {tuple(shape)}, needs {self.rank + 2} axes, {self.layout}")

    def sized(self, shape: Shape, size: Shape) -> Shape:
        """A shape with other spatial sizes."""
        return (shape[0], *size, shape[-1]) if self.channels_last else (*shape[:2], *size)

    def spatial(self, shape: Shape) -> Shape:
        return tuple(shape[1:-1] if self.channels_last else shape[2:])


class Windows(Pool):
    """Pooling over windows of a size, stride and padding."""

    def __init__(
        self,
        kernel_size: IntOrTuple,
        stride: IntOrTuple | None = None,
        padding: IntOrTuple = 0,
        dilation: IntOrTuple = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size)
        self.kernel_size = axis_values(kernel_size, "kernel_size", self.rank, 1)
        self.stride = axis_values(kernel_size if stride is None else stride, "stride", self.rank, 1)
        self.padding = axis_values(padding, "padding", self.rank, 0)
        self.dilation = axis_values(dilation, "dilation", self.rank, 1)
        self.ceil_mode = ceil_mode

    def output_shape(self, input_shape: Shape) -> Shape:
        self.check(input_shape)
        return tuple(
            pooled_shape(
                tuple(input_shape), self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
                layout=self.layout,
            )
        )  # fmt: skip

    def receptive(self, size: Shape, jump: tuple[float, ...]) -> tuple[Shape, tuple[float, ...]]:
        return grow(size, jump, self.kernel_size, self.stride, self.dilation)


class MaxPool(Windows):
    """The maximum of each window; MaxPool1d, 2d and 3d fix the number of axes.

    Parameters
    ----------
    kernel_size, stride, padding, dilation, ceil_mode
        As for :func:`convkern.max_pool2d`; ``stride`` None is the kernel's size.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> layer = nn.MaxPool2d(2)
    >>> layer(np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    >>> layer.backward(np.ones((1, 1, 2, 2))).sum()
    np.float64(4.0)
    """

    function = "max_pool{}d"

    def _run(self, x: Array, **more: Any) -> Any:
        return self.call(
            self.function, x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, **more
        )

    def forward(self, x: Array, training: bool = False) -> Array:
        self.check(x.shape)
        if training:
            y, indices = self._run(x, return_indices=True)
            self.saved = None, indices, x.shape
        else:
            y = self._run(x)
            self.saved = x, None, x.shape
        result: Array = y
        return result

    def backward(self, grad: Array) -> Array:
        x, indices, shape = self.remembered()
        if indices is None:
            indices = self._run(x, return_indices=True)[1]
        dx: Array = self.call("max_pool{}d_grad", grad, indices, shape)
        return dx


class MinPool(MaxPool):
    """The minimum of each window; parameters as for :class:`MaxPool`."""

    function = "min_pool{}d"


class AvgPool(Windows):
    """The mean of each window; AvgPool1d, 2d and 3d fix the number of axes.

    Parameters
    ----------
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        As for :func:`convkern.avg_pool2d`.
    """

    def __init__(
        self,
        kernel_size: IntOrTuple,
        stride: IntOrTuple | None = None,
        padding: IntOrTuple = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, 1, ceil_mode)
        if divisor_override is not None and self.rank == 1:
            raise ValueError("divisor_override: got a number, average pooling over one axis takes none")
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def _arguments(self) -> tuple[Any, ...]:
        arguments = (self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)
        return arguments if self.rank == 1 else (*arguments, self.divisor_override)

    def forward(self, x: Array, training: bool = False) -> Array:
        self.check(x.shape)
        self.saved = x.shape
        y: Array = self.call("avg_pool{}d", x, *self._arguments())
        return y

    def backward(self, grad: Array) -> Array:
        dx: Array = self.call("avg_pool{}d_grad", grad, self.remembered(), *self._arguments())
        return dx


class LpPool(Windows):
    """The p-norm of each window, (sum of x**p)**(1/p); LpPool1d, 2d and 3d fix the number of axes.

    Parameters
    ----------
    norm_type : float
        p.
    kernel_size, stride, ceil_mode
        As for :func:`convkern.lp_pool2d`.
    """

    def __init__(
        self, norm_type: float, kernel_size: IntOrTuple, stride: IntOrTuple | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__(kernel_size, stride, 0, 1, ceil_mode)
        self.norm_type = norm_type

    def forward(self, x: Array, training: bool = False) -> Array:
        self.check(x.shape)
        self.saved = x
        y: Array = self.call("lp_pool{}d", x, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)
        return y

    def backward(self, grad: Array) -> Array:
        x = self.remembered()
        arguments = (self.norm_type, self.kernel_size, self.stride, self.ceil_mode)
        dx: Array = self.call("lp_pool{}d_grad", grad, x, *arguments)
        return dx


class MaxPool1d(MaxPool):
    """:class:`MaxPool` over (N, C, W)."""

    rank = 1


class MaxPool2d(MaxPool):
    """:class:`MaxPool` over (N, C, H, W)."""

    rank = 2


class MaxPool3d(MaxPool):
    """:class:`MaxPool` over (N, C, D, H, W)."""

    rank = 3


class MinPool1d(MinPool):
    """:class:`MinPool` over (N, C, W)."""

    rank = 1


class MinPool2d(MinPool):
    """:class:`MinPool` over (N, C, H, W)."""

    rank = 2


class MinPool3d(MinPool):
    """:class:`MinPool` over (N, C, D, H, W)."""

    rank = 3


class AvgPool1d(AvgPool):
    """:class:`AvgPool` over (N, C, W)."""

    rank = 1


class AvgPool2d(AvgPool):
    """:class:`AvgPool` over (N, C, H, W)."""

    rank = 2


class AvgPool3d(AvgPool):
    """:class:`AvgPool` over (N, C, D, H, W)."""

    rank = 3


class LpPool1d(LpPool):
    """:class:`LpPool` over (N, C, W)."""

    rank = 1


class LpPool2d(LpPool):
    """:class:`LpPool` over (N, C, H, W)."""

    rank = 2


class LpPool3d(LpPool):
    """:class:`LpPool` over (N, C, D, H, W)."""

    rank = 3
