"""Where the axes of two arrays go in one convolution of a batch of multi-channel signals: shapes only, no values.

    full[i] = sum over j of in1[j] in2[i - j],   result = full[start : start + length] along every axis

An axis is spatial if it is convolved and both arrays are longer than 1 along it. Along any other axis one of them is
repeated: an axis of the image alone is part of the batch, one of the kernel alone counts output channels, one of both
counts groups. The smaller array is the kernel, convolution being commutative. It knows neither dtypes nor algorithms.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Shape = tuple[int, ...]
Span = tuple[int, int]  # start in the full result, length
Array = npt.NDArray[Any]

MODES = ("full", "same", "valid")
MOST_AXES = 3
PAD_NAMES = {"circular": "wrap", "symmetric": "symmetric"}


class UnfitError(Exception):
    """A problem left to SciPy, which raises its own error if there is one; the text is the reason."""


def span(mode: str, n: int, k: int) -> Span:
    """What a mode keeps of an axis of n + k - 1 elements; "same" has in1's size n and is centred, rounding down."""
    if mode == "full":
        return 0, n + k - 1
    if mode == "same":
        return (k - 1) // 2, n
    return min(n, k) - 1, abs(n - k) + 1


def spans(mode: str, shape1: Shape, shape2: Shape, axes: Shape, *, lenient: bool) -> tuple[Span, ...]:
    """The span of every axis.

    Along axes that are not convolved the arrays are broadcast. "valid" wants one array that is at least as large as
    the other along every convolved axis; ``lenient`` leaves axes of length 1 out of that, as fftconvolve does.
    """
    convolved = set(axes)
    if mode == "valid":
        compared = [
            (n, k)
            for i, (n, k) in enumerate(zip(shape1, shape2, strict=True))
            if i in convolved and (not lenient or (n != 1 and k != 1))
        ]
        if not (all(n >= k for n, k in compared) or all(n <= k for n, k in compared)):
            raise UnfitError("shapes that do not fit")
    result = []
    for i, (n, k) in enumerate(zip(shape1, shape2, strict=True)):
        if i in convolved:
            result.append(span(mode, n, k))
        elif n == k or n == 1 or k == 1:
            longer = max(n, k)
            result.append(((longer - n) // 2, n) if mode == "same" else (0, longer))
        else:
            raise UnfitError("shapes that do not fit")
    return tuple(result)


class Layout:
    """How to bring in1 and in2 to (batch, groups, *spatial) and (groups*outputs, 1, *spatial), and the result back."""

    def __init__(
        self, shape1: Shape, shape2: Shape, axes: Shape, kept: tuple[Span, ...], *, bordered: bool = False
    ) -> None:
        every = range(len(shape1))
        convolved = set(axes)
        # Beside a border, in1 is the image and each of its axes counts, however short.
        spatial = [i for i in every if i in convolved and shape2[i] > 1 and (shape1[i] > 1 or bordered)]
        if len(spatial) > MOST_AXES:
            raise UnfitError(f"more than {MOST_AXES} axes")
        swap = math.prod(shape2[i] for i in spatial) > math.prod(shape1[i] for i in spatial) and not bordered
        self.swap, self.rank = swap, len(spatial)
        image, kernel = (shape2, shape1) if swap else (shape1, shape2)
        rest = [i for i in every if i not in spatial]
        batch = [i for i in rest if kernel[i] == 1 and image[i] > 1]
        groups = [i for i in rest if kernel[i] > 1 and image[i] > 1]
        outputs = [i for i in rest if kernel[i] > 1 and image[i] == 1]
        lengths = tuple(length for _, length in kept)

        self.padding = []
        image_index, kernel_index = [slice(None)] * len(image), [slice(None)] * len(kernel)
        for i in spatial:
            start, length = kept[i]
            low, high = kernel[i] - 1 - start, start + length - image[i]
            image_index[i] = slice(max(0, -low), image[i] - max(0, -high))
            kernel_index[i] = slice(None, None, -1)
            self.padding.append((max(0, low), max(0, high)))
        for i in rest:
            cut = slice(kept[i][0], sum(kept[i]))
            if image[i] > 1:
                image_index[i] = cut
            if kernel[i] > 1:
                kernel_index[i] = cut
        # Where shapes broadcast, a span never cuts an axis that both have.
        self.batch, self.groups, self.outputs = (
            math.prod(lengths[i] for i in part) for part in (batch, groups, outputs)
        )
        self.plain = not (batch or groups or outputs)
        self.result_shape = lengths
        self.spatial = tuple(spatial)
        self.image_spatial = tuple(len(range(image[i])[image_index[i]]) for i in spatial)
        self.kernel_spatial = tuple(kernel[i] for i in spatial)
        lead: tuple[Any, ...] = (None, None)
        if self.plain:  # axes of length 1 are all that is dropped
            drop = dict.fromkeys(rest, 0)
            self.image_index = lead + tuple(drop.get(i, image_index[i]) for i in every)
            self.kernel_index = lead + tuple(drop.get(i, kernel_index[i]) for i in every)
        else:
            self.image_index, self.kernel_index = tuple(image_index), tuple(kernel_index)
            ones = [i for i in rest if i not in (*batch, *groups, *outputs)]
            self._image_axes = (*batch, *groups, *outputs, *ones, *spatial)  # the last but spatial have length 1
            self._kernel_axes = (*groups, *outputs, *batch, *ones, *spatial)
            order = (*batch, *groups, *outputs, *spatial, *ones)
            self._unfolded = tuple(lengths[i] for i in order)
            self._back = tuple(order.index(i) for i in every)

    @property
    def image_shape(self) -> Shape:
        return (self.batch, self.groups, *self.image_spatial)

    @property
    def kernel_shape(self) -> Shape:
        return (self.groups * self.outputs, 1, *self.kernel_spatial)

    def image(self, array: Array) -> Array:
        """(batch, groups, *spatial), a view where strides allow."""
        array = array[self.image_index]
        return array if self.plain else array.transpose(self._image_axes).reshape(self.image_shape)

    def kernel(self, array: Array) -> Array:
        """(groups*outputs, 1, *spatial), reversed along the spatial axes: the core correlates."""
        array = array[self.kernel_index]
        return array if self.plain else array.transpose(self._kernel_axes).reshape(self.kernel_shape)

    def result(self, array: Array) -> Array:
        """The caller's axes from (batch, groups*outputs, *spatial)."""
        if self.plain:
            return array.reshape(self.result_shape)
        return np.ascontiguousarray(array.reshape(self._unfolded).transpose(self._back))


def bordered(array: Array, padding: list[Span], border: str, fill: Any) -> Array:
    """A copy with its border filled in, for borders that the kernels do not know."""
    options: dict[str, Any] = {"constant_values": fill} if border == "zeros" else {"mode": PAD_NAMES[border]}
    padded: Array = np.pad(array, padding, **options)
    return padded
