"""Measures the constants of the cost models (convkern.machine) on this CPU, for one instruction set.

What a loop can show by itself is measured so, on all threads at once and divided by them, as a core has it when all
of them work: the multiply-add peak (``flops``), copies that fit L2, L3 or neither (``l2_rate``, ``l3_rate``,
``memory_rate``), entering a plan and starting the pool (``call``, ``fork``), the plain loops (``reference_flops``).

Everything else is the price of something that only a whole algorithm does. LAYERS are small layers of every kind, each
measured with every algorithm that serves it, in both layouts, as plans and as calls; the constants that are left are
those with which the models fit the times best,

    loss = mean over layers of  sum_a (best/t_a) huber(log(predicted_a/t_a)) + 8 log(t_chosen/best)
           + 0.01 sum_c log(c/c_table)^2

so an algorithm counts the more the nearer it is to the best, a wrong choice counts by what it costs, and a constant
that no layer needs stays where the table has it. A new algorithm or a new field of Machine takes part without an edit
here; it wants a layer in LAYERS where it is good.
"""

import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from . import _core
from .algorithms import ALGORITHMS, BY_NAME
from .config import Settings, config
from .machine import FIXED, Machine, built_in, this_machine
from .measure import NEVER, SETTLE, measure, operands, runner
from .memory import Times, memory
from .spec import Spec

# What each layer is here for: the constants that its times depend on most.
LAYERS = {
    # efficiency, transform_cycles: wide 3x3 layers, transformed kernels in and beyond L2, few and many tiles
    "3x3": ("1,64,28x28->64 3x3 p1", "1,128,14x14->128 3x3 p1", "1,256,7x7->256 3x3 p1", "1,32,56x56->32 3x3 p1"),
    # call, fork, serial: little work
    "small": ("1,16,8x8->16 3x3 p1", "1,6,14x14->16 5x5", "1,1,28x28->6 5x5 p2", "1,16,32x32->16 3x3 p1"),
    # blas_efficiency, shuffle_cycles: products without windows
    "1x1": ("1,64,28x28->64 1x1", "1,512,7x7->512 1x1", "1,256,14x14->64 1x1"),
    # blas_call, copies of windows
    "strided": ("1,64,28x28->128 3x3 s2 p1", "1,3,64x64->32 7x7 s2 p3", "1,64,17x17->64 3x3 p2 d2"),
    # tap_cycles, line_cycles: vectors of channels along short and long lines, small and large windows
    "depthwise": (
        "1,32,56x56->32 3x3 p1 g32",
        "1,96,14x14->96 3x3 p1 g96",
        "1,144,28x28->144 3x3 s2 p1 g144",
        "1,48,28x28->48 7x7 p3 g48",
        "1,7,40x40->7 3x3 p1 g7",
    ),
    # group: the general kernel called for one group after another
    "grouped": ("1,64,28x28->64 3x3 p1 g8", "1,96,14x14->128 5x5 p2 g2"),
    # the plane's taps and border: single images and lines
    "plane": ("1,1,128x128->1 5x5 p2", "1,1,96x96->1 15x15 p7", "4,1,64x64->1 3x3 p1", "1,1,8000->1 k128"),
    # fft_cycles, fft_pass_cycles: windows large enough for transforms, few and many channels
    "transforms": ("1,1,128x128->1 31x31 p15", "1,8,56x56->8 15x15 p7", "1,1,16000->1 k1024"),
    # other directions, dimensions and dtypes of the same kernels
    "others": (
        "grad_input 1,64,28x28->64 3x3 p1",
        "grad_weight 1,64,28x28->64 3x3 p1",
        "1,32,4x14x14->32 3x3x3 p1",
        "1,32,4000->32 k3 p1",
        "f64 1,64,28x28->64 3x3 p1",
    ),
}
SWEEPS = 6  # over all layers; the least time of each counts
REACH = 20.0  # a constant further than this from the table is a bad measurement and not used


@dataclass(frozen=True)
class Sample:
    """What the algorithms took for a problem."""

    spec: Spec
    planned: bool
    times: Times

    @property
    def best(self) -> float:
        return min(self.times.values())


