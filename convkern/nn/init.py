"""Initial weights, by the names they have in the field, and the generator that layers draw from.

    fan_in = weight[0].size,  fan_out = weight.shape[0] * receptive field

An initialiser is a function of a shape and a generator. Arrays are ``(out, in, *kernel)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .layer import Array, Shape

Initialiser = Callable[[Shape, np.random.Generator], Array]
Random = int | np.random.Generator | None

_shared = np.random.default_rng(0)


def manual_seed(seed: int) -> np.random.Generator:
    """Starts anew the generator that layers made without ``rng`` draw from; returns it.

    Examples
    --------
    >>> from convkern import nn
    >>> _ = nn.manual_seed(1)
    >>> a = nn.Dense(3, 2)
    >>> _ = nn.manual_seed(1)
    >>> bool((a.weight == nn.Dense(3, 2).weight).all())
    True
    """
    global _shared
    _shared = np.random.default_rng(seed)
    return _shared


def generator(rng: Random) -> np.random.Generator:
    """The shared generator for None, a new one for a seed, a generator as it is."""
    return _shared if rng is None else np.random.default_rng(rng)


def fans(shape: Shape) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight of this shape: terms of an output's sum, outputs that read an input."""
    if len(shape) < 2:
        raise ValueError(f"shape: got {shape}, needs (out, in, *kernel)")
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def zeros(shape: Shape, rng: np.random.Generator) -> Array:
    """All 0."""
    return np.zeros(shape, np.float32)


def ones(shape: Shape, rng: np.random.Generator) -> Array:
    """All 1."""
    return np.ones(shape, np.float32)


def _uniform(shape: Shape, rng: np.random.Generator, bound: float) -> Array:
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def _normal(shape: Shape, rng: np.random.Generator, deviation: float) -> Array:
    return (rng.standard_normal(shape) * deviation).astype(np.float32)


def xavier_uniform(shape: Shape, rng: np.random.Generator) -> Array:
    """Uniform of variance 2/(fan_in + fan_out) (Glorot and Bengio 2010)."""
    return _uniform(shape, rng, math.sqrt(6 / max(sum(fans(shape)), 1)))


def xavier_normal(shape: Shape, rng: np.random.Generator) -> Array:
    """Normal of variance 2/(fan_in + fan_out) (Glorot and Bengio 2010)."""
    return _normal(shape, rng, math.sqrt(2 / max(sum(fans(shape)), 1)))


def kaiming_uniform(shape: Shape, rng: np.random.Generator) -> Array:
    """Uniform of variance 2/fan_in, made for ReLU (He et al. 2015)."""
    return _uniform(shape, rng, math.sqrt(6 / max(fans(shape)[0], 1)))


def kaiming_normal(shape: Shape, rng: np.random.Generator) -> Array:
    """Normal of variance 2/fan_in, made for ReLU (He et al. 2015)."""
    return _normal(shape, rng, math.sqrt(2 / max(fans(shape)[0], 1)))


def lecun_uniform(shape: Shape, rng: np.random.Generator) -> Array:
    """Uniform of variance 1/fan_in (LeCun et al. 1998), for SELU too."""
    return _uniform(shape, rng, math.sqrt(3 / max(fans(shape)[0], 1)))


def lecun_normal(shape: Shape, rng: np.random.Generator) -> Array:
    """Normal of variance 1/fan_in (LeCun et al. 1998), for SELU too."""
    return _normal(shape, rng, math.sqrt(1 / max(fans(shape)[0], 1)))


def fan_in_uniform(shape: Shape, rng: np.random.Generator) -> Array:
    """Uniform within 1/sqrt(fan_in): what PyTorch's convolutions and linear layers start from, and the default here."""
    return _uniform(shape, rng, 1 / math.sqrt(max(fans(shape)[0], 1)))


def orthogonal(shape: Shape, rng: np.random.Generator) -> Array:
    """Rows (or columns, where there are more rows) orthonormal (Saxe et al. 2014)."""
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))
    return (q if rows >= columns else q.T).reshape(shape).astype(np.float32)


def truncated_normal(shape: Shape, rng: np.random.Generator) -> Array:
    """Normal of deviation 0.02, redrawn beyond two deviations."""
    values = rng.standard_normal(shape)
    while (wild := np.abs(values) > 2).any():
        values[wild] = rng.standard_normal(int(wild.sum()))
    return (0.02 * values).astype(np.float32)


INITIALISERS: dict[str, Initialiser] = {
    f.__name__: f
    for f in (
        zeros, ones, xavier_uniform, xavier_normal, kaiming_uniform, kaiming_normal, lecun_uniform, lecun_normal,
        fan_in_uniform, orthogonal, truncated_normal,
    )
}  # fmt: skip
INITIALISERS |= {
    "glorot_uniform": xavier_uniform,
    "glorot_normal": xavier_normal,
    "he_uniform": kaiming_uniform,
    "he_normal": kaiming_normal,
}


def initial(init: str | Initialiser, shape: Shape, rng: np.random.Generator) -> Array:
    """A float32 array from an initialiser or its name."""
    if isinstance(init, str):
        if init not in INITIALISERS:
            raise ValueError(f"init: got {init!r}, needs a function or one of {', '.join(INITIALISERS)}")
        init = INITIALISERS[init]
    values = np.asarray(init(shape, rng), np.float32)
    if values.shape != shape:
        raise ValueError(f"init: gave shape {values.shape}, needs {shape}")
    return np.ascontiguousarray(values)
