"""Puts convkern's functions in the place of SciPy's of the same name, and SciPy's back.

Modules of SciPy that are imported already are changed at once, others when they are imported, so that patching alone
imports nothing. However many patches are open at a time, the functions are replaced once and every open report counts.
It knows the modules of REPLACEMENTS by name only.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from threading import RLock
from types import ModuleType
from typing import Any

from ..original import reasons, replaced
from .report import Report

# SciPy's module and ours: every name of our __all__ that SciPy's module has, too, is replaced there.
REPLACEMENTS = {
    "scipy.ndimage": "convkern.ndimage",
    "scipy.signal": "convkern.signal",
}

Function = Callable[..., Any]
_lock = RLock()
_reports: list[Report] = []
_wrappers: dict[tuple[str, str], Function] = {}


@contextmanager
def patch(*, modules: Iterable[ModuleType] = ()) -> Iterator[Report]:
    """Replaces functions of scipy.signal and scipy.ndimage by convkern's, process-wide while the block lasts.

    What convkern does not do goes to SciPy's own function, with the reason noted.

    Parameters
    ----------
    modules : iterable of module
        Modules that have taken such functions by name (``from scipy.signal import fftconvolve``) before; those names
        are replaced, too. Names taken inside the block stay convkern's afterwards.

    Yields
    ------
    Report
        What was taken and what was handed back, and why; complete when the block ends.

    Raises
    ------
    TypeError
        If ``modules`` holds anything but modules.

    Examples
    --------
    >>> import numpy as np, scipy.signal
    >>> from convkern.scipy import patch
    >>> with patch() as report:
    ...     y = scipy.signal.fftconvolve(np.ones(500), np.ones(30))
    >>> report.taken["scipy.signal.fftconvolve"]
    1
    """
    modules = list(modules)
    for module in modules:
        if not isinstance(module, ModuleType):
            raise TypeError(f"modules: got {module!r}, needs modules")
    report = Report()
    begin(report)
    borrowed = [change for module in modules for change in replace_borrowed(module)]
    try:
        yield report
    finally:
        for module, attribute, theirs in borrowed:
            setattr(module, attribute, theirs)
        end(report)


def begin(report: Report) -> None:
    """Counts in one more report; the first one replaces the functions."""
    with _lock:
        _reports.append(report)
        if len(_reports) == 1:
            sys.meta_path.insert(0, _finder)
            for name in REPLACEMENTS:
                if name in sys.modules:
                    replace(sys.modules[name])


def end(report: Report) -> None:
    """Counts no more in a report; the last one puts SciPy's functions back."""
    with _lock:
        _reports.remove(report)
        if _reports:
            return
        sys.meta_path.remove(_finder)
        for (name, attribute), wrapper in _wrappers.items():
            if getattr(sys.modules[name], attribute) is wrapper:
                setattr(sys.modules[name], attribute, replaced[name, attribute])


def replace(module: ModuleType) -> None:
    """Puts our functions into a module of SciPy."""
    ours = import_module(REPLACEMENTS[module.__name__])
    with _lock:
        for attribute in ours.__all__:
            key = module.__name__, attribute
            if key not in _wrappers:
                if not hasattr(module, attribute):
                    continue  # newer or older than this SciPy
                replaced[key] = getattr(module, attribute)
                _wrappers[key] = counted(*key, getattr(ours, attribute), replaced[key])
            setattr(module, attribute, _wrappers[key])


def replace_borrowed(module: ModuleType) -> list[tuple[ModuleType, str, Function]]:
    """Puts our functions where a module holds SciPy's under names of its own; what has to be put back."""
    wrappers = {id(replaced[key]): wrapper for key, wrapper in _wrappers.items()}
    changes = [(module, attribute, value) for attribute, value in vars(module).items() if id(value) in wrappers]
    for _, attribute, theirs in changes:
        setattr(module, attribute, wrappers[id(theirs)])
    return changes


def counted(module: str, name: str, ours: Function, theirs: Function) -> Function:
    """Our function under SciPy's name and documentation, counted in every open report."""
    full = f"{module}.{name}"

    @wraps(theirs)
    def function(*args: Any, **kwargs: Any) -> Any:
        noted: list[str] = []
        token = reasons.set(noted)
        try:
            return ours(*args, **kwargs)
        finally:
            reasons.reset(token)
            for report in tuple(_reports):
                report.add(full, noted)

    function.__module__ = module  # where pickle finds it
    return function


class _Finder:
    """Finds the modules of REPLACEMENTS as Python would, and replaces their functions as soon as they have run."""

    @staticmethod
    def find_spec(name: str, path: Any, target: Any = None) -> Any:
        if name not in REPLACEMENTS:
            return None
        for finder in sys.meta_path:
            spec = None if finder is _finder else finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader.exec_module = replacing(spec.loader.exec_module)  # type: ignore[assignment,method-assign]
                return spec
        return None


def replacing(load: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    """A loader's exec_module that puts our functions in, if they are still wanted by then."""

    def load_and_replace(module: ModuleType) -> None:
        load(module)
        with _lock:
            if _reports:
                replace(module)

    return load_and_replace


_finder: Any = _Finder()
