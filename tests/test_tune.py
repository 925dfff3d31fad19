"""Measured times and constants: kept, found again, never fatal, within the limits, and steady within a process.

Rows with made-up times stand in for measured ones wherever a choice is looked at, so no test needs a quiet machine.
"""

import json
import math
import os
import sys
import threading
from dataclasses import replace

import numpy as np
import problems
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scripts import finish, run, start
from strategies import specs

import convkern
from convkern import _core, calibration, dispatch, measure, store, tune_command
from convkern.algorithms import ALGORITHMS, BY_NAME, Algorithm
from convkern.config import Settings
from convkern.dispatch import choose, explain_spec
from convkern.machine import FIXED, MACHINES, built_in, this_machine
from convkern.memory import memory, row_name
from convkern.spec import Spec

LINE = "1,16,12x12->16 3x3 p1"
SPEC = Spec.parse(LINE)
SHAPES = (1, 16, 12, 12), (16, 16, 3, 3)
# The slowest first: no prediction would have it so.
ODD_TIMES = {a.name: 1.0 for a in ALGORITHMS if not a.oracle and a.supports(SPEC) is None}
ODD_TIMES |= {"im2col": 1e-7, "winograd2": 2e-7, "direct": 3e-7, "winograd4": 4e-7}
CHOSEN = """
import numpy as np, convkern
x, w = np.ones((1, 16, 12, 12), np.float32), np.ones((16, 16, 3, 3), np.float32)
print(convkern.plan(x.shape, w, padding=1).algorithm)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty store, and a process that has not looked at it yet."""
    monkeypatch.setenv(store.VARIABLE, str(tmp_path))
    monkeypatch.setattr(
        measure.measure, "__kwdefaults__", {**measure.measure.__kwdefaults__, "settle": 0, "seconds": 0}
    )
    memory.reset()
    yield str(tmp_path)
    memory.reset()


def key():
    return store.validity(_core.get_isa(), _core.default_num_threads())


def keep(place, times=ODD_TIMES, spec=SPEC):
    """Write rows for a problem as another process would."""
    rows = {row_name(spec, planned): times for planned in (True, False)}
    return store.write(place, {}, {key(): rows})


def plan(**settings):
    return convkern.plan(SHAPES[0], np.ones(SHAPES[1], np.float32), padding=1, **settings)


# The store


def test_what_is_measured_is_found_by_the_next_process(place):
    tables = convkern.tune(LINE)
    assert [(str(t.spec), t.planned) for t in tables] == [
        (line, planned) for line in (LINE, f"nhwc {LINE}") for planned in (True, False)
    ]
    for table in tables:
        times = {row.algorithm: row.measured for row in table.rows if row.measured is not None}
        assert set(times) == {a.name for a in ALGORITHMS if not a.oracle and a.supports(SPEC) is None}
        assert all(0 < seconds < 1 for seconds in times.values())
        assert table.chosen == min(times, key=times.get)
    content = store.read(store.file_in(place))
    assert content.times[key()].keys() == {row_name(t.spec, t.planned) for t in tables}
    assert run(CHOSEN, CONVKERN_CACHE=place).split() == [tables[0].chosen]


def test_a_remembered_choice_goes_before_a_prediction(place):
    assert run(CHOSEN, CONVKERN_CACHE=place).split() != ["im2col"]
    keep(place)
    assert run(CHOSEN, CONVKERN_CACHE=place).split() == ["im2col"]
    assert run(CHOSEN, CONVKERN_CACHE="off").split() != ["im2col"]
    assert run(CHOSEN, CONVKERN_CACHE=place, CONVKERN_ISA="odd").split() != ["im2col"]
    threads = str(_core.default_num_threads() + 1)
    assert run(CHOSEN, CONVKERN_CACHE=place, CONVKERN_NUM_THREADS=threads).split() != ["im2col"]


