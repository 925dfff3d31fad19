"""plan() and explain(): the same arguments as a call, for a shape instead of an array."""

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import as_array
from .call import Activation, IntOrTuple, Padding
from .config import check_choice, current
from .dispatch import Explanation, explain_spec
from .plan import Plan, make_plan
from .problem import KINDS, Kind, Problem, Shape, describe, kernel_axes, read_shape


def plan(
    x_shape: tuple[int, ...],
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    output_padding: IntOrTuple = 0,
    padding_mode: str = "zeros",
    layout: str | None = None,
    activation: Activation = None,
    residual: bool = False,
    direction: str = "forward",
    algorithm: str = "auto",
    accuracy: str = "default",
) -> Plan:
    """A convolution prepared for inputs of one shape: the algorithm chosen, the weights packed once.

    Parameters
    ----------
    x_shape : tuple of int
        Shape of the convolution's x, in its layout, with or without a batch; for "transposed" that of what the plan
        takes.
    weight : array_like
        As the function of this direction takes it; its number of kernel axes, 1 to 3, is that of the convolution. Its
        dtype is the plan's. For "grad_weight" only its shape and dtype count.
    bias : array_like, optional
        Packed with the weight; not for gradients.
    stride, padding, dilation, groups, padding_mode, layout, activation, algorithm, accuracy
        As for :func:`conv2d`.
    output_padding : int or tuple of int
        As for :func:`conv_transpose2d`, for "transposed" only. Default 0.
    residual : bool
        Whether calls will pass a residual; counted in predictions, any call may pass one.
    direction : {"forward", "transposed", "grad_input", "grad_weight"}
        What the plan computes: ``plan(x)`` for the first two, ``plan(grad)`` for "grad_input" and
        ``plan(x, grad=grad)`` for "grad_weight".

    Returns
    -------
    Plan

    Raises
    ------
    ValueError, TypeError
        As :func:`conv2d`; also if the algorithm does not support the problem, with its reason.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x, w = np.ones((1, 3, 32, 32), np.float32), np.ones((8, 3, 3, 3), np.float32)
    >>> layer = convkern.plan(x.shape, w, padding=1)
    >>> layer.spec.flops, layer(x).shape
    (442368, (1, 8, 32, 32))
    >>> backward = convkern.plan(x.shape, w, padding=1, direction="grad_input")
    >>> backward(layer(x)).shape
    (1, 3, 32, 32)
    """
    array = as_array(weight, "weight")
    kind = read_kind(direction)
    if kind in ("grad_input", "grad_weight"):
        given = {"bias": bias, "activation": activation, "residual": residual or None}
        for name, value in given.items():
            if value is not None:
                raise ValueError(f"{name}: got a value, a plan of direction {direction!r} takes none")
    problem = read_problem(
        kind, x_shape, array.shape, array.dtype, stride, padding, output_padding, dilation, groups, padding_mode,
        layout, activation, bias is not None, bool(residual),
    )  # fmt: skip
    settings = current().merged(algorithm, accuracy, _core.get_isa())
    return make_plan(problem, settings, array, bias)


def explain(
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    bias: bool = False,
    stride: IntOrTuple = 1,
    padding: Padding = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    *,
    output_padding: IntOrTuple = 0,
    padding_mode: str = "zeros",
    layout: str | None = None,
    activation: Activation = None,
    residual: bool = False,
    direction: str = "forward",
    algorithm: str = "auto",
    accuracy: str = "default",
    dtype: npt.DTypeLike = np.float32,
    planned: bool = False,
) -> Explanation:
    """Which algorithm a call would use, and why.

    Parameters
    ----------
    x_shape, weight_shape : tuple of int
        Shapes of the arrays, as :func:`plan` takes them.
    bias, residual : bool
        Whether the call adds them.
    stride, padding, dilation, groups, output_padding, padding_mode, layout, activation, algorithm, accuracy, direction
        As for :func:`plan`.
    dtype : data-type
        float32 (default) or float64.
    planned : bool
        Whether the weights are packed already, as in a plan. Default False.

    Returns
    -------
    Explanation
        Prints as a table: for each algorithm why it cannot be used, or the predicted time, the workspace, the error
        relative to max(abs(result)), and the choice.

    Raises
    ------
    ValueError, TypeError
        As :func:`conv2d`.

    Examples
    --------
    >>> import convkern
    >>> table = convkern.explain((1, 64, 56, 56), (64, 64, 3, 3), padding=1)
    >>> str(table.spec)
    '1,64,56x56->64 3x3 p1'
    >>> [row.algorithm for row in table.rows][-1]
    'reference'
    """
    shape = read_shape(weight_shape, "weight_shape")
    problem = read_problem(
        read_kind(direction), x_shape, shape, dtype, stride, padding, output_padding, dilation, groups, padding_mode,
        layout, activation, bias is not None and bias is not False, bool(residual),
    )  # fmt: skip
    settings = current().merged(algorithm, accuracy, _core.get_isa())
    return explain_spec(problem.spec, settings, planned=planned)


def read_kind(direction: Any) -> Kind:
    check_choice("direction", direction, KINDS)
    kind: Kind = direction
    return kind


def read_problem(kind: Kind, x_shape: Any, weight_shape: Shape, dtype: npt.DTypeLike, *rest: Any) -> Problem:
    """describe() for shapes that a caller wrote."""
    rank = kernel_axes(weight_shape, "weight")
    return describe(kind, rank, read_shape(x_shape, "x_shape"), dtype, weight_shape, *rest, name="x_shape")
