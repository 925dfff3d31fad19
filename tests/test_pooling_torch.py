"""Pooling, norms, activations and rearranging against PyTorch, where it is installed: values, indices and gradients."""

import numpy as np
import pytest

import convkern

torch = pytest.importorskip("torch")
F = torch.nn.functional

LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}


def ours(name, rank=None):
    return getattr(convkern, name.replace("?", str(rank)))


def theirs(name, rank=None):
    return getattr(F, name.replace("?", str(rank)))


def both_layouts(x):
    rank = x.ndim - 2
    yield x, None, lambda a: a
    yield np.ascontiguousarray(np.moveaxis(x, 1, -1)), LAST[rank], lambda a: np.moveaxis(a, -1, 1)


def drawn(seed):
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    size = tuple(int(n) for n in rng.integers(4, (60, 25, 10)[rank - 1], rank))
    shape = (int(rng.integers(1, 4)), int(rng.choice([1, 3, 8, 17])), *size)
    kernel, stride = (tuple(int(n) for n in rng.integers(1, 4, rank)) for _ in range(2))
    dilation = tuple(int(n) for n in rng.integers(1, 3, rank))
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    x = rng.integers(-30, 30, shape).astype((np.float32, np.float64)[seed % 2])
    return rank, x, (kernel, stride, padding), dilation, bool(rng.integers(0, 2)), rng


def backward(run, x, grad=None):
    """(result, gradient in x) of PyTorch, for integers as the result's gradient."""
    leaf = torch.from_numpy(x.copy()).requires_grad_()
    y = run(leaf)
    grad = np.random.default_rng(3).integers(-9, 9, tuple(y.shape)).astype(x.dtype) if grad is None else grad
    y.backward(torch.from_numpy(grad))
    return y.detach().numpy(), grad, leaf.grad.numpy()


@pytest.mark.parametrize("seed", range(60))
def test_windows(seed):
    rank, x, geometry, dilation, ceil_mode, rng = drawn(seed)
    if seed % 3 == 0:
        x[rng.random(x.shape) < 0.03] = np.nan
    try:
        right, where = theirs("max_pool?d", rank)(torch.from_numpy(x), *geometry, dilation, ceil_mode, True)
    except RuntimeError:
        pytest.skip("PyTorch has no such window")
    for array, layout, back in both_layouts(x):
        y, indices = ours("max_pool?d", rank)(array, *geometry, dilation, ceil_mode, True, layout=layout)
        np.testing.assert_array_equal(back(y), right.numpy())
        np.testing.assert_array_equal(back(indices), where.numpy())
    x = np.nan_to_num(x)
    out = tuple(int(n) for n in rng.integers(1, 8, rank))
    for include in (True, False):
        right, grad, dx = backward(lambda t, i=include: theirs("avg_pool?d", rank)(t, *geometry, ceil_mode, i), x)
        for (array, layout, back), (g, _, _) in zip(both_layouts(x), both_layouts(grad), strict=True):
            y = ours("avg_pool?d", rank)(array, *geometry, ceil_mode, include, layout=layout)
            np.testing.assert_allclose(back(y), right, rtol=1e-6)
            got = ours("avg_pool?d_grad", rank)(g, array.shape, *geometry, ceil_mode, include, layout=layout)
            np.testing.assert_allclose(back(got), dx, rtol=1e-5, atol=1e-5)
    right, grad, dx = backward(lambda t: theirs("adaptive_avg_pool?d", rank)(t, out), x)
    top, where = theirs("adaptive_max_pool?d", rank)(torch.from_numpy(x), out, True)
    for (array, layout, back), (g, _, _) in zip(both_layouts(x), both_layouts(grad), strict=True):
        np.testing.assert_allclose(
            back(ours("adaptive_avg_pool?d", rank)(array, out, layout=layout)), right, rtol=2e-6, atol=1e-6
        )
        got = ours("adaptive_avg_pool?d_grad", rank)(g, array.shape, layout=layout)
        np.testing.assert_allclose(back(got), dx, rtol=1e-5, atol=1e-5)
        y, indices = ours("adaptive_max_pool?d", rank)(array, out, True, layout=layout)
        np.testing.assert_array_equal(back(y), top.numpy())
        np.testing.assert_array_equal(back(indices), where.numpy())


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_gradients_by_indices_and_unpooling(rank):
    x = np.random.default_rng(0).normal(size=(2, 3, *(9, 8, 10)[:rank]))
    _, grad, dx = backward(lambda t: theirs("max_pool?d", rank)(t, 3, 2, 1), x)
    _, indices = ours("max_pool?d", rank)(x, 3, 2, 1, return_indices=True)
    np.testing.assert_allclose(ours("max_pool?d_grad", rank)(grad, indices, x.shape), dx, rtol=1e-13)
    y, where = theirs("max_pool?d", rank)(torch.from_numpy(x), 2, return_indices=True)
    right, grad, dx = backward(lambda t: theirs("max_unpool?d", rank)(t, where, 2, output_size=x.shape), y.numpy())
    got = ours("max_unpool?d", rank)(y.numpy(), where.numpy(), 2, output_size=x.shape)
    np.testing.assert_array_equal(got, right)
    np.testing.assert_array_equal(ours("max_unpool?d_grad", rank)(grad, where.numpy()), dx)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("norm", [1, 2, 3.5])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_lp(rank, norm, ceil_mode):
    x = np.random.default_rng(0).uniform(0.1, 2, (2, 3, *(9, 8, 10)[:rank]))
    kernel = (3, 2, 2)[:rank]
    for stride in (None, 2):
        right, grad, dx = backward(
            lambda t, s=stride: theirs("lp_pool?d", rank)(t, norm, kernel if rank > 1 else 3, s, ceil_mode), x
        )
        settings = (norm, kernel, stride, ceil_mode)
        np.testing.assert_allclose(ours("lp_pool?d", rank)(x, *settings), right, rtol=1e-13)
        np.testing.assert_allclose(ours("lp_pool?d_grad", rank)(grad, x, *settings), dx, rtol=1e-12)


