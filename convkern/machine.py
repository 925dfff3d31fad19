"""What the cost models know of a machine: a handful of constants per ISA, all in one table, and its cache sizes.

The table holds typical values of one core and is what an uncalibrated machine uses; they steer choices between
algorithms, so ratios between them matter more than their absolute size. ``python -m convkern tune --calibrate``
measures this machine's own, all but those in FIXED, and remembers them.
"""

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

from . import _core
from .memory import memory

# What no calibration changes: facts of the ISA and the CPU, a threshold of the pool's, a share set by what users do.
FIXED = ("isa", "lanes", "l1", "l2", "l3", "serial", "blas_lookup")


@dataclass(frozen=True, slots=True)
class Machine:
    """One core of a machine with one ISA. Rates are per second, sizes in bytes, times in seconds."""

    isa: str
    lanes: int  # float32 elements of a vector; float64 has half
    flops: float  # float32 multiply-add peak counted as two; float64 has half
    l2_rate: float  # bytes moved from or to L2
    l3_rate: float
    memory_rate: float
    reference_flops: float  # plain loops
    l1: int = 32 << 10
    l2: int = 1 << 20
    l3: int = 32 << 20  # shared by all cores
    call: float = 0.4e-6  # entering and leaving a plan
    fork: float = 1.3e-6  # starting and joining the pool
    serial: float = 8e-6  # work below this stays on one thread
    tile_cycles: float = 24.4  # to begin and end a tile of the general kernel
    row_cycles: float = 0.85  # to list one of its rows
    task_cycles: float = 159.0  # to begin a block of an image and a group
    transform_cycles: float = 5.0  # of Winograd's transforms, for each vector and transform point
    shuffle_cycles: float = 0.7  # to move one element between layouts
    tap_cycles: float = 0.8  # of the depthwise kernels, for each vector and tap
    line_cycles: float = 200.0  # of the depthwise kernel, to begin and end a line
    fft_cycles: float = 9.0  # of a transform with all copies, for each vector of numbers, and
    fft_pass_cycles: float = 1.2  # the same for each doubling of the numbers
    bf16_cycles: float = 4000.0  # of 32 steps of 16 x 16 sums whose operands are pairs of bfloat16
    split_cycles: float = 2.0  # to split one number into such a pair
    group: float = 0.94e-6  # seconds to set up one of many groups in the general kernel
    efficiency: float = 0.98  # share of the peak that the tiles reach over whole layers
    blas_efficiency: float = 0.80  # the same for SciPy's BLAS on slices
    blas_call: float = 0.1e-6
    blas_lookup: float = 4e-6  # importing scipy.linalg, spread over the calls of a process

    def peak(self, dtype: str) -> float:
        return self.flops if dtype == "float32" else self.flops / 2

    def vector(self, dtype: str) -> int:
        """Elements of a vector."""
        return self.lanes if dtype == "float32" else max(1, self.lanes // 2)

    def clock(self) -> float:
        """Cycles a second, taking two multiply-add units for granted."""
        return self.flops / (4 * self.lanes)

    def rate(self, size: float) -> float:
        """Bytes a second at which one core streams through ``size`` bytes again and again."""
        if size <= self.l2:
            return self.l2_rate
        far = min(1.0, max(0.0, size / max(1, self.l3) - 0.5))  # L3 serves others, too: half of it is ours for sure
        return 1 / ((1 - far) / self.l3_rate + far / self.memory_rate)


MACHINES = {
    machine.isa: machine
    for machine in (
        Machine(
            "amx", lanes=16, flops=170e9, l2_rate=70e9, l3_rate=20e9, memory_rate=20e9, reference_flops=0.67e9,
            call=0.6e-6, fork=2e-6, tile_cycles=40.0, row_cycles=3.0, transform_cycles=10.3, shuffle_cycles=0.5,
            tap_cycles=0.65, line_cycles=149.0, fft_cycles=30.0, fft_pass_cycles=0.9, bf16_cycles=140.0,
            split_cycles=0.53, efficiency=0.8, blas_efficiency=0.7,
        ),
        Machine(
            "avx512", lanes=16, flops=240e9, l2_rate=200e9, l3_rate=147e9, memory_rate=26e9, reference_flops=1.0e9,
            transform_cycles=4.5, shuffle_cycles=0.45, tap_cycles=0.5, line_cycles=141.0,
            fft_cycles=19.2, fft_pass_cycles=0.6, bf16_cycles=1000.0,
        ),
        Machine(
            "avx2", lanes=8, flops=100e9, l2_rate=50e9, l3_rate=47e9, memory_rate=10e9, reference_flops=0.65e9,
            call=0.7e-6, tile_cycles=36.0, transform_cycles=9.0, shuffle_cycles=1.1, tap_cycles=0.63, line_cycles=100.0,
            fft_cycles=11.0, fft_pass_cycles=2.2, bf16_cycles=5000.0, efficiency=0.82, blas_efficiency=0.72,
        ),
        Machine("neon", lanes=4, flops=50e9, l2_rate=40e9, l3_rate=20e9, memory_rate=10e9, reference_flops=0.8e9),
        Machine("baseline", lanes=4, flops=32e9, l2_rate=60e9, l3_rate=30e9, memory_rate=15e9, reference_flops=0.8e9),
        Machine("odd", lanes=4, flops=20e9, l2_rate=60e9, l3_rate=30e9, memory_rate=15e9, reference_flops=0.8e9),
    )
}  # fmt: skip


# CPUs that do vectors of 64 bytes in two steps, in cycles that take them whole: `tune --calibrate` on AMD's family 25.
IN_HALVES = replace(
    MACHINES["avx512"], flops=120e9, l2_rate=84e9, l3_rate=75e9, memory_rate=15e9, reference_flops=0.57e9,
    call=0.52e-6, tile_cycles=20.3, transform_cycles=3.5, shuffle_cycles=0.28, tap_cycles=0.33, line_cycles=136.0,
    fft_cycles=12.0, bf16_cycles=2300.0, blas_efficiency=0.83,
)  # fmt: skip

# Intel's CPUs without the unit for tiles, or told not to use it. What both share was fitted where L3 is far away.
FAR_L3 = replace(MACHINES["amx"], isa="avx512", bf16_cycles=2800.0)


def built_in(isa: str) -> Machine:
    """The table's entry for an ISA with this machine's cache sizes."""
    info = _core.cpu_info()
    machine = MACHINES[isa]
    if isa == "avx512":
        if "avx512 in halves" in info["features"]:
            machine = IN_HALVES
        elif "Intel" in info["model"]:
            machine = FAR_L3
    return replace(machine, l1=info["l1"] or machine.l1, l2=info["l2"] or machine.l2, l3=info["l3"] or machine.l2)


def this_machine(isa: str) -> Machine:
    """What was calibrated on this machine with an ISA, else the table's entry."""
    return _calibrated(isa, memory.generation)


@lru_cache(maxsize=16)
def _calibrated(isa: str, generation: int) -> Machine:
    known = {field.name for field in fields(Machine) if field.name not in FIXED}
    constants: dict[str, Any] = {name: x for name, x in memory.constants(isa).items() if name in known}
    return replace(built_in(isa), **constants)
