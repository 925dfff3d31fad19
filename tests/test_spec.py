"""Spec: its descriptor reads back, its sizes and counts are right, every padding form means what NumPy users expect."""

import re
from dataclasses import FrozenInstanceError, replace

import problems
import pytest
from hypothesis import given
from strategies import specs

from convkern.spec import Spec


@given(specs())
def test_descriptor_reads_back(spec):
    line = str(spec)
    assert Spec.parse(line) == spec
    assert "\n" not in line
    assert str(Spec.parse(line)) == line


@given(specs())
def test_counts(spec):
    taps = spec.ci // spec.groups
    for k in spec.kernel:
        taps *= k
    outputs = spec.n * spec.co
    for i, p, d, k, s in zip(spec.input, spec.padding, spec.dilation, spec.kernel, spec.stride, strict=True):
        outputs *= (i + sum(p) - d * (k - 1) - 1) // s + 1
    inputs = spec.n * spec.ci
    for i in spec.input:
        inputs *= i
    item = 4 if spec.dtype == "float32" else 8
    assert spec.flops == 2 * outputs * taps
    assert spec.bytes == item * (inputs + outputs + spec.co * taps)


READ = {
    "1,64,56x56->64 3x3 p1": {
        "n": 1, "ci": 64, "co": 64, "input": (56, 56), "output": (56, 56), "kernel": (3, 3), "stride": (1, 1),
        "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1, "padding_mode": "zeros", "dtype": "float32",
        "channels_last": False, "clamp": None, "bias": False, "residual": False, "direction": "forward",
    },
    "f64 nhwc grad_input 2,32,28x28->64 3x3 s2 p1 d2 g4 reflect bias relu residual": {
        "dtype": "float64", "channels_last": True, "direction": "grad_input", "n": 2, "ci": 32, "co": 64,
        "input": (28, 28), "output": (13, 13), "stride": (2, 2), "dilation": (2, 2), "groups": 4,
        "padding_mode": "reflect", "bias": True, "residual": True, "clamp": (0.0, float("inf")),
    },
    "1,1,48000->2 1024": {"input": (48000,), "kernel": (1024,), "output": (46977,)},
    "1,3,9x7->4 3x2 p1x2": {"padding": ((1, 1), (2, 2)), "output": (9, 10)},
    "1,3,9x7->4 3x2 p(0,1)x(2,0) s1x3": {"padding": ((0, 1), (2, 0)), "stride": (1, 3), "output": (8, 3)},
    "1,3,9x7->4 3x3 psame s2": {"padding": ((1, 1), (1, 1)), "output": (5, 4)},
    "1,3,9x7x5->4 3x3x1 grad_weight": {"kernel": (3, 3, 1), "output": (7, 5, 5), "direction": "grad_weight"},
    "1,3,9x7->4 3x3 relu6": {"clamp": (0.0, 6.0)},
}  # fmt: skip


@pytest.mark.parametrize(("line", "fields"), READ.items(), ids=READ)
def test_descriptor_means(line, fields):
    spec = Spec.parse(line)
    assert {name: getattr(spec, name) for name in fields} == fields


@pytest.mark.parametrize("line", problems.GRID + problems.LARGER)
def test_the_lines_of_the_tests_are_canonical(line):
    spec = Spec.parse(line)
    assert Spec.parse(str(spec)) == spec
    assert min(spec.output) >= 1


BAD = {
    "": "''",
    "3x3": "'3x3'",
    "1,64,56x56": "'1,64,56x56'",
    "1,64,56x56->64": "'1,64,56x56->64'",
    "1,64->64 3x3": "'1,64->64 3x3'",
    "a,64,56x56->64 3x3": "'a,64,56x56->64 3x3'",
    "1,64,56x56->64 3": "axes",
    "1,64,56x56->64 3x3 q1": "'q1'",
    "1,64,56x56->64 3x3 s0": "stride",
    "1,64,56x56->64 3x3 p-1": "'p-1'",
    "1,64,56x56->64 3x3 p1x1x1": "padding",
    "1,64,56x56->64 3x3 g3": "groups",
    "1,64,2x2->64 3x3": "does not fit",
}


@pytest.mark.parametrize(("line", "words"), BAD.items(), ids=[line or "empty" for line in BAD])
def test_a_bad_line_is_a_value_error_that_says_where(line, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        Spec.parse(line)


def test_specs_are_frozen_and_hashable():
    spec = Spec.parse("1,64,56x56->64 3x3 p1")
    assert spec in {Spec.parse("1,64,56x56->64 3x3 p1")}
    assert replace(spec, n=2) != spec
    with pytest.raises(FrozenInstanceError):
        spec.n = 2
