"""The algorithms as the dispatcher sees them: what they support, their error, cost and workspace.

An algorithm is one class here, one line in csrc/algo/list.inc and one file beside it. The package knows a Spec and a
Machine; it reads no arrays and measures nothing.
"""

from .. import _core
from .base import Algorithm
from .bf16x3 import Bf16x3
from .depthwise import Depthwise
from .direct import Direct
from .fft import Fft
from .im2col import Im2col
from .plane import Plane
from .reference import Reference
from .winograd import Winograd

__all__ = ["ALGORITHMS", "BY_NAME", "Algorithm"]


# In the order they are tried and shown; the reference is last.
ALGORITHMS: tuple[Algorithm, ...] = tuple(
    algorithm
    for algorithm in (
        Bf16x3(),
        Winograd(4),
        Winograd(2),
        Fft(),
        Plane(),
        Depthwise(),
        Direct(),
        Im2col(),
        Reference(),
    )
    if algorithm.name in _core.algorithms()
)
BY_NAME = {algorithm.name: algorithm for algorithm in ALGORITHMS}
