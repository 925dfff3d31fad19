"""Workspace: what a plan says it needs, what limits it, and what the process really takes."""

import numpy as np
import pytest
from problems import DIRECTIONS, STATED, WORKSPACE, core_plan, serves, variants
from scripts import run

import convkern
from convkern import _core
from convkern.spec import Spec

SIZES = (56, 448, 1792, 7168)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_direct_needs_a_cache_sized_block_for_each_thread(direction, threads):
    convkern.set_num_threads(threads)
    cache = _core.cpu_info()["l2"] or 1 << 20
    for size in SIZES:
        for line in (f"1,64,{size}x{size}->64 3x3 p1", f"1,64,{size * size}->64 3 p1", f"1,64,{size * size}x1->64 3x1"):
            for spec in variants(line, direction):
                assert core_plan(spec, "direct").workspace_bytes <= threads * cache, str(spec)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_direct_does_not_grow_with_the_batch(direction):
    one, many = (
        [core_plan(spec, "direct").workspace_bytes for spec in variants(f"{n},64,56x56->64 3x3 p1", direction)]
        for n in (16, 256)
    )
    assert all(few >= lots for few, lots in zip(one, many, strict=True)), (one, many)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("line", ["8,64,224x224->64 3x3 p1", "1,512,64x64->512 5x5 p2", "1,16,2048x2048->16 7x7 p3"])
def test_im2col_is_bounded(line, direction):
    for spec in variants(line, direction):
        assert 0 < core_plan(spec, "im2col").workspace_bytes <= WORKSPACE == 32 << 20


@pytest.mark.parametrize("limit", [0, 1 << 16, 1 << 20, 32 << 20])
@pytest.mark.parametrize("direction", ["forward", "grad_input", "grad_weight"])
@pytest.mark.parametrize("name", STATED)
def test_a_limit_is_kept_or_the_algorithm_refused(name, direction, limit):
    """An algorithm may work in smaller slices, or say that it cannot."""
    w = np.ones((64, 64, 3, 3), np.float32)
    if not serves(name, (1, 64, 56, 56), w.shape, padding=1, direction=direction):
        pytest.skip("does not serve this direction")
    with convkern.config(max_workspace=limit):
        try:
            plan = convkern.plan((1, 64, 56, 56), w, padding=1, direction=direction, algorithm=name)
        except ValueError as error:
            reason = str(error)
        else:
            assert plan.workspace_bytes <= limit
            return
    assert limit < 32 << 20
    assert name in reason
    assert "workspace" in reason


def test_the_limit_turns_algorithms_down():
    w = np.ones((64, 64, 3, 3), np.float32)
    with convkern.config(max_workspace=0):
        plan = convkern.plan((1, 64, 56, 56), w, padding=1)
        table = str(convkern.explain((1, 64, 56, 56), w.shape, padding=1))
        assert "workspace" in table
    assert plan.workspace_bytes == 0
    x = np.ones((1, 64, 56, 56), np.float32)
    assert plan(x)[0, 0, 5, 5] == 64 * 9


@pytest.mark.parametrize("name", STATED)
def test_the_described_workspace_is_the_plans(name):
    for line in ("1,64,56x56->64 3x3 p1", "4,3,40x41->24 7x7 s2 p3", "2,8,300->8 5 g8"):
        for direction in DIRECTIONS:
            for spec in variants(line, direction):
                if STATED[name].supports(spec) is None:
                    assert STATED[name].workspace(spec) == core_plan(spec, name).workspace_bytes


def test_public_plan_reports_its_memory():
    plan = convkern.plan((1, 64, 56, 56), np.ones((64, 64, 3, 3), np.float32), padding=1)
    assert plan.workspace_bytes >= 0
    assert plan.flops == Spec.parse("1,64,56x56->64 3x3 p1").flops == 2 * 56 * 56 * 64 * 64 * 9


PEAK = """
import numpy as np, convkern
def peak():
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM")) << 10
def call(size, layout):
    shape = (1, 4, size, size) if layout == "NCHW" else (1, size, size, 4)
    x, out = np.ones(shape, np.float32), np.ones(shape, np.float32)
    groups = 4 if "{algorithm}" in ("depthwise", "plane") else 1
    w = np.ones((4, 4 // groups, 3, 3), np.float32)
    before = peak()
    convkern.conv2d(x, w, padding=1, groups=groups, layout=layout, algorithm="{algorithm}", out=out)
    return peak() - before
for layout in ("NCHW", "NHWC"):
    call(64, layout)
    print(call(1500, layout))
"""


@pytest.mark.parametrize(
    ("algorithm", "megabytes"),
    [("winograd4", 8), ("winograd2", 8), ("depthwise", 8), ("plane", 8), ("direct", 8), ("im2col", 48)],
)
def test_resident_memory_stays_near_what_is_stated(algorithm, megabytes):
    """X and out are 36 MB each; a copy of either would show."""
    grown = [int(line) for line in run(PEAK.format(algorithm=algorithm)).split()]
    assert max(grown) < megabytes << 20, grown


def test_the_plan_cache_is_bounded():
    out = run("""
        import numpy as np, convkern
        def resident():
            return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmRSS")) << 10
        def calls(sizes):
            w = np.ones((64, 64, 3, 3), np.float32)
            for size in sizes:
                convkern.conv2d(np.ones((1, 64, 3, size), np.float32), w)
        calls(range(3, 300))
        before = resident()
        calls(range(300, 1500))
        print(resident() - before)
    """)
    assert int(out) < 16 << 20
