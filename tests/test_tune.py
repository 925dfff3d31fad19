"""Measured times go before predictions, within the same limits, and choices stay steady within a process.

Rows with made-up times stand in for measured ones wherever a choice is looked at, so no test needs a quiet machine.
"""

import os
import sys
import threading
from dataclasses import replace

import numpy as np
import problems
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scripts import run
from stored import LINE, ODD_TIMES, SHAPES, SPEC, keep, key, plan
from strategies import specs

import convkern
from convkern import _core, dispatch, measure, store
from convkern.algorithms import ALGORITHMS, BY_NAME, Algorithm
from convkern.config import Settings
from convkern.dispatch import choose
from convkern.machine import MACHINES, built_in
from convkern.memory import memory, row_name
from convkern.spec import Spec

# Limits


def test_settings_that_refuse_the_fastest_get_the_next(place):
    keep(place)
    assert plan().algorithm == "im2col"
    with convkern.config(max_workspace=0):
        name = plan().algorithm
        assert name not in ("im2col", "winograd2", "winograd4")
        assert BY_NAME[name].workspace(SPEC) == 0 or name in ("direct", "reference")
    limit = max(BY_NAME[name].workspace(SPEC) for name in ("winograd2", "direct"))
    keep(place, {"winograd4": 1e-7, "winograd2": 2e-7, "direct": 3e-7, "im2col": 9e-7})
    memory.reset()
    assert plan().algorithm == "winograd4"
    assert plan(accuracy="strict").algorithm == "direct"
    assert plan(algorithm="im2col").algorithm == "im2col"
    with convkern.config(max_workspace=limit):
        chosen = plan()
        assert chosen.workspace_bytes <= limit


def test_an_algorithm_that_was_not_measured_counts_with_its_prediction(place):
    keep(place, {"im2col": 3600.0})
    assert plan().algorithm == choose(SPEC, machine=built_in(_core.get_isa()), planned=True)
    keep(place, {a.name: 3600.0 for a in ALGORITHMS if a.name != "im2col" and not a.oracle})
    memory.reset()
    assert plan().algorithm == "im2col"


def test_the_reference_is_not_chosen_for_a_good_time(place):
    keep(place, {"reference": 1e-9, "direct": 1.0})
    assert plan().algorithm != "reference"


@settings(max_examples=60)
@given(
    specs(),
    st.dictionaries(st.sampled_from(list(BY_NAME)), st.floats(1e-9, 1e3)),
    st.sampled_from(["default", "strict"]),
    st.sampled_from([None, 0, 100_000]),
)
def test_the_choice_is_the_least_time_that_the_limits_allow(spec, times, accuracy, limit):
    machine, limits = MACHINES["avx2"], Settings(accuracy=accuracy, max_workspace=limit)
    fit = {a.name: a for a in ALGORITHMS if dispatch.refusal(a, spec, limits) is None}
    assume(fit)
    name = choose(spec, limits, machine=machine, planned=True, threads=2, measured=times)
    fast = {n: times.get(n) or a.cost(spec, machine, planned=True, threads=2) for n, a in fit.items() if not a.oracle}
    assert name in fit
    assert name == "reference" if not fast else fast[name] == min(fast.values())


# A process's choices


class Clock:
    """Stands in for measure(): made-up times, and a count of the calls."""

    def __init__(self, monkeypatch, times=ODD_TIMES):
        self.times, self.asked = times, []
        monkeypatch.setattr(measure, "measure", self)

    def __call__(self, spec, names, settings, *, planned, **_):
        self.asked.append(row_name(spec, planned))
        assert set(names) <= set(self.times)
        return {name: self.times[name] for name in names}


def call():
    x, w = np.ones(SHAPES[0], np.float32), np.ones(SHAPES[1], np.float32)
    return convkern.conv2d(x, w, padding=1)


def test_a_block_measures_a_problem_once(place, monkeypatch):
    clock = Clock(monkeypatch)
    with convkern.config(tune=True):
        for _ in range(3):
            assert plan().algorithm == "im2col"
            assert plan(activation="relu").algorithm == "im2col"
            call()
            call()
    assert clock.asked == [row_name(SPEC, True), row_name(SPEC, False)]
    assert plan().algorithm == "im2col"  # met first in the block: measured for everybody
    memory.reset()
    with convkern.config(tune=True):  # as the next process would
        assert plan().algorithm == "im2col"
        call()
    assert len(clock.asked) == 2


