"""One linear convolution of two NumPy arrays of any numeric type, its dtype settled by the caller.

Floats run as they are, complex numbers as real products, integers exactly, modulo 2**bits where they overflow:

    max|x| * sum|w| < 2**24, 2**53   one product in float32, in float64
    beyond                           x = sum x_i 2**(bi), w likewise: a product in float64 for each i + j that counts

It knows neither the modes nor the signatures of scipy.signal.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..config import Settings, current
from ..memory import memory
from ..original import original
from .layout import Shape, Span
from .route import Route, route

Array = npt.NDArray[Any]
SCIPY = "scipy.signal"
NARROW = {"?": 1, "b": 1 << 7, "B": 255, "h": 1 << 15, "H": 65535}  # largest absolute value by type
WIDE = 1 << 64
ROUNDER = 1.5 * 2**52
ROUNDER_BITS = np.float64(ROUNDER).view(np.int64)
SMALL = 1 << 18  # multiply-adds that take no longer than a look at the values


class Call:
    """One problem: shapes, what is kept of the full result, the border, and how exact it has to be."""

    def __init__(
        self, shape1: Shape, shape2: Shape, axes: Shape, mode: str, kept: tuple[Span, ...], accuracy: str,
        border: str = "zeros", fill: Any = 0,
    ) -> None:  # fmt: skip
        self.shape1, self.shape2, self.axes, self.mode, self.kept = shape1, shape2, axes, mode, kept
        self.accuracy, self.border, self.fill = accuracy, border, fill
        self.points = max(math.prod(shape1), math.prod(shape2))
        reads_border = any(
            start < k - 1 or start + length > n for (start, length), n, k in zip(kept, shape1, shape2, strict=True)
        )
        self.filled = border == "zeros" and fill != 0 and reads_border
        self.bordered = self.filled or border != "zeros"
        # Whether no axis is summed over, so that the result is a broadcast product.
        self.product = not any(shape2[i] > 1 and (shape1[i] > 1 or self.bordered) for i in axes)

    def route(self, dtype: str, accuracy: str, products: int = 1) -> Route:
        """How it runs in float32 or float64, as so many real products."""
        settings: Settings = current()
        return route(
            self.shape1, self.shape2, self.axes, self.kept, self.border, self.filled, dtype, products, accuracy,
            settings, _core.get_isa(), memory.generation,
        )  # fmt: skip


def compute(call: Call, in1: Array, in2: Array, dtype: np.dtype[Any]) -> Array:
    """The convolution in ``dtype``: result_type of the arrays, or that with integers taken as float64."""
    if call.product:
        product: Array = in1.astype(dtype, copy=False) * in2.astype(dtype, copy=False)
        kept: Array = product[tuple(slice(start, start + length) for start, length in call.kept)]
        return kept.copy()
    if dtype.kind == "f":
        if in1.dtype != dtype:
            in1 = in1.astype(dtype)
        if in2.dtype != dtype:
            in2 = in2.astype(dtype)
        plan = call.route(dtype.name, call.accuracy)
        return plan(in1, in2, call.fill) if plan.scipy is None else by_scipy(call, plan, in1, in2, dtype)
    if dtype.kind == "c":
        real = np.dtype(f"f{dtype.itemsize // 2}")
        plan = call.route(real.name, call.accuracy, 4 if in1.dtype.kind == in2.dtype.kind else 2)
        in1, in2 = (x.astype(dtype if x.dtype.kind == "c" else real, copy=False) for x in (in1, in2))
        return plan.complex(in1, in2, dtype, call.fill) if plan.scipy is None else by_scipy(call, plan, in1, in2, dtype)
    return integers(call, in1, in2, dtype)


def by_scipy(call: Call, plan: Route, in1: Array, in2: Array, dtype: np.dtype[Any]) -> Array:
    """The same by SciPy's FFT; a NaN or an infinity, which it spreads, is contained by doing it ourselves after all."""
    assert plan.scipy is not None
    with np.errstate(all="ignore"):
        function = original(SCIPY, plan.scipy, "its FFT is predicted to be faster")
        result: Array = function(in1, in2, call.mode, axes=call.axes)
    if all_finite(result):
        return result.astype(dtype, copy=False)
    return plan(in1, in2, call.fill) if dtype.kind == "f" else plan.complex(in1, in2, dtype, call.fill)


