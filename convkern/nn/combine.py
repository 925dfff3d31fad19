"""Layers made of layers: one after another, side by side, around. They are all that stands in for a graph.

    Sequential  y = f2(f1(x))        Residual  y = f1(x) + f2(x), or f(x) + x     Scale    y = x * f(x)
    Skip        y = [x, f(x)]        Concat    y = [f1(x), f2(x), ...]            Siamese  y1, y2 = f(x1), f(x2)

Each knows how gradients pass through it, and says which inner layer it was where a shape does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .layer import Array, Layer, LayerError, Shape


class Combinator(Layer):
    """A layer made of layers; it runs them through :meth:`run` and :meth:`back`, where ``taps`` listen.

    Parameters
    ----------
    *layers : Layer
        Named "0", "1", ...; a single dict of layers gives names.
    **named : Layer
        Layers with names.
    """

    def __init__(self, *layers: Layer | Mapping[str, Layer], **named: Layer) -> None:
        super().__init__()
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            given = dict(layers[0])
        else:
            given = {str(i): layer for i, layer in enumerate(layers)}  # type: ignore[misc]
        for name, layer in (given | named).items():
            self.add(name, layer)

    def add(self, name: str, layer: Layer) -> None:
        """Puts a layer at the end, under a name."""
        if not isinstance(layer, Layer):
            raise TypeError(f"{type(self).__name__}: got {type(layer).__name__} as layer {name!r}, needs a Layer")
        if not name or "." in name:
            raise ValueError(f"{type(self).__name__}: got the name {name!r}, needs one without a dot")
        held = {id(inner) for other in self.layers.values() for _, inner in other.named_layers()}
        if any(id(inner) in held for _, inner in layer.named_layers()):
            raise ValueError(
                f"{type(self).__name__}: got layer {name!r} twice; a layer remembers one input, Siamese shares weights"
            )
        self.layers[name] = layer

    def run(self, name: str, x: Any, training: bool, **more: Any) -> Any:
        """The output of an inner layer; errors name it, and where it is tapped its output is kept."""
        layer = self.layers[name]
        try:
            y = layer.forward(x, training, **more)
        except ValueError as error:
            raise placed(error, name, layer, np.shape(x) if isinstance(x, np.ndarray) else None) from error
        except TypeError as error:
            error.add_note(f"in layer {name} ({layer!r})")
            raise
        if layer.tapped:
            layer.tap = y.copy()  # a later layer may work in place
        return y

    def back(self, name: str, grad: Any) -> Any:
        """The gradient of an inner layer's input; that of a tapped output is added first. None stands for 0."""
        layer = self.layers[name]
        grad = added(grad, layer.tap_grad)
        if grad is None and not isinstance(layer, Combinator):
            return None
        return layer.backward(grad)

    def shape(self, name: str, shape: Any) -> Any:
        """Output shape of an inner layer; errors name it."""
        layer = self.layers[name]
        try:
            return layer.output_shape(shape)
        except ValueError as error:
            raise placed(error, name, layer, shape) from error

    def __call__(self, x: Any, taps: Iterable[str] = ()) -> Any:
        """``forward(x)`` in the mode set by train() or eval().

        Parameters
        ----------
        x : ndarray
        taps : iterable of str
            Paths of inner layers whose outputs are wanted too.

        Returns
        -------
        ndarray or (ndarray, dict)
            The output; with taps also a dict from path to output.

        Raises
        ------
        KeyError
            Where there is no such path.
        """
        listened = {path: self.find(path) for path in taps}
        if not listened:
            return self.forward(x, self.training)
        try:
            for layer in listened.values():
                layer.tapped = True
            y = self.forward(x, self.training)
            return y, {path: layer.tap for path, layer in listened.items()}
        finally:
            for layer in listened.values():
                layer.tapped, layer.tap = False, None

    def backward(self, grad: Any, taps: Mapping[str, Array] | None = None) -> Any:
        """The gradient of the input.

        Parameters
        ----------
        grad : ndarray or None
            Gradient of the output; None where only taps have one.
        taps : dict of str to ndarray
            Gradients of inner layers' outputs, by path; added to what flows back there.

        Raises
        ------
        ValueError
            If a gradient's shape is not that of its output.
        """
        if not taps:
            return self.backpropagate(grad)
        listened = {path: (self.find(path), gradient) for path, gradient in taps.items()}
        try:
            for layer, gradient in listened.values():
                layer.tap_grad = gradient
            return self.backpropagate(grad)
        finally:
            for layer, _ in listened.values():
                layer.tap_grad = None

    def backpropagate(self, grad: Any) -> Any:
        """What backward is to a plain layer; ``grad`` may be None for 0."""
        raise NotImplementedError

    def fork(self, x: Array, training: bool) -> list[Array]:
        """The output of every inner layer for the same input."""
        return [self.run(name, x, training) for name in self.layers]

    def widest(self, size: Shape, jump: tuple[float, ...]) -> tuple[Shape, tuple[float, ...]]:
        """The receptive field of branches side by side: the largest, from axis to axis."""
        seen = [layer.receptive(size, jump) for layer in self.layers.values()]
        return tuple(map(max, zip(size, *(field for field, _ in seen), strict=True))), seen[-1][1]

    receptive = widest

    def multiply_adds(self, input_shape: Any) -> int:
        return sum(layer.multiply_adds(input_shape) for layer in self.layers.values())

    def __repr__(self) -> str:
        inner = "".join(f"\n  {name}: {layer!r}".replace("\n", "\n  ") for name, layer in self.layers.items())
        return f"{type(self).__name__}({inner}\n)" if inner else f"{type(self).__name__}()"


