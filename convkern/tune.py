"""Measures the algorithms that serve a problem and remembers their times, so that choices rest on them.

    tune(problems) -> memory (this process, at once) -> store (the CPU's file: every later process)

It knows which problems to measure and how to say what was found; measure has the clock, memory the rules.
"""

import os
from collections.abc import Iterator

from . import _core, store
from .algorithms import ALGORITHMS
from .config import current
from .dispatch import Explanation, explain_spec, refusal
from .measure import measure, one_at_a_time
from .memory import memory, row_name
from .spec import LAYOUTS, Spec

LAYOUT_WORDS = {name.lower() for pair in LAYOUTS.values() for name in pair}


def tune(*problems: str | Spec, cache: str | os.PathLike[str] | None = None) -> tuple[Explanation, ...]:
    """Measures the algorithms that serve these problems and remembers the times; choices rest on them from then on.

    Each problem is measured as a plan and as a one-shot call, on the process's default number of threads and with the
    instruction set of the moment. All algorithms that the settings of the moment allow are measured, not only the
    predicted best, and all times are kept: where a call's limits refuse the fastest, the next takes its place. Bias,
    residual and activation do not count; the batch size does.

    Parameters
    ----------
    *problems : str or Spec
        Lines such as ``"1,64,56x56->64 3x3 p1"`` (see :meth:`Spec.parse`), measured in both layouts unless they name
        one, or Specs, measured as they are.
    cache : path-like, optional
        Folder of the store. By default the one that the environment variable CONVKERN_CACHE names (with ``off`` times
        are kept for this process only), else the user's cache folder.

    Returns
    -------
    tuple of Explanation
        One for each problem, layout and mode, with the measured times.

    Raises
    ------
    ValueError, TypeError
        If a line cannot be read or a problem is empty.
    ImportError
        If the folder is not given and platformdirs, the extra ``convkern[tune]``, is not installed.
    OSError
        If the folder cannot be written.
    MemoryError
        If a problem's arrays cannot be allocated.

    See Also
    --------
    config : ``config(tune=True)`` measures a problem where it is first used.

    Examples
    --------
    >>> import convkern
    >>> planned, one_shot = convkern.tune("nhwc 1,16,20x20->16 3x3 p1")
    >>> planned.planned, one_shot.planned
    (True, False)
    >>> times = {row.algorithm: row.measured for row in planned.rows if row.measured}
    >>> min(times, key=times.get) == planned.chosen
    True
    """
    specs = [spec for problem in problems for spec in expand(problem)]
    check_folder(cache)
    return tuple(explanation for spec in specs for explanation in tune_spec(spec, cache))


def expand(problem: str | Spec) -> tuple[Spec, ...]:
    """The Specs that a line stands for: both layouts, or the one that it names."""
    if isinstance(problem, Spec):
        specs: tuple[Spec, ...] = (problem,)
    elif isinstance(problem, str):
        named = LAYOUT_WORDS & set(problem.lower().split())
        lines = [problem] if named else [problem, f"{LAYOUTS[len(Spec.parse(problem).kernel)][1].lower()} {problem}"]
        specs = tuple(map(Spec.parse, lines))
    else:
        raise TypeError(f"problems: got {problem!r} ({type(problem).__name__}), needs a descriptor or a Spec")
    for spec in specs:
        if spec.empty:
            raise ValueError(f"problems: got {str(problem)!r}, which has nothing to multiply")
    return specs


def check_folder(cache: str | os.PathLike[str] | None) -> str | None:
    """The store's folder, made and found fit to be written before anything is measured; None if there is to be none."""
    place = store.folder(cache)
    if place is not None:
        os.makedirs(place, exist_ok=True)
        if not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(f"cache: {place} cannot be written")
    return place


def tune_spec(spec: Spec, cache: str | os.PathLike[str] | None = None) -> Iterator[Explanation]:
    """Measures one Spec as a plan and as a call, remembers both and yields their tables."""
    settings = current().merged("auto", "default", _core.get_isa())
    isa = settings.isa or _core.get_isa()
    spec = spec.bare()
    names = [a.name for a in ALGORITHMS if not a.oracle and refusal(a, spec, settings) is None]
    modes = (False,) if spec.direction == "grad_weight" else (True, False)  # its operands are never packed before
    with one_at_a_time:
        rows = {row_name(spec, planned): measure(spec, names, settings, planned=planned) for planned in modes}
    memory.remember(isa, rows, explicit=True, cache=cache)
    for planned in modes:
        yield explain_spec(spec, settings._replace(algorithm="auto"), planned=planned)


def read_lines(path: str | os.PathLike[str]) -> list[str]:
    """The descriptors of a file such as bench/shapes.txt: one a line, [headings] and what follows # left out.

    Raises
    ------
    ValueError
        Naming the line that cannot be read.
    OSError
        If the file cannot be read.
    """
    lines = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            body = line.partition("#")[0].strip()
            if body and not body.startswith("["):
                try:
                    expand(body)
                except ValueError as error:
                    raise ValueError(f"{path}, line {number}: {error}") from None
                lines.append(body)
    return lines
