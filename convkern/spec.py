"""The problem, normalised: everything an algorithm may depend on and nothing else.

A Spec always describes the forward convolution

    y[n,o,p] = clamp(residual[n,o,p] + bias[o] + sum_{c,k} x[n,c,p*stride + k*dilation - pad_low] w[o,c,k])

and ``direction`` says which of its three products is wanted: y, the gradient of x or the gradient of w. One line of
text names a Spec: str() writes it and Spec.parse reads it. It knows no arrays, no algorithms and no machine.
"""

import math
import re
from dataclasses import dataclass, replace
from typing import Any

from .padding import PADDING_MODES, PADDING_WORDS, Pair, check_padding_mode, extent, output_size, padding_pairs

DIRECTIONS = ("forward", "grad_input", "grad_weight")
DTYPES = {"float32": 4, "float64": 8}
LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}
ACTIVATIONS = {"relu": (0.0, math.inf), "relu6": (0.0, 6.0)}
LIMIT = 2**62  # bytes: sizes beyond it cannot be addressed with 64-bit offsets
SYNTAX = 'such as "1,64,56x56->64 3x3 s2 p1" (batch,channels,size->channels kernel, then s p d g and words)'

_PROBLEM = re.compile(r"(\d+),(\d+),(\d+(?:x\d+){0,2})->(\d+)")
_SIZES = re.compile(r"\d+(?:x\d+){0,2}")
_PADS = re.compile(r"(\d+|\(\d+,-?\d+\))(?:x(?:\d+|\(\d+,-?\d+\))){0,2}")


