"""From a caller's shapes and arguments to a Problem: the Spec and the shapes its arrays must have.

Every public function meets here, so this is where arguments are checked and errors name them. A transposed
convolution is the input gradient of the convolution whose channels are exchanged. It allocates nothing.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .padding import Pair, axis_values, extent, frozen, padding_pairs, same_pair
from .spec import ACTIVATIONS, DTYPES, LAYOUTS, LIMIT, Spec

Kind = Literal["forward", "transposed", "grad_input", "grad_weight"]
KINDS: tuple[Kind, ...] = ("forward", "transposed", "grad_input", "grad_weight")
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A Spec with the names and shapes of the arrays a call works on.

    ``image`` is x, or grad for ``grad_input``; ``weight`` is the weight, or grad for ``grad_weight``. Shapes are the
    caller's: without the batch axis where ``batched`` is False.
    """

    spec: Spec
    kind: Kind
    batched: bool
    image: Shape
    weight: Shape
    result: Shape

    @property
    def names(self) -> tuple[str, str]:
        return operand_names(self.kind)

    @property
    def bias(self) -> Shape:
        return (self.spec.ci if self.kind == "transposed" else self.spec.co,)


def describe(
    kind: Kind,
    rank: int,
    x_shape: Shape,
    dtype: npt.DTypeLike,
    weight_shape: Shape,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: Any,
    padding_mode: str,
    layout: str | None,
    activation: Any,
    bias: bool = False,
    residual: bool = False,
    *,
    name: str = "",
) -> Problem:
    """Checks and normalises one call.

    Parameters
    ----------
    kind : {"forward", "transposed", "grad_input", "grad_weight"}
    rank : int
        Spatial axes, 1 to 3.
    x_shape, weight_shape : tuple of int
        The convolution's input (for ``transposed`` that of the transposed one), and the weight, in O I kernel order.
    stride, padding, output_padding, dilation, groups, padding_mode, layout, activation
        As :func:`convkern.conv2d` takes them.
    bias, residual : bool
        Whether the call adds them.
    name : str
        What errors call ``x_shape``; by default the array it is the shape of.
    """
    name = name or ("input_shape" if kind == "grad_input" else "x")
    direction = "grad_input" if kind == "transposed" else kind
    channels_last = read_layout(layout, rank)
    batched, n, channels, size = split_shape(name, x_shape, rank, channels_last)
    if len(weight_shape) != rank + 2 or min(weight_shape, default=-1) < 0:
        order = "C_in, C_out/groups" if kind == "transposed" else "C_out, C_in/groups"
        raise ValueError(f"weight: got shape {weight_shape}, needs {rank + 2} dimensions ({order}, *kernel)")
    kernel = weight_shape[2:]
    if min(kernel) < 1:
        raise ValueError(f"weight: got shape {weight_shape}, needs a kernel of at least 1 along every axis")
    strides = axis_values(stride, "stride", rank, 1)
    dilations = axis_values(dilation, "dilation", rank, 1)
    count = frozen(groups, "groups")
    if not isinstance(count, int):
        raise TypeError(f"groups: got {groups!r}, needs an integer")
    check_channels(kind, name, x_shape, channels, weight_shape, count)
    ci, co = channels, weight_shape[0]
    if kind == "transposed":
        ci, co = weight_shape[1] * count, channels
        if padding_mode != "zeros":
            raise ValueError(f"padding_mode: got {padding_mode!r}, a transposed convolution needs 'zeros'")
        size, pads = transposed_axes(size, kernel, strides, dilations, padding, output_padding)
    else:
        if any(axis_values(output_padding, "output_padding", rank, 0)):
            raise ValueError(f"output_padding: got {output_padding!r}, only a transposed convolution takes one")
        pads = padding_pairs(padding, size, kernel, strides, dilations)
    spec = Spec(
        direction=direction,
        dtype=dtype_name(dtype, operand_names(kind)[0]),
        n=n,
        groups=count,
        ci=ci,
        co=co,
        input=size,
        kernel=kernel,
        # Beyond the padded input a stride, and with one tap a dilation, changes nothing but the size of offsets.
        stride=tuple(min(s, max(1, i + sum(p))) for s, i, p in zip(strides, size, pads, strict=True)),
        dilation=tuple(d if k > 1 else 1 for d, k in zip(dilations, kernel, strict=True)),
        padding=pads,
        padding_mode=padding_mode,
        channels_last=channels_last,
        clamp=read_activation(activation),
        bias=bias,
        residual=residual,
    )
    x = shape_of(batched, n, spec.ci, spec.input, channels_last)
    y = shape_of(batched, n, spec.co, spec.output, channels_last)
    image, weight, result = {
        "forward": (x, weight_shape, y),
        "grad_input": (y, weight_shape, x),
        "grad_weight": (x, y, weight_shape),
    }[direction]
    return Problem(spec, kind, batched, image, weight, result)


def operand_names(kind: Kind) -> tuple[str, str]:
    """What the caller calls the image and the weight of Problem."""
    return "grad" if kind == "grad_input" else "x", "grad" if kind == "grad_weight" else "weight"


def dtype_name(dtype: npt.DTypeLike, name: str) -> str:
    """Name of a dtype, float32 or float64 of either byte order."""
    kind = np.dtype(dtype).newbyteorder("=").name
    if kind not in DTYPES:
        cure = "convolve its real and imaginary parts" if "complex" in kind else f"use {name}.astype(numpy.float32)"
        raise TypeError(f"{name}: got dtype {kind}, needs float32 or float64; {cure}")
    return kind


