"""The parent's handles on the worker processes: started once, asked one at a time, named when they are missing.

Knows pipes, environments and time limits; nothing about what a worker does with a command.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TIME_LIMIT = 300.0  # seconds a command may take

# Variables that make a BLAS use kernels other than the best for this CPU; they would handicap whoever calls one.
DROPPED = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "ATEN_CPU_CAPABILITY",
)


class WorkerDiedError(RuntimeError):
    """A worker process ended, or did not answer in time."""


def environment(threads: int) -> dict[str, str]:
    """Ours, less what handicaps a peer, with the thread count every library reads."""
    kept = {key: value for key, value in os.environ.items() if key not in DROPPED}
    for key in ("CONVKERN", "OMP", "OPENBLAS", "MKL"):
        kept[f"{key}_NUM_THREADS"] = str(threads)
    # An Intel OpenMP spins 200 ms after each parallel region; 10 ms still bridges two calls of a burst.
    # All others keep their defaults: a passive policy would put a futex call into every region they enter.
    kept.setdefault("KMP_BLOCKTIME", "10")
    # OpenBLAS, SciPy's and so our im2col's, spins 2**26 cycles or more (0.1 s) after each call; 2**22 is some 10 ms.
    kept.setdefault("OPENBLAS_THREAD_TIMEOUT", "22")
    # Choices are those of a fresh installation, unless a folder of tuned ones is named on purpose.
    kept.setdefault("CONVKERN_CACHE", "off")
    return kept


class Handle:
    """One worker process."""

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by close
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", name, str(threads)], cwd=ROOT, env=environment(threads), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, start_new_session=True,
        )  # fmt: skip

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; WorkerDiedError carries the last lines the process printed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            if not select.select([self.process.stdout], [], [], TIME_LIMIT)[0]:
                self.process.kill()
                raise WorkerDiedError(f"{self.name}: no answer to {do} in {TIME_LIMIT:.0f} s")
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.process.wait()
            self.log.seek(0)
            tail = " | ".join(self.log.read().strip().splitlines()[-3:])
            raise WorkerDiedError(f"{self.name}: exit status {self.process.returncode} after {do}: {tail}")
        return dict(json.loads(line))

    def close(self) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.log.close()


class Others:
    """What share of the machine other processes than this one and its workers use; needs psutil."""

    def __init__(self, handles: dict[str, Handle]) -> None:
        try:
            import psutil
        except ImportError:
            self.seen: Callable[[], tuple[float, float]] | None = None
            return
        mine = [psutil.Process(), *(psutil.Process(handle.process.pid) for handle in handles.values())]

        def seen() -> tuple[float, float]:
            every = psutil.cpu_times()
            idle = every.idle + getattr(every, "iowait", 0.0)
            own = 0.0
            for process in mine:
                with suppress(psutil.Error):
                    own += sum(process.cpu_times()[:2])
            return sum(every[:8]) - idle - own, sum(every[:8])

        self.seen = seen
        self.last = seen()

    def share(self) -> float | None:
        """Return their share of all cores' time since the last look, stolen time included; None when unknown."""
        if self.seen is None:
            return None
        before, self.last = self.last, self.seen()
        return max(0.0, self.last[0] - before[0]) / max(1e-9, self.last[1] - before[1])


@contextmanager
def workers(names: list[str], threads: int) -> Iterator[tuple[dict[str, Handle], dict[str, str], dict[str, str]]]:
    """Start the named workers; yield their handles, their versions, and the reasons of those that are missing."""
    handles: dict[str, Handle] = {}
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        for name in names:
            handle = Handle(name, threads)
            stack.callback(handle.close)
            try:
                reply = handle.ask("hello")
            except WorkerDiedError as error:
                reply = {"missing": str(error)}
            if "missing" in reply:
                missing[name] = reply["missing"]
            else:
                handles[name], versions[name] = handle, reply["version"]
        yield handles, versions, missing
