"""The suite's own arithmetic on made-up samples, its shapes file, and one smoke run."""

from __future__ import annotations

import json
import math
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import compare, goals, results, shapes, worker
from bench.__main__ import main
from bench.case import Case
from bench.pool import workers
from convkern.spec import Spec

PEAK = 1e11


def row(**seconds: float) -> dict[str, Any]:
    """Two rounds of a layer of 2 GFLOP and 1 MB; names with an underscore for the space."""
    taken = {
        name.replace("_", " "): {
            "note": "",
            "seconds": [s, s],
            "peaks": [PEAK] * 2 if name[:4] in ("plan", "call") else [],
        }
        for name, s in seconds.items()
    }
    return {
        "shape": "1,8,9x9->8 3x3", "group": "-", "each": 2.0, "mean": None, "frameworks": None, "by_call": False,
        "direction": "forward", "dtype": "float32", "flops": 2e9, "bytes": 1e6, "bandwidths": [1e9, 1e9],
        "skipped": {}, "others": None, "contestants": taken,
    }  # fmt: skip


def test_shapes_are_those_of_the_table() -> None:
    read = shapes.read()
    assert len({shape.group for shape in read}) == 11
    assert len({str(shape.spec()) for shape in read}) == len(read) == 35
    assert all(str(shape.spec()) == shape.text for shape in read)
    assert all(shape.goals["each"] for shape in shapes.directed(read, shapes.DIRECTIONS))
    single = {row for goal in goals.read()["layers"].values() for row in goal.get("rows", {})}
    assert single <= {shape.text for shape in read}
    assert set(goals.read()["layers"]) == {shape.label for shape in shapes.directed(read, shapes.DIRECTIONS)}


def test_goals_of_a_row_replace_its_class() -> None:
    assert shapes.Shape("1,512,14x14->512 3x3 p1", "3x3, small maps").goals["each"] == 1.5
    assert shapes.Shape("1,512,7x7->512 3x3 p1", "3x3, small maps").goals["each"] == 1.2
    assert shapes.Shape("1,8,9x9->8 1x1", "no such class").goals == {}


def test_gradients_are_classes_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "shapes.txt"
    file.write_text("[a, by call]\n1,8,9x9->8 3x3  # a remark\n")
    forward, image, weight = shapes.directed(shapes.read(file), shapes.DIRECTIONS)
    assert forward.by_call
    assert not image.by_call
    assert image.goals == {"each": 1.5}
    assert weight.goals == {"each": 1.3}
    assert str(weight.spec("float64")) == "f64 grad_weight 1,8,9x9->8 3x3"
    assert shapes.select([forward, image, weight], group="gradients") == [image, weight]
    assert shapes.select([forward, image, weight], group="a, by call") == [forward, image, weight]
    file.write_text("[a]\n1,8,9->8 3x3\n")
    with pytest.raises(ValueError, match="line 2"):
        shapes.read(file)


def test_ratios() -> None:
    made = row(plan_NCHW=2e-2, plan_NHWC=1e-2, call_NCHW=4e-2, torch_NCHW=4e-2, openvino=2e-2)
    assert results.best_peer(made) == ("openvino", 2e-2)
    found = {"plan": 2, "listed": 2, "other": 1, "call": 0.5, "nchw": 1, "frameworks": 2, "torch": 1}
    assert results.ratios(made) == pytest.approx(found)
    assert results.nchw_share(made) == pytest.approx(0.5)
    assert results.judged(made) == pytest.approx(2)
    assert results.judged({**made, "by_call": True}) == pytest.approx(1)
    assert results.ratios(row(plan_NHWC=1e-2)) == {}
    assert math.isnan(results.nchw_share(row(plan_NHWC=1e-2)))


def test_frameworks_are_told_from_the_other_peers() -> None:
    made = row(plan_NHWC=1e-2, call_NHWC=1e-2, torch_NHWC=12e-2, openvino_NHWC=11e-2, opencv_filter2D=3e-2)
    assert results.best_peer(made) == ("opencv filter2D", 3e-2)
    assert results.ratios(made) == pytest.approx({"plan": 3, "listed": 3, "call": 3, "frameworks": 11, "torch": 12})
    made = row(plan_NHWC=1e-2, call_NHWC=1e-2, torch_NHWC=3e-2, openvino_NHWC=2e-2)
    assert results.ratios(made)["plan"] == pytest.approx(2)
    assert results.ratios(made)["listed"] == pytest.approx(3)


def missed(rows: list[dict[str, Any]]) -> dict[str, float]:
    return {v.what: v.reached for v in results.verdicts(rows) if v.measured and not v.met}


