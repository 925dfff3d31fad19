"""Layers made of layers: what combinators share, and Sequential, y = f2(f1(x)). They stand in for a graph.

A combinator knows how gradients pass through it, and says which inner layer it was where a shape does not fit.
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
    >>> try:
    ...     model(np.ones((2, 3, 8, 8), np.float32))
    ... except nn.LayerError as error:
    ...     print(error.path, error.what, error.message, sep="; ")
    0; Conv2d(1, 4, 3); got an input of shape (2, 3, 8, 8), needs (N, 1, H, W) for weight (4, 1, 3, 3)
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
