"""Losses: backward against central differences, values at the edges of what floats hold, and wrong targets."""

import numpy as np
import pytest
from gradients import STEP, draw, some

from convkern import nn

P, Q = draw((4, 3)), draw((4, 3), 1)
CASES = {
    "cross entropy": (nn.CrossEntropy(), P, np.array([0, 2, 1, 1])),
    "weighted": (nn.CrossEntropy([0.5, 1, 2], ignore_index=1, label_smoothing=0.2), P, np.array([0, 2, 1, 0])),
    "last axis": (nn.CrossEntropy(axis=-1), draw((2, 4, 5, 3)), np.random.default_rng(0).integers(0, 3, (2, 4, 5))),
    "bce": (nn.BCEWithLogits(pos_weight=2.0), P, (Q > 0).astype(float)),
    "mse": (nn.MSE(), P, Q),
    "mse sum": (nn.MSE("sum"), P, Q),
    "l1": (nn.L1(), P, Q),
    "smooth l1": (nn.SmoothL1(0.7), P, Q),
    "triplet": (nn.Triplet(3.0), (P, Q, draw((4, 3), 2)), None),
    "contrastive": (nn.Contrastive(3.0), (P, Q), np.array([1, 0, 0, 1])),
}


@pytest.mark.parametrize("name", CASES)
def test_backward_is_the_derivative(name):
    loss, prediction, target = CASES[name]
    several = isinstance(prediction, tuple)
    arrays = [part.copy() for part in (prediction if several else (prediction,))]

    def value():
        return loss(tuple(arrays) if several else arrays[0], target)

    value()
    gradients = loss.backward()
    for array, gradient in zip(arrays, gradients if several else (gradients,), strict=True):
        gradient = gradient.copy()
        for index in some(array.shape, np.random.default_rng(0)):
            kept = array[index]
            array[index] = kept + STEP
            above = value()
            array[index] = kept - STEP
            below = value()
            array[index] = kept
            assert gradient[index] == pytest.approx((above - below) / (2 * STEP), rel=2e-6, abs=1e-8)


def test_float32_gradients_stay_float32():
    for loss, prediction, target in CASES.values():
        several = isinstance(prediction, tuple)
        parts = tuple(part.astype(np.float32) for part in (prediction if several else (prediction,)))
        assert np.isfinite(loss(parts if several else parts[0], target))
        gradients = loss.backward()
        assert all(part.dtype == np.float32 for part in (gradients if several else (gradients,)))


def test_large_scores_do_not_overflow():
    loss = nn.CrossEntropy()
    assert loss(np.array([[1000.0, -1000.0]], np.float32), np.array([0])) == 0
    assert loss(np.array([[1000.0, -1000.0]], np.float32), np.array([1])) == 2000
    assert loss(np.array([[0.0, -np.inf]]), np.array([0])) == 0
    assert nn.BCEWithLogits()(np.array([1000.0, -1000.0]), np.array([1.0, 1.0])) == 500


def test_pairs_at_distance_zero_have_finite_gradients():
    same = np.ones((2, 3))
    loss = nn.Contrastive()
    assert loss((same, same), np.array([1, 0])) == 0.25
    assert all(np.isfinite(gradient).all() for gradient in loss.backward())


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.CrossEntropy()(P, np.array([0, 1, 3, 0])), ValueError, "0 to 2"),
        (lambda: nn.CrossEntropy()(P, np.array([0, 1])), ValueError, r"\(2,\)"),
        (lambda: nn.CrossEntropy()(P, np.array([0.0, 1, 0, 0])), TypeError, "integers"),
        (lambda: nn.CrossEntropy([1.0])(P, np.array([0, 1, 1, 0])), ValueError, "weight"),
        (lambda: nn.MSE()(P, Q[:2]), ValueError, r"\(2, 3\)"),
        (lambda: nn.Triplet()((P, Q, Q[:1])), ValueError, r"\(1, 3\)"),
        (lambda: nn.Contrastive()((P, Q), np.ones(3)), ValueError, r"\(3,\)"),
        (lambda: nn.MSE("median"), ValueError, "reduction"),
        (lambda: nn.CrossEntropy(label_smoothing=2), ValueError, "label_smoothing"),
        (lambda: nn.MSE().backward(), RuntimeError, "before"),
    ],
)
def test_wrong_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
