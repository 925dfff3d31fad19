"""CONVKERN_PATCH_SCIPY: patches SciPy for the life of the process, and says at its end what was done.

0 or empty: no;   1: yes;   report: yes, and the report goes to standard error at exit
"""

import atexit
import sys
from collections.abc import Mapping

from .patching import begin
from .report import Report

NAME = "CONVKERN_PATCH_SCIPY"


def apply(environment: Mapping[str, str]) -> Report | None:
    """Patches SciPy if the environment asks for it.

    Raises
    ------
    ValueError
        For a value that is not offered.
    """
    value = environment.get(NAME, "")
    if value in ("", "0"):
        return None
    if value not in ("1", "report"):
        raise ValueError(f"environment variable {NAME}: got {value!r}, needs one of 0, 1, report")
    return patch_for_good(report=value == "report")


def patch_for_good(*, report: bool) -> Report:
    """Patches SciPy until the process ends."""
    made = Report()
    begin(made)
    if report:
        atexit.register(lambda: print(made, file=sys.stderr))
    return made
