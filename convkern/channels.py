"""Arrays seen as channels: [n][c][inner], or [n][inner][c] with the channels last, and sums over each channel."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import FloatArray, readable
from .config import current
from .problem import read_layout, split_shape
from .spec import LAYOUTS


class Channels(NamedTuple):
    """What the compiled functions of channels take, in their order."""

    last: bool
    n: int
    c: int
    inner: int

    def dense(self, array: FloatArray) -> FloatArray:
        """The array as it must lie in memory, copied where it does not."""
        ready = array.flags.c_contiguous and array.dtype.isnative and readable(array)
        return array if ready else np.array(array, array.dtype.newbyteorder("="), order="C")

    def moments(
        self, x: FloatArray, g: FloatArray | None, mean: FloatArray
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Per channel the sums of t and of t (x - mean), t = g or, where that is None, x - mean."""
        sums, products = np.empty(self.c), np.empty(self.c)
        _core.moments(*self, x, g, np.ascontiguousarray(mean), sums, products, current().isa or _core.get_isa())
        return sums, products


def channel_axis(ndim: int, layout: str | None, name: str = "x") -> int:
    """The axis of the channels: the layout's, or axis 1."""
    if layout is None:
        if ndim < 2:
            raise ValueError(f"{name}: got {ndim} axes, needs at least (N, C)")
        return 1
    ranks = {names: rank for rank, both in LAYOUTS.items() for names in both}
    if layout not in ranks:
        raise ValueError(f"layout: got {layout!r}, needs one of {', '.join(ranks)}")
    rank = ranks[layout]
    if read_layout(layout, rank):
        return ndim - 1
    batched = split_shape(name, (1,) * ndim, rank, False)[0]
    return int(batched)


def channels_of(array: FloatArray, layout: str | None, name: str = "x") -> Channels:
    """The shape of an array as channels."""
    axis = channel_axis(array.ndim, layout, name)
    c = array.shape[axis]
    if axis == array.ndim - 1:  # also (N, C): one position for each sample
        return Channels(True, math.prod(array.shape[:axis]), c, 1)
    return Channels(False, math.prod(array.shape[:axis]), c, math.prod(array.shape[axis + 1 :]))
