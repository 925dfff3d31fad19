"""Losses: a number from a prediction and a target, and backward() with the gradient of the prediction.

    value = mean over samples (or elements) of l(prediction, target);  backward() = d value / d prediction

Values are Python floats, summed in float64; gradients have the prediction's dtype. No loss has parameters.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .layer import Array


class Loss:
    """A loss: ``loss(prediction, target)``, then ``loss.backward()``.

    Parameters
    ----------
    reduction : {"mean", "sum"}
    """

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction: got {reduction!r}, needs 'mean' or 'sum'")
        self.reduction = reduction
        self.saved: Any = None

    def __call__(self, prediction: Any, target: Any = None) -> float:
        raise NotImplementedError

    def backward(self) -> Any:
        """The gradient of the last value in the prediction."""
        if self.saved is None:
            raise RuntimeError(f"{type(self).__name__}.backward: needs a call before it")
        return self.saved

    def __repr__(self) -> str:
        shown = [f"{k}={v!r}" for k, v in vars(self).items() if k != "saved" and not isinstance(v, np.ndarray)]
        return f"{type(self).__name__}({', '.join(shown)})"


class CrossEntropy(Loss):
    """Softmax and cross-entropy, ``-log softmax(prediction)[target]``, without overflow.

    Parameters
    ----------
    weight : array_like, optional
        (C,), a weight of each class; the mean is weighted.
    ignore_index : int
        A target that does not count. Default -100.
    label_smoothing : float
        Share of the target spread over all classes (Szegedy et al. 2016). Default 0.
    reduction : {"mean", "sum"}
    axis : int
        Where the classes are. Default 1: (N, C), or (N, C, H, W) with targets (N, H, W) for segmentation.

    Notes
    -----
    The target is class numbers, as PyTorch's ``cross_entropy`` takes, or probabilities of the prediction's shape.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> loss = nn.CrossEntropy()
    >>> round(loss(np.zeros((2, 4)), np.array([0, 3])), 4)  # log 4
    1.3863
    >>> loss.backward()[0]
    array([-0.375,  0.125,  0.125,  0.125])
    """

    def __init__(
        self,
        weight: npt.ArrayLike | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
        *,
        axis: int = 1,
    ) -> None:
        super().__init__(reduction)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing: got {label_smoothing}, needs a share between 0 and 1")
        self.weight = None if weight is None else np.asarray(weight, np.float64)
        self.ignore_index, self.label_smoothing, self.axis = ignore_index, label_smoothing, axis

    def __call__(self, prediction: Array, target: Any = None) -> float:
        prediction, target = np.asarray(prediction), np.asarray(target)
        last = self.axis in (-1, prediction.ndim - 1)
        scores = prediction if last else np.moveaxis(prediction, self.axis, -1)
        classes = scores.shape[-1]
        weight = np.ones(classes) if self.weight is None else self.weight
        if weight.shape != (classes,):
            raise ValueError(
                f"weight: got shape {weight.shape}, needs ({classes},) for a prediction of {prediction.shape}"
            )
        log_p = scores - scores.max(axis=-1, keepdims=True)
        log_p -= np.log(np.exp(log_p).sum(axis=-1, keepdims=True))
        if target.dtype.kind == "f" and target.shape == prediction.shape:
            smooth = self.label_smoothing
            q = np.moveaxis(target, self.axis, -1) * (1 - smooth) + smooth / classes
            value, gradient = self._spread(log_p, (q * weight).astype(scores.dtype))
            total = float(math.prod(scores.shape[:-1]))
        else:
            labels = self._labels(target, prediction.shape, scores.shape)
            value, gradient, total = self._numbered(log_p.reshape(-1, classes), labels.reshape(-1), weight)
            gradient = gradient.reshape(scores.shape)
        if self.reduction == "mean":
            value = value / total if total else math.nan
            gradient *= 1 / total if total else math.nan
        self.saved = gradient if last else np.ascontiguousarray(np.moveaxis(gradient, -1, self.axis))
        return value

    def _spread(self, log_p: Array, q: Array) -> tuple[float, Array]:
        """(-sum q log p, its gradient in the scores) for weights q of all classes: softmax * sum(q) - q."""
        terms = np.multiply(q, log_p, out=np.zeros_like(log_p), where=q != 0)  # 0 * inf is no term
        return -float(terms.sum(dtype=np.float64)), np.exp(log_p) * q.sum(axis=-1, keepdims=True) - q

    def _numbered(self, log_p: Array, labels: Array, weight: Array) -> tuple[float, Array, float]:
        """The same for class numbers, and what a mean divides by; without smoothing one class of each row counts."""
        counted = labels != self.ignore_index
        labels, rows = np.where(counted, labels, 0), np.arange(len(labels))
        share, smooth = weight[labels] * counted, self.label_smoothing
        own = ((1 - smooth) * share).astype(log_p.dtype)
        if smooth:
            q = (smooth / len(weight) * weight * counted[:, None]).astype(log_p.dtype)
            q[rows, labels] += own
            value, gradient = self._spread(log_p, q)
        else:
            terms = np.multiply(own, log_p[rows, labels], out=np.zeros_like(own), where=own != 0)
            value, gradient = -float(terms.sum(dtype=np.float64)), np.exp(log_p)
            gradient *= own[:, None]
            gradient[rows, labels] -= own
        return value, gradient, float(share.sum())

    def _labels(self, target: Array, given: tuple[int, ...], shape: tuple[int, ...]) -> Array:
        """The target as class numbers, checked."""
        if target.dtype.kind not in "iu":
            raise TypeError(
                f"target: got dtype {target.dtype} and shape {target.shape}, needs class numbers (integers) "
                f"of shape {shape[:-1]} or probabilities of shape {given}"
            )
        if target.shape != shape[:-1]:
            raise ValueError(f"target: got shape {target.shape}, needs {shape[:-1]} for a prediction of shape {given}")
        wrong = (target != self.ignore_index) & ((target < 0) | (target >= shape[-1]))
        if wrong.any():
            found = target[wrong]
            raise ValueError(f"target: got classes {found.min()} to {found.max()}, needs 0 to {shape[-1] - 1}, or "
                             f"ignore_index {self.ignore_index}")  # fmt: skip
        return target


def same_shape(prediction: Any, target: Any) -> tuple[Array, Array]:
    prediction, target = np.asarray(prediction), np.asarray(target)
    if prediction.shape != target.shape:
        raise ValueError(f"target: got shape {target.shape}, needs {prediction.shape} as the prediction")
    return prediction, target.astype(prediction.dtype, copy=False)


class Elementwise(Loss):
    """A loss that is a sum over elements; derive and write ``terms``."""

    def terms(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        """(losses, their derivatives), of the prediction's shape."""
        raise NotImplementedError

    def __call__(self, prediction: Array, target: Any = None) -> float:
        prediction, target = same_shape(prediction, target)
        losses, derivative = self.terms(prediction, target)
        count = losses.size if self.reduction == "mean" else 1
        self.saved = derivative / np.asarray(max(count, 1), derivative.dtype)
        return float(losses.sum(dtype=np.float64)) / count if count else math.nan


