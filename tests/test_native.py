"""The core without Python: tests/native/grid_test.cpp over the grid, and that it notices what it is there to notice.

`make neon` runs the same program for aarch64.
"""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
from problems import INEXACT, STATED

from convkern import _core
from convkern.padding import PADDING_MODES

FOLDER = Path(__file__).parent / "native"
LINE = "1,3,9x11->5 3x3"


def load(name):
    found = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


grid = load("grid")
neon = load("neon")


@pytest.fixture(scope="module")
def program():
    return grid.build("grid_test")


@pytest.fixture
def run(program, tmp_path):
    """Run the program on a text; (exit status, output)."""

    def run(text, **settings):
        file = tmp_path / "problems.txt"
        file.write_text(text)
        return grid.run(program, file, **settings)

    return run


def one_line(algorithm="direct", line=LINE):
    """A problem that one algorithm is said to serve, exactly."""
    spec = next(spec for spec, _ in grid.specs() if str(spec).startswith(line))
    head, _, tail = grid.line_of(spec, grid.INTEGERS).partition(" integers ")
    return f"{head} integers {algorithm}=0 {tail[tail.index('#') :]}\n"


def test_the_grid_on_every_instruction_set_of_this_machine(run):
    status, output = run(grid.text(grid.share(grid.specs(), 8, grid.LARGE)))
    assert status == 0, output
    for isa in _core.supported_isas():
        counts = re.search(rf"^{isa}:((?: \w+ \d+)+)$", output, re.M)[1].split()
        assert tuple(counts[::2]) == _core.algorithms()
        assert min(map(int, counts[1::2])) >= 16


@pytest.mark.parametrize("step", [1, 4, 7])
def test_a_share_of_the_grid_still_covers_everything(step):
    everything = set().union(*(grid.covered(*pair) for pair in grid.specs()))
    kept = list(grid.share(grid.specs(), step))
    assert set().union(*(grid.covered(*pair) for pair in kept)) == everything
    assert {name for name, *_ in everything} == set(STATED)
    assert {row[1:] for row in everything if row[0] == "direct"} == {row[1:] for row in everything}
    assert {mode for *_, mode, _ in everything} == set(PADDING_MODES)
    assert all(any(getattr(spec, field) for spec, _ in kept) for field in ("bias", "residual", "clamp"))


def test_one_instruction_set_alone(run):
    status, output = run(one_line(), isa="odd")
    assert "odd: " in output
    assert not re.search(r"^(avx|baseline|neon)", output, re.M)
    assert status == 1  # all but one algorithm never ran
    assert "FAILED winograd4 never ran on odd" in output


def test_an_unknown_instruction_set_fails(run):
    status, output = run(one_line(), isa="vax")
    assert status == 1
    assert "CONVKERN_ISA is vax" in output


def test_a_wrong_result_fails_with_the_problem_and_what_ran(run):
    """A transforming algorithm is not exact on a sum of many terms: held to equality, it has to be caught."""
    assert "winograd4" in INEXACT
    status, output = run(one_line("winograd4"), isa="odd")
    assert status == 1
    assert re.search(rf"FAILED {LINE}.*, winograd4 on odd, plain weights: element \d+ is \S+, not \S+", output)


def test_an_algorithm_that_refuses_what_it_is_said_to_serve_fails(run):
    status, output = run(one_line("depthwise"), isa="odd")
    assert status == 1
    assert "depthwise on odd, plain weights: refused: " in output
    assert "direct on odd: not refused" in output


def test_what_cannot_be_read_fails(run):
    status, output = run("forward float32 nchw 1 1 3\n")
    assert status == 1
    assert "FAILED cannot read" in output


SPILLS = """
0000000000000000 <void convkern::neon::tile<float, 1, 2>(convkern::TileJob<float> const&)>:
   0:\tldr\ts0, [x1, x2]
   4:\tldp\tq1, q2, [x3]
   8:\tfmla\tv3.4s, v1.4s, v0.s[0]
   c:\tfmla\tv4.4s, v2.4s, v0.s[0]
{extra}  14:\tcmp\tx4, x5
  18:\tb.ne\t0 <void convkern::neon::tile<float, 1, 2>(convkern::TileJob<float> const&)>  // b.any
  1c:\tret
"""


@pytest.mark.parametrize(("extra", "stack"), [("", 0), ("  10:\tstr\tq4, [sp, #16]\n", 1)])
def test_loops_are_found_in_a_disassembly(extra, stack):
    ((_, code),) = neon.functions(SPILLS.format(extra=extra))
    (loop,) = neon.loops(code)
    assert neon.multiply_adds(loop) == 2
    assert len(loop) == 6 + stack
    assert sum("[sp" in arguments for _, _, arguments in loop) == stack