def read_layout(layout: str | None, rank: int) -> bool:
    """Whether channels are last."""
    names = LAYOUTS[rank]
    if layout is not None and layout not in names:
        raise ValueError(f"layout: got {layout!r}, needs {names[0]!r} or {names[1]!r} with {rank} spatial axes")
    return layout == names[1]


def read_activation(activation: Any) -> tuple[float, float] | None:
    """The limits of an activation: None, "relu", "relu6" or a (low, high) pair with None for no limit."""
    if activation is None:
        return None
    if isinstance(activation, str):
        if activation in ACTIVATIONS:
            return ACTIVATIONS[activation]
        raise ValueError(f"activation: got {activation!r}, needs 'relu', 'relu6', a (low, high) pair or None")
    try:
        low, high = activation
        limits = (-math.inf if low is None else float(low), math.inf if high is None else float(high))
    except (TypeError, ValueError):
        message = f"activation: got {activation!r}, needs 'relu', 'relu6', a (low, high) pair of numbers or None"
        raise TypeError(message) from None
    if not limits[0] <= limits[1]:
        raise ValueError(f"activation: got the limits {activation!r}, needs low <= high")
    return None if limits == (-math.inf, math.inf) else limits


def split_shape(name: str, shape: Shape, rank: int, channels_last: bool) -> tuple[bool, int, int, Shape]:
    """(batched, n, channels, spatial sizes) of an array shape."""
    if len(shape) not in (rank + 1, rank + 2) or min(shape) < 0:
        order = LAYOUTS[rank][channels_last]
        raise ValueError(f"{name}: got shape {shape}, needs {rank + 2} dimensions {order} or {rank + 1} without N")
    if max(shape) > LIMIT:
        raise ValueError(f"{name}: got shape {shape}, needs sizes below 2**62")
    batched = len(shape) == rank + 2
    rest = shape[batched:]
    channels, size = (rest[-1], rest[:-1]) if channels_last else (rest[0], rest[1:])
    return batched, shape[0] if batched else 1, channels, size


def shape_of(batched: bool, n: int, channels: int, size: Shape, channels_last: bool) -> Shape:
    rest = (*size, channels) if channels_last else (channels, *size)
    return (n, *rest) if batched else rest


def check_channels(kind: Kind, name: str, x_shape: Shape, channels: int, weight_shape: Shape, groups: int) -> None:
    if groups < 1:
        raise ValueError(f"groups: got {groups}, needs at least 1")
    if weight_shape[0] % groups:
        raise ValueError(
            f"groups: got {groups}, needs a divisor of {weight_shape[0]}, for weight of shape {weight_shape}"
        )
    needed = weight_shape[0] if kind == "transposed" else weight_shape[1] * groups
    if channels != needed:
        raise ValueError(
            f"{name}: got {channels} channels in shape {x_shape}, needs {needed} "
            f"for weight of shape {weight_shape} with groups={groups}"
        )


def read_shape(shape: Any, name: str) -> Shape:
    """A shape argument as a tuple of ints."""
    sizes = frozen(shape, name)
    if not isinstance(sizes, tuple) or not all(isinstance(size, int) for size in sizes):
        raise TypeError(f"{name}: got {shape!r}, needs a tuple of integers")
    return sizes


def kernel_axes(weight_shape: Shape, name: str) -> int:
    """Spatial axes of a convolution with such a weight."""
    rank = len(weight_shape) - 2
    if rank not in LAYOUTS:
        raise ValueError(f"{name}: got shape {weight_shape}, needs (C_out, C_in/groups) and 1 to 3 kernel axes")
    return rank


def transposed_axes(
    size: Shape, kernel: Shape, stride: Shape, dilation: Shape, padding: Any, output_padding: Any
) -> tuple[Shape, tuple[Pair, ...]]:
    """Output sizes of a transposed convolution and the padding of the convolution it is the adjoint of.

    output = (input - 1)*stride - low - high + dilation*(kernel - 1) + 1 + output_padding; with "same" input*stride.
    """
    extra = axis_values(output_padding, "output_padding", len(size), 0)
    for more, step, gap in zip(extra, stride, dilation, strict=True):
        if more and more >= max(step, gap):
            raise ValueError(f"output_padding: got {more}, needs less than stride {step} or dilation {gap}")
    if padding == "same":
        if any(extra):
            raise ValueError(f"output_padding: got {output_padding!r}, needs 0 with padding='same'")
        result = tuple(i * s for i, s in zip(size, stride, strict=True))
        return result, tuple(map(same_pair, result, kernel, stride, dilation))
    pads = padding_pairs(padding, size, kernel, stride, dilation)
    sizes, cropped = [], []
    for i, k, s, d, (low, high), more in zip(size, kernel, stride, dilation, pads, extra, strict=True):
        full = (i - 1) * s + extent(k, d) + more
        if i and full < low + high:
            raise ValueError(f"padding: got {(low, high)}, needs at most {full} in all for an output of size >= 0")
        sizes.append(full - low - high if i else 0)
        cropped.append((low, high - more // s * s))  # whole strides of output padding have no window of their own
    return tuple(sizes), tuple(cropped)
