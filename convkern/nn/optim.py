"""Optimizers: parameters change in place by their gradients. ``optimizer.step()`` after each backward.

Every rule is elementwise: the compiled core takes all arrays of a step at once and passes over each a single time
(csrc/kernels/update.h has the rules as equations). What an optimizer remembers has names, so that a checkpoint can hold
it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .. import _core
from ..elementwise import isa
from .layer import Array, Layer

PIECE = 16384  # elements that update() is given at once: with state and temporaries a share of the L2 cache


def fit_for_core(array: Array, dtype: Any) -> Array:
    """The array itself where the core can change it in place, else a copy in C order."""
    if array.flags.carray and array.dtype == dtype:
        return array
    return np.array(array, dtype, order="C")


def native(array: Array, name: str) -> np.dtype[Any]:
    """The array's dtype in native byte order; float32 or float64."""
    dtype = array.dtype.newbyteorder("=")
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"{name}: got dtype {dtype}, needs float32 or float64")
    return dtype


class Optimizer:
    """What optimizers share. For one of your own derive from it and write :meth:`update`.

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

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> class SignSGD(nn.Optimizer):
    ...     def update(self, p, g, state):
    ...         p -= self.lr * np.sign(g)
    >>> layer = nn.Dense(1, 1, bias=False)
    >>> layer.weight[:] = 1
    >>> layer.grad["weight"] = np.full((1, 1), 7, np.float32)
    >>> SignSGD(layer, lr=0.25).step()
    >>> layer.weight
    array([[0.75]], dtype=float32)
    """

    slots: tuple[str, ...] = ()  # what is remembered per parameter
    rule = ""  # the core's name of the rule, where it has it

    def __init__(self, model: Layer, lr: float, weight_decay: float = 0.0) -> None:
        if not lr >= 0 or not weight_decay >= 0:
            raise ValueError(f"lr, weight_decay: got {lr}, {weight_decay}, needs numbers of at least 0")
        self.model, self.lr, self.weight_decay = model, lr, weight_decay
        self.steps = 0
        self.state: dict[str, dict[str, Array]] = {slot: {} for slot in self.slots}

    def settings(self) -> dict[str, float]:
        """The numbers of this step that the compiled rule takes; csrc/kernels/update_table.h names them."""
        raise NotImplementedError(f"{type(self).__name__}.settings")

    def update(self, p: Array, g: Array, state: list[Array]) -> None:
        """Changes the 1-D piece ``p`` in place by its gradient ``g``; ``state`` has a piece for each slot."""
        raise NotImplementedError(f"{type(self).__name__}.update")

    def step(self) -> None:
        """Updates every parameter that has a gradient.

        Raises
        ------
        ValueError, TypeError
            Naming the parameter: a gradient of another shape, a dtype that is not float32 or float64, a parameter that
            is read-only. Then nothing has been changed.
        """
        self.lr = float(self.lr)  # a NumPy scalar would make float64 of all it touches
        # One call of the core takes arrays of one dtype that share no memory: tied weights go into calls of their own.
        groups: dict[Any, list[tuple[str, Array, Array]]] = {}
        users: Counter[int] = Counter()
        for path, layer, name in self.model.named_parameters():
            if name in layer.grad:
                parameter, gradient = getattr(layer, name), layer.grad[name]
                if parameter.shape != gradient.shape:
                    raise ValueError(f"gradient of {path}: got shape {gradient.shape}, needs {parameter.shape}")
                if not parameter.flags.writeable:
                    raise ValueError(f"{path}: got a read-only array, needs one that can be updated")
                owner = id(parameter if parameter.base is None else parameter.base)
                users[owner] += 1
                groups.setdefault((users[owner], native(parameter, path)), []).append((path, parameter, gradient))
        self.steps += 1
        own = type(self).update is not Optimizer.update
        for (_, dtype), group in groups.items():
            parameters = [fit_for_core(parameter, dtype) for _, parameter, _ in group]
            gradients = [fit_for_core(gradient, dtype) for _, _, gradient in group]
            states = tuple([self._slot(slot, path, p, dtype) for path, p, _ in group] for slot in self.slots)
            if own:
                for p, g, *state in zip(parameters, gradients, *states, strict=True):
                    self._by_pieces(p.reshape(-1), g.reshape(-1), [slot.reshape(-1) for slot in state])
            else:
                _core.update(self.rule, parameters, gradients, states, self.settings(), isa())
            for (_, parameter, _), p in zip(group, parameters, strict=True):
                if p is not parameter:
                    parameter[...] = p

    def _by_pieces(self, p: Array, g: Array, state: list[Array]) -> None:
        for start in range(0, p.size, PIECE):
            piece = slice(start, start + PIECE)
            self.update(p[piece], g[piece], [slot[piece] for slot in state])

    def _slot(self, slot: str, path: str, parameter: Array, dtype: Any) -> Array:
        array = self.state[slot].get(path)
        if array is None or array.shape != parameter.shape or array.dtype != dtype or not array.flags.carray:
            array = self.state[slot][path] = np.zeros(parameter.shape, dtype)
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
            self.state[slot][path] = np.array(array, array.dtype.newbyteorder("="), order="C")

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

    rule = "sgd"

    def __init__(
        self, model: Layer, lr: float = 0.01, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
    ) -> None:
        self.slots = ("velocity",) if momentum else ()
        super().__init__(model, lr, weight_decay)
        if not momentum >= 0 or (nesterov and not momentum):
            raise ValueError(f"momentum: got {momentum}, needs at least 0, and more for nesterov")
        self.momentum, self.nesterov = momentum, nesterov

    def settings(self) -> dict[str, float]:
        return {"rate": self.lr, "decay": self.weight_decay, "momentum": self.momentum, "nesterov": self.nesterov}


