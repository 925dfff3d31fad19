"""Which algorithm is chosen and why: golden choices for named layers, and an explain() that tells it all."""

import math
from dataclasses import replace

import numpy as np
import problems
import pytest
from hypothesis import given
from strategies import specs

import convkern
from convkern import _core
from convkern.algorithms import ALGORITHMS, BY_NAME
from convkern.config import Settings
from convkern.dispatch import choose, explain_spec
from convkern.machine import FAR_L3, IN_HALVES, MACHINES, built_in, this_machine
from convkern.spec import Spec

# layer: (descriptor, choice with packed weights and of a one-shot call with avx512, the same with avx2), on two threads
GOLDEN = {
    "resnet 3x3 of 56": ("1,64,56x56->64 3x3 p1", "winograd4 winograd4", "winograd4 winograd4"),
    "resnet 3x3 of 28": ("1,128,28x28->128 3x3 p1", "winograd4 winograd4", "winograd4 winograd4"),
    "resnet 3x3 of 14": ("1,256,14x14->256 3x3 p1", "winograd4 winograd4", "winograd4 winograd2"),
    "resnet 3x3 of 7": ("1,512,7x7->512 3x3 p1", "winograd2 direct", "winograd2 direct"),
    "small 3x3": ("1,16,8x8->16 3x3 p1", "winograd2 direct", "winograd4 direct"),
    "3x3 of an image": ("nhwc 1,3,224x224->64 3x3 p1", "winograd4 winograd4", "direct direct"),
    "3x3 channels last": ("nhwc 1,64,56x56->64 3x3 p1", "winograd4 winograd4", "winograd4 winograd4"),
    "3x3 input gradient": ("grad_input 1,64,56x56->64 3x3 p1", "winograd4 winograd4", "winograd4 winograd4"),
    "3x3 weight gradient": ("grad_weight 1,64,56x56->64 3x3 p1", "winograd4 winograd4", "winograd4 winograd4"),
    "3x3 strided": ("1,64,56x56->64 3x3 p1 s2", "winograd4 winograd4", "winograd4 direct"),
    "3x3 in double": ("f64 1,128,28x28->128 3x3 p1", "winograd4 winograd4", "winograd4 winograd4"),
    "resnet stem": ("1,3,224x224->64 7x7 s2 p3", "winograd4 winograd4", "direct direct"),
    "alexnet stem": ("1,3,227x227->96 11x11 s4", "winograd4 winograd4", "direct direct"),
    "bottleneck 1x1": ("1,1024,14x14->256 1x1", "direct direct", "direct direct"),
    "downsampling 1x1": ("1,256,56x56->512 1x1 s2", "direct direct", "direct direct"),
    "grouped": ("1,96,27x27->256 5x5 p2 g2", "winograd2 winograd2", "winograd2 winograd2"),
    "dilated": ("1,256,33x33->256 3x3 p6 d6", "winograd2 winograd2", "winograd2 winograd2"),
    "depthwise": ("nhwc 1,144,56x56->144 3x3 p1 s2 g144", "depthwise depthwise", "depthwise depthwise"),
    "patches": ("1,3,224x224->768 16x16 s16", "direct direct", "direct direct"),
    "lenet": ("1,1,28x28->6 5x5 p2", "direct direct", "direct direct"),
    "video": ("1,64,8x28x28->128 3x3x3 p1", "winograd4 winograd4", "winograd4 winograd4"),
    "causal audio": ("1,64,16000->128 2 d4", "winograd4 winograd4", "winograd4 winograd4"),
    "small image filter": ("1,1,512x512->1 5x5 p2", "depthwise depthwise", "depthwise depthwise"),
    "large image filter": ("1,1,512x512->1 31x31 p15", "fft fft", "fft fft"),
    "long line": ("1,1,48000->1 1024 p1023", "fft fft", "fft fft"),
    "large depthwise": ("8,16,256x256->16 21x21 g16 p10", "fft fft", "fft fft"),
    "large layer": ("1,64,56x56->64 15x15 p7", "fft fft", "fft fft"),
    "large weight gradient": ("grad_weight 1,16,128x128->16 15x15 p7", "fft fft", "fft fft"),
}
# The same with amx: layers that go to its unit, and those that must not.
GOLDEN_AMX = {
    "resnet 3x3 of 56": "winograd4 winograd4",
    "resnet 3x3 of 7": "bf16x3 direct",
    "3x3 strided": "bf16x3 bf16x3",
    "bottleneck 1x1": "bf16x3 bf16x3",
    "downsampling 1x1": "bf16x3 bf16x3",
    "grouped": "bf16x3 bf16x3",
    "dilated": "bf16x3 bf16x3",
    "3x3 of an image": "direct direct",
    "3x3 weight gradient": "winograd4 winograd4",
    "3x3 in double": "winograd4 winograd4",
    "depthwise": "depthwise depthwise",
    "lenet": "direct direct",
    "large image filter": "fft fft",
    "large layer": "fft fft",
}


