"""Arrays as _core wants them: float32 or float64 in native byte order, aligned, strides whole elements.

Other arrays are copied where that changes no value and refused with a cure where it would.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from .problem import Shape, dtype_name

may_share_memory = np.may_share_memory
FloatArray = npt.NDArray[np.floating[Any]]


def is_array(value: Any) -> bool:
    """Whether a value has a dtype of its own, unlike nested lists of Python numbers."""
    return hasattr(value, "dtype") or hasattr(value, "__array__") or hasattr(value, "__array_interface__")


def as_array(value: Any, name: str, dtype: np.dtype[Any] | None = None) -> FloatArray:
    """A plain float array: arrays as they are, lists of numbers as ``dtype`` (by default float64).

    Raises
    ------
    TypeError
        For masked arrays, dtypes other than float32 and float64, and lists of anything but numbers.
    ValueError
        For ragged lists.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name}: got a masked array, whose mask would be lost; use {name}.filled(value)")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: got lists of uneven lengths, needs a regular array ({error})") from None
    if is_array(value):
        dtype_name(array.dtype, name)
        return array
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: got {type(value).__name__} of dtype {array.dtype}, needs real numbers")
    return array.astype(dtype or np.float64)


def as_arrays(*named: tuple[Any, str]) -> list[FloatArray]:
    """Several operands; lists take the dtype of the first that is an array."""
    if all(type(value) is np.ndarray for value, _ in named):
        return [value for value, _ in named]
    dtypes = [np.asarray(value).dtype for value, _ in named if is_array(value)]
    dtype = next((d.newbyteorder("=") for d in dtypes if d.kind == "f" and d.itemsize in (4, 8)), None)
    return [as_array(value, name, dtype) for value, name in named]


def operand(value: Any, name: str, shape: Shape, dtype: np.dtype[Any]) -> FloatArray:
    """``value`` checked against what a plan needs, copied only where its memory is not fit to be read in place."""
    array = as_array(value, name, dtype)
    if array.dtype != dtype:
        native = array.dtype.newbyteorder("=")
        if native != dtype:
            raise TypeError(
                f"{name}: got dtype {native}, needs {dtype} as the other arrays; use {name}.astype(numpy.{dtype})"
            )
        array = array.astype(dtype)
    if array.shape != shape:
        raise ValueError(f"{name}: got shape {array.shape}, needs {shape}")
    return array if readable(array) else array.copy()


def readable(array: FloatArray) -> bool:
    """Whether _core can address the array in whole elements."""
    return array.flags.aligned and not any(stride % array.itemsize for stride in array.strides)


def check_out(out: Any, shape: Shape, dtype: np.dtype[Any]) -> FloatArray:
    """``out`` itself, or an error that says why it cannot take the result."""
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"out: got {type(out).__name__}, needs a NumPy array of shape {shape} and dtype {dtype}")
    if out.dtype.newbyteorder("=") != dtype:
        raise TypeError(f"out: got dtype {out.dtype}, needs {dtype}")
    if out.shape != shape:
        raise ValueError(f"out: got shape {out.shape}, needs {shape}")
    if not out.flags.writeable:
        raise ValueError("out: got a read-only array, needs one that can be written")
    if any(stride == 0 and size > 1 for stride, size in zip(out.strides, out.shape, strict=True)):
        raise ValueError(f"out: got strides {out.strides}, needs memory of its own for each element")
    return out


def apart(out: Any, *operands: Any) -> bool:
    """Whether ``out`` plainly can be written in place: contiguous and clear of the operands that are arrays."""
    return (
        type(out) is np.ndarray
        and out.flags.c_contiguous
        and not any(item is not None and may_share_memory(out, item) for item in operands)
    )


def can_write(out: FloatArray, dtype: np.dtype[Any], *operands: FloatArray | None) -> bool:
    """Whether _core may write ``out`` in place: fit to address and sharing no operand's memory."""
    overlaps = any(item is not None and may_share_memory(out, item) for item in operands)
    return out.dtype == dtype and readable(out) and not overlaps
