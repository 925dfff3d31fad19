"""One convolution with its data, the same numbers in every process: drawn from the descriptor alone.

Arrays are logical (N, C, *S) and (O, I, *K); who wants channels last makes his own copy before the clock starts. All
begin at a cache line, as the tensors of frameworks and the results of convkern do; NumPy's own begin 16 bytes later.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convkern.spec import Spec

Array = NDArray[np.floating]


def aligned(array: Array) -> Array:
    """Return a contiguous copy that begins at a cache line."""
    memory = np.empty(array.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy: Array = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


class SkipError(Exception):
    """Why a contestant does not take part."""


@dataclass
class Contestant:
    """What is timed, and how to see its result as a logical array (looked at once, before timing)."""

    run: Callable[[], object]
    result: Callable[[], Array]
    note: str = ""  # e.g. the algorithm a plan chose
    keep: object = None  # whatever run needs and does not refer to
    facts: dict[str, Any] = field(default_factory=dict)  # more to be recorded, as JSON: workspace, predicted, chosen


@dataclass
class Case:
    spec: Spec

    def _draw(self, shape: tuple[int, ...], salt: int) -> Array:
        s = self.spec
        text = f"{salt} {s.n} {s.groups} {s.ci} {s.co} {s.input} {s.kernel} {s.stride} {s.dilation} {s.padding}"
        random = np.random.default_rng(zlib.crc32(text.encode()))
        return aligned(random.uniform(-1, 1, shape).astype(s.dtype))

    @cached_property
    def x(self) -> Array:
        return self._draw((self.spec.n, self.spec.ci, *self.spec.input), 1)

    @cached_property
    def weight(self) -> Array:
        s = self.spec
        return self._draw((s.co, s.ci // s.groups, *s.kernel), 2)

    @cached_property
    def grad(self) -> Array:
        return self._draw((self.spec.n, self.spec.co, *self.spec.output), 3)

    @cached_property
    def bias(self) -> Array | None:
        wanted = self.spec.bias and self.spec.direction == "forward"
        return self._draw((self.spec.co,), 4) if wanted else None

    @property
    def image(self) -> Array:
        """The array that plays the image: x, or the gradient that an input gradient starts from."""
        return self.grad if self.spec.direction == "grad_input" else self.x

    @property
    def result_shape(self) -> tuple[int, ...]:
        s = self.spec
        if s.direction == "grad_weight":
            return self.weight.shape
        return (s.n, s.ci, *s.input) if s.direction == "grad_input" else (s.n, s.co, *s.output)


def last(array: Array) -> Array:
    """Return a contiguous channels-last copy of a channels-first array."""
    return aligned(np.moveaxis(array, 1, -1))


def first(array: Array) -> Array:
    """Return the channels-first view of a channels-last array."""
    return np.moveaxis(array, -1, 1)
