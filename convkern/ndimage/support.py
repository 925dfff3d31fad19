"""What every filter of convkern.ndimage shares: SciPy's argument conventions, the output, and the way back to SciPy.

A function here computes what it knows and raises Handover for everything else, bad input included; the decorator then
calls SciPy's own function with the same arguments, so that results and errors are SciPy's.
"""

import functools
import inspect
import operator
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

import numpy as np

from .. import _core
from ..original import original

Array = np.ndarray[Any, Any]
Function = TypeVar("Function", bound=Callable[..., Any])

# Numbers of csrc/algo/lines.h. For filters, SciPy's grid modes are the plain ones.
MODES = {
    "nearest": 0,
    "wrap": 1,
    "grid-wrap": 1,
    "reflect": 2,
    "grid-mirror": 2,
    "mirror": 3,
    "constant": 4,
    "grid-constant": 4,
}
CONSTANT = MODES["constant"]
FLOAT32, FLOAT64 = (cast(int, _core.line_type(np.dtype(name))) for name in ("float32", "float64"))

PARAMETERS = {
    "input": """input : array_like
        The array, of any number of dimensions and any strides.""",
    "output": """output : array or dtype, optional
        Where the result goes, an array of the shape of `input` (also `input` itself), or its dtype. Default: a new
        array of the dtype of `input`.""",
    "mode": """mode : {"reflect", "constant", "nearest", "mirror", "wrap", "grid-mirror", "grid-constant", "grid-wrap"}
        What lies beyond the border. Default "reflect", d c b a | a b c d | d c b a.""",
    "modes": """mode : str or sequence of str
        What lies beyond the border, for all axes or one for each: "reflect" (default), "constant", "nearest",
        "mirror", "wrap", or the grid- forms.""",
    "cval": """cval : scalar, optional
        The value beyond the border in the mode "constant". Default 0.""",
    "origin": """origin : int, optional
        Moves the window against the output; 0, the default, centres it. A positive origin moves it to the left.""",
    "origins": """origin : int or sequence of int, optional
        Moves the window against the output, on all axes or each; 0, the default, centres it.""",
    "axis": """axis : int, optional
        The axis to filter along. Default the last.""",
    "axes": """axes : int, tuple of int or None, optional
        The axes to filter over. Default all.""",
    "window": """size : int or sequence of int, optional
        Extent of a full window, on all axes or each. Needed where there is no other description of the window.
    footprint : array_like of bool, optional
        The window itself, where it is not full.""",
    "structure": """structure : array_like, optional
        Heights that are added (dilation) or subtracted (erosion); with it the window is no longer flat.""",
    "result": """Returns
    -------
    array
        Of the shape of `input`.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        What SciPy raises for the same arguments.""",
}


class Handover(Exception):  # noqa: N818  (no error: it asks for SciPy's own function)
    """Raised where a call is one for SciPy's own function; the argument is the reason."""


INVALID = "invalid input"


def drop_in(function: Function) -> Function:
    """Hand a call to SciPy's function of the same name where `function` raises Handover; fill in its docstring."""
    name = function.__name__

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Handover as given:
            reason = str(given)
        return original("scipy.ndimage", name, reason)(*args, **kwargs)

    document = inspect.getdoc(function)
    if document:
        call.__doc__ = document
        for key, text in PARAMETERS.items():
            call.__doc__ = call.__doc__.replace("{" + key + "}", inspect.cleandoc(text))
    return cast(Function, call)


def as_input(value: Any) -> Array:
    """The array to filter, of a dtype that the kernels read, or complex."""
    if not isinstance(value, np.ndarray | list | tuple | int | float | complex | np.generic):
        raise Handover("not a NumPy array")
    try:
        array = np.asarray(value)
    except ValueError:
        raise Handover(INVALID) from None
    if array.ndim == 0:
        raise Handover("zero dimensions")
    if array.dtype.kind == "c":
        if array.dtype.itemsize > 16:
            raise Handover(f"dtype {array.dtype}")
    else:
        line_type(array.dtype)
    return array


