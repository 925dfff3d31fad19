"""Which algorithm computes a Spec, and why: a function of the Spec, the settings, a Machine and remembered times.

    choice = the least time, measured or else predicted, among the algorithms that support the Spec and keep the limits

The number of threads counted with is the process's default, not the current one, so that a choice, and with it the
bits of a result, does not depend on set_num_threads. It knows no algorithm by name.
"""

from dataclasses import dataclass

from . import _core
from .algorithms import ALGORITHMS, BY_NAME, Algorithm
from .config import DEFAULTS, Settings
from .machine import Machine, this_machine
from .measure import first_use
from .memory import Times, memory
from .spec import Spec


@dataclass(frozen=True, slots=True)
class Row:
    """What one algorithm would do: ``reason`` says why it cannot, None that it can."""

    algorithm: str
    reason: str | None
    seconds: float
    workspace: int
    error: float
    chosen: bool
    measured: float | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The choice among the algorithms for one problem; print it for a table.

    Attributes
    ----------
    spec : Spec
        The problem.
    isa : str
        The instruction set counted with.
    threads : int
    planned : bool
        Whether packing the weights is left out of the times.
    rows : tuple of Row
        One for each algorithm: algorithm, reason (None if it can be used), seconds (predicted), workspace (bytes),
        error (relative to max(abs(result))), chosen and measured (seconds remembered from :func:`tune`, or None; they
        go before predictions).
    """

    spec: Spec
    isa: str
    threads: int
    planned: bool
    rows: tuple[Row, ...]

    @property
    def chosen(self) -> str | None:
        """Name of the algorithm that is used, None if none can be."""
        return next((row.algorithm for row in self.rows if row.chosen), None)

    @property
    def heading(self) -> str:
        weights = "weights packed before" if self.planned else "weights packed in the call"
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        return f"{self.spec}   {self.spec.flops / 1e6:.4g} MFLOP, {self.isa}, {threads}, {weights}"

    def cells(self) -> list[tuple[str, ...]]:
        """The table as text, its header first."""
        tuned = any(row.measured is not None for row in self.rows)
        table: list[tuple[str, ...]] = [("", "algorithm", "predicted", *["measured"] * tuned, "workspace", "error", "")]
        for row in self.rows:
            measured = [] if not tuned else ["-" if row.measured is None else format_seconds(row.measured)]
            numbers = [format_seconds(row.seconds), *measured, format_bytes(row.workspace), f"{row.error:.1e}"]
            if row.reason is not None:
                numbers = ["-"] * len(numbers)
            table.append(("*" * row.chosen, row.algorithm, *numbers, row.reason or "chosen" * row.chosen))
        return table

    def __str__(self) -> str:
        table = self.cells()
        widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
        lines = [self.heading]
        for mark, name, *numbers, remark in table:
            aligned = [text.rjust(width) for text, width in zip(numbers, widths[2:-1], strict=True)]
            lines.append("  ".join([mark.ljust(1), name.ljust(widths[1]), *aligned, remark]).rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The table for notebooks."""
        header, *rows = self.cells()
        lines = ["<tr>" + "".join(f"<th>{escape(text)}</th>" for text in header) + "</tr>"]
        for row in rows:
            style = ' style="font-weight: bold"' if row[0] else ""
            lines.append(f"<tr{style}>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>")
        return f"<table><caption>{escape(self.heading)}</caption>{''.join(lines)}</table>"


