"""The one path that all pooling takes.

y[n, c, o] = op over k of x[n, c, o*stride + k*dilation - padding]

arrays -> prepared windows (windows.py) -> _core.Pool
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import FloatArray, as_array, can_write, check_out, readable
from .config import current
from .problem import Shape, dtype_name
from .windows import Prepared, prepared

NATIVE = {np.dtype(np.float32): "float32", np.dtype(np.float64): "float64"}


def checked(x: npt.ArrayLike, name: str) -> tuple[FloatArray, str]:
    """(the array, the name of its dtype); arrays as they should be pass quickly."""
    if type(x) is np.ndarray:
        dtype = NATIVE.get(x.dtype)
        if dtype is not None:
            return x, dtype
    array = as_array(x, name)
    return array, dtype_name(array.dtype, name)


def usable(x: FloatArray, channels_last: bool) -> FloatArray:
    """A batch itself where vectors can run along its channels or its last spatial axis, else a copy."""
    flags = x.flags
    if flags.c_contiguous and flags.aligned and x.dtype.isnative:
        return x
    x = x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))
    along = (x.strides[-1], x.strides[-2 if channels_last else 1])
    return x if readable(x) and x.itemsize in along else np.array(x, order="C")


def apply(prepared_pool: Prepared, x: FloatArray, result: Shape, indices: bool, out: FloatArray | None) -> Any:
    """Pools a checked array; ``result`` is the shape the caller sees."""
    pooling, pool = prepared_pool
    isa = current().isa or _core.get_isa()
    batch = usable(x if pooling.batched else x[None], pooling.channels_last)
    if out is None and not indices:
        y = pool.run(batch, None, None, isa)
        return y if pooling.batched else y[0]
    dtype = batch.dtype
    if out is not None:
        check_out(out, result, dtype)
        if not indices and can_write(out, dtype, x):
            try:
                pool.run(batch, out if pooling.batched else out[None], None, isa)
                return out
            except ValueError:
                pass  # its memory order is not x's: through a copy
    if not indices:
        y = pool.run(batch, None, None, isa)
        found = None
    else:
        if dtype.itemsize == 4 and math.prod(int(axis.size) for axis in pooling.axes) >= 2**31:
            raise ValueError("return_indices: needs planes of fewer than 2**31 elements in float32")
        y = pool.allocate(batch)
        found = np.empty_like(y, np.int64)
        pool.run(batch, y, found, isa)
        found = found if pooling.batched else found[0]
    y = y if pooling.batched else y[0]
    if out is not None:
        out[...] = y
        y = out
    return y if found is None else (y, found)


def extreme(
    op: str,
    rank: int,
    x: npt.ArrayLike,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
    layout: str | None,
    out: FloatArray | None,
) -> Any:
    array, dtype = checked(x, "x")
    plan = prepared(
        op, dtype, 1.0, False, "regular",
        rank, array.shape, kernel_size, stride, padding, dilation, bool(ceil_mode), True, layout,
    )  # fmt: skip
    return apply(plan, array, plan[0].result, return_indices, out)


def read_divisor(divisor_override: Any) -> float:
    """The divisor of every sum, 0 for that of its window."""
    if divisor_override is None:
        return 0.0
    if divisor_override == 0:
        raise ValueError("divisor_override: got 0, needs another number")
    return float(divisor_override)


def average(
    rank: int,
    x: npt.ArrayLike,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: Any,
    layout: str | None,
    out: FloatArray | None,
) -> FloatArray:
    array, dtype = checked(x, "x")
    plan = prepared(
        "add", dtype, read_divisor(divisor_override), False, "regular",
        rank, array.shape, kernel_size, stride, padding, 1, bool(ceil_mode), bool(count_include_pad), layout,
    )  # fmt: skip
    result: FloatArray = apply(plan, array, plan[0].result, False, out)
    return result