def test_missed_goals_are_found() -> None:
    fine = row(plan_NCHW=1e-2, plan_NHWC=1e-2, call_NHWC=1e-2, torch_NHWC=3e-2)
    assert missed([fine]) == {}
    assert len([v for v in results.verdicts([fine]) if v.measured]) == 2
    slow = row(plan_NCHW=2e-2, plan_NHWC=1e-2, call_NHWC=2.5e-2, torch_NHWC=2.1e-2)
    assert missed([slow]) == pytest.approx({"-: 1,8,9x9->8 3x3, plan in NCHW": 1.05})
    slow["contestants"]["plan NHWC"]["workspace"] = 33 << 20
    slow["contestants"]["plan NCHW"]["workspace"] = 5
    assert missed([slow])["-: 1,8,9x9->8 3x3, MB of workspace"] == 33
    assert missed([{**slow, "direction": "grad_input", "each": 2.2, "mean": 2.2}]) == pytest.approx(
        {
            "-: 1,8,9x9->8 3x3, plan": 2.1,
            "-: 1,8,9x9->8 3x3, MB of workspace": 33,
            "-: geometric mean": 2.1,
            "-: geometric mean in NCHW": 1.05,
        }
    )
    assert missed([{**slow, "shape": "1,8,99->8 k3", "frameworks": 10}])["-: 1,8,99->8 k3, frameworks / plan"] == (
        pytest.approx(2.1)
    )


def test_goals_of_the_whole_table() -> None:
    """They speak of several classes; the overall mean is that of the images."""
    image, line = (row(plan_NHWC=1e-2, call_NHWC=c, torch_NHWC=s) for c, s in ((1e-2, 0.8e-2), (8e-2, 9e-2)))
    line["shape"], line["group"] = "1,8,99->8 k3", "lines"
    volume = {**line, "shape": "1,8,9x9x9->8 3x3x3"}
    found = missed([image, line, volume])
    assert found["2-D layers: geometric mean of plans"] == pytest.approx(0.8)
    assert found["2-D layers: smallest plan"] == pytest.approx(0.8)
    assert found["PyTorch / call: geometric mean"] == pytest.approx((0.8 * (9 / 8) ** 2) ** (1 / 3))
    assert found["PyTorch / call: smallest"] == pytest.approx(0.8)
    alone = missed([line, volume])
    assert not any("2-D" in what or "PyTorch" in what for what in alone)


def test_share_of_the_limit_that_binds() -> None:
    made = row(plan_NHWC=4e-2)
    assert (results.rate(made)["bound"], results.rate(made)["share"]) == ("fma", pytest.approx(0.5))
    made["bytes"] = 1e9
    assert (results.rate(made)["bound"], results.rate(made)["share"]) == ("memory", pytest.approx(25))


def test_gain_does_not_see_the_machine_slow_down() -> None:
    random = np.random.default_rng(0)
    noise = random.uniform(1, 1.02, 40)
    fast = {"seconds": list(1e-3 * noise), "peaks": [PEAK] * 40}
    slow = {"seconds": list(1e-3 * noise), "peaks": [PEAK * 2] * 40}
    gain, error = compare.gain(slow, fast)
    assert gain == pytest.approx(2)
    assert 0 < error < 0.01


def test_data_follow_from_the_descriptor() -> None:
    forward, gradient = (Case(Spec.parse(text + "2,4,9x9->8 3x3 s2 g2")) for text in ("", "nhwc grad_weight "))
    assert np.array_equal(forward.x, gradient.x)
    assert np.array_equal(forward.weight, gradient.weight)
    assert forward.result_shape == (2, 8, 4, 4)
    assert gradient.result_shape == (8, 2, 3, 3)


def test_smoke(tmp_path: Path) -> None:
    file, picture = tmp_path / "deeper" / "a.json", tmp_path / "a.png"
    assert main(["--smoke", "--json", str(file), "--picture", str(picture)]) == 0
    data = json.loads(file.read_text())
    assert len(data["rows"]) == len(shapes.SMOKE)
    assert picture.stat().st_size > 10_000
    assert all(results.rate(made)["share"] > 0 and math.isnan(results.judged(made)) for made in data["rows"])
    assert main(["compare", str(file), str(file)]) == 0


def test_smoke_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--smoke", "--check"]) == 0
    assert main(["--smoke", "--check", "--class", "gradients"]) == 0
    assert "direct forward" in (said := capsys.readouterr().out)
    assert "direct grad_weight" in said


def test_smoke_of_the_gradients(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    assert main(["--smoke", "--class", "gradients", "--json", str(file)]) == 0
    found = json.loads(file.read_text())["rows"]
    assert [made["group"] for made in found] == ["gradients, input"] * 3 + ["gradients, weight"] * 3
    assert all(made["each"] == goals.read()["layers"][made["group"]]["each"] for made in found)
    assert all(results.workspace(made) is not None for made in found)


def test_mistakes_are_answered_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--peers", "caffe"]) == 2
    assert main(["--only", "nothing like this"]) == 2
    said = capsys.readouterr().out
    assert "caffe" in said
    assert "3x3, large" in said


def test_a_worker_that_cannot_start_is_named() -> None:
    with workers(["no such peer"], 1) as (handles, versions, missing):
        assert not handles
        assert not versions
        assert "no such peer" in missing["no such peer"]


@pytest.mark.skipif(not worker.TASKS.is_dir(), reason="looks at threads where Linux shows them")
def test_a_spinning_thread_is_waited_for() -> None:
    end = threading.Event()
    start = time.perf_counter()
    arrays = np.ones((2, 1 << 18))

    def spin() -> None:
        while time.perf_counter() - start < 0.1:
            np.sqrt(arrays, out=arrays)  # without the interpreter lock
        end.set()

    thread = threading.Thread(target=spin)
    thread.start()
    worker.quiet()
    assert end.is_set()
    thread.join()
    assert not worker.others_run()
    assert worker.quiet() < worker.QUIET_LIMIT