def all_finite(array: Array) -> bool:
    """Whether nothing is NaN or infinite; the sum, which is quick, tells unless it overflows."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(array.sum()) or np.isfinite(array).all())


def largest(array: Array) -> int:
    """Largest absolute value of an integer array."""
    return 1 if array.dtype.kind == "b" else max(int(array.max()), -int(array.min()))


def integers(call: Call, in1: Array, in2: Array, dtype: np.dtype[Any]) -> Array:
    """The exact convolution of integers, wrapped into ``dtype`` as SciPy's direct method wraps it."""
    taps = zip(call.shape1, call.shape2, strict=True)
    terms = math.prod(k if call.bordered else min(n, k) for i, (n, k) in enumerate(taps) if i in call.axes)
    fill = abs(call.fill) if call.filled else 0
    sizes = max(NARROW.get(in1.dtype.char, WIDE), fill), NARROW.get(in2.dtype.char, WIDE)
    bound = sizes[0] * sizes[1] * terms
    if bound >= 1 << 24 and (bound >= 1 << 53 or call.points * terms > SMALL):  # worth a look at the values
        sizes = max(largest(in1), fill), largest(in2)
        bound = sizes[0] * sizes[1] * terms
        swap = in2.size > in1.size and not call.bordered
        kernel, size = (in1, sizes[1]) if swap else (in2, sizes[0])
        if bound >= 1 << 24 and kernel.size <= call.points // 8 + 64:
            bound = min(bound, math.ceil(size * float(np.abs(kernel.astype(np.float64)).sum()) * (1 + 1e-9)))
        if bound >= 1 << 53:
            return in_pieces(call, in1, in2, dtype, sizes, terms)
    plan = call.route("float32" if bound < 1 << 24 else "float64", "strict")
    if call.accuracy == "default" and plan.seconds > 50e-6 and not call.bordered:
        fast = call.route("float64", "default")
        if 2 * fast.seconds < plan.seconds and not fast.exact:  # float64 makes more passes over memory
            # An FFT of N points errs by a small multiple of eps log2(N) |x| |w|; below a half, rounding mends it.
            norms = sizes[0] * math.sqrt(in1.size) * sizes[1] * math.sqrt(in2.size)
            if 8 * 2.0**-53 * math.log2(in1.size + in2.size) * norms < 0.25:
                x, w = in1.astype(np.float64), in2.astype(np.float64)
                y = fast(x, w) if fast.scipy is None else by_scipy(call, fast, x, w, x.dtype)
                return whole(y, bound, dtype)
    return whole(plan(in1.astype(plan.dtype), in2.astype(plan.dtype), call.fill), bound, dtype)


def whole(values: Array, bound: int, dtype: np.dtype[Any]) -> Array:
    """Fresh floats nearest to whole numbers of at most ``bound``, as integers modulo 2**bits; overwrites the floats.

    After 1.5 * 2**52 is added, the low bits of a float64 are the whole number: one pass, no array in between.
    """
    if values.dtype == np.float32:
        return values.astype(np.int32).astype(dtype, copy=False)
    if bound >= 1 << 50:
        return np.rint(values, out=values).astype(np.int64).astype(dtype, copy=False)
    values += ROUNDER
    bits = values.view(np.int64)
    if dtype.itemsize < 8:
        return bits.astype(dtype)
    bits -= ROUNDER_BITS
    return bits.view(dtype)


def in_pieces(call: Call, in1: Array, in2: Array, dtype: np.dtype[Any], sizes: tuple[int, int], terms: int) -> Array:
    """Integers too large for one product in float64: cut into pieces of b bits, whose products are exact.

    The piece of weight 2**(b s) of the result is the sum over i + j = s; those beyond the result's bits vanish.
    """
    bits, wanted = 26, 8 * dtype.itemsize
    while terms << (2 * bits) >= 1 << 53:
        bits -= 1
    if bits < 1:
        raise OverflowError("too many terms")
    plan = call.route("float64", "strict")
    pieces1, pieces2 = (pieces(x, size, bits) for x, size in ((in1, sizes[0]), (in2, sizes[1])))
    fills = pieces(np.asarray(call.fill, np.int64), abs(int(call.fill)), bits) if call.filled else []
    result: Any = 0
    for i, x in enumerate(pieces1):
        fill = fills[i] if i < len(fills) else 0
        for j, w in enumerate(pieces2):
            if bits * (i + j) < wanted:
                product = plan(x, w, fill).astype(np.int64).view(np.uint64)
                result = result + (product << np.uint64(bits * (i + j)))
    final: Array = result.astype(dtype)
    return final


def pieces(array: Array, size: int, bits: int) -> list[Array]:
    """Digits in base 2**bits, the last one with the sign, as float64 arrays."""
    signed = array.astype(np.int64) if array.dtype != np.uint64 else array
    count = max(1, -(-(size.bit_length()) // bits))
    digits = []
    for i in range(count):
        digit = signed >> np.array(bits * i, signed.dtype)
        if i < count - 1:
            digit = digit & np.array((1 << bits) - 1, signed.dtype)
        digits.append(digit.astype(np.float64))
    return digits