def test_another_version_measures_anew(place, monkeypatch):
    monkeypatch.setattr(store, "__version__", "0.0.0")
    keep(place)
    monkeypatch.undo()
    monkeypatch.setenv(store.VARIABLE, place)
    assert plan().algorithm != "im2col"
    keep(place)
    assert len(store.read(store.file_in(place)).times) == 2  # neither loses its rows


def test_processes_that_write_at_once_lose_nothing(place):
    source = """
        import warnings
        from convkern import store
        warnings.simplefilter("error")
        for i in range(40):
            store.write({place!r}, {{}}, {{"isa 1 0": {{f"{name} {{i}}": {{"direct": 1.0}}}}}})
            assert store.read(store.file_in({place!r})).times["isa 1 0"][f"{name} {{i}}"]
    """
    ended = [finish(writer) for writer in [start(source.format(place=place, name=name)) for name in "abc"]]
    assert [(status, err) for status, _, err in ended] == [(0, "")] * 3
    rows = store.read(store.file_in(place)).times["isa 1 0"]
    assert rows.keys() == {f"{name} {i}" for name in "abc" for i in range(40)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_forked_during_a_write_does_not_keep_others_out(place):
    out = run(f"""
        import json, os, time
        from convkern import store
        dump = json.dump

        def forking(*arguments, **settings):
            global child
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            dump(*arguments, **settings)

        json.dump = forking
        store.write({place!r}, {{}}, {{"isa 1 0": {{"one": {{"direct": 1.0}}}}}})
        json.dump = dump
        store.write({place!r}, {{}}, {{"isa 1 0": {{"two": {{"direct": 1.0}}}}}})
        os.kill(child, 9)
        os.waitpid(child, 0)
        print(*store.read(store.file_in({place!r})).times["isa 1 0"])
    """, timeout=30)  # fmt: skip
    assert out.split() == ["one", "two"]


def damaged():
    good = {"format": store.FORMAT, "cpu": store.cpu(), "constants": {}, "times": {}}
    row = "plan x"
    yield "empty", b""
    yield "cut off", json.dumps(good).encode()[:-5]
    yield "no text", bytes(range(256))
    yield "no object", b"[1, 2]"
    yield "deep", b"[" * 200_000
    yield "another format", json.dumps({**good, "format": store.FORMAT + 1}).encode()
    yield "another CPU", json.dumps({**good, "cpu": {"model": "of next door"}}).encode()
    yield "no tables", json.dumps({**good, "times": 3}).encode()
    yield "a lone row", json.dumps({**good, "times": {key(): {row: 1.0}}}).encode()
    for name, value in [("text", "fast"), ("negative", -1.0), ("zero", 0), ("nan", math.nan), ("infinite", math.inf),
                        ("true", True)]:  # fmt: skip
        yield name, json.dumps({**good, "times": {key(): {row: {"direct": value}}}}).encode()
        yield f"constant {name}", json.dumps({**good, "constants": {key(): {"flops": value}}}).encode()
    yield "too large", b" " * (store.MAX_BYTES + 1)


@pytest.mark.parametrize("data", [data for _, data in damaged()], ids=[name for name, _ in damaged()])
def test_a_damaged_file_is_left_out_with_a_warning_and_mended(place, data):
    path = store.file_in(place)
    with open(path, "wb") as file:
        file.write(data)
    with pytest.warns(RuntimeWarning, match=r"not used.*--forget"):
        name = plan().algorithm
    assert name == choose(SPEC, machine=built_in(_core.get_isa()), planned=True)
    with pytest.warns(RuntimeWarning, match="not used"):
        keep(place)
    assert store.read(path).times[key()][row_name(SPEC, True)] == ODD_TIMES


def test_a_file_that_cannot_be_opened_is_not_fatal(place):
    os.mkdir(store.file_in(place))  # root may read any file, but no folder
    assert plan().algorithm
    with pytest.warns(RuntimeWarning, match="not used"), pytest.raises(OSError, match="directory"):
        keep(place)


def test_unknown_names_in_a_file_do_no_harm(place):
    keep(place, {"of tomorrow": 1e-9, **ODD_TIMES})
    store.write(place, {key(): {"of tomorrow": 3.0, "lanes": 1.0, "isa": 2.0, "flops": 123e9}}, {})
    assert plan().algorithm == "im2col"
    machine, table = this_machine(_core.get_isa()), built_in(_core.get_isa())
    assert machine == replace(table, flops=123e9)


def test_the_file_is_bounded_and_the_oldest_rows_go(place, monkeypatch):
    monkeypatch.setattr(store, "MAX_PROBLEMS", 10)
    for version in range(3):
        for i in range(7):
            store.write(place, {}, {f"isa 1 {version}": {f"row {i}": {"direct": 1.0}}})
    store.write(place, {}, {"isa 1 1": {"row 6": {"direct": 2.0}}})
    times = store.read(store.file_in(place)).times
    assert sum(map(len, times.values())) == 10
    assert times["isa 1 1"]["row 6"] == {"direct": 2.0}
    assert len(times["isa 1 2"]) == 7


def test_nothing_is_left_behind_when_a_write_fails(place, monkeypatch):
    path = keep(place)
    before = set(os.listdir(place))

    def full(*_):
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        keep(place, {"direct": 1.0})
    assert set(os.listdir(place)) == before
    assert store.read(path).times[key()][row_name(SPEC, True)] == ODD_TIMES


def test_a_store_that_cannot_be_written_is_said_before_measuring(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OSError, match="file"):
        convkern.tune(LINE, cache=blocked / "folder")


def test_a_block_whose_times_cannot_be_written_goes_on(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "file" / "folder"))
    memory.reset()
    with convkern.config(tune=True), pytest.warns(RuntimeWarning, match="cannot be written"):
        assert plan().algorithm
    memory.reset()


