"""A model made ready for inference on one shape: planned once, fused, channels last inside, buffers reused.

lower.py turns layers into the steps of a program.py; here they are run.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from .layer import Array, Layer, Shape
from .lower import Lowering, flat
from .program import Program


class Compiled:
    """What ``model.compile(input_shape)`` returns: a callable with the model's weights of that moment.

    Parameters
    ----------
    model : Layer
        In inference mode; training it further does not change what was compiled.
    input_shape : tuple of int
        With the batch, in the model's layout.

    Attributes
    ----------
    input_shape, output_shape : tuple of int
    buffer_bytes : int
        Memory of all values between the layers.

    Raises
    ------
    ValueError
        If the model is in training mode, or the shape does not fit, naming the layer.

    Notes
    -----
    BatchNorm is folded into the weights before it, activations and sums of branches happen in convolutions'
    epilogues, and convolutions may use other algorithms than one by one (Winograd pays where weights are prepared). In
    float32 the result differs from the model's by at most about 1e-4 of max|y|, in float64 by 1e-12.

    Calls from several threads at once wait for each other.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(),
    ...                       nn.Dense(512, 4))
    >>> fast = model.eval().compile((1, 3, 8, 8))
    >>> x = np.ones((1, 3, 8, 8), np.float32)
    >>> bool(np.allclose(fast(x), model(x), atol=1e-5)), len(fast.steps)
    (True, 2)
    """

    def __init__(self, model: Layer, input_shape: Shape) -> None:
        if model.training:
            raise ValueError("compile: the model is in training mode, needs model.eval() first")
        shape = tuple(input_shape)
        self.input_shape: Shape = shape
        self.output_shape: Shape = model.output_shape(shape)
        self.dtype = next((array.dtype for array in model.state_dict().values() if array.dtype.kind == "f"), None)
        self.channels_last = model.channels_last
        self._program = Program(self.dtype or np.dtype(np.float32))
        self._turned = len(shape) > 2 and not self.channels_last
        self._program.new((shape[0], *shape[2:], shape[1]) if self._turned else shape)
        self._result = Lowering(self._program, self.channels_last).chain(flat(model), 0)
        self._arrays = self._program.arrays(self._result)
        self._calls = [(step.run, step.output, step.inputs) for step in self._program.steps]
        self._lock = threading.Lock()

    @property
    def steps(self) -> list[str]:
        """What runs, a line for each step."""
        return [step.text for step in self._program.steps]

    @property
    def buffer_bytes(self) -> int:
        return self._program.buffer_bytes

    def __call__(self, x: Array, out: Array | None = None) -> Array:
        """The model's output.

        Parameters
        ----------
        x : ndarray
            Of the compiled shape and the parameters' dtype.
        out : ndarray, optional
            Where to write it.

        Raises
        ------
        ValueError, TypeError
            If a shape or dtype is another.
        """
        if type(x) is not np.ndarray or x.dtype != self._program.dtype:
            kind = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
            raise TypeError(f"x: got {kind}, needs an array of {self._program.dtype}")
        if x.shape != self.input_shape:
            raise ValueError(f"x: got shape {x.shape}, needs {self.input_shape}; compile the model for another shape")
        if out is None:
            out = np.empty(self.output_shape, self._program.dtype)
        elif out.shape != self.output_shape or out.dtype != self._program.dtype:
            raise ValueError(f"out: got {out.dtype} of shape {out.shape}, needs {self._program.dtype} of "
                             f"{self.output_shape}")  # fmt: skip
        with self._lock:
            arrays = self._arrays
            arrays[0] = np.moveaxis(x, 1, -1) if self._turned else x
            for run, output, inputs in self._calls:
                run(arrays[output], *[arrays[i] for i in inputs])
            result: Any = arrays[self._result]
            arrays[0] = None
        np.copyto(out, np.moveaxis(result, -1, 1) if not self.channels_last and result.ndim > 2 else result)
        return out

    def __repr__(self) -> str:
        lines = "".join(f"\n  {text}" for text in self.steps)
        return (
            f"Compiled({self.input_shape} -> {self.output_shape}, {self.buffer_bytes / 1e6:.2f} MB of buffers){lines}"
        )
