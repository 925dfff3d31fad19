"""The oracle itself, against SciPy, PyTorch where it is installed, and the definition of an adjoint."""

import numpy as np
import oracle
import pytest
from problems import integers
from scipy import signal

MODES = tuple(oracle.PADDING_MODES)


def axes(value, rank):
    return (value,) * rank


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_one_plane_equals_scipy_correlate(rank):
    x, w = integers((1, 1, 9, 8, 7)[: 2 + rank], 1), integers((1, 1, 3, 4, 2)[: 2 + rank], 2)
    kernel = w.shape[2:]
    for method, padding in (("valid", axes((0, 0), rank)), ("full", tuple((k - 1, k - 1) for k in kernel))):
        got = oracle.forward(x, w, axes(1, rank), padding, axes(1, rank))
        np.testing.assert_array_equal(got[0, 0], signal.correlate(x[0, 0], w[0, 0], method, method="direct"))


def test_channels_are_summed_within_their_group():
    x, w = integers((2, 6, 8, 9), 1), integers((4, 3, 3, 2), 2)
    got = oracle.forward(x, w, (1, 1), ((0, 0), (0, 0)), (1, 1), groups=2)
    for n, o in np.ndindex(2, 4):
        first = 3 * (o // 2)
        planes = [signal.correlate(x[n, first + c], w[o, c], "valid", method="direct") for c in range(3)]
        np.testing.assert_array_equal(got[n, o], sum(planes))


def test_stride_and_dilation_select_samples():
    x, w = integers((1, 1, 40), 1), integers((1, 1, 3), 2)
    dilated = np.zeros(9)
    dilated[::4] = w[0, 0]
    full = signal.correlate(x[0, 0], dilated, "valid", method="direct")
    got = oracle.forward(x, w, (3,), ((0, 0),), (4,))
    np.testing.assert_array_equal(got[0, 0], full[::3])


@pytest.mark.parametrize("mode", MODES)
def test_unpad_is_the_adjoint_of_pad(mode):
    padding = ((2, 1), (0, 7))
    x = integers((2, 3, 5, 4), 1)
    padded = oracle.pad(x, padding, mode)
    g = integers(padded.shape, 2)
    assert padded.shape == (2, 3, 8, 11)
    assert np.vdot(padded, g) == np.vdot(x, oracle.unpad(g, (5, 4), padding, mode))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_gradients_are_adjoint_to_forward(rank, mode):
    spatial, kernel = (7, 6, 5)[:rank], (3, 2, 3)[:rank]
    settings = (2, 1, 3)[:rank], ((1, 2), (0, 1), (2, 2))[:rank], (1, 2, 1)[:rank], 2, mode
    x, w = integers((2, 4, *spatial), 1), integers((6, 2, *kernel), 2)
    y = oracle.forward(x, w, *settings)
    g = integers(y.shape, 3)
    through = np.vdot(y, g)
    assert through == np.vdot(x, oracle.grad_input(g, w, spatial, *settings))
    assert through == np.vdot(w, oracle.grad_weight(g, x, kernel, *settings))


TORCH_CASES = {
    "1d": ((2, 4, 19), (6, 2, 4), (2,), (3,), (2,), 2),
    "2d": ((2, 6, 9, 8), (4, 3, 3, 2), (2, 1), (1, 2), (1, 3), 2),
    "depthwise": ((1, 5, 7, 8), (10, 1, 3, 3), (1, 1), (1, 1), (1, 1), 5),
    "3d": ((1, 2, 5, 6, 7), (3, 2, 3, 1, 2), (1, 2, 3), (1, 0, 1), (2, 1, 1), 1),
}


@pytest.mark.parametrize("case", TORCH_CASES.values(), ids=TORCH_CASES)
def test_all_directions_equal_torch(case):
    torch = pytest.importorskip("torch")
    x_shape, w_shape, stride, padding, dilation, groups = case
    rank = len(stride)
    x, w = integers(x_shape, 1), integers(w_shape, 2)
    settings = stride, tuple((p, p) for p in padding), dilation, groups
    y = oracle.forward(x, w, *settings)
    g = integers(y.shape, 3)
    tx, tw = torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True)
    ty = getattr(torch.nn.functional, f"conv{rank}d")(tx, tw, None, stride, padding, dilation, groups)
    ty.backward(torch.tensor(g))
    np.testing.assert_array_equal(y, ty.detach().numpy())
    np.testing.assert_array_equal(oracle.grad_input(g, w, x_shape[2:], *settings), tx.grad.numpy())
    np.testing.assert_array_equal(oracle.grad_weight(g, x, w_shape[2:], *settings), tw.grad.numpy())


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_equals_torch(mode):
    torch = pytest.importorskip("torch")
    x = integers((2, 3, 6, 7), 1)
    got = torch.nn.functional.pad(torch.tensor(x), (3, 2, 1, 4), mode=mode).numpy()
    np.testing.assert_array_equal(oracle.pad(x, ((1, 4), (3, 2)), mode), got)
