"""What every test shares: the hypothesis profile, and the library's settings put back after each test."""

import contextlib
import importlib
import os
import pkgutil
import sys
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings

import convkern

sys.path.insert(0, str(Path(__file__).parent))  # oracle and problems are plain modules beside the tests

COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("ci", derandomize=True, max_examples=200, database=None, **COMMON)
settings.register_profile("sanitized", derandomize=True, max_examples=50, database=None, **COMMON)
settings.register_profile("explore", max_examples=2000, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# Hypothesis draws numbers that it finds in loaded modules: with all of them loaded, draws are the same in every run,
# whichever tests came before.
for module in pkgutil.walk_packages(convkern.__path__, "convkern."):
    with contextlib.suppress(ImportError):  # of an extra that is not installed
        importlib.import_module(module.name)


def pytest_addoption(parser):
    parser.addoption("--few-isas", action="store_true", help="of the instruction sets, the widest and the odd one only")
    parser.addoption("--isas-in-turn", action="store_true", help="of tests that differ in instruction set only, one")


def pytest_configure(config):
    """Leave out instruction sets before modules of tests ask for them."""
    if config.getoption("--few-isas"):
        from convkern import _core

        isas = _core.supported_isas()
        _core.supported_isas = lambda: (isas[0], isas[-1])


def pytest_collection_modifyitems(config, items):
    """With --isas-in-turn keep one of the tests that differ in instruction set only: which, is drawn by their name."""
    if not config.getoption("--isas-in-turn"):
        return
    alike = {}
    for item in items:
        isa = item.callspec.params.get("isa") if hasattr(item, "callspec") else None
        alike.setdefault(item.nodeid.replace(isa, "*") if isa else item.nodeid, []).append(item)
    kept = {id(group[crc32(name.encode()) % len(group)]) for name, group in alike.items()}
    config.hook.pytest_deselected(items=[item for item in items if id(item) not in kept])
    items[:] = [item for item in items if id(item) in kept]


def pytest_terminal_summary(terminalreporter):
    """Print what tests recorded to be printed: they may have run in other processes."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, text in report.user_properties:
            if name == "printed":
                terminalreporter.write_line(text)


@pytest.fixture(autouse=True)
def settings_restored():
    """Threads and ISA are process-wide: a test that fails half-way must not change the next one."""
    from convkern import _core

    threads, isa = _core.get_num_threads(), _core.get_isa()
    yield
    _core.set_num_threads(threads)
    _core.set_isa(isa)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty store of measured times, and a process that has not looked at it yet."""
    from convkern import measure, store
    from convkern.memory import memory

    monkeypatch.setenv(store.VARIABLE, str(tmp_path))
    monkeypatch.setattr(
        measure.measure, "__kwdefaults__", {**measure.measure.__kwdefaults__, "settle": 0, "seconds": 0}
    )
    memory.reset()
    yield str(tmp_path)
    memory.reset()
