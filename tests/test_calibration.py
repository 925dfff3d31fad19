"""Calibrated constants are kept and used, and the command line that measures."""

import math
from dataclasses import replace

import pytest
from scripts import finish, start
from stored import LINE

import convkern
from convkern import _core, calibration, store, tune_command
from convkern.algorithms import ALGORITHMS
from convkern.dispatch import choose
from convkern.machine import FIXED, MACHINES, this_machine
from convkern.memory import memory
from convkern.spec import Spec

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