@dataclass(frozen=True)
class Calibration:
    """The constants of one instruction set: the table's, those before, those measured, and those used from now on."""

    table: Machine
    before: Machine
    measured: Machine
    used: Machine
    samples: tuple[Sample, ...]
    threads: int
    seconds: float

    def __str__(self) -> str:
        heading = f"{self.used.isa}, {self.threads} thread{'s' * (self.threads != 1)}: {self.seconds:.0f} s"
        lines = [heading, f"{'constant':<18}{'table':>11}{'before':>11}{'measured':>11}{'used':>11}"]
        for name in names():
            values = (getattr(m, name) for m in (self.table, self.before, self.measured, self.used))
            lines.append(f"{name:<18}" + "".join(f"{value:>11.4g}" for value in values))
        for label, machine in (("table", self.table), ("before", self.before), ("used", self.used)):
            ratios = regrets(machine, self.samples, self.threads)
            lines.append(
                f"chosen over best of {len(ratios)} calibration layers, {label}: mean {sum(ratios) / len(ratios):.3f}, "
                f"95% {sorted(ratios)[int(0.95 * (len(ratios) - 1))]:.2f}, worst {max(ratios):.2f}"
            )
        return "\n".join(lines)


def names() -> list[str]:
    """The constants that a calibration measures."""
    return [field.name for field in fields(Machine) if field.name not in FIXED]


def calibrate(
    isa: str | None = None, *, cache: str | os.PathLike[str] | None = None, sweeps: int = SWEEPS
) -> Calibration:
    """Measures this CPU's constants, remembers them and uses them in this process from now on.

    Takes 10 to 60 s in which nothing else should run.

    Parameters
    ----------
    isa : str, optional
        By default the one in use.
    cache : path-like, optional
        Folder of the store, as in :func:`convkern.tune`.
    sweeps : int
        Over the layers.

    Returns
    -------
    Calibration
        Prints as a table.
    """
    start = time.perf_counter()
    outside = _core.get_isa()
    isa = isa or outside
    threads = _core.default_num_threads()
    table, before = built_in(isa), this_machine(isa)
    _core.set_isa(isa)  # of the loops; plans take theirs from the settings
    try:
        with config(threads=threads):
            time.sleep(SETTLE)
            wake()
            first = measure_rates(isa, table, threads)
            samples = measure_layers(isa, sweeps)
            time.sleep(SETTLE)
            again = measure_rates(isa, table, threads)  # seconds later: whatever slowed the first may be over
            shown = {n: (min if n in ("call", "fork") else max)(first[n], again[n]) for n in first}
    finally:
        _core.set_isa(outside)
    rates: dict[str, Any] = shown
    free = [name for name in names() if name not in shown]
    starts = [replace(machine, **rates) for machine in dict.fromkeys((table, before))]
    measured = min((fit(start, table, free, samples, threads) for start in starts), key=lambda found: found[1])[0]
    used = replace(
        before,
        **{n: getattr(measured, n) for n in names() if 1 / REACH < getattr(measured, n) / getattr(table, n) < REACH},
    )
    memory.calibrate(isa, {name: getattr(used, name) for name in names()}, cache)
    return Calibration(table, before, measured, used, samples, threads, time.perf_counter() - start)


