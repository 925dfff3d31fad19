"""Learning-rate schedules: plain functions of time, in epochs, that a base rate is multiplied with.

    lr(t) = base * schedule(t)

They keep no state, so that a resumed training needs none; fit() calls them before every step with a fractional epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Schedule = Callable[[float], float]


@dataclass(frozen=True)
class StepLR:
    """Times ``gamma`` after every ``step_size`` epochs.

    Examples
    --------
    >>> from convkern import nn
    >>> [nn.StepLR(10, 0.1)(t) for t in (0, 9.9, 10)]
    [1.0, 1.0, 0.1]
    """

    step_size: float
    gamma: float = 0.1

    def __call__(self, t: float) -> float:
        return float(self.gamma ** math.floor(t / self.step_size))


@dataclass(frozen=True)
class CosineLR:
    """Half a cosine from 1 down to ``floor`` over ``epochs`` (Loshchilov and Hutter 2017).

    Examples
    --------
    >>> from convkern import nn
    >>> [round(nn.CosineLR(10)(t), 3) for t in (0, 5, 10, 11)]
    [1.0, 0.5, 0.0, 0.0]
    """

    epochs: float
    floor: float = 0.0

    def __call__(self, t: float) -> float:
        share = min(max(t / self.epochs, 0.0), 1.0)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class OneCycleLR:
    """Up from 1/start to 1 during the first ``rise`` of all epochs, then down to 1/end, in half cosines (Smith 2018).

    Examples
    --------
    >>> from convkern import nn
    >>> schedule = nn.OneCycleLR(10)
    >>> [round(schedule(t), 5) for t in (0, 3, 10)]
    [0.04, 1.0, 1e-05]
    """

    epochs: float
    rise: float = 0.3
    start: float = 25.0
    end: float = 1e5

    def __call__(self, t: float) -> float:
        top = self.rise * self.epochs
        if t < top:
            low, share = 1 / self.start, 1 - t / top
        else:
            low, share = 1 / self.end, min((t - top) / max(self.epochs - top, 1e-12), 1.0)
        return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class WarmUp:
    """A straight rise from ``start`` over ``epochs``, then another schedule from its time 0 (Goyal et al. 2017).

    Examples
    --------
    >>> from convkern import nn
    >>> schedule = nn.WarmUp(5, nn.CosineLR(10))
    >>> [round(schedule(t), 3) for t in (0, 2.5, 5, 10, 15)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    epochs: float
    then: Schedule = lambda t: 1.0
    start: float = 0.0

    def __call__(self, t: float) -> float:
        if t < self.epochs:
            return self.start + (1 - self.start) * t / self.epochs
        return self.then(t - self.epochs)