@pytest.mark.parametrize("layer", GOLDEN_AMX)
def test_golden_choices_with_a_bfloat16_unit(layer):
    spec = Spec.parse(GOLDEN[layer][0])
    choices = [choose(spec, machine=MACHINES["amx"], planned=planned, threads=2) for planned in (True, False)]
    assert " ".join(choices) == GOLDEN_AMX[layer]


@pytest.mark.parametrize(
    ("model", "features", "row"),
    [
        ("AMD EPYC 9B14", ["avx512"], MACHINES["avx512"]),
        ("AMD EPYC 9B14", ["avx512", "avx512 in halves"], IN_HALVES),
        ("Intel(R) Xeon(R) Processor", ["avx512"], FAR_L3),
        ("Intel(R) Xeon(R) Processor", ["avx512", "amx-bf16"], FAR_L3),
    ],
)
def test_the_constants_are_those_of_the_kind_of_cpu(monkeypatch, model, features, row):
    info = {"model": model, "features": tuple(features), "l1": row.l1, "l2": row.l2, "l3": row.l3}
    monkeypatch.setattr(_core, "cpu_info", lambda: info)
    assert built_in("avx512") == row
    assert built_in("amx") == replace(MACHINES["amx"], l1=row.l1, l2=row.l2, l3=row.l3)


def test_weights_that_come_from_far_are_not_made_larger():
    spec = Spec.parse(GOLDEN["resnet 3x3 of 7"][0])
    far = replace(FAR_L3, l2=2 << 20, l3=256 << 20)
    assert choose(spec, machine=far, planned=True, threads=2) == "winograd2"
    assert choose(spec, machine=replace(far, l3_rate=10 * far.l3_rate), planned=True, threads=2) == "winograd4"


machines = pytest.mark.parametrize("machine", [MACHINES["avx512"], MACHINES["avx2"]], ids=lambda m: m.isa)


@machines
@pytest.mark.parametrize("layer", GOLDEN)
def test_golden_choices(layer, machine):
    line, *choices = GOLDEN[layer]
    planned, one_shot = choices[machine.isa == "avx2"].split()
    spec = Spec.parse(line)
    assert choose(spec, machine=machine, planned=True, threads=2) == planned
    assert choose(spec, machine=machine, planned=False, threads=2) == one_shot


@given(specs())
def test_the_choice_is_supported_and_the_least_costly(spec):
    machine = MACHINES["avx2"]
    for planned in (False, True):
        name = choose(spec, machine=machine, planned=planned, threads=2)
        fit = [a for a in ALGORITHMS if a.supports(spec) is None]
        assert BY_NAME[name] in fit
        assert not BY_NAME[name].oracle or all(a.oracle for a in fit)
        cost = BY_NAME[name].cost(spec, machine, planned=planned, threads=2)
        assert all(cost <= a.cost(spec, machine, planned=planned, threads=2) for a in fit if not a.oracle)


@given(specs())
def test_costs_are_sensible_numbers(spec):
    for machine in MACHINES.values():
        for algorithm in ALGORITHMS:
            if algorithm.supports(spec) is not None:
                continue
            once = algorithm.cost(spec, machine, planned=True, threads=1)
            assert 0 < once < math.inf
            assert algorithm.cost(spec, machine, planned=False, threads=1) >= once
            assert algorithm.cost(replace(spec, n=64 * spec.n), machine, planned=True, threads=1) >= once


