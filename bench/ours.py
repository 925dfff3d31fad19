"""convkern's own contestants: plan and call in both layouts, and each algorithm by name when asked.

A plan writes into an array it is handed, as the peers with prepared weights do; a call allocates its result, as
PyTorch's does.  Weights are packed before the clock starts for plans and inside it for calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

import convkern
from convkern.algorithms import ALGORITHMS
from convkern.dispatch import explain_spec
from convkern.spec import Spec

from .case import Array, Case, Contestant, SkipError, aligned, first, last

LAYOUTS = {False: "NCHW", True: "NHWC"}


def _settings(case: Case, channels_last: bool) -> dict[str, Any]:
    """Return the arguments a user would write: those that are not the defaults, an integer where one says it all."""
    s = case.spec
    if s.residual:
        raise SkipError("residuals are not raced")
    symmetric = tuple(lo for lo, hi in s.padding if lo == hi)
    chosen: dict[str, Any] = {}
    for name, values, default in (
        ("stride", s.stride, 1),
        ("padding", symmetric if len(symmetric) == len(s.padding) else s.padding, 0),
        ("dilation", s.dilation, 1),
    ):
        value = values[0] if len(set(values)) == 1 and isinstance(values[0], int) else values
        if value != default:
            chosen[name] = value
    if s.groups > 1:
        chosen["groups"] = s.groups
    if s.padding_mode != "zeros":
        chosen["padding_mode"] = s.padding_mode
    if s.clamp is not None:
        chosen["activation"] = s.clamp
    if channels_last:
        chosen["layout"] = replace(s, channels_last=True).layout
    return chosen


def plan(case: Case, channels_last: bool, algorithm: str = "auto") -> Contestant:
    """Prepare a plan, its weights packed, by the algorithm of this name or the dispatcher's choice."""
    s = case.spec
    settings = _settings(case, channels_last)
    order: Callable[[Array], Array] = last if channels_last else aligned
    x_shape = order(case.x).shape
    try:
        prepared = convkern.plan(
            x_shape, case.weight, case.bias, direction=s.direction, algorithm=algorithm, **settings
        )
    except ValueError as error:
        raise SkipError(str(error)) from None
    image = order(case.image)
    if s.direction == "grad_weight":
        out = aligned(np.zeros(case.result_shape, s.dtype))
        run = partial(prepared, image, out, grad=order(case.grad))
    else:
        out = order(np.zeros(case.result_shape, s.dtype))
        run = partial(prepared, image, out)
    logical = channels_last and s.direction != "grad_weight"
    note = f"{prepared.algorithm}: {prepared.detail}"
    facts = {"workspace": prepared.workspace_bytes}
    return Contestant(run, lambda: first(run()) if logical else run(), note, facts=facts)


def choice(spec: Spec, channels_last: bool, planned: bool) -> Any:
    """Return the dispatcher's table for a problem in a layout."""
    return explain_spec(replace(spec, channels_last=channels_last), planned=planned)


def call(case: Case, channels_last: bool, algorithm: str = "auto") -> Contestant:
    """Prepare the function a user calls, weights as they are."""
    s = case.spec
    order: Callable[[Array], Array] = last if channels_last else aligned
    settings = _settings(case, channels_last)
    if algorithm != "auto":
        settings["algorithm"] = algorithm
    table = choice(s, channels_last, planned=False)
    used = table.chosen if algorithm == "auto" else algorithm
    facts = {"workspace": next((row.workspace for row in table.rows if row.algorithm == used), 0)}
    if s.direction == "forward":
        function = getattr(convkern, f"conv{len(s.input)}d")
        arguments: tuple[object, ...] = (order(case.x), case.weight, case.bias)
    elif s.direction == "grad_input":
        function = convkern.conv_grad_input
        arguments = (order(case.grad), case.weight, order(case.x).shape)
    else:
        function = convkern.conv_grad_weight
        arguments = (order(case.grad), order(case.x), case.weight.shape)
    logical = channels_last and s.direction != "grad_weight"

    def run() -> Array:
        result: Array = function(*arguments, **settings)
        return result

    return Contestant(run, lambda: first(run()) if logical else run(), used or "", facts=facts)


def contestants(case: Case, algorithms: bool) -> dict[str, Callable[[], Contestant]]:
    """Return all of ours for a case; with `algorithms` each by name in both layouts, too."""
    found: dict[str, Callable[[], Contestant]] = {}
    for make in (plan, call):
        for channels_last, layout in LAYOUTS.items():
            found[f"{make.__name__} {layout}"] = partial(make, case, channels_last)
    if algorithms:
        for algorithm in ALGORITHMS:
            for channels_last, layout in LAYOUTS.items():
                found[f"{algorithm.name} {layout}"] = partial(plan, case, channels_last, algorithm.name)
    return found