class BCEWithLogits(Elementwise):
    """Binary cross-entropy of a sigmoid, ``-y log s(x) - (1 - y) log(1 - s(x))``, without overflow.

    Parameters
    ----------
    reduction : {"mean", "sum"}
    pos_weight : float
        Factor of the positive term. Default 1.
    """

    def __init__(self, reduction: str = "mean", pos_weight: float = 1.0) -> None:
        super().__init__(reduction)
        self.pos_weight = pos_weight

    def terms(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        # -log s(x) = log(1 + exp(-|x|)) + max(-x, 0), and the same with x reversed for -log(1 - s(x))
        tail = np.log1p(np.exp(-np.abs(prediction)))
        positive = self.pos_weight * target
        losses = positive * (tail + np.maximum(-prediction, 0)) + (1 - target) * (tail + np.maximum(prediction, 0))
        sigmoid = np.exp(-np.maximum(-prediction, 0) - tail)
        return losses, sigmoid * (positive + 1 - target) - positive


class MSE(Elementwise):
    """Squared error, (prediction - target)**2."""

    def terms(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        difference = prediction - target
        return difference * difference, 2 * difference


class L1(Elementwise):
    """Absolute error, abs(prediction - target); its derivative at 0 is 0."""

    def terms(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        difference = prediction - target
        return np.abs(difference), np.sign(difference)


class SmoothL1(Elementwise):
    """Squared error / (2 beta) below beta, absolute error - beta/2 beyond (Girshick 2015).

    Parameters
    ----------
    beta : float
        Above 0. Default 1.
    reduction : {"mean", "sum"}
    """

    def __init__(self, beta: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        if beta <= 0:
            raise ValueError(f"beta: got {beta}, needs more than 0")
        self.beta = beta

    def terms(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        difference = prediction - target
        size = np.abs(difference)
        near = size < self.beta
        losses = np.where(near, difference * difference * (0.5 / self.beta), size - 0.5 * self.beta)
        return losses, np.clip(difference / self.beta, -1, 1)


def distances(a: Array, b: Array, eps: float) -> tuple[Array, Array]:
    """(Euclidean distances of rows, their derivatives in a); ``eps`` is added to each difference, as PyTorch does."""
    difference = a - b + np.asarray(eps, a.dtype)
    d = np.sqrt((difference * difference).sum(axis=1))
    return d, difference / np.maximum(d, np.finfo(d.dtype).tiny)[:, None]


class Triplet(Loss):
    """``max(0, |a - p| - |a - n| + margin)`` for an anchor, a positive and a negative (Schroff et al. 2015).

    Parameters
    ----------
    margin : float
        Default 1.
    reduction : {"mean", "sum"}

    Notes
    -----
    The prediction is a tuple of three (N, D) arrays, as :class:`Siamese` gives; there is no target. ``backward``
    returns three gradients.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> a, p, n = np.zeros((1, 2)), np.zeros((1, 2)), np.full((1, 2), 0.5)
    >>> round(nn.Triplet()((a, p, n)), 3)
    0.293
    """

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def __call__(self, prediction: tuple[Array, Array, Array], target: Any = None) -> float:
        anchor, positive, negative = prediction
        if not anchor.shape == positive.shape == negative.shape or anchor.ndim != 2:
            shapes = [part.shape for part in prediction]
            raise ValueError(f"prediction: got shapes {shapes}, needs three arrays of one shape (N, D)")
        near, to_positive = distances(anchor, positive, 1e-6)
        far, to_negative = distances(anchor, negative, 1e-6)
        terms = np.maximum(near - far + self.margin, 0)
        count = max(len(terms), 1) if self.reduction == "mean" else 1
        share = (terms > 0).astype(anchor.dtype)[:, None] / np.asarray(count, anchor.dtype)
        self.saved = ((to_positive - to_negative) * share, -to_positive * share, to_negative * share)
        return float(terms.sum(dtype=np.float64)) / count


class Contrastive(Loss):
    """d**2 for a pair of the same kind, max(0, margin - d)**2 for others, halved (Hadsell et al. 2006).

    Parameters
    ----------
    margin : float
        Default 1.
    reduction : {"mean", "sum"}

    Notes
    -----
    The prediction is a pair of (N, D) arrays, the target (N,), 1 where a pair is of the same kind and 0 where not.
    """

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def __call__(self, prediction: tuple[Array, Array], target: Any = None) -> float:
        a, b = prediction
        if a.shape != b.shape or a.ndim != 2:
            raise ValueError(f"prediction: got shapes {a.shape} and {b.shape}, needs two arrays of one shape (N, D)")
        same = np.asarray(target).astype(a.dtype)
        if same.shape != a.shape[:1]:
            raise ValueError(f"target: got shape {same.shape}, needs {a.shape[:1]}")
        d, direction = distances(a, b, 0.0)
        short = np.maximum(self.margin - d, 0)
        terms = 0.5 * (same * d * d + (1 - same) * short * short)
        count = max(len(terms), 1) if self.reduction == "mean" else 1
        slope = (same * d - (1 - same) * short) / np.asarray(count, a.dtype)
        toward = direction * slope[:, None]
        self.saved = toward, -toward
        return float(terms.sum(dtype=np.float64)) / count
