"""SciPy's own tests, which its wheel ships, pass with convkern's functions in the place of SciPy's.

Each test module runs in a process of its own, patched before it is collected; tests/scipy_suite says which tests, what
is skipped and why. Their counts are printed at the end of the run.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "scipy_suite"
sys.path.insert(0, str(FOLDER))

from skips import SKIPS  # noqa: E402
from suite import SUITES  # noqa: E402


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.module)
def test_scipys_own_tests_pass(suite, tmp_path, record_property):
    if find_spec(suite.module) is None:
        pytest.skip(f"this SciPy comes without {suite.module}")
    found, output = run(suite, tmp_path)
    record_property("printed", f"{suite.module}: {summary(found)}")
    assert not found["failed"], output[-8000:]
    assert found["outcomes"].get("passed", 0) >= suite.at_least
    idle = [name for name in suite.taken if not found["taken"].get(name)]
    assert not idle, f"never computed by convkern: {idle}; {found['handed_back']}"


def run(suite, folder):
    """Run SciPy's tests in a process, and return what it counted and its output."""
    path = os.pathsep.join(filter(None, [str(FOLDER), str(FOLDER.parent.parent), os.environ.get("PYTHONPATH")]))
    result = folder / "result.json"
    environment = {**os.environ, "PYTHONPATH": path, "CONVKERN_SUITE": suite.module,
                   "CONVKERN_SUITE_RESULT": str(result)}  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "plugin", "-c", str(FOLDER / "pytest.ini"),
               "--rootdir", str(folder), "--pyargs", suite.module]  # fmt: skip
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=600)
    output = done.stdout + done.stderr
    assert result.exists(), output[-8000:]
    return json.loads(result.read_text()), output


def test_every_skip_has_a_reason_and_a_suite():
    files = {suite.module.rpartition(".")[2] + ".py" for suite in SUITES}
    for node, reason in SKIPS.items():
        assert node.partition("::")[0] in files, node
        assert len(reason) > 20, node


def summary(found):
    """One line on a run, then a line for each skip and each function: who computed what."""
    outcomes = ", ".join(f"{count} {name}" for name, count in sorted(found["outcomes"].items()))
    taken, back = sum(found["taken"].values()), sum(sum(r.values()) for r in found["handed_back"].values())
    lines = [f"{outcomes}; calls: {taken} taken, {back} handed back"]
    lines += [f"  skipped {node}: {reason}" for node, reason in sorted(found["skipped"].items())]
    for name in sorted({*found["taken"], *found["handed_back"]}):
        reasons = found["handed_back"].get(name, {})
        detail = "".join(f"; {count} {reason}" for reason, count in sorted(reasons.items()))
        lines.append(f"  {name}: {found['taken'].get(name, 0)} taken{detail}")
    return "\n".join(lines)