# Where it lies


def test_users_without_a_store_import_nothing(tmp_path):
    out = run(
        CHOSEN + "import sys; print([m for m in ('platformdirs', 'json', 'tempfile') if m in sys.modules])",
        HOME=str(tmp_path), XDG_CACHE_HOME="", CONVKERN_CACHE="",
    )  # fmt: skip
    assert out.splitlines()[1] == "[]"


def test_the_users_cache_folder_is_the_default(tmp_path):
    pytest.importorskip("platformdirs")
    source = f"""
        import convkern, platformdirs
        convkern.tune("nhwc {LINE}")
        from convkern.memory import memory
        print(memory.path, platformdirs.user_cache_dir("convkern", appauthor=False), sep="\\n")
    """
    here = {"HOME": str(tmp_path), "XDG_CACHE_HOME": "", "CONVKERN_CACHE": ""}
    path, folder = run(source, **here).splitlines()
    assert path == store.file_in(folder)
    assert folder.startswith(str(tmp_path))
    assert path in run("import convkern; convkern.show_config()", **here)
    assert "off" in run("import convkern; convkern.show_config()", **{**here, "CONVKERN_CACHE": "off"})


def test_without_platformdirs_the_error_names_the_extra_and_the_variable(tmp_path):
    source = """
        import sys; sys.modules["platformdirs"] = None
        import numpy as np, convkern
        convkern.conv2d(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)))
        for use in (lambda: convkern.tune("1,1,4x4->1 3x3"), lambda: convkern.config(tune=True).__enter__()):
            try:
                use()
            except ImportError as error:
                print(error)
        print(len(convkern.tune("nhwc 1,1,4x4->1 3x3", cache=sys.argv[0] or "folder")))
    """
    (tmp_path / ".cache" / "convkern").mkdir(parents=True)
    out = run(
        source.replace("sys.argv[0]", repr(str(tmp_path))),
        HOME=str(tmp_path), XDG_CACHE_HOME="", CONVKERN_CACHE="",
    ).splitlines()  # fmt: skip
    assert len(out) == 3
    assert all("convkern[tune]" in line and "CONVKERN_CACHE" in line for line in out[:2])
    assert out[2] == "2"


