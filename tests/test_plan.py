"""Plan: weights packed once, any direction, immutable, and the same numbers as the one-shot functions."""

import numpy as np
import pytest
from problems import call_for, integers, serves
from views import DISGUISES

import convkern
from convkern import _core

pytestmark = pytest.mark.grid  # cheap, and where a stray read is likeliest: sanitizers run these too
algorithm_names = pytest.mark.parametrize("algorithm", ["auto", *_core.algorithms()])
layouts = pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
SETTINGS = call_for("auto")[2]


def operands(layout, algorithm="auto"):
    """x, w and the gradient of y, in the layout."""
    x_shape, w_shape, settings = call_for(algorithm)
    x, w = integers(x_shape, 1), integers(w_shape, 2)
    g = integers(convkern.plan(x.shape, w, **settings).output_shape, 3)
    if layout == "NHWC":
        x, g = np.moveaxis(x, 1, -1), np.moveaxis(g, 1, -1)
    return [np.array(a, np.float32, order="C") for a in (x, w, g)]


@layouts
def test_plan_takes_a_residual_per_call(layout):
    x = integers((2, 4, 8, 8) if layout == "NCHW" else (2, 8, 8, 4), 1).astype(np.float32)
    w, bias = integers((20, 4, 3, 3), 2).astype(np.float32), integers(20, 3).astype(np.float32)
    plan = convkern.plan(x.shape, w, bias, padding=1, layout=layout, activation="relu", residual=True)
    for seed in (4, 5):
        residual = integers((2, 20, 8, 8) if layout == "NCHW" else (2, 8, 8, 20), seed).astype(np.float32)
        right = convkern.conv2d(
            x, w, bias, padding=1, layout=layout, activation="relu", residual=residual, algorithm=plan.algorithm
        )
        np.testing.assert_array_equal(plan(x, residual=residual), right)
        out = np.empty_like(residual)
        assert plan(x, out=out, residual=residual) is out
        np.testing.assert_array_equal(out, right)


def test_plan_keeps_its_weights_when_the_array_changes():
    x, w = integers((1, 4, 8, 8), 1).astype(np.float32), integers((6, 4, 3, 3), 2).astype(np.float32)
    plan = convkern.plan(x.shape, w)
    before = plan(x)
    w[:] = 0
    np.testing.assert_array_equal(plan(x), before)
    assert not convkern.conv2d(x, w).any()  # while a call sees the weights of the moment


@algorithm_names
@layouts
@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_gradient_plans_equal_the_functions(mode, layout, algorithm):
    x, w, g = operands(layout, algorithm)
    plain = {**call_for(algorithm)[2], "layout": layout, "padding_mode": mode}
    settings = {**plain, "algorithm": algorithm}
    plan = convkern.plan(x.shape, w, direction="grad_input", **settings)
    np.testing.assert_array_equal(plan(g), convkern.conv_grad_input(g, w, x.shape, **settings))
    if not serves(algorithm, x.shape, w.shape, direction="grad_weight", **plain):
        return
    plan = convkern.plan(x.shape, w, direction="grad_weight", **settings)
    right = convkern.conv_grad_weight(g, x, w.shape, **settings)
    np.testing.assert_array_equal(plan(x, grad=g), right)
    out = np.empty_like(w)
    assert plan(x, out, grad=g) is out
    np.testing.assert_array_equal(out, right)


@algorithm_names
@layouts
def test_transposed_plan_equals_the_function(layout, algorithm):
    _, w, g = operands(layout, algorithm)
    bias = integers(6, 4).astype(np.float32)
    settings = {"padding": 1, "groups": call_for(algorithm)[2]["groups"], "layout": layout, "activation": "relu"}
    strided = {"stride": 2, "output_padding": 1}
    if serves(algorithm, g.shape, w.shape, direction="transposed", **settings, **strided):
        settings |= strided
    plan = convkern.plan(g.shape, w, bias, direction="transposed", algorithm=algorithm, **settings)
    right = convkern.conv_transpose2d(g, w, bias, algorithm=algorithm, **settings)
    assert plan.output_shape == right.shape
    np.testing.assert_array_equal(plan(g), right)