def line_type(dtype: np.dtype[Any]) -> int:
    """The kernels' number of a dtype, in native byte order."""
    found = _core.line_type(dtype.newbyteorder("="))
    if found is None:
        raise Handover(f"dtype {dtype}")
    return found


def native(array: Array) -> Array:
    """The array itself, or a copy the kernels can read."""
    if array.dtype.isnative and array.flags.aligned:
        return array
    return array.astype(array.dtype.newbyteorder("="))


def as_output(output: Any, array: Array, *, complex_result: bool = False) -> Array:
    """The result's array: `output` itself, or a new one."""
    if isinstance(output, np.ndarray):
        if output.shape != array.shape or not output.flags.writeable or (complex_result and output.dtype.kind != "c"):
            raise Handover(INVALID)
        result = output
    else:
        if output is None:
            dtype = np.promote_types(array.dtype, np.complex64) if complex_result else np.dtype(array.dtype.name)
        elif isinstance(output, type | np.dtype | str):
            try:
                dtype = np.dtype(output)
            except TypeError:
                raise Handover(INVALID) from None
            if (isinstance(output, str) and not issubclass(dtype.type, np.number)) or (
                complex_result and dtype.kind != "c"
            ):
                raise Handover("complex result, real output")
        else:
            raise Handover(INVALID)
        result = np.empty(array.shape, dtype)
    if not complex_result:
        line_type(result.dtype)
    elif result.dtype.itemsize > 16:
        raise Handover(f"dtype {result.dtype}")
    return result


def workplace(result: Array, *inputs: Array) -> Array:
    """The result itself if the kernels can write into it while they read the inputs, else an array that they can."""
    if (
        result.flags.c_contiguous
        and result.flags.aligned
        and result.dtype.isnative
        and not any(np.may_share_memory(result, other) for other in inputs)
    ):
        return result
    return np.empty(result.shape, result.dtype.newbyteorder("="))


def finish(work: Array, result: Array) -> Array:
    """Copy what was computed apart to where it belongs."""
    if work is not result:
        result[...] = work
    return result


def integer(value: Any) -> int:
    """A whole number, as operator.index takes it."""
    try:
        return operator.index(value)
    except TypeError:
        raise Handover(INVALID) from None


def real(value: Any) -> float:
    """A real number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise Handover(INVALID) from None


def parts(value: Any) -> tuple[float, float]:
    """Real and imaginary part of a number."""
    try:
        number = complex(value)
    except (TypeError, ValueError):
        raise Handover(INVALID) from None
    return number.real, number.imag


def mode_number(mode: Any) -> int:
    """The kernels' number of a mode."""
    found = MODES.get(mode) if isinstance(mode, str) else None
    if found is None:
        raise Handover(INVALID)
    return found


def as_axis(axis: Any, dims: int) -> int:
    """One axis, counted from the front."""
    number = integer(axis)
    if not -dims <= number < dims:
        raise Handover(INVALID)
    return number % dims


def as_axes(axes: Any, dims: int) -> tuple[int, ...]:
    """Axes counted from the front, each once."""
    if axes is None:
        return tuple(range(dims))
    if np.isscalar(axes):
        axes = (axes,)
    if not isinstance(axes, Iterable):
        raise Handover(INVALID)
    numbers = tuple(as_axis(axis, dims) for axis in axes)
    if len(set(numbers)) != len(numbers):
        raise Handover(INVALID)
    return numbers


def per_axis(value: Any, count: int) -> list[Any]:
    """One value for each of `count` axes."""
    if isinstance(value, str) or not np.iterable(value):
        return [value] * count
    values = list(value)
    if len(values) != count:
        raise Handover(INVALID)
    return values


def window_start(size: int, origin: Any) -> int:
    """How many elements of a window of `size` lie before the output."""
    before = size // 2 + integer(origin)
    if not 0 <= before < size:
        raise Handover(INVALID)
    return before


def representable(value: float, dtype: np.dtype[Any]) -> bool:
    """Whether a float is a value of `dtype`."""
    if dtype.kind == "f":
        return not np.isnan(value)
    if dtype.kind == "b":
        return value in (0.0, 1.0)
    info = np.iinfo(dtype)
    return value.is_integer() and info.min <= value <= info.max
