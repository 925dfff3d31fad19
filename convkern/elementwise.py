"""The one path of functions of single elements, compiled and threaded, in place by ``out=``.

y = f(x),   dx = grad f'(x)
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import FloatArray, as_array, as_arrays, check_out, operand, readable
from .config import current

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def permutation(array: FloatArray) -> tuple[int, ...]:
    """The axes from the slowest in memory to the fastest."""
    return tuple(sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis])))


def dense(array: FloatArray) -> FloatArray:
    """The array itself where its elements lie in memory without gaps and can be read, else a copy in C order."""
    native = array.dtype.isnative and readable(array)
    if native and (array.flags.c_contiguous or array.transpose(permutation(array)).flags.c_contiguous):
        return array
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def in_order_of(array: FloatArray, like: FloatArray) -> FloatArray:
    """``array`` in the memory order of ``like``, itself where it is so already."""
    if array.strides == like.strides and array.dtype == like.dtype and readable(array):
        return array
    same = np.empty_like(like)
    same[...] = array
    return same


def destination(out: FloatArray | None, like: FloatArray, *operands: FloatArray | None) -> FloatArray:
    """Where the core may write: ``out``, if it lies in memory as ``like`` does and shares at most whole operands."""
    if out is not None:
        check_out(out, like.shape, like.dtype)
        whole = all(
            item is None
            or not np.may_share_memory(out, item)
            or (
                out.__array_interface__["data"][0] == item.__array_interface__["data"][0]
                and out.strides == item.strides
            )
            for item in operands
        )
        if whole and out.strides == like.strides and out.dtype == like.dtype and readable(out):
            return out
    return np.empty_like(like)


def delivered(result: FloatArray, out: FloatArray | None) -> FloatArray:
    if out is None or result is out:
        return result
    out[...] = result
    return out


def isa() -> str:
    return current().isa or _core.get_isa()


def unary(
    op: str,
    a: float,
    b: float,
    source: npt.ArrayLike,
    grad: npt.ArrayLike | None,
    out: FloatArray | None,
    name: str = "x",
) -> FloatArray:
    """f(source), or grad f'(source)."""
    done = _core.unary_plain(op, source, grad, out, float(a), float(b), isa())
    if done is not None:
        result: FloatArray = done
        return result
    gradient: FloatArray | None = None
    if grad is None:
        array = as_array(source, name)
    else:
        given, array = as_arrays((grad, "grad"), (source, name))
        array = as_array(array, name)
        gradient = operand(given, "grad", array.shape, array.dtype.newbyteorder("="))
    array = dense(array)
    if gradient is not None:
        gradient = in_order_of(gradient, array)
    result = destination(out, array, array, gradient)
    _core.unary(op, array, gradient, result, float(a), float(b), isa())
    return delivered(result, out)


def power(x: FloatArray, p: float, out: FloatArray | None = None) -> FloatArray:
    """x^p of an array; of a negative x where p is a whole number, else NaN. ``out`` may be x."""
    array = dense(x)
    result = destination(out, array, array)
    _core.power(array, result, p, isa())
    return delivered(result, out)


def gelu_kind(approximate: str) -> str:
    if approximate not in ("none", "tanh"):
        raise ValueError(f"approximate: got {approximate!r}, needs 'none' or 'tanh'")
    return "gelu" if approximate == "none" else "gelu_tanh"


def positive(name: str, value: Any) -> float:
    if not value > 0:
        raise ValueError(f"{name}: got {value!r}, needs a number above 0")
    return float(value)
