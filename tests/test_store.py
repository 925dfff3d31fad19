"""The store of measured times: found again by the next process, never fatal, bounded, and where it lies."""

import json
import math
import os
from dataclasses import replace

import pytest
from scripts import finish, run, start
from stored import CHOSEN, LINE, ODD_TIMES, SPEC, keep, key, plan

import convkern
from convkern import _core, store
from convkern.algorithms import ALGORITHMS
from convkern.dispatch import choose, explain_spec
from convkern.machine import built_in, this_machine
from convkern.memory import memory, row_name


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
