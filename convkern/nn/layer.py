"""The base of all layers: y = forward(x), dx = backward(dy), and parameters found by name.

No graph is recorded. A layer remembers what its last forward call saw; backward uses that, writes the gradients of its
parameters to ``grad`` and returns the gradient of its input. It knows nothing of optimizers, files or other layers.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


class LayerError(ValueError):
    """A shape that does not fit, with the path of the layer that refused it.

    Attributes
    ----------
    path : str
        Names from the outermost model to the layer, as in a state dict: "2.body.0".
    """

    def __init__(self, path: str, what: str, message: str) -> None:
        super().__init__(f"layer {path} ({what}): {message}")
        self.path, self.what, self.message = path, what, message


class Layer:
    """What every layer has; derive from it and write ``forward``, ``backward`` and ``output_shape``.

    Attributes
    ----------
    training : bool
        What a call ``layer(x)`` uses; set by :meth:`train` and :meth:`eval`. True at first.
    trainable : bool
        Whether backward computes gradients of the parameters, and optimizers see them; see :meth:`freeze`.
    channels_last : bool
        Whether arrays are (N, ..., C) instead of (N, C, ...); set by :meth:`to_layout`.
    layers : dict of str to Layer
        The layers inside, by name.
    grad : dict of str to ndarray
        Gradients of this layer's own parameters, written anew by every backward call.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> class Square(nn.Layer):
    ...     def forward(self, x, training=False):
    ...         self.saved = x
    ...         return x * x
    ...
    ...     def backward(self, grad):
    ...         return 2 * self.saved * grad
    >>> layer = Square()
    >>> layer(np.array([3.0])), layer.backward(np.array([1.0]))
    (array([9.]), array([6.]))
    """

    parameter_names: tuple[str, ...] = ()
    buffer_names: tuple[str, ...] = ()
    training = True
    trainable = True
    channels_last = False
    saved: Any = None  # what backward needs of the last forward call
    rng: np.random.Generator | None = None  # of layers that draw numbers while they train
    # Set for one call by taps=: whether to keep the output, the output, and a gradient to add to its own.
    tapped = False
    tap: Array | None = None
    tap_grad: Array | None = None

    def __init__(self) -> None:
        self.layers: dict[str, Layer] = {}
        self.grad: dict[str, Array] = {}

    def forward(self, x: Any, training: bool = False) -> Any:
        """The output for x; ``training`` chooses batch statistics, dropout and the like."""
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def backward(self, grad: Any) -> Any:
        """The gradient of the input from that of the output, for the last forward call; fills ``self.grad``."""
        raise NotImplementedError(f"{type(self).__name__}.backward")

    def backward_weights(self, grad: Any) -> None:
        """As backward where nobody wants the gradient of the input, as in a model's first layer."""
        self.backward(grad)

    def output_shape(self, input_shape: Any) -> Any:
        """Shape of the output, batch first; ValueError where the input does not fit. Default: the same."""
        return input_shape

    def multiply_adds(self, input_shape: Any) -> int:
        """Multiply-adds of one forward call, those of normalisation and activations not counted."""
        return 0

    def receptive(self, size: Shape, jump: tuple[float, ...]) -> tuple[Shape, tuple[float, ...]]:
        """The receptive field after this layer and the input elements between two outputs, from those before it."""
        return size, jump

    def __call__(self, x: Any) -> Any:
        """``forward(x)`` in the mode that :meth:`train` or :meth:`eval` has set."""
        return self.forward(x, self.training)

    # The tree of layers.

    def named_layers(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """Each layer with its path, this one first, under the path ``prefix``."""
        yield prefix, self
        for name, layer in self.layers.items():
            yield from layer.named_layers(f"{prefix}.{name}" if prefix else name)

    def find(self, path: str) -> Layer:
        """The layer of this path.

        Raises
        ------
        KeyError
            With the names that there are.
        """
        layer = self
        for name in path.split(".") if path else ():
            if name not in layer.layers:
                raise KeyError(
                    f"no layer {name!r} of path {path!r} in {type(layer).__name__}: it has {[*layer.layers]}"
                )
            layer = layer.layers[name]
        return layer

    def train(self, mode: bool = True) -> Self:
        """Sets training mode in this and all inner layers; returns the layer."""
        for _, layer in self.named_layers():
            layer.training = mode
        return self

    def eval(self) -> Self:
        """Sets inference mode: running statistics, no dropout."""
        return self.train(False)

    def freeze(self, frozen: bool = True) -> Self:
        """Leaves the parameters out of training: no gradients, no updates; gradients still pass through."""
        for _, layer in self.named_layers():
            layer.trainable = not frozen
        return self

    def to_layout(self, layout: str) -> Self:
        """Sets where this and all inner layers have their channels.

        Parameters
        ----------
        layout : str
            "NCHW" or "channels_first", "NHWC" or "channels_last"; NCW, NWC, NCDHW and NDHWC mean the same. Parameters
            do not depend on it: a saved model loads in either.
        """
        first, last = ("NCW", "NCHW", "NCDHW", "channels_first"), ("NWC", "NHWC", "NDHWC", "channels_last")
        if layout not in first + last:
            raise ValueError(f"layout: got {layout!r}, needs one of {', '.join(first + last)}")
        for _, layer in self.named_layers():
            layer.channels_last = layout in last
        return self

    def forget(self) -> None:
        """Drops what forward kept for backward, here and inside."""
        for _, layer in self.named_layers():
            layer.saved = layer.tap = layer.tap_grad = None

    # Parameters and state, under the names that PyTorch gives them.

    def named_parameters(self) -> Iterator[tuple[str, Layer, str]]:
        """(path, layer, attribute) of each parameter that is trained."""
        for path, layer in self.named_layers():
            for name in layer.parameter_names if layer.trainable else ():
                if getattr(layer, name) is not None:
                    yield f"{path}.{name}" if path else name, layer, name

    def parameters(self) -> dict[str, Array]:
        """The arrays that are trained, by path; not copies."""
        return {path: getattr(layer, name) for path, layer, name in self.named_parameters()}

    def gradients(self) -> dict[str, Array]:
        """The gradients of :meth:`parameters`, by the same names, as the last backward call wrote them."""
        return {path: layer.grad[name] for path, layer, name in self.named_parameters() if name in layer.grad}

    def state_dict(self) -> dict[str, Array]:
        """All parameters and buffers (running statistics) by path; not copies."""
        return {
            f"{path}.{name}" if path else name: getattr(layer, name)
            for path, layer in self.named_layers()
            for name in layer.parameter_names + layer.buffer_names
            if getattr(layer, name) is not None
        }

    def load_state_dict(self, state: dict[str, Array]) -> Self:
        """Copies arrays into parameters and buffers; all names and shapes have to be there.

        Raises
        ------
        ValueError
            Naming every missing, unexpected and misshaped array; then nothing has been changed.
        """
        own = self.state_dict()
        wrong = [f"missing: {name} {array.shape}" for name, array in own.items() if name not in state]
        wrong += [f"unexpected: {name} {np.shape(array)}" for name, array in state.items() if name not in own]
        for name, array in own.items():
            if name in state and np.shape(state[name]) != array.shape:
                wrong.append(f"misshaped: {name} is {np.shape(state[name])}, needs {array.shape}")
        if wrong:
            raise ValueError("state: does not fit this model\n  " + "\n  ".join(wrong))
        for name, array in own.items():
            array[...] = state[name]
        return self

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """Turns parameters and floating-point buffers into float32 or float64, in place; returns the layer."""
        wanted = np.dtype(dtype)
        if wanted not in (np.float32, np.float64):
            raise TypeError(f"dtype: got {wanted}, needs float32 or float64")
        for _, layer in self.named_layers():
            layer.grad.clear()
            for name in layer.parameter_names + layer.buffer_names:
                array = getattr(layer, name)
                if array is not None and array.dtype.kind == "f":
                    setattr(layer, name, array.astype(wanted))
        return self

    def compile(self, input_shape: Shape) -> Any:
        """A fast callable for inference on inputs of one shape; see :class:`convkern.nn.Compiled`."""
        from .compile import Compiled

        return Compiled(self, input_shape)

    def summary(self, input_shape: Any) -> Any:
        """A table of output shape, parameters, multiply-adds and receptive field; see :class:`convkern.nn.Summary`."""
        from .summary import Summary

        return Summary(self, input_shape)

    def predict(self, x: Any, batch_size: int = 256) -> Any:
        """The outputs for many samples in inference mode, ``batch_size`` at a time; keeps nothing for backward."""
        count = len(x[0] if isinstance(x, tuple) else x)
        parts = []
        for start in range(0, max(count, 1), batch_size):
            rows = slice(start, start + batch_size)
            parts.append(self.forward(tuple(part[rows] for part in x) if isinstance(x, tuple) else x[rows], False))
        self.forget()
        if isinstance(parts[0], tuple):
            return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
        return np.concatenate(parts)

    # For those who write layers.

    def gradient(self, name: str) -> Array:
        """The array that backward writes a parameter's gradient to, kept from call to call."""
        parameter = getattr(self, name)
        array = self.grad.get(name)
        if array is None or array.dtype != parameter.dtype or array.shape != parameter.shape:
            array = self.grad[name] = np.empty(parameter.shape, parameter.dtype)
        return array

    def channel_axis(self) -> int:
        return -1 if self.channels_last else 1

    def remembered(self) -> Any:
        """What forward saved; an error where there was no forward call."""
        if self.saved is None:
            raise RuntimeError(f"{type(self).__name__}.backward: needs a forward call before it")
        return self.saved

    def __repr__(self) -> str:
        """The constructor call, without what is at its default."""
        shown: list[str] = []
        for name, parameter in inspect.signature(type(self).__init__).parameters.items():
            value = collapsed(getattr(self, name, parameter.default))
            if name == "bias" and value is None:
                value = False
            if name in ("self", "rng", "init") or isinstance(value, Layer | np.ndarray) or callable(value):
                continue
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            if (
                name == "stride"
                and parameter.default is None
                and value == collapsed(getattr(self, "kernel_size", None))
            ):
                continue
            if parameter.default is parameter.empty:
                shown.append(f"{value}")
            elif value != parameter.default:
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


def collapsed(value: Any) -> Any:
    """One number for a tuple of equal ones."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


class Identity(Layer):
    """Returns its input: a branch that does nothing."""

    def forward(self, x: Any, training: bool = False) -> Any:
        return x

    def backward(self, grad: Any) -> Any:
        return grad