@given(specs())
def test_explain_has_a_row_for_every_algorithm(spec):
    explanation = explain_spec(spec)
    assert tuple(row.algorithm for row in explanation.rows) == _core.algorithms()
    assert [row.algorithm for row in explanation.rows if row.chosen] == [explanation.chosen]
    text = str(explanation)
    assert str(spec) in text
    assert explanation.isa == _core.get_isa()
    for row in explanation.rows:
        line = next(line for line in text.splitlines() if row.algorithm in line.replace("*", "").split()[:1])
        if row.reason is None:
            assert row.seconds > 0
            assert row.workspace >= 0
            assert 0 < row.error < 1
            assert line.startswith("*") == row.chosen
        else:
            assert row.reason in line
            assert not row.chosen
    chosen = next(row for row in explanation.rows if row.chosen)
    usable = [row for row in explanation.rows if row.reason is None and not BY_NAME[row.algorithm].oracle]
    assert chosen.seconds == min(row.seconds for row in usable)


def test_explain_is_what_the_call_and_the_plan_do():
    x, w = np.ones((1, 16, 20, 20), np.float32), np.ones((32, 16, 3, 3), np.float32)
    plan = convkern.plan(x.shape, w, padding=1)
    assert plan.explain().chosen == plan.algorithm
    assert convkern.explain(x.shape, w.shape, padding=1).chosen in _core.algorithms()
    assert str(plan.explain().spec) == str(plan.spec) == "1,16,20x20->32 3x3 p1"


def test_explain_in_a_notebook():
    html = convkern.explain((1, 16, 20, 20), (32, 16, 3, 3))._repr_html_()
    assert html.startswith("<table")
    assert html.endswith("</table>")
    assert all(name in html for name in _core.algorithms())
    assert "-&gt;" in html
    assert "->" not in html


@pytest.mark.parametrize("name", _core.algorithms())
def test_a_named_algorithm_is_used(name):
    x_shape, w = (1, 6, 9, 9), np.ones((6, 1, 3, 3), np.float32)  # a layer that all of them serve
    assert convkern.plan(x_shape, w, groups=6, algorithm=name).algorithm == name
    with convkern.config(algorithm=name):
        assert convkern.plan(x_shape, w, groups=6).algorithm == name
        assert convkern.explain(x_shape, w.shape, groups=6).chosen == name
        assert convkern.plan(x_shape, w, groups=6, algorithm="reference").algorithm == "reference"


def test_a_limit_is_given_as_the_reason():
    spec = Spec.parse("1,64,56x56->64 3x3 p1")
    rows = {row.algorithm: row for row in explain_spec(spec, Settings(max_workspace=0)).rows}
    assert "workspace" in rows["im2col"].reason
    assert rows["reference"].reason is None
    with pytest.raises(ValueError, match=r"im2col.*workspace"):
        choose(spec, Settings(algorithm="im2col", max_workspace=0))


def test_strict_leaves_out_what_mixes_neighbouring_outputs():
    layers = [line for line, _, _ in GOLDEN.values()]
    assert any(choose(Spec.parse(line)) in problems.INEXACT for line in layers)
    for line in (*problems.LARGER, *layers):
        for planned in (False, True):
            name = choose(Spec.parse(line), Settings(accuracy="strict"), planned=planned)
            assert BY_NAME[name].windowed
            assert name not in problems.INEXACT
    for name in problems.INEXACT:
        with pytest.raises(ValueError, match=f"{name}.*strict"):
            choose(Spec.parse("1,64,56x56->64 3x3 p1"), Settings(algorithm=name, accuracy="strict"))


@pytest.mark.parametrize("count", [(0, 3), (3, 0), (0, 0)], ids=["no input", "no output", "neither"])
def test_layers_without_channels_have_a_cost(count):
    ci, co = count
    for direction in problems.DIRECTIONS:
        spec = replace(Spec.parse("2,1,5x6->1 3x3"), ci=ci, co=co, direction=direction)
        assert choose(spec) in _core.algorithms()
        assert all(0 <= row.seconds < math.inf for row in explain_spec(spec).rows)


def test_the_choice_does_not_depend_on_the_threads_of_the_moment():
    names = set()
    for threads in (1, 2, 16):
        convkern.set_num_threads(threads)
        names.add(tuple(convkern.explain((1, 8, size, size), (8, 8, 3, 3)).chosen for size in (4, 16, 64, 256)))
    assert len(names) == 1


def test_every_isa_of_this_machine_has_its_constants():
    for isa in _core.supported_isas():
        machine = this_machine(isa)
        assert machine.isa == isa
        assert 0 < machine.l1 <= machine.l2 <= machine.l3
