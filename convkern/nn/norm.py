"""Normalisation: y = weight * (x - mean) / sqrt(var + eps) + bias; the layers differ in what mean and var run over.

    BatchNorm: batch and positions    GroupNorm: a sample's groups of channels    LayerNorm: a sample's last axes

LocalResponseNorm divides by the energy of neighbouring channels instead.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import convkern

from .layer import Array, Layer, Shape

LAST = {3: "NWC", 4: "NHWC", 5: "NDHWC"}


class BatchNorm(Layer):
    """Batch normalisation over (N, C) or (N, C, ...) (Ioffe and Szegedy 2015).

    In training the statistics are the batch's, and running ones follow them; in inference the running ones are used.

    Parameters
    ----------
    num_features : int
        Channels.
    eps : float
        Added to the variance. Default 1e-5.
    momentum : float
        Weight of a batch in the running statistics. Default 0.1.
    affine : bool
        Whether ``weight`` and ``bias`` are learned. Default True.

    Attributes
    ----------
    weight, bias, running_mean, running_var : ndarray
        (num_features,).
    num_batches_tracked : ndarray
        Training calls so far, int64, as PyTorch counts them.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> y = nn.BatchNorm2d(3)(np.random.default_rng(0).normal(5, 2, (8, 3, 6, 6)).astype(np.float32))
    >>> bool(np.allclose(y.mean((0, 2, 3)), 0, atol=1e-5)), bool(np.allclose(y.std((0, 2, 3)), 1, atol=1e-3))
    (True, True)
    """

    parameter_names = ("weight", "bias")
    buffer_names = ("running_mean", "running_var", "num_batches_tracked")
    axes: tuple[int, ...] = (2, 3, 4, 5)  # numbers of axes of the input

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True) -> None:
        super().__init__()
        if num_features < 1:
            raise ValueError(f"num_features: got {num_features}, needs at least 1")
        self.num_features, self.eps, self.momentum, self.affine = num_features, eps, momentum, affine
        self.weight = np.ones(num_features, np.float32) if affine else None
        self.bias = np.zeros(num_features, np.float32) if affine else None
        self.running_mean = np.zeros(num_features, np.float32)
        self.running_var = np.ones(num_features, np.float32)
        self.num_batches_tracked = np.zeros((), np.int64)

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) not in self.axes or input_shape[self.channel_axis()] != self.num_features:
            axes = " or ".join(map(str, self.axes))
            order = f"N, ..., {self.num_features}" if self.channels_last else f"N, {self.num_features}, ..."
            raise ValueError(f"got an input of shape {tuple(input_shape)}, needs ({order}) of {axes} axes")
        return tuple(input_shape)

    def forward(self, x: Array, training: bool = False) -> Array:
        self.output_shape(x.shape)
        if training:
            if x.size <= self.num_features:
                raise ValueError(f"got an input of shape {x.shape}, needs more than one value per channel to train")
            self.num_batches_tracked += 1
        layout = LAST.get(x.ndim) if self.channels_last else None
        y, mean, invstd = convkern.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, training, self.momentum, self.eps,
            layout=layout, return_stats=True,
        )  # fmt: skip
        self.saved = x, mean, invstd, training, layout
        result: Array = y
        return result

    def backward(self, grad: Array) -> Array:
        x, mean, invstd, training, layout = self.remembered()
        dx, dweight, dbias = convkern.batch_norm_grad(grad, x, mean, invstd, self.weight, training, layout=layout)
        if self.affine and self.trainable:
            self.grad["weight"], self.grad["bias"] = dweight, dbias
        return dx

    def affine_in_inference(self) -> tuple[Array, Array]:
        """(scale, shift) in float64 with y = scale * x + shift per channel, for compile() to fold."""
        scale = 1 / np.sqrt(self.running_var.astype(np.float64) + self.eps)
        shift = -self.running_mean.astype(np.float64) * scale
        if self.weight is not None and self.bias is not None:
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        return scale, shift


class BatchNorm1d(BatchNorm):
    """:class:`BatchNorm` over (N, C) or (N, C, W)."""

    axes = (2, 3)


class BatchNorm2d(BatchNorm):
    """:class:`BatchNorm` over (N, C, H, W)."""

    axes = (4,)


class BatchNorm3d(BatchNorm):
    """:class:`BatchNorm` over (N, C, D, H, W)."""

    axes = (5,)


def normalised(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array]:
    """((x - mean) / std, 1 / std) over axes."""
    centred = x - x.mean(axis=axes, keepdims=True)
    invstd = 1 / np.sqrt(np.mean(centred * centred, axis=axes, keepdims=True) + np.asarray(eps, x.dtype))
    centred *= invstd
    return centred, invstd


def normalised_grad(grad: Array, xhat: Array, invstd: Array, axes: tuple[int, ...]) -> Array:
    """Dx = (g - mean(g) - xhat * mean(g * xhat)) / std."""
    along = (grad * xhat).mean(axis=axes, keepdims=True)
    dx: Array = grad - grad.mean(axis=axes, keepdims=True)
    dx -= xhat * along
    dx *= invstd
    return dx


class LayerNorm(Layer):
    """Normalisation over the last axes of each sample (Ba et al. 2016).

    Parameters
    ----------
    normalized_shape : int or tuple of int
        Sizes of the last axes, as the arrays lie: with channels last an int is the number of channels.
    eps : float
        Added to the variance. Default 1e-5.
    affine : bool
        Whether ``weight`` and ``bias``, of that shape, are learned. Default True.
    """

    parameter_names = ("weight", "bias")

    def __init__(self, normalized_shape: int | tuple[int, ...], eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        if not shape or min(shape) < 1:
            raise ValueError(f"normalized_shape: got {normalized_shape!r}, needs sizes of at least 1")
        self.normalized_shape, self.eps, self.affine = shape, eps, affine
        self.weight = np.ones(shape, np.float32) if affine else None
        self.bias = np.zeros(shape, np.float32) if affine else None

    def output_shape(self, input_shape: Shape) -> Shape:
        count = len(self.normalized_shape)
        if len(input_shape) <= count or tuple(input_shape[-count:]) != self.normalized_shape:
            ending = ", ".join(map(str, self.normalized_shape))
            raise ValueError(f"got an input of shape {tuple(input_shape)}, needs (N, ..., {ending})")
        return tuple(input_shape)

    def forward(self, x: Array, training: bool = False) -> Array:
        self.output_shape(x.shape)
        axes = tuple(range(-len(self.normalized_shape), 0))
        xhat, invstd = normalised(x, axes, self.eps)
        self.saved = xhat, invstd, axes
        if self.weight is None or self.bias is None:
            return xhat
        return xhat * self.weight + self.bias

    def backward(self, grad: Array) -> Array:
        xhat, invstd, axes = self.remembered()
        if self.weight is not None:
            if self.trainable:
                rest = tuple(range(grad.ndim - len(axes)))
                np.sum(grad * xhat, axis=rest, out=self.gradient("weight"))
                np.sum(grad, axis=rest, out=self.gradient("bias"))
            grad = grad * self.weight
        return normalised_grad(grad, xhat, invstd, axes)


class GroupNorm(Layer):
    """Normalisation over groups of channels of each sample (Wu and He 2018).

    Parameters
    ----------
    num_groups, num_channels : int
        Groups divide channels; as many groups as channels make it instance normalisation.
    eps : float
        Added to the variance. Default 1e-5.
    affine : bool
        Whether ``weight`` and ``bias``, one per channel, are learned. Default True.
    """

    parameter_names = ("weight", "bias")

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        if num_groups < 1 or num_channels < 1 or num_channels % num_groups:
            raise ValueError(f"num_groups: got {num_groups}, needs a divisor of {num_channels} channels")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.weight = np.ones(num_channels, np.float32) if affine else None
        self.bias = np.zeros(num_channels, np.float32) if affine else None

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) < 2 or input_shape[self.channel_axis()] != self.num_channels:
            order = f"N, ..., {self.num_channels}" if self.channels_last else f"N, {self.num_channels}, ..."
            raise ValueError(f"got an input of shape {tuple(input_shape)}, needs ({order})")
        return tuple(input_shape)

    def _grouped(self, x: Array) -> tuple[Array, tuple[int, ...]]:
        """X with an axis of groups, and the axes a group's statistics run over."""
        inner = self.num_channels // self.num_groups
        if self.channels_last:
            grouped = x.reshape(*x.shape[:-1], self.num_groups, inner)
            return grouped, (*range(1, x.ndim - 1), x.ndim)
        return x.reshape(len(x), self.num_groups, inner, *x.shape[2:]), tuple(range(2, x.ndim + 1))

    def _spread(self, values: Array, ndim: int) -> Array:
        return values if self.channels_last else values.reshape(-1, *(1,) * (ndim - 2))

    def forward(self, x: Array, training: bool = False) -> Array:
        self.output_shape(x.shape)
        grouped, axes = self._grouped(x)
        xhat, invstd = normalised(grouped, axes, self.eps)
        self.saved = xhat, invstd, axes
        y = xhat.reshape(x.shape)
        if self.weight is not None and self.bias is not None:
            y = y * self._spread(self.weight, x.ndim)
            y += self._spread(self.bias, x.ndim)
        return y

    def backward(self, grad: Array) -> Array:
        xhat, invstd, axes = self.remembered()
        if self.weight is not None:
            if self.trainable:
                channel = self.channel_axis() % grad.ndim
                rest = tuple(axis for axis in range(grad.ndim) if axis != channel)
                np.sum(grad * xhat.reshape(grad.shape), axis=rest, out=self.gradient("weight"))
                np.sum(grad, axis=rest, out=self.gradient("bias"))
            grad = grad * self._spread(self.weight, grad.ndim)
        return normalised_grad(self._grouped(grad)[0], xhat, invstd, axes).reshape(grad.shape)


class LocalResponseNorm(Layer):
    """x / (k + alpha/size * sum of squares over ``size`` neighbouring channels)**beta (Krizhevsky et al. 2012).

    Parameters
    ----------
    size : int
    alpha, beta, k : float
        Defaults 1e-4, 0.75 and 1, as PyTorch's.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def _settings(self, x: Array) -> dict[str, Any]:
        layout = LAST.get(x.ndim) if self.channels_last else None
        return {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k, "layout": layout}

    def forward(self, x: Array, training: bool = False) -> Array:
        self.saved = x
        return convkern.local_response_norm(x, **self._settings(x))

    def backward(self, grad: Array) -> Array:
        x = self.remembered()
        return convkern.local_response_norm_grad(grad, x, **self._settings(x))

    def multiply_adds(self, input_shape: Shape) -> int:
        return math.prod(input_shape) * self.size
