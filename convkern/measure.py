"""Times of algorithms for one problem, measured side by side in this process.

Each algorithm gets the same arrays and a warm-up; then all take turns, so that a slow moment of the machine hits all of
them, and the least time of each counts. Those with threads of their own come last: BLAS's threads wait for more work
for about a tenth of a second, on a core that others then lack. It chooses nothing; ``first_use`` also remembers.
"""

import time
from collections.abc import Callable, Collection

import numpy as np

from . import _core
from .algorithms import BY_NAME
from .arrays import FloatArray
from .config import DEFAULTS, Settings, config
from .locks import LongLock
from .memory import Times, memory, row_name
from .problem import Shape, shape_of
from .spec import Spec

SAMPLE = 1e-4  # seconds a sample takes at least, so that reading the clock does not count
SETTLE = 0.15  # seconds of quiet before the first sample: BLAS's threads have gone to sleep by then
SECONDS = 0.05  # that an algorithm may take for its samples, the first three aside
NEVER = 1e9
HOPELESS = 3.0  # times the best: measured no further
one_at_a_time = LongLock()


def measure(
    spec: Spec,
    names: Collection[str],
    settings: Settings = DEFAULTS,
    *,
    planned: bool,
    seconds: float = SECONDS,
    threads: int | None = None,
    settle: float = SETTLE,
) -> Times:
    """Seconds that algorithms take for a problem; NEVER for those that cannot be prepared or run.

    Parameters
    ----------
    spec : Spec
        Not empty.
    names : collection of str
        Algorithms.
    settings : Settings
        ISA and workspace limit.
    planned : bool
        Whether the weights are packed before the clock starts.
    seconds : float
        That each algorithm may take for its samples; the first three do not count.
    threads : int, optional
        Of the pool, meanwhile; by default the process's default number, with which choices are made.
    settle : float
        Seconds to wait first.

    Raises
    ------
    MemoryError
        If the arrays or an algorithm's workspace cannot be allocated.

    Examples
    --------
    >>> spec = Spec.parse("1,16,20x20->16 3x3 p1")
    >>> sorted(measure(spec, ["direct", "winograd4"], planned=True, seconds=0.001))
    ['direct', 'winograd4']
    """
    arrays = operands(spec)
    times: Times = {}
    time.sleep(settle)
    with config(threads=threads or _core.default_num_threads()):
        for foreign in (False, True):
            runs = {}
            for name in names:
                if BY_NAME[name].foreign_threads == foreign:
                    try:
                        runs[name] = runner(name, spec, settings, planned, arrays)
                        runs[name]()
                    except (ValueError, ImportError):
                        runs.pop(name, None)
                        times[name] = NEVER
            times.update(take_turns(runs, seconds))
    return times


def take_turns(runs: dict[str, Callable[[], object]], seconds: float) -> Times:
    """Least seconds of each run, warm already."""
    best, repeats = {}, {}
    for name, run in runs.items():
        start = time.perf_counter()
        run()
        best[name] = time.perf_counter() - start
        repeats[name] = max(1, round(SAMPLE / best[name]))
    spent = dict.fromkeys(runs, 0.0)
    for turn in range(50):
        limit = HOPELESS * min(best.values(), default=0.0)
        due = [n for n in runs if (turn < 3 or spent[n] < seconds) and (turn < 1 or best[n] <= limit)]
        if not due:
            break
        for name in due:
            run, count = runs[name], repeats[name]
            start = time.perf_counter()
            for _ in range(count):
                run()
            taken = time.perf_counter() - start
            best[name] = min(best[name], taken / count)
            spent[name] += taken
    return best


def operands(spec: Spec) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(image, weight, result) of a problem, contiguous; numbers of [-1, 1) in the operands."""
    spec = spec.unbordered()
    x, y = (
        shape_of(True, spec.n, channels, size, spec.channels_last)
        for channels, size in ((spec.ci, spec.input), (spec.co, spec.output))
    )
    weight = (spec.co, spec.ci // spec.groups, *spec.kernel)
    shapes: tuple[Shape, Shape, Shape] = {
        "forward": (x, weight, y),
        "grad_input": (y, weight, x),
        "grad_weight": (x, y, weight),
    }[spec.direction]
    drawn = np.random.default_rng(0).uniform(-1, 1, 4093).astype(spec.dtype)  # a prime: no two lines alike
    image, kernel = (np.resize(drawn, shape) for shape in shapes[:2])
    return image, kernel, np.zeros(shapes[2], spec.dtype)


def runner(
    name: str, spec: Spec, settings: Settings, planned: bool, arrays: tuple[FloatArray, FloatArray, FloatArray]
) -> Callable[[], object]:
    """One call of an algorithm, of its plan or with weights as they are."""
    plan = BY_NAME[name].prepare(spec, settings)
    image, weight, out = arrays
    if planned and spec.direction != "grad_weight":
        plan.pack(weight)
        return lambda: plan.run(image, None, None, None, out)
    return lambda: plan.run(image, weight, None, None, out)


def first_use(spec: Spec, names: list[str], settings: Settings, *, planned: bool) -> Times:
    """Measured times of all these algorithms: remembered ones, or measured now and remembered."""
    isa = settings.isa or _core.get_isa()
    with one_at_a_time:  # whoever waits here for the same problem finds it measured
        known = memory.recall(isa, spec, planned=planned, tuning=True)
        if all(name in known for name in names):
            return known
        try:
            times = {**known, **measure(spec, names, settings, planned=planned)}
        except MemoryError:  # it has to do without
            return known
        memory.remember(isa, {row_name(spec, planned): times}, explicit=False)
        return times
