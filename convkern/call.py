"""The one path every one-shot function takes.

    arrays -> key -> prepared call (plan.lookup) -> _core

A call on small arrays spends its time here, so the way that needs no care comes first; whatever is unusual (lists,
byte orders, strides, out, residual, errors) takes Prepared.run, which checks everything again and says what is wrong.
"""

from typing import Any

import numpy as np

from . import _core
from .arrays import FloatArray, apart, as_arrays
from .config import current
from .memory import memory
from .padding import frozen
from .plan import lookup
from .problem import Kind, Shape, operand_names

IntOrTuple = int | tuple[int, ...]
Padding = int | str | tuple[int | tuple[int, int], ...]
Activation = str | tuple[float | None, float | None] | None


def call(
    kind: Kind,
    rank: int,
    image: Any,
    weight: Any,
    bias: Any,
    x_shape: Shape | None,
    weight_shape: Shape | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: Any,
    padding_mode: str,
    layout: str | None,
    activation: Any,
    residual: Any,
    algorithm: str,
    accuracy: str,
    out: Any,
) -> FloatArray:
    """Every convolution; ``image`` and ``weight`` as Problem names them, shapes where they are not these arrays'."""
    if type(image) is not np.ndarray or type(weight) is not np.ndarray:
        names = operand_names(kind)
        image, weight = as_arrays((image, names[0]), (weight, names[1]))
    if type(stride) is not int:
        stride = frozen(stride, "stride")
    if type(padding) is not int:
        padding = frozen(padding, "padding")
    if type(dilation) is not int:
        dilation = frozen(dilation, "dilation")
    if type(groups) is not int:
        groups = frozen(groups, "groups")
    if type(output_padding) is not int:
        output_padding = frozen(output_padding, "output_padding")
    if type(activation) is list:
        activation = tuple(activation)
    key: Any = (
        kind,
        rank,
        image.shape if x_shape is None else x_shape,
        image.dtype,
        weight.shape if weight_shape is None else weight_shape,
        stride,
        padding,
        output_padding,
        dilation,
        groups,
        padding_mode,
        layout,
        activation,
        algorithm,
        accuracy,
        _core.get_isa(),
        current(),
        memory.generation,
    )
    try:
        prepared = lookup(*key)
    except TypeError:  # an argument that cannot be hashed: name it
        prepared = lookup.__wrapped__(*key)
    if (
        prepared.fast is not None
        and (bias is None or type(bias) is np.ndarray)
        and (residual is None or type(residual) is np.ndarray)
        and (out is None or apart(out, image, weight, bias, residual))
    ):
        try:
            return prepared.fast(image, weight, bias, residual, out)
        except (TypeError, ValueError):
            pass  # copied or said again below, naming what is needed
    return prepared.run(image, weight, bias, residual, out)
