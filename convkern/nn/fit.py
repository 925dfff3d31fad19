"""Training: forward, loss, backward, step, over batches and epochs, and what one wants around that.

    for each epoch: for each batch: loss(model(x), y); model.backward_weights(loss.backward()); optimizer.step()

Validation, early stopping, history, checkpoints and a progress bar; Ctrl-C ends it after the step it is in.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .._core import KeptMemory, release_memory
from .bar import Bar
from .checkpoint import load_checkpoint, save_checkpoint
from .layer import Array, Layer
from .losses import CrossEntropy, Loss
from .optim import Optimizer, clip_gradients
from .schedules import Schedule
from .serialize import PathLike

Metric = Callable[[Any, Any], float]
Transform = Callable[[Any, np.random.Generator], Any]


def accuracy(prediction: Array, target: Array) -> float:
    """Share of samples whose largest score is that of their class."""
    return float(np.mean(prediction.argmax(axis=1) == target))


class History:
    """What fit returns: one dict of numbers per epoch.

    Attributes
    ----------
    epochs : list of dict
        ``epoch``, ``loss``, ``seconds``, ``lr`` and each metric under its name; of validation the loss and the metrics,
        their names with ``val_`` in front.
    stopped : {"finished", "early", "interrupted"}
    best : int or None
        The epoch (from 1) with the lowest monitored loss.

    Examples
    --------
    >>> from convkern import nn
    >>> history = nn.History([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}])
    >>> history["loss"]
    [2.0, 1.0]
    """

    def __init__(self, epochs: list[dict[str, float]] | None = None) -> None:
        self.epochs = epochs or []
        self.stopped = "finished"
        self.best: int | None = None

    def __getitem__(self, name: str) -> list[float]:
        return [epoch[name] for epoch in self.epochs if name in epoch]

    def __repr__(self) -> str:
        last = ", ".join(f"{k} {v:.4g}" for k, v in self.epochs[-1].items()) if self.epochs else "no epochs"
        return f"History({len(self.epochs)} epochs, {self.stopped}: {last})"


def rows(x: Any, index: Any) -> Any:
    """Some samples of an array, or of each array of a tuple."""
    return tuple(part[index] for part in x) if isinstance(x, tuple) else x[index]


def length(x: Any) -> int:
    return len(x[0]) if isinstance(x, tuple) else len(x)


def batches(data: Any, batch_size: int, rng: np.random.Generator | None) -> Iterator[tuple[Any, Any]]:
    """Batches of a pair of arrays, shuffled where there is a generator; other iterables are batches already."""
    if not is_pair(data):
        yield from data
        return
    x, y = data
    order = np.arange(length(x)) if rng is None else rng.permutation(length(x))
    for start in range(0, len(order), batch_size):
        index = order[start : start + batch_size]
        yield rows(x, index), None if y is None else y[index]


def is_pair(data: Any) -> bool:
    if not (isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], np.ndarray | tuple)):
        return False
    x, y = data
    if y is not None and length(x) != len(y):
        raise ValueError(f"data: got {length(x)} inputs and {len(y)} targets, needs as many")
    return True


def train_step(
    model: Layer, loss: Loss, optimizer: Optimizer, x: Any, y: Any, clip_norm: float | None = None
) -> tuple[float, Any]:
    """One step of training on one batch.

    Parameters
    ----------
    model, loss, optimizer
    x, y
        A batch and its target.
    clip_norm : float, optional
        Largest norm of all gradients together.

    Returns
    -------
    (float, ndarray)
        The loss before the step, and the prediction. Where the loss is not finite, no step was made.
    """
    with KeptMemory():  # activations and their gradients take the memory of those of the step before
        prediction = model.forward(x, True)
        value = loss(prediction, y)
        if math.isfinite(value):
            model.backward_weights(loss.backward())
            if clip_norm is not None:
                clip_gradients(model, clip_norm)
            optimizer.step()
        return value, prediction


def evaluate(
    model: Layer, data: Any, loss: Loss, metrics: dict[str, Metric] | None = None, batch_size: int = 256
) -> dict[str, float]:
    """Mean loss and metrics over data, in inference mode.

    Parameters
    ----------
    model : Layer
    data : (ndarray, ndarray) or iterable of (ndarray, ndarray)
        Inputs and targets, or batches of them.
    loss : Loss
    metrics : dict, optional
        Functions of prediction and target, by name.
    batch_size : int

    Returns
    -------
    dict
        "loss" and the metrics' names.
    """
    total, count = dict.fromkeys(["loss", *(metrics or {})], 0.0), 0
    for x, y in batches(data, batch_size, None):
        prediction, n = model.forward(x, False), length(x)
        count += n
        total["loss"] += n * loss(prediction, y)
        for name, metric in (metrics or {}).items():
            total[name] += n * metric(prediction, y)
    model.forget()
    return {name: value / count if count else math.nan for name, value in total.items()}


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C of the block into a flag; a second one is an exception as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = False
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: Any) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def fit(
    model: Layer,
    data: Any,
    *,
    loss: Loss,
    optimizer: Optimizer,
    epochs: int = 1,
    batch_size: int = 64,
    validation: Any = None,
    metrics: dict[str, Metric] | None = None,
    schedule: Schedule | None = None,
    clip_norm: float | None = None,
    patience: int | None = None,
    checkpoint: PathLike | None = None,
    resume: bool = False,
    transform: Transform | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> History:
    """Trains a model.

    Parameters
    ----------
    model : Layer
        Left in inference mode.
    data : (x, y) or iterable of (x, y)
        Arrays of samples, shuffled each epoch; x may be a tuple of arrays, y None. Or any object that gives batches
        each time it is iterated over, in an order of its own.
    loss : Loss
    optimizer : Optimizer
        Made for this model.
    epochs : int
        In all, those before a resumption included. Default 1.
    batch_size : int
        Default 64.
    validation : as data, optional
        Evaluated after each epoch.
    metrics : dict, optional
        Functions of prediction and target, by name. Default: accuracy, with :class:`CrossEntropy` and class numbers.
    schedule : callable, optional
        From epochs passed (a float) to a factor of the optimizer's learning rate; see :class:`CosineLR`.
    clip_norm : float, optional
        Largest norm of all gradients together.
    patience : int, optional
        Stop when the validation loss (the training loss without validation) has not fallen for so many epochs.
    checkpoint : path-like, optional
        A folder, made if needed: ``last.safetensors`` after every epoch, and ``best.safetensors``, the model alone,
        whenever the loss that patience looks at is the lowest so far.
    resume : bool
        Go on from ``last.safetensors`` if there is one: the same bits as without an interruption, if model,
        data, settings, number of threads and machine are the same.
    transform : callable, optional
        ``transform(x, rng)`` for each training batch: augmentation.
    seed : int
        Of the shuffling. Default 0.
    progress : bool, optional
        Whether to show a progress bar, which needs rich. Default: where rich is installed and a terminal is there.

    Returns
    -------
    History

    Raises
    ------
    FloatingPointError
        When a loss or a parameter becomes NaN or infinite; the step is not made, the last checkpoint stays.
    ValueError
        If data is empty or an argument does not fit.

    Notes
    -----
    Ctrl-C ends training after the step at hand: the model is usable, ``History.stopped`` is "interrupted" and the
    last epoch's checkpoint is what resumption starts from. A second Ctrl-C raises KeyboardInterrupt.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((256, 2), dtype=np.float32)
    >>> model = nn.Sequential(nn.Dense(2, 8, rng=1), nn.Tanh(), nn.Dense(8, 2, rng=2))
    >>> history = nn.fit(model, (x, (x.sum(1) > 0).astype(int)), loss=nn.CrossEntropy(),
    ...                  optimizer=nn.Adam(model, 0.02), epochs=10, progress=False)
    >>> history["accuracy"][-1] > 0.95
    True
    """
    if epochs < 0 or batch_size < 1 or (patience is not None and patience < 1):
        raise ValueError(
            f"epochs, batch_size, patience: got {epochs}, {batch_size}, {patience}, needs positive numbers"
        )
    if resume and checkpoint is None:
        raise ValueError("resume: got True without checkpoint, needs the folder to resume from")
    run = _Run(model, data, loss, optimizer, batch_size, metrics, schedule, clip_norm, transform, seed)
    folder = None if checkpoint is None else Path(checkpoint)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        run.keep = folder / "last.safetensors"
        if resume and run.keep.exists():
            run.restore()
    with interruptible() as asked, Bar(progress, epochs, run.steps_per_epoch) as bar:
        model.train()
        try:
            for epoch in range(len(run.history.epochs), epochs):
                if patience is not None and run.waited >= patience:
                    run.history.stopped = "early"
                    break
                numbers = run.epoch(epoch, asked, bar)
                if numbers is None:
                    run.history.stopped = "interrupted"
                    break
                if validation is not None:
                    found = evaluate(model, validation, loss, run.metrics, max(batch_size, 256))
                    numbers |= {f"val_{name}": value for name, value in found.items()}
                run.finish(numbers, folder)
                bar.epoch(numbers)
                if asked():
                    run.history.stopped = "interrupted"
                    break
            else:
                if patience is not None and run.waited >= patience:
                    run.history.stopped = "early"
        finally:
            optimizer.lr = run.base
            model.forget()
            release_memory()
            model.eval()
    return run.history


class _Run:
    """The state of one training: what an epoch needs and a checkpoint holds."""

    def __init__(
        self, model: Layer, data: Any, loss: Loss, optimizer: Optimizer, batch_size: int,
        metrics: dict[str, Metric] | None, schedule: Schedule | None, clip_norm: float | None,
        transform: Transform | None, seed: int,
    ) -> None:  # fmt: skip
        self.model, self.data, self.loss, self.optimizer = model, data, loss, optimizer
        self.batch_size, self.schedule, self.clip_norm, self.transform = batch_size, schedule, clip_norm, transform
        self.rng = np.random.default_rng(seed)
        self.base = optimizer.lr
        self.history = History()
        self.lowest, self.waited = math.inf, 0
        self.keep: Path | None = None
        if is_pair(data):
            if not length(data[0]):
                raise ValueError("data: got no samples, needs at least one")
            self.steps_per_epoch: int | None = -(-length(data[0]) // batch_size)
        else:
            if not isinstance(data, Iterable) or iter(data) is data:
                raise TypeError(
                    f"data: got {type(data).__name__}, needs (x, y) or an object to iterate over every epoch"
                )
            self.steps_per_epoch = len(data) if isinstance(data, Sized) else None
        classes = (
            isinstance(loss, CrossEntropy) and is_pair(data) and data[1] is not None and data[1].dtype.kind in "iu"
        )
        self.metrics: dict[str, Metric] = (
            metrics if metrics is not None else ({"accuracy": accuracy} if classes else {})
        )

    def restore(self) -> None:
        assert self.keep is not None
        progress = load_checkpoint(self.keep, self.model, self.optimizer, self.rng)
        self.history.epochs = progress["history"]
        self.history.best = progress["best"]
        lowest = progress["lowest"]
        self.lowest, self.waited = math.inf if lowest is None else lowest, progress["waited"]

    def epoch(self, number: int, asked: Callable[[], bool], bar: Bar) -> dict[str, float] | None:
        """Trains one epoch and returns its means; None if it was asked to end."""
        start, count = time.perf_counter(), 0
        total = dict.fromkeys(["loss", *self.metrics], 0.0)
        for step, (x, y) in enumerate(batches(self.data, self.batch_size, self.rng)):
            if self.transform is not None:
                x = self.transform(x, self.rng)
            if self.schedule is not None:
                self.optimizer.lr = self.base * self.schedule(number + step / (self.steps_per_epoch or math.inf))
            value, prediction = train_step(self.model, self.loss, self.optimizer, x, y, self.clip_norm)
            if not math.isfinite(value):
                self.diverged(f"the loss became {value} in epoch {number + 1}, step {step + 1}")
            n = length(x)
            count += n
            total["loss"] += n * value
            for name, metric in self.metrics.items():
                total[name] += n * metric(prediction, y)
            bar.step(number, step + 1, total["loss"] / count)
            if asked():
                return None
        if not count:
            raise ValueError(
                f"data: got no batches in epoch {number + 1}, needs at least one; a generator runs only once"
            )
        means = {name: value / count for name, value in total.items()}
        return {"epoch": number + 1, **means, "lr": self.optimizer.lr, "seconds": time.perf_counter() - start}

    def finish(self, numbers: dict[str, float], folder: Path | None) -> None:
        """Enters an epoch into the history and writes the checkpoints."""
        watched = numbers.get("val_loss", numbers["loss"])
        if not math.isfinite(watched):
            self.diverged(f"the validation loss became {watched} after epoch {numbers['epoch']}")
        for path, array in self.model.parameters().items():
            if not np.isfinite(array).all():
                self.diverged(f"{path} became NaN or infinite in epoch {numbers['epoch']}")
        self.history.epochs.append(numbers)
        if watched < self.lowest:
            self.lowest, self.waited = watched, 0
            self.history.best = int(numbers["epoch"])
        else:
            self.waited += 1
        if folder is None or self.keep is None:
            return
        if self.waited == 0:
            from .serialize import save

            save(self.model, folder / "best.safetensors")
        lowest = self.lowest if math.isfinite(self.lowest) else None
        progress = {
            "history": self.history.epochs, "best": self.history.best, "lowest": lowest, "waited": self.waited,
        }  # fmt: skip
        save_checkpoint(self.keep, self.model, self.optimizer, self.rng, progress)

    def diverged(self, what: str) -> None:
        kept = ""
        if self.keep is not None and self.keep.exists():
            kept = f"; the last good checkpoint, after epoch {len(self.history.epochs)}, is {self.keep}"
        raise FloatingPointError(
            f"fit: {what}, with a learning rate of {self.optimizer.lr:g}{kept}. Lower the learning rate, clip "
            "gradients (clip_norm) or look for values that are not finite in the data"
        )
