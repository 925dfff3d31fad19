"""From layers to the steps of a program, channels last throughout, neighbours fused.

    Conv, BatchNorm, ReLU  ->  one convolution with weights scaled per output channel and a clamp in its epilogue
    Residual, ReLU         ->  the other branches, then the main branch whose last convolution adds them
    Concat, Skip           ->  branches that write side by side
    Flatten, Dense         ->  a matrix product with the weight's columns in the order the values lie

Layers that are not known here run as they are, in the model's own layout.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

import convkern

from ..spec import ACTIVATIONS, LAYOUTS
from .activation import Activation, PReLU, ReLU, ReLU6
from .adaptive import AdaptiveAvgPool, AdaptiveMaxPool
from .branches import Concat, Residual, Scale, Skip
from .combine import Sequential
from .conv import Conv
from .dense import Dense, Flatten
from .layer import Array, Identity, Layer
from .norm import BatchNorm, LayerNorm
from .pooling import AvgPool, MaxPool
from .program import Program
from .resize import Dropout
from .transposed import ConvTranspose

Clamp = tuple[float, float] | None


def flat(layer: Layer) -> list[Layer]:
    """The layers of nested Sequentials in a row, without those that do nothing in inference."""
    if isinstance(layer, Sequential) and type(layer).forward is Sequential.forward:
        return [inner for child in layer.layers.values() for inner in flat(child)]
    return [] if isinstance(layer, Dropout | Identity) else [layer]


def clamp_of(layer: Layer | None) -> Clamp:
    """The limits of an activation that a convolution's epilogue has, or None."""
    if type(layer) is ReLU6:
        return ACTIVATIONS["relu6"]
    return ACTIVATIONS["relu"] if type(layer) is ReLU else None


