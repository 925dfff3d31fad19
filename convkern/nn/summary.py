"""A model as a table: for each layer its output shape, parameters, multiply-adds and receptive field.

The receptive field r and the distance j of neighbouring outputs, in input elements, follow from layer to layer as
r' = r + (kernel extent - 1) * j and j' = j * stride (Araujo et al. 2019); of branches the largest counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .branches import Siamese
from .combine import Combinator, Sequential
from .layer import Layer


@dataclass(frozen=True)
class Row:
    """A line of a summary; ``field`` is None where a layer has no spatial axes to see."""

    path: str
    kind: str
    output: Any
    parameters: int
    multiply_adds: int
    field: tuple[float, ...] | None


class Summary:
    """What ``model.summary(input_shape)`` returns; prints as a table.

    Parameters
    ----------
    model : Layer
    input_shape : tuple of int
        With the batch; of a Siamese model a tuple of shapes.

    Attributes
    ----------
    rows : list of Row
        Layers without layers inside them.
    parameters, multiply_adds : int
        Of the whole model, for the whole batch.
    output_shape : tuple of int

    Raises
    ------
    ValueError
        Naming the layer whose input does not fit.

    Examples
    --------
    >>> from convkern import nn
    >>> print(nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.Flatten(), nn.Dense(3456, 10)).summary((1, 1, 28, 28)))
    layer  kind     output           parameters  multiply-adds  receptive field
    0      Conv2d   1 x 6 x 24 x 24         156         86,400              5x5
    1      ReLU     1 x 6 x 24 x 24           0              0              5x5
    2      Flatten  1 x 3456                  0              0              5x5
    3      Dense    1 x 10               34,570         34,560              all
    total                                34,726        120,960
    """

    def __init__(self, model: Layer, input_shape: Any) -> None:
        self.model, self.input_shape = model, input_shape
        self.output_shape = model.output_shape(input_shape)
        first = input_shape[0] if isinstance(input_shape[0], tuple) else input_shape
        rank = max(len(first) - 2, 0)
        self.rows: list[Row] = []
        self._visit("", model, input_shape, (1,) * rank, (1.0,) * rank)
        self.parameters = sum(row.parameters for row in self.rows)
        self.multiply_adds = model.multiply_adds(input_shape)

    def _visit(self, path: str, layer: Layer, shape: Any, size: Any, jump: Any) -> None:
        if not isinstance(layer, Combinator):
            count = sum(getattr(layer, name).size for name in layer.parameter_names if getattr(layer, name) is not None)
            field = layer.receptive(size, jump)[0]
            output, cost = layer.output_shape(shape), layer.multiply_adds(shape)
            self.rows.append(Row(path or "-", type(layer).__name__, output, count, cost, field or None))
            return
        for name, inner in layer.layers.items():
            where = f"{path}.{name}" if path else name
            if isinstance(layer, Siamese):
                shape = tuple(shape[0])
            self._visit(where, inner, shape, size, jump)
            if isinstance(layer, Sequential):
                shape = inner.output_shape(shape)
                size, jump = inner.receptive(size, jump)

    def __str__(self) -> str:
        lines = [("layer", "kind", "output", "parameters", "multiply-adds", "receptive field")]
        for row in self.rows:
            output = " x ".join(map(str, row.output))
            cells = (row.path, row.kind, output, f"{row.parameters:,}", f"{row.multiply_adds:,}", spelled(row.field))
            lines.append(cells)
        lines.append(("total", "", "", f"{self.parameters:,}", f"{self.multiply_adds:,}", ""))
        widths = [max(len(line[i]) for line in lines) for i in range(6)]
        return "\n".join(
            "  ".join(
                c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    __repr__ = __str__


def spelled(field: tuple[float, ...] | None) -> str:
    if field is None:
        return ""
    return "all" if all(map(math.isinf, field)) else "x".join("all" if math.isinf(n) else str(n) for n in field)
