"""Runs a piece of Python in a fresh process: for crashes, environment variables, signals, forks and memory limits."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import convkern

PACKAGE = Path(convkern.__file__).parent
SETTINGS = ("CONVKERN_ISA", "CONVKERN_NUM_THREADS", "OMP_NUM_THREADS")


def environment(**variables):
    """Ours without the library's settings, plus the given ones; the package tested here is found first."""
    kept = {k: v for k, v in os.environ.items() if k not in SETTINGS}
    path = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": path, **variables}


def start(source, **variables):
    return subprocess.Popen(
        [sys.executable, "-P", "-c", textwrap.dedent(source)],
        env=environment(**variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process, timeout=60):
    """(exit status, stdout, stderr); a process that hangs is killed and fails the test."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"still running after {timeout} s\n{out}\n{err}") from None
    return process.returncode, out, err


def run(source, timeout=60, **variables):
    """Stdout of a script that must end well."""
    status, out, err = finish(start(source, **variables), timeout)
    assert status == 0, f"exit status {status}\n{out}\n{err}"
    return out