class Lowering:
    """Appends the steps of layers to a program; ``last`` is the model's own layout."""

    def __init__(self, program: Program, channels_last: bool) -> None:
        self.program, self.last = program, channels_last

    def chain(self, layers: list[Layer], value: int, residual: int | None = None, clamp: Clamp = None) -> int:
        """The layers one after another; the last, a convolution then, adds ``residual`` and applies ``clamp``."""
        at = 0
        while at < len(layers):
            layer = layers[at]
            after = [*layers[at + 1 : at + 3], None, None]
            if isinstance(layer, Conv | ConvTranspose | Dense | Flatten):
                value, used = self.product(layers[at:], value, residual, clamp)
                at += used
                continue
            limits = clamp_of(after[0])
            if type(layer) is Residual:
                value = self.residual(layer, value, limits)
                at += 1 if limits is None else 2
                continue
            value = self.single(layer, value)
            at += 1
        return value

    def product(self, layers: list[Layer], value: int, residual: int | None, clamp: Clamp) -> tuple[int, int]:
        """A convolution or dense layer with what follows that it can take in; also how many layers that were."""
        used = 1
        flattened = isinstance(layers[0], Flatten)
        if flattened:
            if len(layers) < 2 or not isinstance(layers[1], Dense):
                return self.flatten(value), 1
            used = 2
        layer = layers[used - 1]
        own: Clamp = layer.clamp if isinstance(layer, Conv) else None
        norm: BatchNorm | None = None
        if own is None and used < len(layers) and isinstance(layers[used], BatchNorm):
            norm = layers[used]  # type: ignore[assignment]
            used += 1
        if own is None and used < len(layers) and clamp_of(layers[used]) is not None:
            own = clamp_of(layers[used])
            used += 1
        if used == len(layers) and own is None:
            own = clamp
        else:
            assert residual is None or used < len(layers), "fusable() has looked"
        if used < len(layers):
            residual = None
        if isinstance(layer, Dense):
            return self.dense(layer, norm, own, value, flattened), used
        return self.convolution(layer, norm, own, residual, value), used  # type: ignore[arg-type]

    def fusable(self, layers: list[Layer]) -> bool:
        """Whether a chain ends in a convolution that can still take a residual."""
        if layers and isinstance(layers[-1], BatchNorm):
            layers = layers[:-1]
        return bool(layers) and isinstance(layers[-1], Conv | ConvTranspose) and not getattr(layers[-1], "clamp", None)

    def convolution(
        self, layer: Conv | ConvTranspose, norm: BatchNorm | None, clamp: Clamp, residual: int | None, value: int
    ) -> int:
        program, transposed = self.program, isinstance(layer, ConvTranspose)
        weight, bias = layer.weight, layer.bias
        if norm is not None:
            scale, shift = norm.affine_in_inference()
            weight = scaled(weight, scale, layer.groups if transposed else 0).astype(weight.dtype)
            bias = (shift if bias is None else bias * scale + shift).astype(weight.dtype)
        settings: dict[str, Any] = (
            {"direction": "transposed", "output_padding": layer.output_padding}
            if isinstance(layer, ConvTranspose)
            else {"padding_mode": layer.padding_mode}
        )
        plan = convkern.plan(
            program.shape(value), weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups,
            layout=LAYOUTS[layer.rank][1], activation=clamp, residual=residual is not None, **settings,
        )  # fmt: skip
        parts = [f"{type(layer).__name__} {plan.spec} by {plan.algorithm}"]
        parts += ["BatchNorm"] if norm is not None else []
        inputs: tuple[int, ...] = (value,) if residual is None else (value, residual)
        return program.emit(" + ".join(parts), lambda out, x, more=None: plan(x, out, more), inputs, plan.output_shape)

    def dense(self, layer: Dense, norm: BatchNorm | None, clamp: Clamp, value: int, flattened: bool) -> int:
        program, weight, bias = self.program, layer.weight, layer.bias
        shape = program.shape(value)
        if norm is not None:
            scale, shift = norm.affine_in_inference()
            weight = scaled(weight, scale).astype(weight.dtype)
            bias = (shift if bias is None else bias * scale + shift).astype(weight.dtype)
        if flattened and len(shape) > 2:
            channels_first = weight.reshape(len(weight), shape[-1], *shape[1:-1])
            weight = np.moveaxis(channels_first, 1, -1).reshape(weight.shape)
            value = program.reshape(value, (shape[0], math.prod(shape[1:])))
        plan = convkern.plan((1, *program.shape(value)), weight[:, :, None], bias, layout="NWC", activation=clamp)

        def run(out: Array, x: Array) -> None:
            plan(x[None], out[None])

        return program.emit(f"Dense {layer.in_features}->{layer.out_features}", run, (value,), (shape[0], len(weight)))

    def flatten(self, value: int) -> int:
        shape = self.program.shape(value)
        wanted = (shape[0], math.prod(shape[1:]))
        if len(shape) == 2 or math.prod(shape[1:-1]) == 1:
            return self.program.reshape(value, wanted)

        def run(out: Array, x: Array) -> None:
            first = np.moveaxis(x, -1, 1)
            np.copyto(out.reshape(first.shape), first)

        return self.program.emit("Flatten", run, (value,), wanted)

    def residual(self, layer: Residual, value: int, clamp: Clamp) -> int:
        branches = [flat(branch) for branch in layer.layers.values()]
        main = next((branch for branch in branches if self.fusable(branch)), None)
        others = [self.chain(branch, value) for branch in branches if branch is not main]
        if len(branches) == 1:
            others.append(value)
        if main is None:
            total = others[0]
            for other in others[1:]:
                total = self.add(total, other)
            return total if clamp is None else self.clip(total, clamp)
        total = others[0]
        for other in others[1:]:
            total = self.add(total, other)
        return self.chain(main, value, total, clamp)

    def add(self, a: int, b: int) -> int:
        return self.program.emit("add", lambda out, x, y: np.add(x, y, out=out), (a, b), self.program.shape(a), True)

    def clip(self, value: int, clamp: tuple[float, float]) -> int:
        low, high = clamp
        run = lambda out, x: np.clip(x, low, high, out=out)  # noqa: E731
        return self.program.emit("clamp", run, (value,), self.program.shape(value), True)

    def single(self, layer: Layer, value: int) -> int:
        """A layer by itself."""
        program, shape = self.program, self.program.shape(value)
        if type(layer) is Residual:
            return self.residual(layer, value, None)
        if type(layer) is Concat:
            return program.join([self.chain(flat(branch), value) for branch in layer.layers.values()])
        if type(layer) is Skip:
            inner = self.chain(flat(layer.layers["0"]), value)
            return program.join([value, inner])
        if type(layer) is Scale:
            gate = self.chain(flat(layer.layers["0"]), value)
            if len(program.shape(gate)) == 2 < len(shape):
                gate = program.reshape(gate, (shape[0], *(1,) * (len(shape) - 2), shape[-1]))
            return program.emit("scale", lambda out, x, g: np.multiply(x, g, out=out), (value, gate), shape, True)
        if not type(layer).__module__.startswith("convkern.nn.") or isinstance(layer, LayerNorm) or layer.layers:
            return self.opaque(layer, value)
        twin = copy.copy(layer)
        twin.channels_last = True
        run, inplace = writer(twin, len(shape))
        return program.emit(repr(layer), run, (value,), twin.output_shape(shape), inplace)

    def opaque(self, layer: Layer, value: int) -> int:
        """A layer that is not known here, called as it is in the layout that it was made for."""
        shape = self.program.shape(value)
        turn = not self.last and len(shape) > 2
        output = layer.output_shape((shape[0], shape[-1], *shape[1:-1]) if turn else shape)
        back = not self.last and len(output) > 2

        def run(out: Array, x: Array) -> None:
            y = layer.forward(np.ascontiguousarray(np.moveaxis(x, -1, 1)) if turn else x, False)
            np.copyto(out, np.moveaxis(y, 1, -1) if back else y)
            layer.forget()

        return self.program.emit(repr(layer), run, (value,), (output[0], *output[2:], output[1]) if back else output)


