"""Combinators of branches: side by side, around, as a gate, and one for several inputs.

Residual  y = f1(x) + f2(x), or f(x) + x      Scale    y = x * f(x)
Concat    y = [f1(x), f2(x), ...]             Siamese  y1, y2 = f(x1), f(x2)
Skip      y = [x, f(x)]
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .combine import Combinator, added
from .layer import Array, Layer, Shape


class Residual(Combinator):
    """The sum of branches; a single one is added to the input (He et al. 2016).

    Parameters
    ----------
    *branches : Layer
        All for the same input, with outputs of one shape.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> block = nn.Residual(nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.Conv2d(4, 8, 1, stride=2))
    >>> block(np.ones((1, 4, 6, 6), np.float32)).shape
    (1, 8, 3, 3)
    """

    def forward(self, x: Array, training: bool = False) -> Array:
        outputs = self.fork(x, training)
        if len(outputs) == 1:
            outputs.append(x)
        check_same(self, [y.shape for y in outputs])
        total: Array = outputs[0] + outputs[1]
        for y in outputs[2:]:
            total += y
        return total

    def backpropagate(self, grad: Any) -> Any:
        total = None if len(self.layers) > 1 else grad
        for name in self.layers:
            total = added(total, self.back(name, grad))
        return total

    def output_shape(self, input_shape: Shape) -> Shape:
        shapes = [self.shape(name, input_shape) for name in self.layers]
        return check_same(self, shapes if len(shapes) > 1 else [*shapes, tuple(input_shape)])


def check_same(layer: Combinator, shapes: list[Shape]) -> Shape:
    """The one shape of all branches."""
    if len({tuple(shape) for shape in shapes}) > 1:
        names = [*layer.layers, "the input"]
        each = ", ".join(f"{shape} from {name}" for shape, name in zip(shapes, names, strict=False))
        raise ValueError(f"{type(layer).__name__}: got {each}, needs branches of one shape")
    return tuple(shapes[0])


class Concat(Combinator):
    """Branches side by side, their outputs joined along the channels (Szegedy et al. 2015).

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> nn.Concat(nn.Conv2d(3, 4, 1), nn.Conv2d(3, 8, 3, padding=1))(np.ones((1, 3, 5, 5), np.float32)).shape
    (1, 12, 5, 5)
    """

    def forward(self, x: Array, training: bool = False) -> Array:
        outputs = self.fork(x, training)
        check_joined(self, [y.shape for y in outputs])
        self.saved = [y.shape[self.channel_axis()] for y in outputs]
        return np.concatenate(outputs, axis=self.channel_axis())

    def backpropagate(self, grad: Any) -> Any:
        parts = split(grad, self.remembered(), self.channel_axis())
        total = None
        for name, part in zip(self.layers, parts, strict=True):
            total = added(total, self.back(name, part))
        return total

    def output_shape(self, input_shape: Shape) -> Shape:
        return check_joined(self, [self.shape(name, input_shape) for name in self.layers])


class Skip(Combinator):
    """The input and the output of an inner part, joined along the channels (Ronneberger et al. 2015).

    Parameters
    ----------
    inner : Layer
        Its output has the input's spatial shape, as the part of a U-Net below a level.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> below = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(4, 8, 3, padding=1), nn.Upsample(scale_factor=2))
    >>> nn.Skip(below)(np.ones((1, 4, 8, 8), np.float32)).shape
    (1, 12, 8, 8)
    """

    def __init__(self, inner: Layer) -> None:
        super().__init__(inner)

    def forward(self, x: Array, training: bool = False) -> Array:
        y = self.run("0", x, training)
        check_joined(self, [x.shape, y.shape])
        self.saved = [x.shape[self.channel_axis()], y.shape[self.channel_axis()]]
        return np.concatenate([x, y], axis=self.channel_axis())

    def backpropagate(self, grad: Any) -> Any:
        straight, inner = split(grad, self.remembered(), self.channel_axis())
        return added(self.back("0", inner), straight)

    def output_shape(self, input_shape: Shape) -> Shape:
        return check_joined(self, [tuple(input_shape), self.shape("0", input_shape)])


def check_joined(layer: Combinator, shapes: list[Shape]) -> Shape:
    """The shape of arrays joined along their channels."""
    axis = layer.channel_axis()
    rest = {(*shape[: axis % len(shape)], *shape[axis % len(shape) + 1 :]) for shape in shapes}
    if len(rest) > 1:
        each = ", ".join(map(str, shapes))
        raise ValueError(f"{type(layer).__name__}: got shapes {each} to join, needs them equal but for the channels")
    shape = [*shapes[0]]
    shape[axis] = sum(other[axis] for other in shapes)
    return tuple(shape)


def split(grad: Any, channels: list[int], axis: int) -> list[Any]:
    """A gradient cut along its channels."""
    if grad is None:
        return [None] * len(channels)
    return np.split(grad, np.cumsum(channels)[:-1], axis=axis)


class Scale(Combinator):
    """The input times a gate computed from it, as in squeeze-and-excitation (Hu et al. 2018).

    Parameters
    ----------
    gate : Layer
        Its output is (N, C), or has the input's number of axes and broadcasts against it, as (N, C, 1, 1) does.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> gate = nn.Sequential(nn.GlobalAvgPool2d(), nn.Conv2d(8, 2, 1), nn.ReLU(), nn.Conv2d(2, 8, 1), nn.Sigmoid())
    >>> nn.Scale(gate)(np.ones((1, 8, 6, 6), np.float32)).shape
    (1, 8, 6, 6)
    """

    def __init__(self, gate: Layer) -> None:
        super().__init__(gate)

    def _spread(self, shape: Shape, x_shape: Shape) -> Shape:
        """The gate's shape with axes of 1 where it has none, checked to broadcast."""
        whole = tuple(shape)
        if len(shape) == 2 < len(x_shape):
            ones = (1,) * (len(x_shape) - 2)
            whole = (shape[0], *ones, shape[1]) if self.channels_last else (*shape, *ones)
        if len(whole) != len(x_shape) or any(g not in (1, n) for g, n in zip(whole, x_shape, strict=True)):
            raise ValueError(f"Scale: got a gate of shape {tuple(shape)} for an input of shape {tuple(x_shape)}, needs "
                             "(N, C) or axes of the input's size or 1")  # fmt: skip
        return whole

    def forward(self, x: Array, training: bool = False) -> Array:
        gate = self.run("0", x, training)
        spread = gate.reshape(self._spread(gate.shape, x.shape))
        self.saved = x, spread, gate.shape
        y: Array = x * spread
        return y

    def backpropagate(self, grad: Any) -> Any:
        x, gate, shape = self.remembered()
        if grad is None:
            return self.back("0", None)
        axes = tuple(axis for axis, size in enumerate(gate.shape) if size == 1)
        toward_gate = (grad * x).sum(axis=axes, keepdims=True).reshape(shape)
        return added(grad * gate, self.back("0", toward_gate))

    def output_shape(self, input_shape: Shape) -> Shape:
        self._spread(self.shape("0", input_shape), input_shape)
        return tuple(input_shape)


