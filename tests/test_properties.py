"""Problems drawn with all their parameters together, through the public functions, against the oracle."""

from dataclasses import replace
from functools import partial

import numpy as np
import oracle
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from problems import DIRECTIONS, STATED, assert_right, expected, forms, integers, results, shapes
from strategies import call_settings, convolutions
from views import DISGUISES, WRITABLE, broadcast

import convkern

pytestmark = pytest.mark.grid  # cheap, and where a stray read is likeliest: sanitizers run these too
CONV = {1: convkern.conv1d, 2: convkern.conv2d, 3: convkern.conv3d}
TRANSPOSE = {1: convkern.conv_transpose1d, 2: convkern.conv_transpose2d, 3: convkern.conv_transpose3d}
ACTIVATIONS = (None, "relu", "relu6", (-3, 20))


def last(a, layout):
    """From channels before space to the layout, as a copy."""
    return np.ascontiguousarray(np.moveaxis(a, 1, -1) if layout.endswith("C") else a)


def first(a, layout):
    return np.moveaxis(a, -1, 1) if layout.endswith("C") else a


def disguised(a, kind, axis=0):
    return broadcast(a, axis) if kind == "broadcast" else DISGUISES[kind](a)


def arrays(case):
    """X in its layout, w, and both as the oracle wants them."""
    groups = case["settings"]["groups"]
    x = last(integers(case["x"], 1), case["layout"]).astype(case["dtype"])
    w = integers((case["co"], case["x"][1] // groups, *case["kernel"]), 2).astype(case["dtype"])
    x, w = disguised(x, case["disguises"][0], axis=-1), disguised(w, case["disguises"][1])
    return x, w, first(x, case["layout"]), w


def check(got, right, case, name, spec, sums):
    assert got.dtype == case["dtype"]
    assert_right(first(got, case["layout"]), right, name, spec, sums)


def answers(direction, a, b, *settings):
    """Right results, and what an error is relative to: where few are drawn all may cancel, so terms of random signs."""
    right = direction(a, b, *settings)
    squares = direction(*(np.square(np.asarray(x, np.float64)) for x in (a, b)), *settings)
    return right, np.maximum(abs(right), np.sqrt(squares))


optional = st.one_of(st.none(), st.sampled_from(sorted(DISGUISES)))


@given(
    convolutions(),
    st.sampled_from(ACTIVATIONS),
    optional,
    optional,
    st.one_of(st.none(), st.sampled_from(sorted(WRITABLE))),
)
def test_convolution(case, activation, bias_kind, residual_kind, out_kind):
    x, w, ox, ow = arrays(case)
    right, sums = answers(oracle.forward, ox, ow, *case["explicit"])
    bias = bias_kind and integers(case["co"], 3).astype(case["dtype"])
    residual = residual_kind and integers(right.shape, 4).astype(case["dtype"])
    right = oracle.finish(right, bias, residual, activation)
    out = out_kind and WRITABLE[out_kind](np.full_like(last(right, case["layout"]), np.nan, case["dtype"]))
    with convkern.config(isa=case["isa"], threads=case["threads"]):
        settings, name, spec = call_settings(case, x.shape, w.shape)
        got = CONV[case["rank"]](
            x,
            w,
            bias_kind and DISGUISES[bias_kind](bias),
            residual=residual_kind and DISGUISES[residual_kind](last(residual, case["layout"])),
            activation=activation,
            out=out,
            **settings,
        )
    assert out is None or got is out
    check(got, right, case, name, spec, sums)


@given(convolutions())
def test_gradients(case):
    x, w, ox, ow = arrays(case)
    shape = oracle.forward(ox, ow, *case["explicit"]).shape
    g = integers(shape, 3).astype(case["dtype"])
    with convkern.config(isa=case["isa"], threads=case["threads"]):
        settings, *by = call_settings(case, x.shape, w.shape, "grad_input")
        gx = convkern.conv_grad_input(last(g, case["layout"]), w, x.shape, **settings)
        right, sums = answers(oracle.grad_input, g, ow, ox.shape[2:], *case["explicit"])
        check(gx, right, case, *by, sums)
        settings, *by = call_settings(case, x.shape, w.shape, "grad_weight")
        gw = convkern.conv_grad_weight(last(g, case["layout"]), x, w.shape, **settings)
        right, sums = answers(oracle.grad_weight, g, ox, case["kernel"], *case["explicit"])
        assert_right(gw, right, *by, sums)


@given(convolutions(), st.integers(0, 3), st.integers(0, 3))
def test_transposed_convolution(case, padding, output_padding):
    rank, groups = case["rank"], case["settings"]["groups"]
    strides, _, dilations, _, _ = case["explicit"]
    x = integers(case["x"], 1).astype(case["dtype"])
    w = integers((case["x"][1], case["co"] // groups, *case["kernel"]), 2).astype(case["dtype"])
    assume(all(output_padding < max(s, d) for s, d in zip(strides, dilations, strict=True)))
    sizes = tuple(
        (i - 1) * s - 2 * padding + d * (k - 1) + output_padding + 1
        for i, s, d, k in zip(x.shape[2:], strides, dilations, case["kernel"], strict=True)
    )
    assume(min(sizes) >= 1)
    x_given = disguised(last(x, case["layout"]), case["disguises"][0], axis=-1)
    w_given = disguised(w, case["disguises"][1])
    explicit = (sizes, strides, ((padding, padding),) * rank, dilations, groups)
    right, sums = answers(oracle.grad_input, first(x_given, case["layout"]), w_given, *explicit)
    more = {"padding": padding, "output_padding": output_padding, "padding_mode": "zeros"}
    with convkern.config(isa=case["isa"], threads=case["threads"]):
        settings, *by = call_settings(case, x_given.shape, w.shape, "transposed", **more)
        del settings["padding_mode"]
        got = TRANSPOSE[rank](x_given, w_given, **settings)
    check(got, right, case, *by, sums)


@given(convolutions(), st.integers(1, 3))
def test_plan_runs_again_and_again(case, times):
    x, w, ox, ow = arrays(case)
    right, sums = answers(oracle.forward, ox, ow, *case["explicit"])
    with convkern.config(isa=case["isa"], threads=case["threads"]):
        settings, _, spec = call_settings(case, x.shape, w.shape)
        plan = convkern.plan(x.shape, w, **settings)
    assert settings["algorithm"] in ("auto", plan.algorithm)
    for factor in range(1, times + 1):  # integer multiples stay exact
        check(plan(x * case["dtype"](factor)), right * factor, case, plan.algorithm, spec, sums * factor)


@given(convolutions())
def test_every_algorithm_layout_and_direction(case):
    known = {**case["settings"], "padding_mode": case["mode"]}
    w_shape = (case["co"], case["x"][1] // known["groups"], *case["kernel"])
    spec = convkern.explain(case["x"], w_shape, **known).spec
    convkern.set_num_threads(case["threads"])
    for direction in DIRECTIONS:
        one = replace(spec, direction=direction)
        x, w, y = shapes(one)
        image = integers(y if direction == "grad_input" else x, 1)
        weight = integers(y if direction == "grad_weight" else w, 2)
        right, sums = answers(partial(expected, one), image, weight)
        for name, algorithm in STATED.items():
            if algorithm.supports(one) is not None:
                continue
            for form in forms(one, name):
                for got in results(form, name, case["isa"], image, weight):
                    assert_right(got, right, name, form, sums)