def measure_rates(isa: str, table: Machine, threads: int) -> dict[str, float]:
    """The constants that a loop shows by itself, for one core while all threads work."""
    far = min(max(4 * table.l3, 64 << 20), 512 << 20)
    near = int(min(math.sqrt(table.l2 * table.l3), table.l3 / 2)) if table.l3 > 2 * table.l2 else table.l2
    layer = Spec.parse("1,8,16x16->8 3x3")
    with config(threads=1):
        plain = layer.flops / least(runner("reference", layer, Settings(isa=isa), False, operands(layer)), 3)
    return {
        "flops": max(peak() for _ in range(15)) / threads,
        "l2_rate": copied(threads * table.l2 // 2) / threads,
        "l3_rate": copied(max(near, threads * table.l2)) / threads,
        "memory_rate": copied(far) / threads,
        "call": tiny_call(isa),
        "fork": max(forking(), table.fork / 10) if threads > 1 else table.fork,
        "reference_flops": plain,
    }


def wake(seconds: float = 0.3) -> None:
    """Lets the workers start, find a core each and reach its speed."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        peak()


def least(run: Callable[[], object], samples: int = 9, seconds: float = 1e-3) -> float:
    """Least seconds a call takes, in samples of about a millisecond."""
    run()
    start = time.perf_counter()
    run()
    repeats = max(1, round(seconds / max(time.perf_counter() - start, 1e-7)))
    best = math.inf
    for _ in range(samples):
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        best = min(best, (time.perf_counter() - start) / repeats)
    return best


def peak() -> float:
    """Multiply-adds in registers, counted as two, a second on all threads."""
    iterations = 1000
    while True:
        start = time.perf_counter()
        done = _core.fma_loop("float32", iterations)
        seconds = time.perf_counter() - start
        if seconds > 1e-3:
            return done / seconds
        iterations = int(iterations * min(10.0, 1.2e-3 / seconds)) + 1


def copied(footprint: int) -> float:
    """Bytes read and written a second, on all threads, by a copy that touches so many in all."""
    source, target = (np.ones(max(64, footprint // 2), np.uint8) for _ in range(2))
    repeats = max(1, (8 << 20) // footprint)
    return repeats * 2 * source.size / least(lambda: _core.stream(source, target, repeats), 7)


def tiny_call(isa: str) -> float:
    """Seconds to enter and leave a plan that has next to nothing to do."""
    spec = Spec.parse("1,1,1->1 k1")
    with config(threads=1):
        return least(runner("direct", spec, Settings(isa=isa), True, operands(spec)))


def forking() -> float:
    """Seconds that a parallel region takes longer than one thread's share of its work, some ten microseconds."""

    def taken(threads: int, iterations: int) -> float:
        with config(threads=threads):
            return least(lambda: _core.fma_loop("float32", iterations), 15)

    iterations = 100
    while taken(1, iterations) < 1e-5:
        iterations *= 2
    return taken(_core.get_num_threads(), iterations) - taken(1, iterations)


def measure_layers(isa: str, sweeps: int, layers: Iterable[str] | None = None) -> tuple[Sample, ...]:
    """Times of all algorithms on all layers, both layouts and modes; the least over sweeps that are seconds apart."""
    lines = [line for group in LAYERS.values() for line in group] if layers is None else list(layers)
    parsed = [Spec.parse(line) for line in lines]
    problems = [
        (replace(spec, channels_last=last), planned)
        for spec in parsed
        for last in (False, True)
        for planned in ((False,) if spec.direction == "grad_weight" else (True, False))
    ]
    found: list[Times] = [{} for _ in problems]
    for foreign in (False, True):  # threads of others that linger would slow the pool
        for _ in range(max(1, sweeps // 3) if foreign else sweeps):
            for (spec, planned), best in zip(problems, found, strict=True):
                fit = [a for a in ALGORITHMS if not a.oracle and a.supports(spec) is None]
                serve = [a.name for a in fit if a.foreign_threads == foreign]
                times = measure(spec, serve, Settings(isa=isa), planned=planned, seconds=3e-3, settle=0)
                for name, taken in times.items():
                    if taken < NEVER:
                        best[name] = min(taken, best.get(name, math.inf))
    return tuple(Sample(s, planned, times) for (s, planned), times in zip(problems, found, strict=True) if times)


def predict(machine: Machine, sample: Sample, threads: int) -> Times:
    return {n: BY_NAME[n].cost(sample.spec, machine, planned=sample.planned, threads=threads) for n in sample.times}


def regrets(machine: Machine, samples: Iterable[Sample], threads: int) -> list[float]:
    """Time of the algorithm that would be chosen over that of the best, for each sample."""
    result = []
    for sample in samples:
        costs = predict(machine, sample, threads)
        result.append(sample.times[min(costs, key=costs.__getitem__)] / sample.best)
    return result


def fit(
    start: Machine, table: Machine, free: list[str], samples: tuple[Sample, ...], threads: int
) -> tuple[Machine, float]:
    """``start`` with its ``free`` constants at the least loss, and the loss: one at a time goes a little up or down."""

    def loss(machine: Machine) -> float:
        total = 0.0
        for sample in samples:
            costs = predict(machine, sample, threads)
            for name, taken in sample.times.items():
                off = math.log(costs[name] / taken) / 0.2
                total += sample.best / taken * 0.2 * (math.sqrt(1 + off * off) - 1)
            total += 8 * math.log(sample.times[min(costs, key=costs.__getitem__)] / sample.best)
        far = sum(math.log(getattr(machine, name) / getattr(table, name)) ** 2 for name in free)
        return total / max(1, len(samples)) + 0.01 * far

    machine, best = start, loss(start)
    for step in (1.6, 1.25, 1.1, 1.04):
        for _ in range(6):
            moved = False
            for name in free:
                for factor in (step, 1 / step):
                    value = getattr(machine, name) * factor
                    if name == "efficiency" and value > 1:  # SciPy's BLAS may use a better ISA than the one forced
                        continue
                    other = replace(machine, **{name: value})
                    if (cost := loss(other)) < best - 1e-6:
                        machine, best, moved = other, cost, True
                        break
            if not moved:
                break
    return machine, best
