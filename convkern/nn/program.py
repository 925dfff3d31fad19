"""A straight-line program over arrays whose shapes are known: values, steps, and few buffers for many values.

A value is an array that one step writes. It may lie in the channels of a larger one (``part_of``), so that branches
write their concatenation in place, or be another with other axes (``same_as``). Two values share a buffer where the
first is read for the last time before the second is written. It knows nothing of layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .layer import Array, Shape

ALIGNMENT = 64  # bytes: a cache line


@dataclass
class Value:
    """An array of the program: its shape, and whose memory it is where that is not its own."""

    shape: Shape
    part_of: tuple[int, int] | None = None  # (value, first channel)
    same_as: int | None = None
    written: bool = False  # by a step, as opposed to the program's input
    reshaped: bool = False  # whether another value is this one with other axes, which needs it contiguous


@dataclass
class Step:
    """``run(out, *inputs)`` writes value ``output``; ``inplace`` says that out may be the first input."""

    text: str
    run: Callable[..., object]
    inputs: tuple[int, ...]
    output: int
    inplace: bool = False


@dataclass
class Program:
    """Values and the steps that write them, in order; value 0 is the input."""

    dtype: npt.DTypeLike
    values: list[Value] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    buffer_bytes: int = 0

    def new(self, shape: Shape) -> int:
        self.values.append(Value(tuple(shape)))
        return len(self.values) - 1

    def shape(self, value: int) -> Shape:
        return self.values[value].shape

    def emit(
        self, text: str, run: Callable[..., object], inputs: tuple[int, ...], shape: Shape, inplace: bool = False
    ) -> int:
        """Appends a step; returns the value it writes."""
        output = self.new(shape)
        self.values[output].written = True
        self.steps.append(Step(text, run, inputs, output, inplace))
        return output

    def reshape(self, value: int, shape: Shape) -> int:
        """The same elements with other axes; a step where the value does not lie in one piece."""
        source = self.values[value]
        if source.part_of is not None or value == 0:
            return self.emit("copy", lambda out, x: np.copyto(out, x.reshape(out.shape)), (value,), shape)
        source.reshaped = True
        result = self.new(shape)
        self.values[result].same_as = value
        return result

    def join(self, parts: list[int]) -> int:
        """Values side by side along the last axis; each is written there at once where that can be."""
        shapes = [self.shape(part) for part in parts]
        whole = self.new((*shapes[0][:-1], sum(shape[-1] for shape in shapes)))
        first = 0
        for part, shape in zip(parts, shapes, strict=True):
            value = self.values[part]
            if not value.written or value.part_of is not None or value.reshaped:
                part = self.emit("copy", np.copyto, (part,), shape)
            self.values[part].part_of = whole, first
            first += shape[-1]
        return whole

    def root(self, value: int) -> int:
        """The value whose memory this one lies in."""
        while True:
            held = self.values[value]
            if held.part_of is not None:
                value = held.part_of[0]
            elif held.same_as is not None:
                value = held.same_as
            else:
                return value

    def arrays(self, result: int) -> list[Array | None]:
        """An array for each value, in as few buffers as its lifetimes allow; None for the input."""
        last: dict[int, int] = {self.root(result): len(self.steps)}
        for number, step in enumerate(self.steps):
            for value in (*step.inputs, step.output):
                last[self.root(value)] = max(number, last.get(self.root(value), 0))
        buffers: list[int] = []  # sizes in elements
        free: list[int] = []
        home: dict[int, int] = {}
        for number, step in enumerate(self.steps):
            own = self.root(step.output)
            if own not in home:
                size = math.prod(self.shape(own))
                source = self.root(step.inputs[0])
                if step.inplace and own == step.output and source in home and last[source] == number and (
                    source == step.inputs[0] and self.shape(source) == self.shape(own)
                ):  # fmt: skip
                    home[own] = home[source]
                    last[source] = len(self.steps) + 1  # its buffer is now the output's to give back
                else:
                    fitting = sorted((buffers[i] < size, abs(buffers[i] - size), i) for i in free)
                    if fitting:
                        home[own] = fitting[0][2]
                        free.remove(home[own])
                        buffers[home[own]] = max(buffers[home[own]], size)
                    else:
                        home[own] = len(buffers)
                        buffers.append(size)
            for value in {self.root(v) for v in (*step.inputs, step.output)}:
                if last[value] == number and value in home:
                    free.append(home[value])
        memory = [aligned(size, self.dtype) for size in buffers]
        self.buffer_bytes = sum(part.nbytes for part in memory)
        found: list[Array | None] = [None] * len(self.values)

        def place(value: int) -> Array | None:
            held = self.values[value]
            if found[value] is None and value != 0:
                if held.part_of is not None:
                    whole = place(held.part_of[0])
                    assert whole is not None
                    found[value] = whole[..., held.part_of[1] : held.part_of[1] + held.shape[-1]]
                elif held.same_as is not None:
                    whole = place(held.same_as)
                    assert whole is not None
                    found[value] = whole.reshape(held.shape)
                elif value in home:
                    found[value] = memory[home[value]][: math.prod(held.shape)].reshape(held.shape)
            return found[value]

        for value in range(len(self.values)):
            place(value)
        return found


def aligned(size: int, dtype: npt.DTypeLike) -> Array:
    """An uninitialised vector that starts on a cache line."""
    item = np.dtype(dtype).itemsize
    memory = np.empty(size + ALIGNMENT // item, dtype)
    skip = -memory.ctypes.data % ALIGNMENT // item
    return memory[skip : skip + size]
