"""The suites of choices, dtypes and functions: their arithmetic on made-up samples, their rows, and smoke runs."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import drawn, dtypes, filters, functions, goals, pooling, quality, training
from bench.__main__ import main
from bench.case import SkipError
from bench.pool import Handle
from bench.rounds import Entry
from convkern.spec import Spec

JOBS: dict[str, Callable[[int], dict[str, functions.Job]]] = {
    "filters": filters.jobs,
    "pooling": pooling.jobs,
    "training": training.jobs,
}


def choice(group: str, picked: str, **seconds: float) -> dict[str, Any]:
    taken = {n: {"seconds": [s, s], "peaks": [1.0], "chosen": n == picked} for n, s in seconds.items()}
    return {"shape": "a", "group": group, "contestants": taken}


def test_choices_are_judged_set_by_set() -> None:
    rows = [
        choice("shapes", "direct", direct=1e-3, im2col=2e-3),
        choice("shapes", "direct", direct=3e-3, im2col=2e-3),
        choice("random", "gone", direct=1e-3),
        choice("random", "direct", direct=1e-3),
    ]
    assert [quality.ratio(row) for row in rows[:2]] == pytest.approx([1, 1.5])
    assert math.isnan(quality.ratio(rows[2]))
    found = quality.figures(rows)
    assert found["shapes"] == pytest.approx({"mean": 1.25, "p95": 1.475, "worst": 1.5})
    assert found["random"] == {"mean": 1, "p95": 1, "worst": 1}
    table = quality.worst_table([{**r, "contestants": {n: {**c, "predicted": 1e-3} for n, c in
                                 r["contestants"].items()}} for r in rows])  # fmt: skip
    assert table.row_count == 1


def test_limits_are_read() -> None:
    assert quality.read_limits("mean=1.05,worst=1.5") == {"mean": 1.05, "worst": 1.5}
    assert quality.read_limits(None) == {}
    for text, said in (("mean=fast", "cannot read"), ("median=1", "unknown 'median'"), ("mean", "cannot read")):
        with pytest.raises(ValueError, match=said):
            quality.read_limits(text)


def entry(name: str, predicted: float, estimate: float, chosen: bool = False) -> Entry:
    handle = Handle.__new__(Handle)
    return Entry(name, handle, estimate, "", {"predicted": predicted, "chosen": chosen})


def test_only_the_hopeless_are_left_out() -> None:
    entries = [
        entry("best", 1, 1),
        entry("thought slow", 6, 2),
        entry("found slow", 4, 9),
        entry("hopeless", 6, 4),
        entry("chosen", 9, 9, True),
    ]
    assert [e.name for e in quality.worth_racing(entries)] == ["best", "thought slow", "found slow", "chosen"]
    assert quality.worth_racing([]) == []


def test_the_distribution_is_the_one_stated() -> None:
    problems = drawn.draw(quality.RANDOM)
    assert problems == drawn.draw(quality.RANDOM)
    assert problems[:5] == drawn.draw(5)
    assert problems[:5] != drawn.draw(5, seed=1)
    specs = [p.spec for p in problems]
    assert all(Spec.parse(str(s)) == s for s in specs)
    assert all(0 < s.flops <= drawn.FLOPS and s.bytes <= drawn.BYTES for s in specs)
    assert all(s.ci <= 544 and max(s.kernel) <= 11 and s.n <= 8 and max(s.stride) <= 4 for s in specs)
    count = {
        "1-D": sum(len(s.kernel) == 1 for s in specs),
        "3-D": sum(len(s.kernel) == 3 for s in specs),
        "depthwise": sum(s.groups == s.ci > 1 for s in specs),
        "dilated": sum(max(s.dilation) > 1 for s in specs),
        "strided": sum(max(s.stride) > 1 for s in specs),
        "grad_input": sum(s.direction == "grad_input" for s in specs),
        "grad_weight": sum(s.direction == "grad_weight" for s in specs),
        "float64": sum(s.dtype == "float64" for s in specs),
        "calls": sum(not p.planned for p in problems),
    }
    assert all(number >= 8 for number in count.values()), count
    assert sum(s.direction == "forward" for s in specs) > quality.RANDOM / 2
    assert 70 < sum(s.channels_last for s in specs) < 130


def test_rows_of_the_choices() -> None:
    tasks = quality.tasks()
    assert [t.facts["group"] for t in tasks] == ["shapes"] * 140 + ["random"] * quality.RANDOM
    assert len({t.facts["shape"] for t in tasks[:140]}) == 140
    few = quality.tasks(sample=20)
    assert few == quality.tasks(sample=20)
    assert len(few) == 20
    assert {t.facts["group"] for t in few} == {"shapes", "random"}
    with pytest.raises(ValueError, match="--sample: got 0"):
        quality.tasks(sample=0)


def test_every_algorithm_but_the_oracle_races() -> None:
    found = quality.contestants("ours", "nhwc 1,16,9x9->16 3x3 p1", 2, planned=True)
    assert {"direct", "im2col", "winograd2"} <= set(found)
    assert "reference" not in found
    made = {name: build() for name, build in found.items()}
    assert [m.facts["chosen"] for m in made.values()].count(True) == 1
    assert all(m.facts["predicted"] > 0 and m.facts["workspace"] >= 0 for m in made.values())
    assert all(np.allclose(m.result(), made["direct"].result(), atol=1e-3) for m in made.values())
    call = quality.contestants("ours", "grad_input 1,16,9x9->16 3x3 p1", 2, planned=False)["im2col"]()
    assert call.note == "im2col"


def test_smoke_of_the_choices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.json"
    assert main(["quality", "--smoke", "--json", str(file)]) == 0
    measured = json.loads(file.read_text())
    assert len(measured["rows"]) == 15
    assert set(measured["quality"]) == {"shapes", "random"}
    assert all(quality.ratio(row) >= 1 for row in measured["rows"])
    said = capsys.readouterr().out
    assert "Time of the chosen over time of the best" in said
    assert "goals missed" not in said
    assert main(["compare", str(file), str(file)]) == 0
    assert main(["quality", "--smoke", "--only", "nhwc", "--assert", "worst=0.5"]) == 1


def test_smoke_of_the_dtypes(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    assert main(["dtypes", "--smoke", "--json", str(file)]) == 0
    rows = json.loads(file.read_text())["rows"]
    assert main(["compare", str(file), str(file)]) == 0
    assert all(len(row["contestants"]) == 4 and dtypes.speed(row) > 0 for row in rows)
    made = {"float32 NCHW": 2e-3, "float32 NHWC": 1e-3, "float64 NCHW": 4e-3}
    row = {"contestants": {n: {"seconds": [s]} for n, s in made.items()}}
    assert dtypes.speed(row) == pytest.approx(0.25)
    assert math.isnan(dtypes.speed({"contestants": {"float32 NCHW": {"seconds": [1.0]}}}))


@pytest.mark.parametrize("suite", JOBS)
def test_goals_and_rows_have_the_same_names(suite: str) -> None:
    jobs = JOBS[suite](1)
    assert set(jobs) == set(goals.read()[suite]) == set(JOBS[suite](functions.SMALL))
    for job in jobs.values():
        workers = {worker for worker, _ in job.peers.values()}
        for kind in goals.read()[suite][job.name]:
            assert workers & set(functions.OPPONENTS[kind]), job.name


# A row of pooling has one contestant of ours and frameworks: test_rows_are_the_same_in_pytorch.
@pytest.mark.parametrize(("suite", "name"), [(s, n) for s in ("filters", "training") for n in JOBS[s](functions.SMALL)])
def test_contestants_here_agree(suite: str, name: str) -> None:
    """Ours, SciPy's and, where it is installed, OpenCV's compute the same thing as each other."""
    job = JOBS[suite](functions.SMALL)[name]
    found = {}
    opencv = ("opencv",) if importlib.util.find_spec("cv2") else ()
    for worker in ("ours", "scipy", *opencv):
        for who, build in functions.contestants(worker, name, 2, suite, functions.SMALL).items():
            found[worker, who] = build().result()
    assert len(found) > 1
    truth = next(iter(found.values()))
    for contestant, result in found.items():
        assert result.dtype == truth.dtype, contestant
        off = np.abs(result.astype(float) - truth.astype(float)).max()
        assert off <= job.tolerance * np.abs(truth).max(), contestant


def test_names_that_are_not_there_are_absent() -> None:
    assert functions.resolve("scipy.ndimage.sobel").__name__ == "sobel"
    for dotted in ("convkern.no_such_module.sobel", "convkern.no_such_function", "no_such_package.deeper.sobel"):
        with pytest.raises(SkipError, match="absent: "):
            functions.resolve(dotted)


def test_a_module_that_cannot_import_what_it_needs_is_not_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_there.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        functions.resolve("half_there.sobel")


def function_row(wanted: dict[str, float], **seconds: float) -> dict[str, Any]:
    """Contestants named worker_name; the one of the worker ours has peaks."""
    taken = {}
    for text, s in seconds.items():
        worker, _, name = text.partition("_")
        taken[name] = {"worker": worker, "note": "", "seconds": [s], "peaks": [1.0] if worker == "ours" else []}
    skipped = {} if "ours" in {c["worker"] for c in taken.values()} else {"sobel": "absent: no module convkern.x"}
    return {"shape": "a", "goals": wanted, "contestants": taken, "skipped": skipped, "others": None}


def test_functions_are_judged_by_kind_of_opponent() -> None:
    row = function_row({"scipy": 4, "opencv": 1}, ours_a=1e-3, scipy_b=6e-3, scipy_c=5e-3, opencv_d=5e-4)
    assert functions.ratios(row) == pytest.approx({"scipy": 5, "opencv": 0.5})
    verdicts = functions.verdicts([row])
    assert [v.met for v in verdicts] == [True, False]
    gone = function_row({"scipy": 4})
    assert functions.absent(gone) == "absent: no module convkern.x"
    assert [(v.reached, v.measured, v.met) for v in functions.verdicts([gone])] == [(0, True, False)]
    alone = function_row({"scipy": 4}, ours_a=1e-3)
    assert not functions.verdicts([alone])[0].measured


@pytest.mark.parametrize("suite", JOBS)
def test_smoke_of_the_functions(suite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.json"
    assert main([suite, "--smoke", "--json", str(file)]) == 0
    rows = json.loads(file.read_text())["rows"]
    assert len(rows) == len(JOBS[suite](1))
    missing = [row["shape"] for row in rows if functions.own(row) is None]
    assert all(functions.absent(row) for row in rows if row["shape"] in missing)
    said = capsys.readouterr().out
    assert ("absent or failed" in said) == bool(missing)
    assert main(["compare", str(file), str(file)]) == 0
    assert main([suite, "--smoke", "--assert", "--peers", "none"]) == (1 if missing else 0)


def test_smoke_check_of_the_functions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filters", "--smoke", "--check", "--peers", "scipy", "--only", "convolve"]) == 0
    assert "scipy oaconvolve, scipy fftconvolve" in capsys.readouterr().out
    assert main(["pooling", "--smoke", "--only", "nothing like this"]) == 2


@pytest.mark.parametrize("name", ["LeNet-5 step", "ResNet-18 step"])
def test_losses_show_whether_gradients_are_right(name: str) -> None:
    """Each step changes them by far more than the tolerance within which contestants have to agree."""
    job = training.jobs(functions.SMALL)[name]
    for contestant in functions.contestants("ours", name, 2, "training", functions.SMALL).values():
        made = contestant()
        losses = [made.run(), *made.result()]
        assert np.all(np.diff(losses) < -30 * job.tolerance * losses[0]), losses


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch")
@pytest.mark.parametrize("suite", ["pooling", "training"])
def test_rows_are_the_same_in_pytorch(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([suite, "--smoke", "--check", "--peers", "torch"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "agree within" in line]
    assert len(lines) == len(JOBS[suite](functions.SMALL))
    assert all("torch NCHW" in line and "torch NHWC" in line for line in lines), lines
