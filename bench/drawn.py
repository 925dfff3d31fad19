"""Random layers of convolutional networks and filters, drawn with a fixed seed: draw(200) is always the same list.

Every field is drawn by itself:

    axes         2 in 75%, 1 in 15%, 3 in 10%
    batch        1 in 60%, else evenly from 2..8
    channels     log-uniform from 1..512, in and out; half of those of 8 or more are rounded to a multiple of 8
    image        log-uniform, 7..256 a side in 2-D (four fifths of them square), 32..65536 in 1-D, 4..40 in 3-D
    kernel       3 in 45%, 1 in 20%, 5 in 12%, 7 in 8%, else evenly from 1..11; the same along all axes in 85%, else
                 drawn again for each; at most 5 in 3-D
    stride       1 in 72%, 2 in 22%, else 3 or 4
    dilation     1 in 90%, else 2..4
    padding      half the window's extent on each side in 80%, else none
    groups       1 in 68%; depthwise in 22% (one output channel a group, in a fifth of them two); else a divisor of
                 the channels, 2..32
    direction    forward in 70%, grad_input and grad_weight in 15% each
    dtype        float32 in 85%, else float64
    layout       channels last in half
    weights      packed before (a plan) in 60%, else packed in the call; a weight gradient has none to pack

Drawn again are layers whose window does not fit, that have more than 1 GFLOP or touch more than 48 MB: one run of a
sensible algorithm then stays below about 30 ms on two cores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from convkern.padding import extent
from convkern.spec import DIRECTIONS, Spec

SEED = 20250
FLOPS = 1e9
BYTES = 48e6
SIDES = {1: (32, 65536), 2: (7, 256), 3: (4, 40)}


@dataclass(frozen=True)
class Problem:
    spec: Spec  # its layout included
    planned: bool


class _Dice:
    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def chance(self, share: float) -> bool:
        return bool(self.random.random() < share)

    def whole(self, low: int, high: int) -> int:
        return int(self.random.integers(low, high + 1))

    def log(self, low: int, high: int) -> int:
        return round(math.exp(self.random.uniform(math.log(low), math.log(high))))

    def one(self, weighted: dict[int, float], low: int, high: int) -> int:
        """Draw one of the values with their shares, or else evenly from low..high."""
        point = self.random.random()
        for value, share in weighted.items():
            point -= share
            if point < 0:
                return value
        return self.whole(low, high)


def _channels(dice: _Dice) -> int:
    count = dice.log(1, 512)
    return round(count / 8) * 8 if count >= 8 and dice.chance(0.5) else count


def _groups(dice: _Dice, ci: int, co: int) -> tuple[int, int, int]:
    """Return groups and the channels that go with them."""
    kind = dice.random.random()
    if kind < 0.68:
        return 1, ci, co
    if kind < 0.90:
        return ci, ci, ci * (2 if dice.chance(0.2) else 1)
    groups = dice.whole(2, 32)
    return groups, max(1, round(ci / groups)) * groups, max(1, round(co / groups)) * groups


def _draw(dice: _Dice) -> Problem | None:
    """Draw once; None for what the last paragraph above excludes."""
    rank = dice.one({2: 0.75, 1: 0.15, 3: 0.10}, 2, 2)
    n = dice.one({1: 0.6}, 2, 8)
    groups, ci, co = _groups(dice, _channels(dice), _channels(dice))
    sides = [dice.log(*SIDES[rank]) for _ in range(rank)]
    if dice.chance(0.8):
        sides = sides[:1] * rank
    shares, largest = {3: 0.45, 1: 0.20, 5: 0.12, 7: 0.08 if rank < 3 else 0.0}, 11 if rank < 3 else 5
    kernel = [dice.one(shares, 1, largest) for _ in range(rank)]
    if dice.chance(0.85):
        kernel = kernel[:1] * rank
    stride, dilation = dice.one({1: 0.72, 2: 0.22}, 3, 4), dice.one({1: 0.9}, 2, 4)
    padded = dice.chance(0.8)
    padding = tuple((extent(k, dilation) // 2,) * 2 if padded else (0, 0) for k in kernel)
    direction = DIRECTIONS[dice.one({0: 0.7}, 1, 2)]
    dtype = "float32" if dice.chance(0.85) else "float64"
    channels_last, planned = dice.chance(0.5), dice.chance(0.6)
    if any(extent(k, dilation) > side + sum(pad) for k, side, pad in zip(kernel, sides, padding, strict=True)):
        return None
    spec = Spec(
        direction, dtype, n, groups, ci, co, tuple(sides), tuple(kernel), (stride,) * rank, (dilation,) * rank, padding,
        channels_last=channels_last,
    )  # fmt: skip
    if spec.flops > FLOPS or spec.bytes > BYTES:
        return None
    return Problem(spec, planned or direction == "grad_weight")


def draw(count: int, seed: int = SEED) -> list[Problem]:
    """Return the first `count` problems of the seed's sequence, no two alike."""
    dice = _Dice(seed)
    found: dict[Problem, None] = {}
    while len(found) < count:
        problem = _draw(dice)
        if problem is not None:
            found[problem] = None
    return list(found)
