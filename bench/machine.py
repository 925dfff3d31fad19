"""What the machine can do, measured: multiply-adds a second on all threads and on one, bytes a second of a copy.

The speed of a shared machine's cores changes from minute to minute, so Meters takes samples of about a millisecond
that stand right beside the measurement they are compared with.
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

import convkern
from convkern import _core

SAMPLE = 1e-3  # seconds a sample takes, about
FAR = 1 << 28  # bytes touched by a copy that no cache holds


class Meters:
    """Samplers of the FMA peak (flop/s) and of copy bandwidth (byte/s) with the current threads and ISA."""

    def __init__(self, dtype: str = "float32") -> None:
        self.dtype = dtype
        self.iterations = 1000
        while (seconds := self._fma()[1]) < SAMPLE:
            self.iterations = int(self.iterations * min(10.0, 1.1 * SAMPLE / seconds) + 1)
        self._arrays: tuple[np.ndarray, np.ndarray] | None = None

    def _fma(self) -> tuple[float, float]:
        start = time.perf_counter()
        flops = _core.fma_loop(self.dtype, self.iterations)
        return flops, time.perf_counter() - start

    def peak(self) -> float:
        flops, seconds = self._fma()
        return flops / seconds

    def bandwidth(self, footprint: int) -> float:
        """Measure the bytes read and written a second by a copy that touches `footprint` bytes in all."""
        half = max(64, footprint // 8)  # float32 elements in each array
        if self._arrays is None or self._arrays[0].size != half:
            self._arrays = np.ones(half, np.float32), np.ones(half, np.float32)
        a, b = self._arrays
        repeats = 1
        _core.stream(a, b, repeats)
        while True:
            start = time.perf_counter()
            moved = _core.stream(a, b, repeats)
            seconds = time.perf_counter() - start
            if seconds >= SAMPLE:
                return moved / seconds
            repeats = int(repeats * min(10.0, 1.2 * SAMPLE / seconds) + 1)


def _revision() -> str:
    """Return the checkout's commit, marked when files differ from it; empty outside a checkout."""
    root = Path(__file__).resolve().parent.parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=root, capture_output=True, text=True
        )
    except OSError:
        return ""
    return done.stdout.strip()


def describe(threads: int) -> dict[str, Any]:
    """Name the machine and measure it: the best of several samples, far apart enough to see it rested."""
    best: dict[str, float] = {}

    def keep(key: str, value: float) -> None:
        best[key] = max(best.get(key, 0.0), value)

    for dtype in ("float32", "float64"):
        for count in (1, threads):
            _core.set_num_threads(count)
            meters = Meters(dtype)
            for _ in range(15):
                keep(f"fma {dtype} {count}", meters.peak())
                time.sleep(5e-3)
    meters = Meters()
    for _ in range(3):
        keep("copy", meters.bandwidth(FAR))
    return {
        "cpu": _core.cpu_info(),
        "cores": os.cpu_count(),
        "threads": threads,
        "isa": _core.get_isa(),
        "peak": {key: value for key, value in best.items() if key != "copy"},
        "bandwidth": best["copy"],
        "platform": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "convkern": convkern.__version__,
        "revision": _revision(),
    }
