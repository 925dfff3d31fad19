"""What cost models count: the lowered problems, the tiles, and that they choose as the compiled code does."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import specs

from convkern import _core
from convkern.algorithms import BY_NAME
from convkern.algorithms.direct import ways
from convkern.algorithms.lowered import _residues, lower
from convkern.algorithms.tiles import product, shapes
from convkern.machine import MACHINES, built_in
from convkern.spec import Spec


@given(*(st.integers(low, high) for low, high in ((1, 7), (1, 5), (1, 4), (0, 5), (1, 17))))
def test_every_tap_reaches_its_inputs_in_one_phase(kernel, stride, dilation, pad, size):
    """An input gradient's phases hold each pair of an input i and a tap k with (i + pad - k*dilation) % stride == 0."""
    out = (size + 2 * pad - (kernel - 1) * dilation - 1) // stride + 1
    if out < 1:
        return
    pairs = sum((i + pad - k * dilation) % stride == 0 for i in range(size) for k in range(kernel))
    phases = _residues(kernel, stride, dilation, (pad, pad), size, out)
    assert sum(axis.out * axis.taps for axis in phases) == pairs


@given(specs())
def test_lowered_problems_are_the_definition(spec):
    problems = lower(spec)
    pixels = {"forward": math.prod(spec.output), "grad_weight": math.prod(spec.kernel)}
    written = spec.co if spec.direction != "grad_input" else spec.ci
    assert all(problem.groups * problem.outputs == written for problem in problems)
    if spec.direction in pixels:
        (problem,) = problems
        terms = spec.depth if spec.direction == "forward" else spec.n * math.prod(spec.output)
        assert (problem.pixels, problem.depth) == (pixels[spec.direction], terms)
        assert problem.images * problem.outputs * problem.pixels * problem.depth == spec.flops / 2
        return
    # A tap reaches every stride-th input, some of them from beyond the borders of the result.
    pairs = math.prod(-(-size // s) * k for size, s, k in zip(spec.input, spec.stride, spec.kernel, strict=True))
    assert (
        sum(p.images * p.outputs * p.pixels * p.depth for p in problems)
        <= spec.n * spec.ci * spec.co // spec.groups * pairs
    )


def test_pixels_of_a_1x1_layer_are_one_line():
    (problem,) = lower(Spec.parse("2,8,5x7->4 1x1"))
    assert [axis.out for axis in problem.axes] == [1, 1, 35]
    (problem,) = lower(Spec.parse("2,8,5x7->4 1x1 s2"))
    assert [axis.out for axis in problem.axes] == [1, 3, 4]


@pytest.mark.parametrize("machine", MACHINES.values(), ids=lambda machine: machine.isa)
@pytest.mark.parametrize("positions", [1, 7, 16, 33, 200])
def test_tiles_hold_every_sum_once(machine, positions):
    for shape in shapes(machine):
        counts = product(machine, shape, machine.lanes, positions, 29, 5)
        vectors = counts.stores / 29
        assert positions <= vectors * machine.lanes < positions + shape[1] * machine.lanes
        assert counts.tiles >= vectors * 29 / (14 * 4)
        assert counts.steps >= 5 * 29 * vectors / 2


@given(specs())
def test_direct_turns_problems_as_it_counts(spec):
    """Model and compiled code lay the same operand on the vector side; their counts may round apart at a tie."""
    spec = spec.unbordered()
    problem = lower(spec, empty=True)[0]
    if spec.empty or not problem.pixels:
        return
    if spec.direction == "grad_weight" and math.prod(spec.kernel) == 1:  # of one tap either operand may take the lanes
        return
    machine = built_in(_core.get_isa())
    outputs, pixels = ways(problem, spec, machine)
    if pixels is not None and 0.75 < pixels.counted / outputs.counted < 1.2:
        return
    found = BY_NAME["direct"].prepare(spec).detail
    wanted = "outputs" if pixels is None or outputs.counted < pixels.counted else "pixels"
    assert found.startswith(wanted), found