def test_a_block_does_not_measure_where_there_is_no_choice(place, monkeypatch):
    clock = Clock(monkeypatch)
    with convkern.config(tune=True):
        plan(algorithm="direct")
        with convkern.config(tune=False):
            plan()
            call()
        convkern.conv2d(np.ones((0, 1, 4, 4)), np.ones((1, 1, 3, 3)))
        convkern.explain(*SHAPES, padding=1)
    assert clock.asked == []


def test_threads_that_meet_a_problem_at_once_measure_it_once(place, monkeypatch):
    clock = Clock(monkeypatch)
    names, gate = [], threading.Barrier(4)

    def meet():
        with convkern.config(tune=True):
            gate.wait()
            names.append(plan().algorithm)

    workers = [threading.Thread(target=meet) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert names == ["im2col"] * 4
    assert clock.asked == [row_name(SPEC, True)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_in_the_middle_of_a_measurement(place):
    out = run("""
        import os, threading, time
        import numpy as np, convkern
        from convkern import measure
        w, inside, go = np.ones((16, 16, 3, 3), np.float32), threading.Event(), threading.Event()
        take_turns = measure.take_turns

        def slow(*arguments):
            inside.set()
            go.wait()
            return take_turns(*arguments)

        def tuned(size):
            with convkern.config(tune=True):
                return convkern.plan((1, 16, size, size), w, padding=1)

        measure.take_turns = slow
        worker = threading.Thread(target=tuned, args=(9,))
        worker.start()
        inside.wait()
        child = os.fork()
        if child == 0:
            measure.take_turns = take_turns
            os._exit(0 if tuned(10) else 1)
        print(os.waitpid(child, 0)[1])
        go.set()
        worker.join()
    """, CONVKERN_CACHE=place)  # fmt: skip
    assert out == "0\n"
    rows = store.read(store.file_in(place)).times[key()]
    assert {name.split()[1] for name in rows} == {"1,16,9x9->16", "1,16,10x10->16"}


def test_a_limited_block_measures_what_its_limits_allow_and_others_the_rest(place, monkeypatch):
    clock = Clock(monkeypatch)
    with convkern.config(tune=True, accuracy="strict"):
        assert plan().algorithm == "im2col"
    first = store.read(store.file_in(place)).times[key()][row_name(SPEC, True)]
    assert set(first) == {"im2col", "direct"}
    with convkern.config(tune=True):
        assert plan().algorithm == "im2col"
        assert plan().algorithm == "im2col"
    assert len(clock.asked) == 2
    assert store.read(store.file_in(place)).times[key()][row_name(SPEC, True)] == ODD_TIMES


def test_only_tune_changes_a_choice_that_is_in_use(place, monkeypatch):
    usual = plan().algorithm
    assert usual != "im2col"
    before = call()
    keep(place)  # another process
    assert plan().algorithm == usual
    Clock(monkeypatch)
    with convkern.config(tune=True):
        assert plan().algorithm == "im2col"
        assert plan().explain().chosen == "im2col"
    assert plan().algorithm == usual
    assert convkern.explain(*SHAPES, padding=1, planned=True).chosen == usual
    assert np.array_equal(before, call())
    monkeypatch.setattr(sys.modules["convkern.tune"], "measure", measure.measure)
    convkern.tune(SPEC)
    assert plan().algorithm == "im2col"
    assert np.array_equal(call(), convkern.conv2d(np.ones(SHAPES[0], "f"), np.ones(SHAPES[1], "f"), padding=1,
                                                  algorithm="im2col"))  # fmt: skip


def test_a_one_shot_call_follows_tune_at_once(place, monkeypatch):
    used, prepare = [], Algorithm.prepare
    for times in (ODD_TIMES, {**ODD_TIMES, "direct": 1e-9}):
        clock = Clock(monkeypatch, times)
        monkeypatch.setattr(sys.modules["convkern.tune"], "measure", clock)
        convkern.tune(SPEC)
        with monkeypatch.context() as patch:
            patch.setattr(Algorithm, "prepare", lambda self, *rest: used.append(self.name) or prepare(self, *rest))
            call()
            call()
    assert used == ["im2col", "direct"]


def test_too_many_problems_to_note_count_as_met(place, monkeypatch):
    monkeypatch.setattr(sys.modules["convkern.memory"], "MAX_MET", 0)
    Clock(monkeypatch)
    with convkern.config(tune=True):
        assert plan().algorithm == "im2col"
    assert plan().algorithm != "im2col"


def test_tune_is_a_truth_value(place):
    for value in (1, "yes"):
        with pytest.raises(TypeError, match="tune"), convkern.config(tune=value):
            pass


# Measuring


@pytest.mark.parametrize("line", [*problems.GRID[::9], "grad_input 1,3,9x9->4 3x3 p1 reflect", "2,4,9->4 k3 relu bias"])
def test_every_kind_of_problem_can_be_measured(line):
    spec = Spec.parse(line)
    for direction in problems.DIRECTIONS:
        turned = replace(spec, direction=direction)
        serve = [a.name for a in ALGORITHMS if a.supports(turned) is None]
        for planned in (True, False):
            times = measure.measure(turned, serve, planned=planned, seconds=0, settle=0)
            assert set(times) == set(serve)
            assert all(0 < seconds < 1 for seconds in times.values())


def test_measuring_uses_the_default_threads_and_puts_back_the_others(monkeypatch):
    seen = []
    runner = measure.runner

    def spy(*arguments):
        seen.append(_core.get_num_threads())
        return runner(*arguments)

    monkeypatch.setattr(measure, "runner", spy)
    default = _core.default_num_threads()
    convkern.set_num_threads(default + 2)
    measure.measure(SPEC, ["direct"], planned=True, seconds=0, settle=0)
    assert seen == [default]
    assert convkern.get_num_threads() == default + 2


def test_an_algorithm_that_cannot_be_run_is_never_chosen():
    times = measure.measure(SPEC, ["depthwise", "direct"], planned=True, seconds=0, settle=0)
    assert times["depthwise"] == measure.NEVER
    assert times["direct"] < 1


def test_arrays_beyond_memory_do_not_stop_a_call(place, monkeypatch):
    def refuse(_):
        raise MemoryError

    monkeypatch.setattr(measure, "operands", refuse)
    with convkern.config(tune=True):
        assert plan().algorithm
    with pytest.raises(MemoryError):
        convkern.tune(LINE)


@pytest.mark.parametrize("bad", ["1,8", "0,1,4x4->1 3x3", ""])
def test_a_bad_problem_is_a_value_error(place, bad):
    with pytest.raises(ValueError, match=r"spec|nothing to multiply"):
        convkern.tune(bad)
    with pytest.raises(TypeError, match="problems"):
        convkern.tune(3)


def test_layouts():
    expand = sys.modules["convkern.tune"].expand
    assert [s.layout for s in expand("1,4,9->4 k3")] == ["NCW", "NWC"]
    assert [s.layout for s in expand("1,4,9x9x9->4 3x3x3 ndhwc")] == ["NDHWC"]
    assert [s.layout for s in expand("nchw 1,4,9x9->4 3x3")] == ["NCHW"]
    assert expand(SPEC) == (SPEC,)


def test_explain_shows_what_was_measured(place):
    assert "measured" not in str(convkern.explain(*SHAPES, padding=1))
    keep(place)
    memory.reset()
    table = convkern.explain(*SHAPES, padding=1, planned=True)
    assert table.chosen == "im2col"
    assert {row.algorithm: row.measured for row in table.rows if row.measured} == ODD_TIMES
    head, *rows = str(table).splitlines()[1:]
    assert head.split()[:3] == ["algorithm", "predicted", "measured"]
    assert next(row for row in rows if "im2col" in row).split()[0] == "*"
    assert "measured" in table._repr_html_()


def test_dispatch_without_tuning_reads_the_store_once(place, monkeypatch):
    asked = []
    find = store.find
    monkeypatch.setattr(store, "find", lambda: asked.append(1) or find())
    for size in range(4, 9):
        dispatch.choose(replace(SPEC, input=(size, size)))
    assert asked == [1]