@dataclass(frozen=True, slots=True)
class Spec:
    """One convolution problem.

    Parameters
    ----------
    direction : {"forward", "grad_input", "grad_weight"}
        Which product of the convolution is computed.
    dtype : {"float32", "float64"}
    n, groups, ci, co : int
        Batch size, groups, and input and output channels in total over the groups.
    input, kernel, stride, dilation : tuple of int
        One to three entries in z, y, x order.
    padding : tuple of (int, int)
        (low, high) per axis. A high side may be negative (a transposed convolution with a large output padding).
    padding_mode : {"zeros", "reflect", "replicate", "circular", "symmetric"}
    channels_last : bool
        NWC, NHWC, NDHWC instead of NCW, NCHW, NCDHW.
    clamp : (float, float) or None
        Limits applied last; either may be infinite.
    bias, residual : bool
        Whether they are added.

    Raises
    ------
    ValueError
        If the numbers do not describe a convolution, or an array would exceed 2**62 bytes.

    Examples
    --------
    >>> spec = Spec.parse("1,64,56x56->64 3x3 p1")
    >>> spec.output, spec.flops
    ((56, 56), 231211008)
    >>> str(spec)
    '1,64,56x56->64 3x3 p1'
    """

    direction: str
    dtype: str
    n: int
    groups: int
    ci: int
    co: int
    input: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[Pair, ...]
    padding_mode: str = "zeros"
    channels_last: bool = False
    clamp: tuple[float, float] | None = None
    bias: bool = False
    residual: bool = False

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ValueError(f"direction: got {self.direction!r}, needs one of {', '.join(DIRECTIONS)}")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype: got {self.dtype!r}, needs one of {', '.join(DTYPES)}")
        rank = len(self.kernel)
        if rank not in LAYOUTS or any(
            len(axes) != rank for axes in (self.input, self.stride, self.dilation, self.padding)
        ):
            raise ValueError(
                f"kernel {self.kernel}, input {self.input}, stride {self.stride}, dilation {self.dilation} and padding "
                f"{self.padding} need the same number of entries, 1 to 3"
            )
        if min(self.kernel) < 1:
            raise ValueError(f"weight: got a kernel of size {times(self.kernel)}, needs at least 1 along every axis")
        if min(self.n, self.ci, self.co, *self.input) < 0 or min(self.groups, *self.stride, *self.dilation) < 1:
            raise ValueError(f"sizes must not be negative, groups, stride and dilation not below 1: got {self!r}")
        if self.ci % self.groups or self.co % self.groups:
            raise ValueError(f"groups: got {self.groups}, needs a divisor of the channels {self.ci} and {self.co}")
        check_padding_mode(self.padding_mode, self.input, self.padding)
        for size, kernel, dilation, pad, output in zip(
            self.input, self.kernel, self.dilation, self.padding, self.output, strict=True
        ):
            if output < 0:
                raise ValueError(
                    f"weight: a window of {extent(kernel, dilation)} (kernel {kernel}, dilation {dilation}) does not "
                    f"fit in {size} elements padded by {pad}; needs more padding, a larger x or a smaller kernel"
                )
        self._check_bytes()

    def _check_bytes(self) -> None:
        """Refuses sizes whose byte offsets leave 64 bits, before anything is allocated."""
        padded = tuple(size + sum(map(abs, pad)) for size, pad in zip(self.input, self.padding, strict=True))
        for name, shape in (
            ("x with its padding", (self.n, self.ci, *padded)),
            ("weight", (self.co, self.ci // self.groups, *self.kernel)),
            ("the output", (self.n, self.co, *self.output)),
        ):
            if math.prod(shape) * DTYPES[self.dtype] > LIMIT or max(shape) > LIMIT:
                raise ValueError(f"{name} would have shape {shape}: more than 2**62 bytes")

    @property
    def output(self) -> tuple[int, ...]:
        """Spatial sizes of the forward output."""
        return tuple(map(output_size, self.input, self.kernel, self.stride, self.dilation, self.padding))

    @property
    def depth(self) -> int:
        """Terms in the sum behind one forward output."""
        return self.ci // self.groups * math.prod(self.kernel)

    @property
    def terms(self) -> int:
        """Terms in the longest sum behind one element of what this direction computes."""
        if self.direction == "grad_weight":
            return self.n * math.prod(self.output)
        if self.direction == "grad_input":
            periods = (s // math.gcd(s, d) for s, d in zip(self.stride, self.dilation, strict=True))
            return self.co // self.groups * math.prod(-(-k // p) for k, p in zip(self.kernel, periods, strict=True))
        return self.depth

    @property
    def x_bytes(self) -> int:
        return self.n * self.ci * math.prod(self.input) * DTYPES[self.dtype]

    @property
    def weight_bytes(self) -> int:
        return self.co * self.depth * DTYPES[self.dtype]

    @property
    def y_bytes(self) -> int:
        return self.n * self.co * math.prod(self.output) * DTYPES[self.dtype]

    @property
    def bytes(self) -> int:
        """Bytes of x, weight and y together: the least any algorithm has to move."""
        return self.x_bytes + self.weight_bytes + self.y_bytes

    @property
    def flops(self) -> int:
        """Twice the multiply-adds of the definition, those on padded zeros included."""
        return 2 * self.n * self.co * math.prod(self.output) * self.depth

    @property
    def empty(self) -> bool:
        """Whether there is nothing to multiply: nothing to compute, or sums without terms."""
        return not (self.flops and math.prod(self.input))

    def unbordered(self) -> "Spec":
        """The Spec whose result, its border folded back, is this one's; most are their own.

        An input gradient under a padding mode is taken of the padded input.
        """
        if self.direction != "grad_input" or self.padding_mode == "zeros":
            return self
        padded = tuple(size + low + high for size, (low, high) in zip(self.input, self.padding, strict=True))
        return replace(self, input=padded, padding=((0, 0),) * len(padded), padding_mode="zeros")

    def bare(self) -> "Spec":
        """The Spec of the products alone: no bias, residual or limits, and no dilation of axes with a single tap."""
        dilation = tuple(d if k > 1 else 1 for d, k in zip(self.dilation, self.kernel, strict=True))
        if not (self.bias or self.residual) and self.clamp is None and dilation == self.dilation:
            return self
        return replace(self, bias=False, residual=False, clamp=None, dilation=dilation)

    @property
    def border_bytes(self) -> int:
        """Bytes of the padded gradient that has to be folded back, 0 where none is."""
        inner = self.unbordered()
        return 0 if inner is self else inner.x_bytes

    @property
    def layout(self) -> str:
        return LAYOUTS[len(self.kernel)][self.channels_last]

    def __str__(self) -> str:
        rank = len(self.kernel)
        words = ["f64"] if self.dtype == "float64" else []
        words += [self.layout.lower()] if self.channels_last else []
        words += [self.direction] if self.direction != "forward" else []
        words.append(f"{self.n},{self.ci},{times(self.input)}->{self.co}")
        words.append("k" * (rank == 1) + times(self.kernel))
        words += [f"s{times(self.stride, shorten=True)}"] if max(self.stride) > 1 else []
        words += [f"p{times(self.padding, shorten=True)}"] if any(map(any, self.padding)) else []
        words += [f"d{times(self.dilation, shorten=True)}"] if max(self.dilation) > 1 else []
        words += [f"g{self.groups}"] if self.groups > 1 else []
        words += [self.padding_mode] if self.padding_mode != "zeros" else []
        words += ["bias"] if self.bias else []
        if self.clamp is not None:
            named = [name for name, limits in ACTIVATIONS.items() if limits == self.clamp]
            words += named or [f"clamp({self.clamp[0]!r},{self.clamp[1]!r})"]
        words += ["residual"] if self.residual else []
        return " ".join(words)

    @classmethod
    def parse(cls, text: str) -> "Spec":
        """The Spec that a one-line descriptor names.

        Parameters
        ----------
        text : str
            ``batch,channels,size->channels kernel`` followed or preceded, in any order, by ``s`` stride, ``p`` padding
            (``p1``, ``p1x2``, ``p(0,1)x(2,2)``, ``psame``, ``pvalid``, ``pfull``), ``d`` dilation, ``g`` groups and the
            words f32 f64, nchw nhwc (or their 1-D and 3-D names), forward grad_input grad_weight, a padding mode, bias,
            relu, relu6, clamp(lo,hi), residual.

        Raises
        ------
        ValueError
            Naming the part that could not be read.

        Examples
        --------
        >>> Spec.parse("f64 nhwc grad_input 2,32,28x28->64 3x3 s2 p(0,1) g4 reflect").padding
        ((0, 1), (0, 1))
        """
        words = text.split()
        place = next((i for i, word in enumerate(words) if "->" in word), -1)
        problem = _PROBLEM.fullmatch(words[place]) if 0 <= place < len(words) - 1 else None
        kernel = sizes(words[place + 1].removeprefix("k")) if problem else None
        if problem is None or kernel is None:
            raise ValueError(f"spec: cannot read {text!r}; needs a line {SYNTAX}")
        n, ci, co = (int(problem[i]) for i in (1, 2, 4))
        size = sizes(problem[3]) or ()
        fields: dict[str, Any] = {"direction": "forward", "dtype": "float32", "groups": 1}
        axes: dict[str, Any] = {"s": (1,), "d": (1,), "p": 0}
        for word in words[:place] + words[place + 2 :]:
            if not _read_word(word, fields, axes):
                raise ValueError(f"spec: cannot read {word!r} in {text!r}; needs a line {SYNTAX}")
        stride, dilation = (axes[a] * (len(kernel) if len(axes[a]) == 1 else 1) for a in "sd")
        if not len(size) == len(kernel) == len(stride) == len(dilation):
            raise ValueError(f"spec: {text!r} has a different number of axes in its sizes, kernel, stride or dilation")
        if min(kernel + stride + dilation) < 1:
            raise ValueError(f"spec: {text!r} has a kernel, stride or dilation of 0, needs at least 1")
        padding = padding_pairs(axes["p"], size, kernel, stride, dilation, cropped=True)
        return cls(
            n=n, ci=ci, co=co, input=size, kernel=kernel, stride=stride, dilation=dilation, padding=padding, **fields
        )


def times(values: tuple[Any, ...], *, shorten: bool = False) -> str:
    """``3x3`` from (3, 3) or, to shorten, ``3``; an asymmetric pair reads ``(0,1)``."""
    texts = []
    for value in values:
        pair = value if isinstance(value, tuple) else (value, value)
        texts.append(str(pair[0]) if pair[0] == pair[1] else f"({pair[0]},{pair[1]})")
    return texts[0] if shorten and len(set(texts)) == 1 else "x".join(texts)


def sizes(text: str) -> tuple[int, ...] | None:
    return tuple(map(int, text.split("x"))) if _SIZES.fullmatch(text) else None


def _read_word(word: str, fields: dict[str, Any], axes: dict[str, Any]) -> bool:
    """Enters one word of a descriptor; False if it means nothing."""
    limits = re.fullmatch(r"clamp\(([^,]+),([^,]+)\)", word)
    if word in DIRECTIONS:
        fields["direction"] = word
    elif word in PADDING_MODES:
        fields["padding_mode"] = word
    elif word in ("f32", "float32", "f64", "float64"):
        fields["dtype"] = "float" + word[-2:]
    elif word.upper() in {name for pair in LAYOUTS.values() for name in pair}:
        fields["channels_last"] = word.endswith("c")
    elif word in ("bias", "residual"):
        fields[word] = True
    elif word in ACTIVATIONS:
        fields["clamp"] = ACTIVATIONS[word]
    elif limits:
        fields["clamp"] = (float(limits[1]), float(limits[2]))
    elif word[1:] in PADDING_WORDS and word[0] == "p":
        axes["p"] = word[1:]
    elif word[0] == "p" and _PADS.fullmatch(word[1:]):
        pads = (tuple(map(int, item.strip("()").split(","))) for item in word[1:].split("x"))
        axes["p"] = tuple(pad if len(pad) == 2 else pad[0] for pad in pads)
    elif word[0] in "sd" and sizes(word[1:]):
        axes[word[0]] = sizes(word[1:])
    elif word[0] == "g" and word[1:].isdigit():
        fields["groups"] = int(word[1:])
    else:
        return False
    return True