def placed(error: ValueError, name: str, layer: Layer, shape: Any) -> LayerError:
    """The error with the layer's name in front of its path."""
    if isinstance(error, LayerError):
        return LayerError(f"{name}.{error.path}", error.what, error.message)
    what = type(layer).__name__ if isinstance(layer, Combinator) else repr(layer)
    text = str(error)
    if shape is not None and str(tuple(shape)) not in text:
        text = f"for an input of shape {tuple(shape)}: {text}"
    return LayerError(name, what, text)


def added(a: Any, b: Any) -> Any:
    """The sum of two gradients, either of which may be None for 0."""
    if a is None or b is None:
        return b if a is None else a
    if a.shape != b.shape:
        raise ValueError(f"taps: got a gradient of shape {b.shape}, needs {a.shape}")
    return a + b


class Sequential(Combinator):
    """Layers one after another.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Dense(4 * 6 * 6, 10))
    >>> y, taps = model(np.ones((2, 1, 8, 8), np.float32), taps=["1"])
    >>> y.shape, taps["1"].shape
    ((2, 10), (2, 4, 6, 6))
    >>> model.backward(None, taps={"1": np.ones_like(taps["1"])}).shape
    (2, 1, 8, 8)
    >>> model(np.ones((2, 3, 8, 8), np.float32))
    Traceback (most recent call last):
    convkern.nn.layer.LayerError: layer 0 (Conv2d(1, 4, (3, 3))): got an input of shape (2, 3, 8, 8), needs (N, 1, H, W) for weight (4, 1, 3, 3)
    """

    def forward(self, x: Any, training: bool = False) -> Any:
        for name in self.layers:
            x = self.run(name, x, training)
        return x

    def backpropagate(self, grad: Any) -> Any:
        for name in reversed(self.layers):
            grad = self.back(name, grad)
        return grad

    def backward_weights(self, grad: Any) -> None:
        names = [*self.layers]
        for name in reversed(names[1:]):
            grad = self.back(name, grad)
        if names:
            self.layers[names[0]].backward_weights(grad)

    def output_shape(self, input_shape: Any) -> Any:
        for name in self.layers:
            input_shape = self.shape(name, input_shape)
        return input_shape

    def multiply_adds(self, input_shape: Any) -> int:
        total = 0
        for name, layer in self.layers.items():
            total += layer.multiply_adds(input_shape)
            input_shape = self.shape(name, input_shape)
        return total

    def receptive(self, size: Shape, jump: tuple[float, ...]) -> tuple[Shape, tuple[float, ...]]:
        for layer in self.layers.values():
            size, jump = layer.receptive(size, jump)
        return size, jump

    def __getitem__(self, index: int) -> Layer:
        return [*self.layers.values()][index]

    def __len__(self) -> int:
        return len(self.layers)


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
