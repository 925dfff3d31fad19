"""What patched functions did: calls that convkern computed, and calls handed back to SciPy with the reason."""

from collections import Counter
from threading import Lock


class Report:
    """Calls of SciPy's functions under :func:`convkern.scipy.patch`; print it for a table.

    Attributes
    ----------
    taken : Counter
        Calls computed by convkern, by full name such as "scipy.signal.convolve".
    handed_back : dict of str to Counter
        Calls given to SciPy's own function, by full name and then by reason.

    Examples
    --------
    >>> from convkern.scipy import Report
    >>> report = Report()
    >>> report.add("scipy.signal.convolve", [])
    >>> report.add("scipy.signal.convolve", ["dtype float16"])
    >>> report.taken["scipy.signal.convolve"], report.handed_back["scipy.signal.convolve"]
    (1, Counter({'dtype float16': 1}))
    """

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.handed_back: dict[str, Counter[str]] = {}
        self._lock = Lock()

    def add(self, name: str, reasons: list[str]) -> None:
        """Counts a call; without reasons it was taken, otherwise the first one counts."""
        with self._lock:
            if reasons:
                self.handed_back.setdefault(name, Counter())[reasons[0]] += 1
            else:
                self.taken[name] += 1

    def __str__(self) -> str:
        with self._lock:
            names = sorted({*self.taken, *self.handed_back})
            width = max(map(len, names), default=0)
            lines = []
            for name in names:
                reasons = self.handed_back.get(name, Counter())
                line = f"{name:{width}}  {self.taken[name]:3} taken  {reasons.total():3} handed back"
                detail = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
                lines.append(f"{line} ({detail})" if detail else line)
        return "\n".join(lines) or "no call of a replaced function"

    def __repr__(self) -> str:
        back = sum(reasons.total() for reasons in self.handed_back.values())
        return f"<Report: {self.taken.total()} taken, {back} handed back>"
