"""The pytest plugin of the run: patches SciPy before its tests are collected, selects them, writes the outcome.

Environment: CONVKERN_SUITE the module of a Suite, CONVKERN_SUITE_RESULT where the result goes, as JSON.
"""

import json
import os
from collections import Counter
from importlib import import_module

import pytest
from skips import SKIPS
from suite import SUITES

from convkern.scipy import REPLACEMENTS, Report
from convkern.scipy.patching import begin
from convkern.signal import linear

SUITE = next(suite for suite in SUITES if suite.module == os.environ["CONVKERN_SUITE"])
REPORT = Report()
OUTCOMES = Counter()
FAILED = []
SKIPPED = {}


def pytest_configure():
    """Test modules take the functions by name, so they have to be ours before the first is imported."""
    from scipy._lib import _array_api

    theirs = {}
    for name in REPLACEMENTS:
        module = import_module(name)
        theirs[module] = {
            attribute: getattr(module, attribute) for attribute in import_module(REPLACEMENTS[name]).__all__
        }
    begin(REPORT)
    linear.FEW = 0  # SciPy's tests are small: without this NumPy's loop would do many of them
    # SciPy keeps what its test decorators need to know of a function in a table by function.
    table = getattr(_array_api, "xp_capabilities_table", {})
    for module, functions in theirs.items():
        for attribute, function in functions.items():
            if function in table:
                table[getattr(module, attribute)] = table[function]


def pytest_collection_modifyitems(config, items):
    """Deselect what the suite does not name and mark what the list of skips names."""
    wanted = [item for item in items if not SUITE.select or set(parts(item.nodeid)) & set(SUITE.select)]
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    items[:] = wanted
    for item in items:
        short = item.path.name + item.nodeid[item.nodeid.index("::") :]
        reason = SKIPS.get(short) or SKIPS.get(short.partition("[")[0])
        if reason is not None:
            SKIPPED[short] = reason
            item.add_marker(pytest.mark.skip(reason=f"convkern: {reason}"))


def pytest_runtest_logreport(report):
    """Count each test once."""
    if report.when == "call" or report.outcome != "passed":
        expected = hasattr(report, "wasxfail")
        OUTCOMES["xfailed" if expected and report.skipped else "xpassed" if expected else report.outcome] += 1
        if report.failed:
            FAILED.append(report.nodeid)


def pytest_sessionfinish():
    """Write the result."""
    result = {
        "outcomes": OUTCOMES,
        "failed": FAILED,
        "skipped": SKIPPED,
        "taken": REPORT.taken,
        "handed_back": REPORT.handed_back,
    }
    with open(os.environ["CONVKERN_SUITE_RESULT"], "w") as file:
        json.dump(result, file)


def parts(nodeid):
    """Class and function names of a node id."""
    return nodeid.partition("[")[0].split("::")[1:]
