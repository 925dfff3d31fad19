"""Optimizers: parameters change in place by their gradients. ``optimizer.step()`` after each backward.

Every rule is elementwise, so a large array is worked off in pieces that stay in the cache with all their temporaries.
What an optimizer remembers has names, so that a checkpoint can hold it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .layer import Array, Layer

PIECE = 16384  # elements: with momentum and temporaries some 256 KB, a share of the L2 cache


class Optimizer:
    """What optimizers share; derive and write :meth:`update`.

    Parameters
    ----------
    model : Layer
        Whose trainable parameters are updated.
    lr : float
        Learning rate; an attribute that may be set at any time.
    weight_decay : float
        Default 0.

    Attributes
    ----------
    steps : int
        Steps done.
    state : dict
        ``state[slot][path]``: an array for each parameter.
    """

    slots: tuple[str, ...] = ()  # what is remembered per parameter

    def __init__(self, model: Layer, lr: float, weight_decay: float = 0.0) -> None:
        if not lr >= 0 or not weight_decay >= 0:
            raise ValueError(f"lr, weight_decay: got {lr}, {weight_decay}, needs numbers of at least 0")
        self.model, self.lr, self.weight_decay = model, lr, weight_decay
        self.steps = 0
        self.state: dict[str, dict[str, Array]] = {slot: {} for slot in self.slots}

    def update(self, p: Array, g: Array, state: list[Array]) -> None:
        """Changes the 1-D piece ``p`` in place by its gradient ``g``; ``state`` has a piece for each slot."""
        raise NotImplementedError

    def step(self) -> None:
        """Updates every parameter that has a gradient."""
        self.steps += 1
        self.lr = float(self.lr)  # a NumPy scalar would make float64 of all it touches
        for path, layer, name in self.model.named_parameters():
            if name not in layer.grad:
                continue
            parameter, gradient = getattr(layer, name), layer.grad[name]
            slots = [self._slot(slot, path, parameter).reshape(-1) for slot in self.slots]
            p, g = parameter.reshape(-1), gradient.reshape(-1)
            for start in range(0, p.size, PIECE):
                piece = slice(start, start + PIECE)
                self.update(p[piece], g[piece], [slot[piece] for slot in slots])

    def _slot(self, slot: str, path: str, parameter: Array) -> Array:
        array = self.state[slot].get(path)
        if array is None or array.shape != parameter.shape or array.dtype != parameter.dtype:
            array = self.state[slot][path] = np.zeros_like(parameter)
        return array

    def state_dict(self) -> dict[str, Array]:
        """What is remembered, as "slot.path": array."""
        return {f"{slot}.{path}": array for slot, arrays in self.state.items() for path, array in arrays.items()}

    def load_state_dict(self, state: dict[str, Array], steps: int) -> None:
        """Takes over what :meth:`state_dict` gave, and the number of steps done."""
        self.steps = steps
        for name, array in state.items():
            slot, _, path = name.partition(".")
            if slot not in self.state:
                raise ValueError(
                    f"state: got {name!r}, {type(self).__name__} keeps {', '.join(self.slots) or 'nothing'}"
                )
            self.state[slot][path] = np.array(array)

    def __repr__(self) -> str:
        shown = {k: v for k, v in vars(self).items() if k not in ("model", "state", "steps")}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in shown.items())})"


class SGD(Optimizer):
    """Stochastic gradient descent, ``p -= lr * v`` with ``v = momentum * v + g`` (Sutskever et al. 2013).

    Parameters
    ----------
    model : Layer
    lr : float
        Default 0.01.
    momentum : float
        Default 0.
    nesterov : bool
        Whether ``g + momentum * v`` is used instead of v. Default False.
    weight_decay : float
        Times the parameter is added to its gradient. Default 0.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> layer = nn.Dense(1, 1, bias=False)
    >>> layer.weight[:] = 1
    >>> optimizer = nn.SGD(layer, lr=0.1)
    >>> _ = layer(np.ones((1, 1), np.float32)), layer.backward(np.ones((1, 1), np.float32))
    >>> optimizer.step()
    >>> layer.weight
    array([[0.9]], dtype=float32)
    """

    def __init__(
        self, model: Layer, lr: float = 0.01, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
    ) -> None:
        self.slots = ("velocity",) if momentum else ()
        super().__init__(model, lr, weight_decay)
        if not momentum >= 0 or (nesterov and not momentum):
            raise ValueError(f"momentum: got {momentum}, needs at least 0, and more for nesterov")
        self.momentum, self.nesterov = momentum, nesterov

    def update(self, p: Array, g: Array, state: list[Array]) -> None:
        if self.weight_decay:
            g = g + p * self.weight_decay
        if state:
            (velocity,) = state
            velocity *= self.momentum
            velocity += g
            g = g + velocity * self.momentum if self.nesterov else velocity
        p -= g * self.lr


class Adam(Optimizer):
    """Steps of lr times mean over root mean square of the gradients (Kingma and Ba 2015).

    Parameters
    ----------
    model : Layer
    lr : float
        Default 0.001.
    betas : (float, float)
        How much of the mean and of the mean square stays each step. Default (0.9, 0.999).
    eps : float
        Added to the root. Default 1e-8.
    weight_decay : float
        Times the parameter is added to its gradient; see :class:`AdamW` for the better way. Default 0.
    """

    slots = ("mean", "square")
    decoupled = False

    def __init__(
        self,
        model: Layer,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(model, lr, weight_decay)
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas: got {betas}, needs two numbers in [0, 1)")
        self.betas, self.eps = betas, eps

    def update(self, p: Array, g: Array, state: list[Array]) -> None:
        mean, square = state
        b1, b2 = self.betas
        if self.weight_decay and self.decoupled:
            p *= 1 - self.lr * self.weight_decay
        elif self.weight_decay:
            g = g + p * self.weight_decay
        mean *= b1
        mean += g * (1 - b1)
        square *= b2
        square += g * g * (1 - b2)
        # Both start at 0: divided by 1 - beta**steps they are unbiased.
        root = np.sqrt(square)
        root *= 1 / math.sqrt(1 - b2**self.steps)
        root += self.eps
        np.divide(mean, root, out=root)
        root *= self.lr / (1 - b1**self.steps)
        p -= root


class AdamW(Adam):
    """Adam whose weight decay shrinks parameters directly (Loshchilov and Hutter 2019).

    Parameters
    ----------
    model, lr, betas, eps
        As for :class:`Adam`.
    weight_decay : float
        Times lr and the parameter is taken from the parameter. Default 0.01.
    """

    decoupled = True

    def __init__(
        self,
        model: Layer,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(model, lr, betas, eps, weight_decay)


class RMSprop(Optimizer):
    """Gradients over the root of their running mean square (Tieleman and Hinton 2012).

    Parameters
    ----------
    model : Layer
    lr : float
        Default 0.01.
    alpha : float
        How much of the mean square stays each step. Default 0.99.
    eps : float
        Added to the root. Default 1e-8.
    momentum : float
        Default 0.
    weight_decay : float
        Times the parameter is added to its gradient. Default 0.
    """

    def __init__(
        self,
        model: Layer,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        self.slots = ("square", "velocity") if momentum else ("square",)
        super().__init__(model, lr, weight_decay)
        self.alpha, self.eps, self.momentum = alpha, eps, momentum

    def update(self, p: Array, g: Array, state: list[Array]) -> None:
        square = state[0]
        if self.weight_decay:
            g = g + p * self.weight_decay
        square *= self.alpha
        square += g * g * (1 - self.alpha)
        step = g / (np.sqrt(square) + self.eps)
        if self.momentum:
            velocity = state[1]
            velocity *= self.momentum
            velocity += step
            step = velocity
        p -= step * self.lr


def clip_gradients(model: Layer, max_norm: float) -> float:
    """Scales all gradients so that their joint Euclidean norm is at most ``max_norm`` (Pascanu et al. 2013).

    Parameters
    ----------
    model : Layer
        After backward.
    max_norm : float

    Returns
    -------
    float
        The norm before.
    """
    gradients: list[Any] = [*model.gradients().values()]
    norm = math.sqrt(math.fsum(float(np.vdot(g, g)) for g in gradients))
    if norm > max_norm:
        for g in gradients:
            g *= max_norm / norm
    return norm


def clip_values(model: Layer, limit: float) -> None:
    """Limits every element of every gradient to [-limit, limit]."""
    for g in model.gradients().values():
        np.clip(g, -limit, limit, out=g)
