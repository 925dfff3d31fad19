"""Layers that only move values: Upsample, PixelShuffle, Pad; and Dropout, which drops some.

Upsample is a matrix along each axis, y = M x, so its gradient is M' dy; whole factors of "nearest" repeat and sum.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import convkern

from .init import Random, generator
from .layer import Array, Layer, Shape

LAYOUT = {3: "NWC", 4: "NHWC", 5: "NDHWC"}


def interpolation(size: int, result: int, scale: float, linear: bool, align_corners: bool) -> Array:
    """The (result, size) matrix that resamples an axis; ``scale`` is input elements per output element."""
    at = np.arange(result, dtype=np.float64)
    matrix = np.zeros((result, size))
    rows = np.arange(result)
    if not linear:
        matrix[rows, np.minimum((at * scale).astype(np.int64), size - 1)] = 1
        return matrix
    if align_corners:
        at *= (size - 1) / (result - 1) if result > 1 else 0.0
    else:
        at = np.maximum((at + 0.5) * scale - 0.5, 0)
    low = np.minimum(at.astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    np.add.at(matrix, (rows, low), 1 - (at - low))
    np.add.at(matrix, (rows, high), at - low)
    return matrix


def along(matrix: Array, x: Array, axis: int) -> Array:
    """The matrix times every line of x along an axis."""
    lead, rest = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    product: Array = np.matmul(matrix, x.reshape(lead, x.shape[axis], rest))
    return product.reshape(*x.shape[:axis], len(matrix), *x.shape[axis + 1 :])


class Upsample(Layer):
    """Resampling of all spatial axes.

    Parameters
    ----------
    size : int or tuple of int, optional
        Output size.
    scale_factor : float or tuple of float, optional
        Instead of size: output over input size.
    mode : {"nearest", "linear", "bilinear", "trilinear"}
        The last three are one for 1, 2 and 3 axes. Default "nearest".
    align_corners : bool
        For linear modes: whether the corner elements' centres coincide, rather than the outer edges. Default False.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> nn.Upsample(scale_factor=2)(np.array([[[1.0, 2.0]]]))
    array([[[1., 1., 2., 2.]]])
    >>> nn.Upsample(scale_factor=2, mode="linear")(np.array([[[1.0, 2.0]]]))
    array([[[1.  , 1.25, 1.75, 2.  ]]])
    """

    def __init__(
        self,
        size: int | tuple[int, ...] | None = None,
        scale_factor: float | tuple[float, ...] | None = None,
        mode: str = "nearest",
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ValueError("size, scale_factor: got both or neither, needs one of them")
        if mode not in ("nearest", "linear", "bilinear", "trilinear"):
            raise ValueError(f"mode: got {mode!r}, needs nearest, linear, bilinear or trilinear")
        if align_corners and mode == "nearest":
            raise ValueError("align_corners: got True, only linear modes take it")
        self.size, self.scale_factor, self.mode, self.align_corners = size, scale_factor, mode, align_corners

    def _sizes(self, shape: Shape) -> list[tuple[int, int, float]]:
        """(input size, output size, input elements per output element) of each spatial axis."""
        own = shape[1:-1] if self.channels_last else shape[2:]
        rank = len(own)
        if rank not in (1, 2, 3) or (
            self.mode != "nearest" and rank != 1 + ("linear", "bilinear", "trilinear").index(self.mode)
        ):
            raise ValueError(
                f"got an input of shape {tuple(shape)}, needs N, C and the spatial axes of mode {self.mode!r}"
            )
        given: Any = self.size if self.size is not None else self.scale_factor
        values = tuple(given) if isinstance(given, tuple | list) else (given,) * rank
        if len(values) != rank or min(values) <= 0:
            raise ValueError(f"size, scale_factor: got {given!r}, needs one number or {rank}, above 0")
        if self.size is not None:
            return [(n, int(v), n / int(v)) for n, v in zip(own, values, strict=True)]
        return [(n, math.floor(n * v), 1 / v) for n, v in zip(own, values, strict=True)]

    def output_shape(self, input_shape: Shape) -> Shape:
        size = tuple(result for _, result, _ in self._sizes(input_shape))
        if self.channels_last:
            return (input_shape[0], *size, input_shape[-1])
        return (*input_shape[:2], *size)

    def _factors(self, sizes: list[tuple[int, int, float]]) -> list[int] | None:
        """Whole factors of nearest upsampling, where it is that simple."""
        whole = self.mode == "nearest" and all(n and r % n == 0 and math.isclose(n, r * s) for n, r, s in sizes)
        return [r // n for n, r, _ in sizes] if whole else None

    def _matrices(self, sizes: list[tuple[int, int, float]], dtype: Any) -> list[Array]:
        linear = self.mode != "nearest"
        return [interpolation(n, r, s, linear, self.align_corners).astype(dtype) for n, r, s in sizes]

    def forward(self, x: Array, training: bool = False) -> Array:
        sizes = self._sizes(x.shape)
        self.saved = x.shape
        first = 1 if self.channels_last else 2
        factors = self._factors(sizes)
        if factors is None:
            for axis, matrix in enumerate(self._matrices(sizes, x.dtype), start=first):
                x = along(matrix, x, axis)
            return x
        spread: list[int] = [*x.shape[:first]]  # an axis of copies behind each spatial axis
        copies: list[int] = [*x.shape[:first]]
        for n, factor in zip(x.shape[first:], factors, strict=False):
            spread += [n, 1]
            copies += [n, factor]
        tail = x.shape[first + len(factors) :]
        return np.broadcast_to(x.reshape(*spread, *tail), (*copies, *tail)).reshape(self.output_shape(x.shape))

    def backward(self, grad: Array) -> Array:
        shape = self.remembered()
        sizes = self._sizes(shape)
        first = 1 if self.channels_last else 2
        factors = self._factors(sizes)
        if factors is None:
            for axis, matrix in enumerate(self._matrices(sizes, grad.dtype), start=first):
                grad = along(matrix.T, grad, axis)
            return grad
        apart: list[int] = [*shape[:first]]
        for n, factor in zip(shape[first:], factors, strict=False):
            apart += [n, factor]
        axes = tuple(first + 1 + 2 * i for i in range(len(factors)))
        summed: Array = grad.reshape(*apart, *shape[first + len(factors) :]).sum(axis=axes)
        return summed

    def receptive(self, size: Shape, jump: tuple[float, ...]) -> tuple[Shape, tuple[float, ...]]:
        given = self.scale_factor
        if given is None:
            return size, jump
        factors = given if isinstance(given, tuple) else (given,) * len(jump)
        reach = 0 if self.mode == "nearest" else 1
        grown = tuple(s + math.ceil(reach * j) for s, j in zip(size, jump, strict=True))
        return grown, tuple(j / f for j, f in zip(jump, factors, strict=True))


class PixelShuffle(Layer):
    """(N, C*r*r, H, W) to (N, C, H*r, W*r): channels become pixels (Shi et al. 2016).

    Parameters
    ----------
    upscale_factor : int
        r.
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        if upscale_factor < 1:
            raise ValueError(f"upscale_factor: got {upscale_factor}, needs at least 1")
        self.upscale_factor = upscale_factor

    def forward(self, x: Array, training: bool = False) -> Array:
        self.output_shape(x.shape)
        return convkern.pixel_shuffle(x, self.upscale_factor, layout="NHWC" if self.channels_last else None)

    def backward(self, grad: Array) -> Array:
        return convkern.pixel_unshuffle(grad, self.upscale_factor, layout="NHWC" if self.channels_last else None)

    def output_shape(self, input_shape: Shape) -> Shape:
        r = self.upscale_factor
        if len(input_shape) != 4 or input_shape[self.channel_axis()] % (r * r):
            raise ValueError(
                f"got an input of shape {tuple(input_shape)}, needs 4 axes and a multiple of {r * r} channels"
            )
        if self.channels_last:
            n, h, w, c = input_shape
            return (n, h * r, w * r, c // (r * r))
        n, c, h, w = input_shape
        return (n, c // (r * r), h * r, w * r)


class Pad(Layer):
    """A border around the spatial axes.

    Parameters
    ----------
    padding : int or tuple of int
        All sides, or PyTorch's order: (left, right, top, bottom, ...), the last axis first. Negative values crop.
    mode : {"constant", "reflect", "replicate", "circular", "symmetric"}
    value : float
        Of a constant border. Default 0.
    """

    def __init__(self, padding: int | tuple[int, ...], mode: str = "constant", value: float = 0.0) -> None:
        super().__init__()
        self.padding, self.mode, self.value = padding, mode, value

    def _pad(self, shape: Shape) -> tuple[int, ...]:
        return (self.padding,) * (2 * len(shape) - 4) if isinstance(self.padding, int) else tuple(self.padding)

    def forward(self, x: Array, training: bool = False) -> Array:
        self.saved = self._pad(x.shape)
        layout = LAYOUT.get(x.ndim) if self.channels_last else None
        value: dict[str, Any] = {"value": self.value} if self.mode == "constant" else {}
        return convkern.pad(x, self.saved, self.mode, layout=layout, **value)

    def backward(self, grad: Array) -> Array:
        layout = LAYOUT.get(grad.ndim) if self.channels_last else None
        return convkern.pad_grad(grad, self.remembered(), self.mode, layout=layout)

    def output_shape(self, input_shape: Shape) -> Shape:
        pad = self._pad(input_shape)
        shape = [*input_shape]
        last = len(shape) - (2 if self.channels_last else 1)
        if len(pad) % 2 or len(pad) > 2 * (len(shape) - 2):
            raise ValueError(
                f"padding: got {self.padding!r} for an input of shape {tuple(input_shape)}, needs a low and a high "
                "value for some of its spatial axes"
            )
        for i in range(len(pad) // 2):
            shape[last - i] += pad[2 * i] + pad[2 * i + 1]
        if min(shape) < 0:
            raise ValueError(
                f"padding: got {self.padding!r} for an input of shape {tuple(input_shape)}, crops too much"
            )
        return tuple(shape)


class Dropout(Layer):
    """Sets a share p of the values to 0 in training and scales the rest by 1/(1 - p) (Srivastava et al. 2014).

    Parameters
    ----------
    p : float
        Between 0 and 1. Default 0.5.
    rng : int or numpy.random.Generator, optional
        What is dropped; by default the generator that :func:`convkern.nn.manual_seed` sets.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> layer = nn.Dropout(0.5, rng=0)
    >>> sorted(set(layer(np.ones(100)).tolist())), float(layer.eval()(np.ones(1))[0])
    ([0.0, 2.0], 1.0)
    """

    def __init__(self, p: float = 0.5, *, rng: Random = None) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p: got {p}, needs a share between 0 and 1")
        self.p, self.rng = p, generator(rng)

    def forward(self, x: Array, training: bool = False) -> Array:
        if not training or self.p == 0:
            self.saved = ()
            return x
        assert self.rng is not None
        keep = self.rng.random(x.shape, dtype=np.float32) >= self.p
        mask = keep.astype(x.dtype)
        mask *= 1 / (1 - self.p) if self.p < 1 else 0.0
        self.saved = mask
        y: Array = x * mask
        return y

    def backward(self, grad: Array) -> Array:
        mask = self.remembered()
        dx: Array = grad if isinstance(mask, tuple) else grad * mask
        return dx