def choose(
    spec: Spec,
    settings: Settings = DEFAULTS,
    *,
    machine: Machine | None = None,
    planned: bool = False,
    threads: int | None = None,
    measured: Times | None = None,
) -> str:
    """Name of the algorithm for a problem.

    Parameters
    ----------
    spec : Spec
    settings : Settings
        A fixed algorithm, the accuracy and the workspace limit.
    machine : Machine, optional
        By default this one, with the ISA of the settings.
    planned : bool
        Whether the weights are packed before the call.
    threads : int, optional
        By default the process's default number.
    measured : dict of str to float, optional
        Seconds of algorithms, which go before predictions; by default those remembered, none for a given ``machine``.

    Raises
    ------
    ValueError
        With each algorithm's reason, if none can be used, or with that of the algorithm that the settings fix.

    Examples
    --------
    >>> from convkern.machine import MACHINES
    >>> choose(Spec.parse("1,64,56x56->64 3x3 p1"), machine=MACHINES["avx2"], threads=2)
    'winograd4'
    """
    if settings.algorithm != "auto":
        reason = refusal(BY_NAME[settings.algorithm], spec, settings)
        if reason is not None:
            raise ValueError(f"algorithm: got {settings.algorithm!r}, which cannot compute {spec}: {reason}")
        return settings.algorithm
    reasons = {algorithm.name: refusal(algorithm, spec, settings) for algorithm in ALGORITHMS}
    fit = [algorithm for algorithm in ALGORITHMS if reasons[algorithm.name] is None]
    if not fit:
        text = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise ValueError(f"algorithm: none can compute {spec} within these limits ({text})")
    if measured is None:
        measured = remembered(spec, settings, fit, planned) if machine is None else {}
    machine = machine or this_machine(settings.isa or _core.get_isa())
    threads = threads or _core.default_num_threads()

    def seconds(algorithm: Algorithm) -> tuple[bool, float]:
        known = measured.get(algorithm.name)
        cost = algorithm.cost(spec, machine, planned=planned, threads=threads) if known is None else known
        return algorithm.oracle, cost

    return min(fit, key=seconds).name


def remembered(spec: Spec, settings: Settings, fit: list[Algorithm], planned: bool) -> Times:
    """Measured times of algorithms; with settings.tune of all those that fit, measured now if need be."""
    times = memory.recall(settings.isa or _core.get_isa(), spec, planned=planned, tuning=settings.tune)
    if settings.tune and not spec.empty:
        names = [algorithm.name for algorithm in fit if not algorithm.oracle]
        if len(names) > 1 and any(name not in times for name in names):
            times = first_use(spec, names, settings, planned=planned)
    return times


def refusal(algorithm: Algorithm, spec: Spec, settings: Settings) -> str | None:
    """Why an algorithm cannot be used within the settings, or None. _core is asked only about workspace limits."""
    reason = algorithm.supports(spec)
    if reason is None and settings.accuracy == "strict" and not algorithm.windowed:
        reason = 'accuracy="strict" wants outputs that depend on their own window alone'
    if reason is None and settings.max_workspace is not None:
        try:
            needed = algorithm.workspace(spec, settings)
        except ValueError as error:
            return str(error)
        if needed > settings.max_workspace:
            reason = f"needs {needed} bytes of workspace, max_workspace is {settings.max_workspace}"
    return reason


def explain_spec(spec: Spec, settings: Settings = DEFAULTS, *, planned: bool = False) -> Explanation:
    """Every algorithm's row for a problem, with this machine's predictions and remembered times."""
    isa, threads = settings.isa or _core.get_isa(), _core.default_num_threads()
    machine = this_machine(isa)
    measured = memory.recall(isa, spec, planned=planned, tuning=settings.tune, look=True)
    reasons = {algorithm: refusal(algorithm, spec, settings) for algorithm in ALGORITHMS}
    workspaces = {}
    for algorithm in ALGORITHMS:
        if reasons[algorithm] is None:
            try:
                workspaces[algorithm] = algorithm.workspace(spec, settings)
            except ValueError as error:
                reasons[algorithm] = str(error)
    try:
        chosen = choose(spec, settings, machine=machine, planned=planned, threads=threads, measured=measured)
    except ValueError:
        chosen = None
    rows = tuple(
        Row(
            algorithm.name,
            reasons[algorithm],
            algorithm.cost(spec, machine, planned=planned, threads=threads),
            workspaces.get(algorithm, 0),
            algorithm.error(spec),
            algorithm.name == chosen,
            measured.get(algorithm.name),
        )
        for algorithm in ALGORITHMS
    )
    return Explanation(spec, isa, threads, planned, rows)


def format_seconds(seconds: float) -> str:
    for unit, scale in (("us", 1e-6), ("ms", 1e-3)):
        if seconds < 1000 * scale:
            return f"{seconds / scale:.3g} {unit}" if seconds < 100 * scale else f"{seconds / scale:.0f} {unit}"
    return f"{seconds:.3g} s"


def format_bytes(size: int) -> str:
    for unit, scale in (("B", 1), ("KB", 1 << 10), ("MB", 1 << 20)):
        if size < 1000 * scale:
            return f"{size / scale:.3g} {unit}" if size < 100 * scale else f"{size / scale:.0f} {unit}"
    return f"{size / (1 << 30):.3g} GB"


def escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
