"""What the image filters share: which axes are the picture, its values as floats, sums along lines.

An image is (..., height, width), or with a channel axis besides; whatever is not height, width or channel is a batch.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..ndimage import passes
from ..ndimage.passes import Pass
from ..ndimage.support import CONSTANT, MODES, Array


class Image:
    """An array with its two picture axes, the dtype to compute in, and the factor that brings its values to it.

    float32 and float64 are kept. Integers and booleans become float64, divided by the largest value of
    their type; float16 becomes float32.
    """

    def __init__(self, image: Any, channel_axis: int | None, *, preserve_range: bool = False) -> None:
        array = np.asarray(image)
        if array.dtype.kind not in "buif" or array.dtype.itemsize > 8:
            raise TypeError(f"image: got dtype {array.dtype}, needs real numbers of at most 8 bytes")
        axes = list(range(array.ndim))
        if channel_axis is not None:
            if not -array.ndim <= channel_axis < array.ndim:
                raise ValueError(f"channel_axis: got {channel_axis}, needs an axis of an image of shape {array.shape}")
            del axes[channel_axis]
        if len(axes) < 2:
            raise ValueError(f"image: got shape {array.shape}, needs height and width besides the channel axis")
        self.axes = (axes[-2], axes[-1])
        self.dtype = np.dtype(np.float32 if array.dtype in (np.float16, np.float32) else np.float64)
        self.scale = 1.0
        if array.dtype.kind == "f":
            array = array.astype(self.dtype, copy=False)
        elif array.dtype.kind in "ui" and not preserve_range:
            info = np.iinfo(array.dtype)
            if array.dtype.kind == "u":
                self.scale = 1.0 / info.max
            else:
                array = np.maximum(array * (1.0 / info.max), -1.0)
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        self.array = array

    def values(self) -> Array:
        """The image as floats."""
        if self.array.dtype == self.dtype:
            return self.array
        floats = self.array.astype(self.dtype)
        if self.scale != 1:
            floats *= self.scale
        return floats

    def sums(self, lines: Mapping[int, Any], mode: str, cval: float = 0.0, scale: float = 1.0) -> Array:
        """Correlate along picture axes (0: height, 1: width) with centred lines of weights, times `scale`."""
        array, number = self.array, mode_number(mode)
        steps = []
        for which, line in lines.items():
            weights = np.ascontiguousarray(line, np.float64)
            steps.append(Pass(self.axes[which], weights.size, weights.size // 2, number, weights))
        first = steps[0].weights
        assert first is not None
        steps[0] = steps[0]._replace(weights=first * (scale * self.scale))
        result = np.empty(array.shape, self.dtype)
        constant = cval / self.scale
        if number != CONSTANT or constant == 0:
            passes.run("sum", array, steps, result, constant)
            return result
        for step in steps:  # beyond the border lies what the lines before make of the constant
            result = np.empty(array.shape, self.dtype)
            passes.run("sum", array, [step], result, constant)
            assert step.weights is not None
            array, constant = result, constant * float(step.weights.sum())
        return result


def mode_number(mode: str) -> int:
    """The kernels' number of a border mode."""
    if mode not in MODES:
        raise ValueError(f"mode: got {mode!r}, needs one of {', '.join(MODES)}")
    return MODES[mode]


def magnitude(a: Array, b: Array) -> Array:
    """sqrt(a^2 + b^2), in place of a."""
    np.multiply(a, a, out=a)
    np.multiply(b, b, out=b)
    np.add(a, b, out=a)
    return np.sqrt(a, out=a)
