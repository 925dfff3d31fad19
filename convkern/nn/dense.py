"""The dense layer, y = x W' + b, and Flatten before it.

A dense layer is a convolution of width 1 over a line whose positions are the samples, and runs as one: the threads of
NumPy's BLAS spin for a while after each product, in the way of convkern's own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import convkern

from .conv import Conv, bias_gradient
from .init import Initialiser, Random, generator, initial
from .layer import Array, Layer, Shape


class Flatten(Layer):
    """(N, C, ...) to (N, C * ...), channels slowest in either layout, so that weights behind it fit both.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> nn.Flatten()(np.ones((2, 3, 4, 5))).shape
    (2, 60)
    """

    def forward(self, x: Array, training: bool = False) -> Array:
        self.saved = x.shape
        if self.channels_last and x.ndim > 2:
            x = np.moveaxis(x, -1, 1)
        return x.reshape(len(x), -1)

    def backward(self, grad: Array) -> Array:
        shape = self.remembered()
        if self.channels_last and len(shape) > 2:
            return np.ascontiguousarray(np.moveaxis(grad.reshape(shape[0], shape[-1], *shape[1:-1]), 1, -1))
        return grad.reshape(shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) < 2:
            raise ValueError(f"Flatten: got an input of shape {tuple(input_shape)}, needs (N, C, ...)")
        return (input_shape[0], math.prod(input_shape[1:]))


class Dense(Layer):
    """A fully connected layer, ``x @ weight.T + bias``.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
        Default True.
    init, rng
        As for :class:`Conv`.

    Attributes
    ----------
    weight, bias : ndarray
        (out_features, in_features) and (out_features,), or None.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> nn.Dense(400, 120)(np.ones((8, 400), np.float32)).shape
    (8, 120)
    """

    parameter_names = ("weight", "bias")

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *,
        init: str | Initialiser = "fan_in_uniform", rng: Random = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if min(in_features, out_features) < 1:
            raise ValueError(f"in_features, out_features: got {in_features}, {out_features}, needs at least 1")
        self.in_features, self.out_features = in_features, out_features
        random = generator(rng)
        self.weight = initial(init, (out_features, in_features), random)
        self.bias: Array | None = None
        if bias:
            bound = 1 / math.sqrt(in_features) if init == "fan_in_uniform" else 0.0
            self.bias = random.uniform(-bound, bound, out_features).astype(np.float32)

    def check(self, shape: Shape) -> None:
        if len(shape) != 2 or shape[1] != self.in_features:
            raise ValueError(
                f"got an input of shape {tuple(shape)}, needs (N, {self.in_features}) for weight {self.weight.shape}"
                + ("; Flatten comes before it" if len(shape) > 2 else "")
            )

    def forward(self, x: Array, training: bool = False) -> Array:
        self.check(x.shape)
        if x.dtype != self.weight.dtype:
            raise TypeError(f"x: got dtype {x.dtype}, needs {self.weight.dtype} as the weight")
        self.saved = x
        y: Array = convkern.conv1d(x[None], self.weight[:, :, None], self.bias, layout="NWC")[0]
        return y

    def backward(self, grad: Array) -> Array:
        self.backward_weights(grad)
        line = (1, *self.saved.shape)
        dx: Array = convkern.conv_grad_input(grad[None], self.weight[:, :, None], line, layout="NWC")[0]
        return dx

    def backward_weights(self, grad: Array) -> None:
        x = self.remembered()
        if self.trainable:
            out = self.gradient("weight")[:, :, None]
            convkern.conv_grad_weight(grad[None], x[None], out.shape, layout="NWC", out=out)
            if self.bias is not None:
                bias_gradient(grad, self.channels_last, self.gradient("bias"))

    def output_shape(self, input_shape: Shape) -> Shape:
        self.check(input_shape)
        return (input_shape[0], self.out_features)

    def multiply_adds(self, input_shape: Shape) -> int:
        return int(input_shape[0] * self.weight.size)

    def receptive(self, size: Shape, jump: tuple[float, ...]) -> tuple[Shape, tuple[float, ...]]:
        return (math.inf,) * len(size), jump  # type: ignore[return-value]

    def as_conv(self, size: int | tuple[int, ...]) -> Conv:
        """The convolution that equals this layer behind a Flatten, on feature maps of a size; on larger maps it slides.

        Parameters
        ----------
        size : int or tuple of int
            Spatial size of the map that was flattened; an int gives a square.

        Returns
        -------
        Conv
            With a kernel of that size and a copy of the weights; its output is (N, out_features, 1, 1).

        Raises
        ------
        ValueError
            If in_features is no multiple of the map's size.

        Notes
        -----
        Sermanet et al. (2014) slide a classifier over larger images this way.

        Examples
        --------
        >>> import numpy as np
        >>> from convkern import nn
        >>> head = nn.Dense(16 * 5 * 5, 10)
        >>> x = np.random.default_rng(0).standard_normal((1, 16, 5, 5), dtype=np.float32)
        >>> conv = head.as_conv(5)
        >>> bool(np.allclose(conv(x)[..., 0, 0], head(x.reshape(1, -1)), atol=1e-5))
        True
        >>> conv(np.zeros((1, 16, 8, 8), np.float32)).shape
        (1, 10, 4, 4)
        """
        kernel = (size, size) if isinstance(size, int) else tuple(size)
        field = math.prod(kernel)
        if field < 1 or self.in_features % field:
            raise ValueError(
                f"size: got {size!r}, needs a map whose {field} positions divide {self.in_features} features"
            )
        conv: Any = Conv(self.in_features // field, self.out_features, kernel, bias=self.bias is not None)
        conv.weight = self.weight.reshape(conv.weight.shape).copy()
        conv.bias = None if self.bias is None else self.bias.copy()
        conv.channels_last = self.channels_last
        return conv  # type: ignore[no-any-return]