@pytest.mark.parametrize("rank", [2, 3])
def test_fractional(rank):
    rng = np.random.default_rng(0)
    x, samples = rng.normal(size=(2, 3, *(9, 11, 10)[:rank])), rng.random((2, 3, rank))
    kernel, out = (2, 3, 2)[:rank], (4, 5, 3)[:rank]
    right, where = theirs("fractional_max_pool?d", rank)(
        torch.from_numpy(x), kernel, out, return_indices=True, _random_samples=torch.from_numpy(samples)
    )
    y, indices = ours("fractional_max_pool?d", rank)(x, kernel, out, None, True, samples)
    np.testing.assert_array_equal(y, right.numpy())
    np.testing.assert_array_equal(indices, where.numpy())


NAMES = ("relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "hardswish", "sigmoid", "tanh", "softplus")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations(name, dtype):
    x = (np.random.default_rng(0).normal(size=2000) * 3).astype(dtype)
    right, grad, dx = backward(getattr(F, name, None) or getattr(torch, name), x)
    y = ours(name)(x)
    eps = np.finfo(dtype).eps
    # PyTorch subtracts probabilities from 1, so that its gelu has no relative accuracy far below 0.
    np.testing.assert_allclose(y, right, rtol=20 * eps, atol=(16 if name == "gelu" else 4) * eps)
    source = y if name in ("sigmoid", "tanh") else x
    np.testing.assert_allclose(ours(f"{name}_grad")(grad, source), dx, rtol=40 * eps, atol=80 * eps)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmax(name, dim):
    right, grad, dx = backward(lambda t: theirs(name)(t, dim), np.random.default_rng(0).normal(size=(4, 9, 21)))
    y = ours(name)(np.random.default_rng(0).normal(size=(4, 9, 21)), dim)
    np.testing.assert_allclose(y, right, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(ours(f"{name}_grad")(grad, y, dim), dx, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("training", [False, True])
def test_batch_norm(training):
    rng = np.random.default_rng(0)
    x, weight, bias, mean = rng.normal(size=(3, 5, 6, 7)), *rng.normal(size=(3, 5))
    var = rng.uniform(1, 2, 5)
    w, b, m, v = (torch.from_numpy(a.copy()) for a in (weight, bias, mean, var))
    w.requires_grad_(), b.requires_grad_()
    right, grad, dx = backward(lambda t: F.batch_norm(t, m, v, w, b, training), x)
    y, *stats = convkern.batch_norm(x, mean, var, weight, bias, training, return_stats=True)
    np.testing.assert_allclose(y, right, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(mean, m.numpy(), rtol=1e-13)
    np.testing.assert_allclose(var, v.numpy(), rtol=1e-13)
    got = convkern.batch_norm_grad(grad, x, *stats, weight, training)
    for mine, other in zip(got, (dx, w.grad.numpy(), b.grad.numpy()), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_local_response_norm(size):
    x = np.random.default_rng(0).normal(size=(2, 6, 4, 3))
    right, grad, dx = backward(lambda t: F.local_response_norm(t, size, 0.3, 0.6, 2.0), x)
    np.testing.assert_allclose(convkern.local_response_norm(x, size, 0.3, 0.6, 2.0), right, rtol=1e-13)
    got = convkern.local_response_norm_grad(grad, x, size, 0.3, 0.6, 2.0)
    np.testing.assert_allclose(got, dx, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("pad", [(1, 2, 0, 3), (1, 0, 2, 1), (-1, 2, 1, -2), (-2, -1, 3, 1)])
def test_pad(mode, pad):
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 6))
    try:
        right, grad, dx = backward(lambda t: F.pad(t, pad, mode), x)
    except (NotImplementedError, RuntimeError):
        pytest.skip("PyTorch does not pad so")
    np.testing.assert_array_equal(convkern.pad(x, pad, mode), right)
    np.testing.assert_allclose(convkern.pad_grad(grad, pad, mode), dx, rtol=1e-13)


def test_rearranging():
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 6))
    t = torch.from_numpy(x)
    for settings in ((2, 1, 0, 1), ((2, 3), (2, 1), (1, 0), (2, 1)), (3, 1, 1, 2)):
        right = F.unfold(t, *settings)
        np.testing.assert_array_equal(convkern.unfold(x, *settings), right.numpy())
        image = F.fold(right, (6, 6), *settings).numpy()
        np.testing.assert_allclose(convkern.fold(right.numpy(), (6, 6), *settings), image, rtol=1e-13)
    np.testing.assert_array_equal(convkern.pixel_shuffle(x, 2), F.pixel_shuffle(t, 2).numpy())
    np.testing.assert_array_equal(convkern.pixel_unshuffle(x, 3), F.pixel_unshuffle(t, 3).numpy())


@pytest.mark.parametrize("count", [1, 6])
def test_prelu(count):
    x, slopes = np.random.default_rng(0).normal(size=(3, 6, 5)), np.random.default_rng(1).normal(size=count)
    weight = torch.from_numpy(slopes.copy()).requires_grad_()
    right, grad, dx = backward(lambda t: F.prelu(t, weight), x)
    np.testing.assert_array_equal(convkern.prelu(x, slopes), right)
    mine, dweight = convkern.prelu_grad(grad, x, slopes)
    np.testing.assert_array_equal(mine, dx)
    np.testing.assert_allclose(dweight, weight.grad.numpy(), rtol=1e-12)