class Siamese(Combinator):
    """One layer for several inputs, with the same weights (Bromley et al. 1993): a tuple in, a tuple out.

    The inputs are stacked along the batch, so that the inner part runs once; batch statistics are those of all.

    Parameters
    ----------
    inner : Layer

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> a, b = nn.Siamese(nn.Dense(3, 2))((np.ones((4, 3), np.float32), np.zeros((4, 3), np.float32)))
    >>> a.shape, b.shape
    ((4, 2), (4, 2))
    """

    def __init__(self, inner: Layer) -> None:
        super().__init__(inner)

    def forward(self, x: tuple[Array, ...], training: bool = False) -> tuple[Array, ...]:
        if not isinstance(x, tuple | list) or len({part.shape[1:] for part in x}) != 1:
            shapes = [np.shape(part) for part in x]
            raise ValueError(f"Siamese: got inputs of shapes {shapes}, needs a tuple of arrays of one shape")
        self.saved = np.cumsum([len(part) for part in x])[:-1]
        return tuple(np.split(self.run("0", np.concatenate(x), training), self.saved))

    def backpropagate(self, grad: Any) -> Any:
        cuts = self.remembered()
        joined = None if grad is None else np.concatenate(grad)
        back = self.back("0", joined)
        return None if back is None else tuple(np.split(back, cuts))

    def output_shape(self, input_shape: Any) -> Any:
        return tuple(self.shape("0", tuple(shape)) for shape in input_shape)

    def multiply_adds(self, input_shape: Any) -> int:
        return sum(self.layers["0"].multiply_adds(tuple(shape)) for shape in input_shape)
