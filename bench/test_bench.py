"""The suite's own arithmetic on made-up samples, its shapes file, and one smoke run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import compare, results, shapes
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
        "shape": "1,8,9x9->8 3x3", "group": "-", "each": 2.0, "mean": None, "by_call": False, "direction": "forward",
        "dtype": "float32", "flops": 2e9, "bytes": 1e6, "bandwidths": [1e9, 1e9], "skipped": {}, "others": None,
        "contestants": taken,
    }  # fmt: skip


def test_shapes_are_those_of_the_table() -> None:
    read = shapes.read()
    assert len({shape.group for shape in read}) == 11
    assert len({str(shape.spec()) for shape in read}) == len(read) == 35
    assert all(str(shape.spec()) == shape.text for shape in read)
    assert all(shape.each for shape in read)


def test_goals_of_a_line_replace_its_class(tmp_path: Path) -> None:
    file = tmp_path / "shapes.txt"
    file.write_text("[a, by call]  # each >= 2, mean >= 3\n1,8,9x9->8 3x3\n1,8,9x9->8 1x1  # >= 1.5\n")
    one, other = shapes.read(file)
    assert (one.each, one.mean, other.each, other.mean) == (2, 3, 1.5, 3)
    assert one.by_call
    assert not one.towards("grad_input").by_call
    file.write_text("[a]\n1,8,9->8 3x3\n")
    with pytest.raises(ValueError, match="line 2"):
        shapes.read(file)


def test_ratios() -> None:
    made = row(plan_NCHW=2e-2, plan_NHWC=1e-2, call_NCHW=4e-2, torch_NCHW=4e-2, openvino=2e-2)
    assert results.best_peer(made) == ("openvino", 2e-2)
    assert results.ratios(made) == pytest.approx({"plan": 2, "other": 1, "call": 0.5, "torch": 1})
    assert results.judged(made) == pytest.approx(2)
    assert results.judged({**made, "by_call": True}) == pytest.approx(0.5)
    assert results.ratios(row(plan_NHWC=1e-2)) == {}


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


def test_smoke_check() -> None:
    assert main(["--smoke", "--check"]) == 0


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