@algorithm_names
@pytest.mark.parametrize("kind", DISGUISES)
def test_inputs_of_any_memory_order(kind, algorithm):
    x, w, _ = operands("NCHW", algorithm)
    settings = {**call_for(algorithm)[2], "algorithm": algorithm}
    right = convkern.plan(x.shape, w, **settings)(x)
    disguised = convkern.plan(x.shape, DISGUISES[kind](w), **settings)
    np.testing.assert_array_equal(disguised(DISGUISES[kind](x)), right)


def test_a_plan_keeps_its_isa_and_limits():
    x, w, _ = operands("NCHW")
    for isa in _core.supported_isas():
        with convkern.config(isa=isa):
            plan = convkern.plan(x.shape, w, **SETTINGS)
        assert plan.isa == isa
        plan(x)
        assert plan.isa == isa


def test_a_plan_is_immutable_and_says_what_it_is():
    x, w, _ = operands("NCHW")
    plan = convkern.plan(x.shape, w, algorithm="direct", **SETTINGS)
    for name in ("algorithm", "spec", "flops", "anything"):
        with pytest.raises(AttributeError):
            setattr(plan, name, 1)
    assert "direct" in repr(plan)
    assert str(plan.spec) in repr(plan)
    assert plan.input_shape == (2, 6, 9, 8)
    assert plan.output_shape == (2, 20, 4, 9)
    assert plan.packed_bytes >= w.nbytes
    assert plan.flops == 2 * (2 * 20 * 4 * 9) * (3 * 4 * 3)
    assert plan.detail


def test_a_weight_gradient_runs_as_directly_as_a_layer(monkeypatch):
    x, w, g = operands("NCHW")
    backward = convkern.plan(x.shape, w, direction="grad_weight", **SETTINGS)
    wanted = backward(x.tolist(), grad=g)  # lists go the way that checks everything
    checked = []
    monkeypatch.setattr(type(backward._prepared), "run", lambda *_: checked.append(1))
    np.testing.assert_array_equal(backward(x, grad=g), wanted)
    out = np.empty_like(wanted)
    assert backward(x, out, grad=g) is out
    np.testing.assert_array_equal(out, wanted)
    assert not checked
    backward(x, g.ravel()[: wanted.size].reshape(wanted.shape), grad=g)  # an out that lies in an operand does not
    assert checked


def test_threads_share_outputs_where_planes_are_small():
    x, w = integers((1, 64, 7, 7), 0).astype(np.float32), integers((128, 64, 3, 3), 1).astype(np.float32)
    details = []
    for isa in _core.supported_isas():
        results = []
        for threads in (1, 2):
            with convkern.config(threads=threads, isa=isa):
                plan = convkern.plan(x.shape, w, padding=1, algorithm="direct")
                results.append(plan(x))
                details.append((threads, plan.detail))
        np.testing.assert_array_equal(*results)
    cut = [f"x {threads} splits" in detail for threads, detail in details if detail.startswith("outputs")]
    assert cut
    assert all(cut), details


def test_a_gradient_plan_names_what_it_lacks_or_does_not_take():
    x, w, g = operands("NCHW")
    forward = convkern.plan(x.shape, w, **SETTINGS)
    backward = convkern.plan(x.shape, w, direction="grad_weight", **SETTINGS)
    with pytest.raises(TypeError, match="grad"):
        forward(x, grad=g)
    with pytest.raises(TypeError, match="grad"):
        backward(x)
    with pytest.raises(ValueError, match=r"grad.*shape"):
        backward(x, grad=g[:1])
    with pytest.raises(ValueError, match=r"direction.*sideways"):
        convkern.plan(x.shape, w, direction="sideways")
    with pytest.raises(ValueError, match="bias"):
        convkern.plan(x.shape, w, np.ones(20, np.float32), direction="grad_input", **SETTINGS)
