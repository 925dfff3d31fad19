"""What this process knows of measured times: read from the store at the first choice, once, and added to since.

What a process chose for a problem does not change under its feet:

- The file is read once. What other processes add to it later counts in processes that start later.
- What ``config(tune=True)`` measures counts in the whole process if the problem had not been met before, and within
  such blocks only if it had.
- ``tune()`` alone overrides; it raises ``generation``, which is part of the key of remembered calls.

It knows no algorithms: rows are names and seconds.
"""

import os
import warnings

from . import _core, store
from .locks import fork_safe_lock
from .spec import Spec

MAX_MET = 1 << 16  # problems noted as met before; later ones count as met
Times = dict[str, float]


def row_name(spec: Spec, planned: bool) -> str:
    """A problem's row in the store. Bias, residual and limits cost every algorithm the same and are left out."""
    mode = "plan" if planned and spec.direction != "grad_weight" else "call"
    return f"{mode} {spec.bare()}"


class Memory:
    def __init__(self) -> None:
        self.generation = 0
        self._lock = fork_safe_lock()
        self.reset()

    def reset(self) -> None:
        """Forgets everything; the store is read again when it is needed next."""
        self.path: str | None = None  # of the file that was read or written
        self.generation += 1
        self._loaded = False
        self._constants: store.Table = {}
        self._times: dict[str, store.Table] = {}  # valid for everybody in this process
        self._inside: dict[str, store.Table] = {}  # ... for blocks of config(tune=True)
        self._met: set[int] = set()

    def load(self) -> None:
        """Reads the store, once."""
        if self._loaded:
            return
        with self._lock:
            if not self._loaded:
                self.path = store.find()
                if self.path is not None:
                    content = store.read(self.path)
                    self._constants, self._times = content
                self._loaded = True

    def constants(self, isa: str) -> dict[str, float]:
        """Calibrated constants of the cost models, empty without a calibration."""
        self.load()
        exact = self._constants.get(store.validity(isa, _core.default_num_threads()))
        if exact is not None:
            return exact
        _, _, version = store.validity(isa, 1).split(" ")
        same = (row for key, row in self._constants.items() if key.split(" ")[::2] == [isa, version])
        return next(same, {})

    def recall(self, isa: str, spec: Spec, *, planned: bool, tuning: bool = False, look: bool = False) -> Times:
        """Measured seconds of algorithms, empty where nothing was measured.

        ``tuning``: the caller is in a block of config(tune=True). ``look``: nothing is chosen, the problem is not met.
        """
        self.load()
        threads = _core.default_num_threads()
        tables = (self._inside, self._times) if tuning else (self._times,)
        if any(tables):
            key, name = store.validity(isa, threads), row_name(spec, planned)
            for table in tables:
                found = table.get(key, {}).get(name)
                if found:
                    return found
        if not tuning and not look and len(self._met) < MAX_MET:
            self._met.add(hash((isa, threads, row_name(spec, planned))))
        return {}

    def remember(
        self,
        isa: str,
        rows: dict[str, Times],
        *,
        explicit: bool,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        """Keeps measured rows, here and in the store; ``explicit``: tune() was called, so that choices may change."""
        self.load()
        threads = _core.default_num_threads()
        key = store.validity(isa, threads)
        rows = {name: {a: float(f"{s:.4g}") for a, s in times.items()} for name, times in rows.items()}
        with self._lock:
            for name, times in rows.items():
                known = self._times.setdefault(key, {})
                met = name in known or len(self._met) >= MAX_MET or hash((isa, threads, name)) in self._met
                if explicit:
                    known[name] = times
                    self._inside.get(key, {}).pop(name, None)
                elif met or len(known) >= store.MAX_PROBLEMS:
                    inside = self._inside.setdefault(key, {})
                    inside[name] = times
                    if len(inside) > store.MAX_PROBLEMS:
                        del inside[next(iter(inside))]
                else:
                    known[name] = times
            self.generation += explicit
        self._save({}, {key: rows}, cache)

    def calibrate(self, isa: str, values: dict[str, float], cache: str | os.PathLike[str] | None = None) -> None:
        """Keeps constants of the cost models, here and in the store."""
        self.load()
        rows = {store.validity(isa, _core.default_num_threads()): {c: float(f"{x:.4g}") for c, x in values.items()}}
        with self._lock:
            self._constants = {**self._constants, **rows}
            self.generation += 1
        self._save(rows, {}, cache)

    def _save(
        self, constants: store.Table, times: dict[str, store.Table], cache: str | os.PathLike[str] | None
    ) -> None:
        try:
            place = store.folder(cache)
            if place is not None:
                self.path = store.write(place, constants, times)
        except (OSError, ImportError) as error:
            message = f"measured times cannot be written and end with this process: {error}"
            warnings.warn(message, RuntimeWarning, stacklevel=3)

    def describe(self) -> str:
        """Where the store is and what it holds for this CPU, in one line."""
        self.load()
        if self.path is None:
            try:
                place = store.folder()
            except ImportError:
                return "nothing remembered; keeping a file needs platformdirs (the extra convkern[tune])"
            where = f"{store.VARIABLE} is off" if place is None else f"python -m convkern tune writes to {place}"
            return f"nothing remembered; {where}"
        count = sum(len(rows) for key, rows in self._times.items() if key.endswith(key_end()))
        isas = sorted({key.split(" ")[0] for key in self._constants if key.endswith(key_end())})
        calibrated = f"calibrated for {', '.join(isas)}" if isas else "not calibrated"
        return f"{count} problem{'s' * (count != 1)} measured, {calibrated}, in {self.path}"


def key_end() -> str:
    return " " + store.validity("", 1).split(" ")[-1]


memory = Memory()