def test_off_remembers_for_the_process_alone(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(store.VARIABLE, "off")
    memory.reset()
    (table, _) = convkern.tune(f"nhwc {LINE}")
    assert any(row.measured for row in table.rows)
    assert explain_spec(table.spec, planned=True) == table
    assert not list(tmp_path.iterdir())
    memory.reset()


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


# Calibration

FEW = {
    "some": ("1,16,14x14->16 3x3 p1", "1,32,14x14->32 3x3 p1 g32", "1,1,32x32->1 5x5 p2", "1,8,14x14->8 1x1"),
}


def sane(machine):
    """Whether a machine's constants are numbers of their kind and its choices such as one would make."""
    for name in calibration.names():
        value = getattr(machine, name)
        assert 0 < value < math.inf, name
    assert machine.efficiency <= 1
    table = MACHINES[machine.isa]
    for line in ("1,64,56x56->64 3x3 p1", "1,3,224x224->64 7x7 s2 p3", "1,1024,14x14->256 1x1",
                 "nhwc 1,144,56x56->144 3x3 p1 s2 g144"):  # fmt: skip
        spec = Spec.parse(line)
        name = choose(spec, machine=machine, planned=True, threads=2)
        costs = {a.name: a.cost(spec, table, planned=True, threads=2) for a in ALGORITHMS if a.supports(spec) is None}
        assert name != "reference"
        assert costs[name] <= 5 * min(costs.values())


@pytest.mark.parametrize("isa", _core.supported_isas()[:2])
def test_a_calibration_is_remembered_and_used(place, monkeypatch, isa):
    monkeypatch.setattr(calibration, "LAYERS", FEW)
    outside = _core.get_isa(), convkern.get_num_threads()
    result = calibration.calibrate(isa, sweeps=1)
    assert (_core.get_isa(), convkern.get_num_threads()) == outside
    sane(result.used)
    assert result.used.isa == isa
    assert result.used.flops != result.table.flops
    for name in FIXED:
        assert getattr(result.used, name) == getattr(result.table, name)
    used = {name: pytest.approx(getattr(result.used, name), rel=1e-3) for name in calibration.names()}
    for _ in range(2):  # in this process, and as the next one reads it
        machine = this_machine(isa)
        assert {name: getattr(machine, name) for name in used} == used
        memory.reset()
    text = str(result)
    assert all(name in text for name in calibration.names())


def test_a_calibration_for_other_threads_is_better_than_the_table(place):
    isa = _core.get_isa()
    store.write(place, {store.validity(isa, 77): {"flops": 7e10}, store.validity("none", 1): {"flops": 1.0}}, {})
    assert this_machine(isa).flops == 7e10


@pytest.mark.parametrize("isa", ["avx512", "avx2"])
def test_the_fit_finds_the_choices_of_another_machine(isa):
    """Times made up by a machine whose constants are others: the fit has to choose as that machine would."""
    table = MACHINES[isa]
    other = replace(
        table, transform_cycles=3 * table.transform_cycles, tap_cycles=2.5 * table.tap_cycles, efficiency=0.6,
        line_cycles=50.0, shuffle_cycles=1.5, group=0.5e-6, blas_efficiency=0.9, blas_call=1e-6,
    )  # fmt: skip
    samples = []
    for line in (line for group in calibration.LAYERS.values() for line in group):
        for channels_last in (False, True):
            spec = replace(Spec.parse(line), channels_last=channels_last)
            serve = [a for a in ALGORITHMS if not a.oracle and a.supports(spec) is None]
            times = {a.name: a.cost(spec, other, planned=True, threads=2) for a in serve}
            samples.append(calibration.Sample(spec, True, times))
    before = calibration.regrets(table, samples, 2)
    free = [name for name in calibration.names() if getattr(other, name) != getattr(table, name)]
    found, loss = calibration.fit(table, table, free, tuple(samples), 2)
    after = calibration.regrets(found, samples, 2)
    assert loss < calibration.fit(table, table, [], tuple(samples), 2)[1]
    assert sum(after) / len(after) < 1.005 < sum(before) / len(before)
    for name in ("transform_cycles", "tap_cycles", "efficiency"):
        assert getattr(found, name) == pytest.approx(getattr(other, name), rel=0.3), name
    sane(found)


def test_a_wild_measurement_is_not_used(place, monkeypatch):
    monkeypatch.setattr(calibration, "LAYERS", FEW)
    rates = calibration.measure_rates
    monkeypatch.setattr(calibration, "measure_rates", lambda *a: {**rates(*a), "memory_rate": 1.0, "l2_rate": 1e18})
    result = calibration.calibrate(sweeps=1)
    assert result.measured.memory_rate == 1.0
    assert result.used.memory_rate == result.before.memory_rate
    assert result.used.l2_rate == result.before.l2_rate


# The command line

MAIN = "import runpy, sys; sys.argv = ['convkern', *{}]; runpy.run_module('convkern', run_name='__main__')"


def command(*arguments, **variables):
    return finish(start(MAIN.format(list(map(str, arguments))), **variables))


def test_command_line(place, tmp_path):
    shapes = tmp_path / "shapes.txt"
    shapes.write_text(f"# layers\n[small]  # each >= 2\n{LINE}   # >= 1.2\n\nnhwc 1,4,9x9->4 1x1\n")
    status, out, err = command("tune", shapes, "1,8,30->8 k3", CONVKERN_CACHE=place)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 2 * (2 + 1 + 2) + 1
    assert lines[0].startswith(f"{LINE}  plan: ")
    assert all("predicted: " in line for line in lines[:-1])
    assert store.file_in(place) in lines[-1]
    assert "5 problems" not in command("info", CONVKERN_CACHE=place)[1]
    assert "10 problems measured" in command("info", CONVKERN_CACHE=place)[1]
    status, out, _ = command("tune", "--forget", CONVKERN_CACHE=place)
    assert status == 0
    assert "deleted" in out
    assert "nothing remembered" in command("info", CONVKERN_CACHE=place)[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to do"),
        (["1,8"], "1,8"),
        (["no/such/file"], "no/such/file"),
        (["--isa", "avx999", LINE], "avx999"),
        (["0,1,4x4->1 3x3"], "nothing to multiply"),
    ],
    ids=["nothing", "descriptor", "file", "isa", "empty"],
)
def test_command_line_refuses_in_one_line(place, arguments, words):
    status, out, err = command("tune", *arguments, CONVKERN_CACHE=place)
    assert (status, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1


def test_command_line_names_the_line_of_a_file(place, tmp_path):
    shapes = tmp_path / "shapes.txt"
    shapes.write_text(f"{LINE}\n1,8 3x3\n")
    status, _, err = command("tune", shapes, CONVKERN_CACHE=place)
    assert status == 2
    assert "shapes.txt, line 2" in err


def test_command_line_calibrates(place, monkeypatch, capsys):
    monkeypatch.setattr(calibration, "LAYERS", FEW)
    from convkern.__main__ import main

    isa = _core.supported_isas()[-2]
    assert main(["tune", "--calibrate", "--isa", isa]) == 0
    out = capsys.readouterr().out
    assert out.startswith(isa)
    for name in ("table", "before", "measured", "used", "flops", "chosen over best"):
        assert name in out
    assert isa in memory.describe()


def test_command_line_without_a_store(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv(store.VARIABLE, "off")
    monkeypatch.chdir(tmp_path)
    memory.reset()
    assert tune_command.main(parse("tune", f"nhwc {LINE}")) == 0
    assert "nothing was stored" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    memory.reset()


def parse(*arguments):
    from convkern.__main__ import parser

    return parser().parse_args(arguments)


def test_dispatch_without_tuning_reads_the_store_once(place, monkeypatch):
    asked = []
    find = store.find
    monkeypatch.setattr(store, "find", lambda: asked.append(1) or find())
    for size in range(4, 9):
        dispatch.choose(replace(SPEC, input=(size, size)))
    assert asked == [1]