def scaled(weight: Array, scale: Array, groups: int = 0) -> Array:
    """A weight times a factor per output channel; with ``groups`` a transposed one, (in, out/groups, ...)."""
    if not groups:
        return weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    split = weight.reshape(groups, -1, *weight.shape[1:])
    result: Array = split * scale.reshape(groups, 1, -1, *(1,) * (weight.ndim - 2))
    return result.reshape(weight.shape)


def writer(layer: Layer, ndim: int) -> tuple[Any, bool]:
    """A function (out, x) for a channels-last layer of this package in inference, and whether it may work in place."""
    if isinstance(layer, Activation):
        function, settings = getattr(convkern, layer.function), layer.settings()
        return lambda out, x: function(x, out=out, **settings), True
    if isinstance(layer, BatchNorm):
        layout = {3: "NWC", 4: "NHWC", 5: "NDHWC"}.get(ndim)
        mean, var = layer.running_mean.copy(), layer.running_var.copy()
        weight = None if layer.weight is None else layer.weight.copy()
        bias = None if layer.bias is None else layer.bias.copy()
        eps = layer.eps
        return lambda out, x: convkern.batch_norm(
            x, mean, var, weight, bias, False, 0, eps, layout=layout, out=out
        ), True
    if isinstance(layer, MaxPool):
        return lambda out, x: layer._run(x, out=out), False
    if isinstance(layer, AvgPool):
        arguments = layer._arguments()
        return lambda out, x: layer.call("avg_pool{}d", x, *arguments, out=out), False
    if isinstance(layer, AdaptiveAvgPool):
        return lambda out, x: layer.call("adaptive_avg_pool{}d", x, layer.output_size, out=out), False
    if isinstance(layer, AdaptiveMaxPool):
        return lambda out, x: layer.call("adaptive_max_pool{}d", x, layer.output_size, out=out), False
    if isinstance(layer, PReLU):
        layer.weight = layer.weight.copy()

    def run(out: Array, x: Array) -> None:
        np.copyto(out, layer.forward(x, False))
        layer.saved = None

    return run, False
