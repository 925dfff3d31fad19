"""What every algorithm tells of itself, and the quantities that their cost models share.

Costs are analytic, in seconds:

    cost = max(FMA time, bytes / bandwidth) / threads + fork + call + what has to be packed first

It knows a Spec and a Machine, and none of the algorithms.
"""

from .. import _core
from ..config import DEFAULT_WORKSPACE, DEFAULTS, Settings
from ..machine import Machine
from ..spec import Spec

EXPOSED = 0.16  # of the shorter of computing and moving
FETCHED = 0.57  # times what is written


class Algorithm:
    """One way to compute a convolution.

    ``windowed``: every output depends on its own window alone (accuracy="strict" admits only these).
    ``oracle``: slow on purpose, chosen by name or when nothing else will do.
    ``foreign_threads``: other threads than our pool's compute, and may keep cores busy for a while after a call.
    """

    name: str
    windowed = True
    oracle = False
    foreign_threads = False

    def supports(self, spec: Spec) -> str | None:
        """None, or the reason why this algorithm cannot compute ``spec``."""
        return None

    def error(self, spec: Spec) -> float:
        """Largest expected error relative to max(abs(result)), for sums without systematic cancellation."""
        raise NotImplementedError

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        """Predicted seconds of one call; ``planned`` says that the weights are packed already."""
        raise NotImplementedError

    def workspace(self, spec: Spec, settings: Settings = DEFAULTS) -> int:
        """Bytes used besides the arguments and packed weights."""
        return 0 if spec.empty else self.prepare(spec, settings).workspace_bytes + spec.border_bytes

    def prepare(self, spec: Spec, settings: Settings = DEFAULTS) -> _core.Plan:
        """The compiled plan, without weights.

        Raises
        ------
        ValueError
            With the reason, if the algorithm does not support ``spec`` within the settings' workspace.
        """
        spec = spec.unbordered()
        limit = DEFAULT_WORKSPACE if settings.max_workspace is None else settings.max_workspace
        return _core.Plan(
            self.name,
            spec.direction,
            spec.dtype,
            spec.n,
            spec.groups,
            spec.ci,
            spec.co,
            spec.input,
            spec.output,
            spec.kernel,
            spec.stride,
            spec.dilation,
            tuple(low for low, _ in spec.padding),
            spec.padding_mode,
            spec.channels_last,
            spec.clamp,
            limit,
            settings.isa,
        )


def unit(spec: Spec) -> float:
    """Half the distance from 1 to the next number of the dtype."""
    return 2.0**-24 if spec.dtype == "float32" else 2.0**-53


def lane_use(size: int, width: int) -> float:
    """Share of the vector lanes that hold wanted elements when ``size`` is cut into vectors of ``width``."""
    return size / (-(-size // width) * width) if size else 1.0


def inside(spec: Spec) -> float:
    """Share of all pairs of tap and output pixel that meet the image and not its zero padding."""
    if spec.padding_mode != "zeros":
        return 1.0
    share = 1.0
    axes = zip(spec.input, spec.output, spec.kernel, spec.stride, spec.dilation, spec.padding, strict=True)
    for size, out, taps, stride, dilation, (low, _) in axes:
        some = min(taps, 64)  # of a long kernel some taps stand for all
        starts = [(i * (taps - 1) // max(1, some - 1)) * dilation - low for i in range(some)]
        met = sum(max(0, min(out, -(-(size - at) // stride)) - max(0, -(at // stride))) for at in starts)
        share *= met / max(1, some * out)
    return share


def shared(seconds: float, machine: Machine, threads: int) -> float:
    """Time of work spread over the pool, which leaves little work alone."""
    return seconds if seconds < machine.serial or threads == 1 else seconds / threads + machine.fork


def moved(spec: Spec, machine: Machine) -> float:
    """Seconds one core needs to read and write the arrays once; together they decide where they come from.

    A line that is written is fetched before, unless it is in the core's own cache.
    """
    written = {"forward": spec.y_bytes, "grad_input": spec.x_bytes, "grad_weight": spec.weight_bytes}[spec.direction]
    fetched = FETCHED * written if spec.bytes > machine.l2 else 0.0
    return (spec.bytes + fetched) / machine.rate(spec.bytes)


def streamed(seconds: float, spec: Spec, machine: Machine, threads: int = 1) -> float:
    """Seconds of computing and of moving the arrays, which hide behind one another but for a share of the shorter."""
    moves = moved(spec, machine) / threads
    return max(seconds, moves) + EXPOSED * min(seconds, moves)


def packing(spec: Spec, machine: Machine) -> float:
    """Seconds to read the weights once and write them in the order the kernels read."""
    return 2 * spec.weight_bytes / machine.rate(2 * spec.weight_bytes)


def shuffled(spec: Spec, machine: Machine, elements: float) -> float:
    """Seconds one core needs to move elements between NCHW and the kernels' order, in which channels lie together."""
    return 0.0 if spec.channels_last else elements * machine.shuffle_cycles / machine.clock()