class Adam(Optimizer):
    """Steps of lr times mean over root mean square of the gradients (Kingma and Ba 2015).

    ``p -= lr * m / (1 - b1**t) / (sqrt(s / (1 - b2**t)) + eps)`` in step t, with ``m = b1 * m + (1 - b1) * g`` and
    ``s = b2 * s + (1 - b2) * g**2``.

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

    rule, slots = "adam", ("mean", "square")
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

    def settings(self) -> dict[str, float]:
        b1, b2 = self.betas
        # Mean and square start at 0: divided by 1 - beta**steps they are unbiased.
        return {
            "rate": self.lr / (1 - b1**self.steps), "root": 1 / math.sqrt(1 - b2**self.steps), "eps": self.eps,
            "momentum": b1, "gain": 1 - b1, "fade": b2, "add": 1 - b2,
            "decay": 0 if self.decoupled else self.weight_decay,
            "keep": 1 - self.lr * self.weight_decay if self.decoupled else 1,
        }  # fmt: skip


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

    ``p -= lr * g / (sqrt(s) + eps)`` with ``s = alpha * s + (1 - alpha) * g**2``; with momentum lr times
    a velocity that sums these.

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

    rule = "rmsprop"

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

    def settings(self) -> dict[str, float]:
        return {
            "rate": self.lr, "decay": self.weight_decay, "momentum": self.momentum, "eps": self.eps,
            "fade": self.alpha, "add": 1 - self.alpha,
        }  # fmt: skip


def in_groups(gradients: Iterable[tuple[str, Array]], op: str, bound: float) -> None:
    """The core's ``op`` in place on all gradients of a dtype at once, through copies where they do not lie densely."""
    for group in grouped(gradients):
        dense = [fit_for_core(g, native(g, "gradient")) for g in group]
        _core.gradient_clip(op, dense, bound, isa())
        for g, changed in zip(group, dense, strict=True):
            if changed is not g:
                g[...] = changed


def grouped(gradients: Iterable[tuple[str, Array]]) -> Iterator[list[Array]]:
    """Gradients of one dtype."""
    groups: dict[Any, list[Array]] = {}
    for path, g in gradients:
        groups.setdefault(native(g, f"gradient of {path}"), []).append(g)
    yield from groups.values()


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
        The norm before, summed in float64.

    Raises
    ------
    TypeError
        If a gradient is neither float32 nor float64.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> layer = nn.Dense(1, 2, bias=False)
    >>> layer.grad["weight"] = np.array([[3], [4]], np.float32)
    >>> nn.clip_gradients(layer, 1.0), layer.grad["weight"].ravel()
    (5.0, array([0.6, 0.8], dtype=float32))
    """
    gradients = model.gradients()
    total = 0.0
    for group in grouped(gradients.items()):
        dense = [fit_for_core(g, native(g, "gradient")) for g in group]
        total += _core.gradient_squares(dense, isa())
    norm = math.sqrt(total)
    if norm > max_norm:
        in_groups(gradients.items(), "scale", max_norm / norm)
    return norm


def clip_values(model: Layer, limit: float) -> None:
    """Limits every element of every gradient to [-limit, limit]; NaN stays.

    Parameters
    ----------
    model : Layer
        After backward.
    limit : float
        At least 0.

    Raises
    ------
    ValueError
        If the limit is below 0 or NaN.
    TypeError
        If a gradient is neither float32 nor float64.
    """
    if not limit >= 0:
        raise ValueError(f"limit: got {limit}, needs at least 0")
    in_groups(model.gradients().items(), "limit", limit)
