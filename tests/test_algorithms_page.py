"""docs/algorithms.md and its picture keep up with the algorithms, and the picture can be drawn and measured again."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
from problems import STATED

from convkern.spec import Spec

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "algorithms.md").read_text()
DATA = json.loads((DOCS / "algorithms.json").read_text())


@pytest.fixture(scope="module")
def drawing():
    found = importlib.util.spec_from_file_location("draw_algorithms", DOCS / "draw_algorithms.py")
    module = sys.modules["draw_algorithms"] = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_every_measured_algorithm_has_a_section_a_row_and_a_colour(drawing):
    measured = {name for times in DATA["times"].values() for name in times}
    headings = {name for heading in re.findall(r"^## (.*)$", PAGE, re.M) for name in heading.split(", ")}
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.M))
    assert measured <= set(STATED) - {"reference"}
    assert measured | {"reference"} <= rows <= set(STATED)
    assert rows <= headings
    assert measured <= set(drawing.STYLE)
    letters, colours = zip(*drawing.STYLE.values(), strict=True)
    assert len(set(letters)) == len(set(colours)) == len(letters)


def test_stated_errors_are_those_of_the_page():
    spec = Spec.parse("1,64,56x56->64 3x3 p1")
    filters, channels = Spec.parse("1,1,9x9->1 3x3"), Spec.parse("1,8,9x9->8 3x3 g8")
    factors = {"direct": 1, "im2col": 1, "winograd2": 1, "winograd4": 3}
    for name, factor in factors.items():
        assert STATED[name].error(spec) == pytest.approx(factor * 2**-24 * (8 + 2 * 576**0.5))
        assert STATED[name].windowed == (name[:8] != "winograd")
    for name, small in (("plane", filters), ("depthwise", channels)):
        assert STATED[name].error(small) == pytest.approx(2**-24 * (8 + 2 * 9**0.5))
    assert STATED["fft"].error(spec) == pytest.approx(2**-24 * (12 + 2 * 576**0.5))
    assert not STATED["fft"].windowed
    assert STATED["reference"].error(spec) == pytest.approx(2**-23)


def test_each_cell_of_the_picture_is_in_the_data(drawing):
    cells = {
        str(spec)
        for panel in drawing.PANELS.values()
        for y in panel.y[1]
        for x in panel.x[1]
        if (spec := panel.spec(y, x)) is not None
    }
    assert cells == set(DATA["times"])
    assert all(len(times) >= 2 and min(times.values()) > 0 for times in DATA["times"].values())


def test_the_picture_is_drawn_from_the_data(drawing, tmp_path):
    file = tmp_path / "algorithms.png"
    drawing.draw(DATA, file)
    assert file.read_bytes()[:4] == b"\x89PNG"
    assert file.stat().st_size > 50_000
    drawing.save(DATA, tmp_path / "algorithms.json")
    assert (tmp_path / "algorithms.json").read_text() == (DOCS / "algorithms.json").read_text()


def test_a_layer_is_measured_with_every_algorithm_that_serves_it(drawing):
    spec = Spec.parse("nhwc 1,4,7x7->4 3x3 p1")
    times = drawing.measure(spec)
    serving = {name for name, stated in STATED.items() if stated.supports(spec) is None and not stated.oracle}
    assert set(times) == serving
    assert all(0.1 < time < 1e6 for time in times.values())


def test_the_winner_and_its_lead(drawing):
    assert drawing.winner({"direct": 10.0, "im2col": 25.0, "plane": 12.5}) == ("direct", 1.25)
    assert drawing.winner({"direct": 10.0}) == ("direct", None)
    assert drawing.strength(1.0) < drawing.strength(1.5) < drawing.strength(2.0) == drawing.strength(None) == 1.0
