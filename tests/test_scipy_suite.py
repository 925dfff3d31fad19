"""SciPy's own tests, which its wheel ships, pass with convkern's functions in the place of SciPy's.

Each test module runs in a process of its own, patched before it is collected; tests/scipy_suite says which tests, what
is skipped and why. The processes run side by side. Their counts are printed.
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


@pytest.fixture(scope="module")
def runs(request, tmp_path_factory):
    """(process, folder) by module of those suites that are wanted here, all started at once."""
    wanted = {
        item.callspec.params["suite"] for item in request.session.items if getattr(item, "originalname", "") == TEST
    }
    started = {}
    for suite in sorted(wanted, key=lambda suite: -suite.at_least):  # the longest first
        if find_spec(suite.module) is not None:
            folder = tmp_path_factory.mktemp(suite.module.rpartition(".")[2])
            started[suite.module] = start(suite, folder), folder
    yield started
    for process, _ in started.values():
        process.kill()
        process.wait()


def start(suite, folder):
    """Run SciPy's tests in a process; it writes result.json and output.txt."""
    path = os.pathsep.join(filter(None, [str(FOLDER), str(FOLDER.parent.parent), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "CONVKERN_SUITE": suite.module,
                   "CONVKERN_SUITE_RESULT": str(folder / "result.json")}  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "plugin", "-c", str(FOLDER / "pytest.ini"),
               "--rootdir", str(folder), "--pyargs", suite.module]  # fmt: skip
    with (folder / "output.txt").open("w") as output:
        return subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=subprocess.STDOUT)


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.module)
def test_scipys_own_tests_pass(suite, runs, capsys):
    if suite.module not in runs:
        pytest.skip(f"this SciPy comes without {suite.module}")
    process, folder = runs[suite.module]
    process.wait(timeout=400)
    result, output = folder / "result.json", (folder / "output.txt").read_text()
    assert result.exists(), output[-8000:]
    found = json.loads(result.read_text())
    with capsys.disabled():
        print(f"\n{suite.module}: {summary(found)}")
    assert not found["failed"], output[-8000:]
    assert found["outcomes"].get("passed", 0) >= suite.at_least
    idle = [name for name in suite.taken if not found["taken"].get(name)]
    assert not idle, f"never computed by convkern: {idle}; {found['handed_back']}"


TEST = test_scipys_own_tests_pass.__name__


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
