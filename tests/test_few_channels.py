"""Channels inside, fewer than a vector holds: several pixels share one. Against NumPy, on every instruction set."""

import numpy as np
import pytest

import convkern
from convkern import _core

ISAS = _core.supported_isas()
CHANNELS = (*range(1, 21), 24, 31, 33, 48, 63, 65)


def draw(shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pixels", [(1, 2, 1), (3, 5, 7), (2, 67, 61)])  # few, odd, and enough for several threads
def test_batch_norm_and_its_gradient(pixels, dtype, isa):
    rounding = 1e-5 if dtype == "float32" else 1e-12
    for c in CHANNELS:
        x, grad = draw((*pixels, c), dtype, 1) + np.arange(c, dtype=dtype), draw((*pixels, c), dtype, 2)
        weight, bias = draw(c, dtype, 3), draw(c, dtype, 4)
        running = np.zeros(c, dtype), np.ones(c, dtype)
        with convkern.config(isa=isa):
            y, mean, invstd = convkern.batch_norm(
                x, *running, weight, bias, True, layout="NHWC", return_stats=True, momentum=0.25
            )
            dx, dweight, dbias = convkern.batch_norm_grad(grad, x, mean, invstd, weight, True, layout="NHWC")
        axes, count = (0, 1, 2), x.size // c
        m, v = x.mean(axes, np.float64), x.astype(np.float64).var(axes)
        xhat = (x - m) / np.sqrt(v + 1e-5)
        np.testing.assert_allclose(mean, m, rtol=rounding, atol=rounding)
        np.testing.assert_allclose(invstd, 1 / np.sqrt(v + 1e-5), rtol=10 * rounding)
        scale = 20 * rounding * np.maximum(1, 1 / np.sqrt(v + 1e-5)).max()  # two values may lie close together
        np.testing.assert_allclose(y, xhat * weight + bias, rtol=scale, atol=scale)
        np.testing.assert_allclose(running[0], 0.25 * m, rtol=rounding, atol=rounding)
        np.testing.assert_allclose(running[1], 0.75 + 0.25 * v * count / (count - 1), rtol=rounding)
        sums = grad.sum(axes, np.float64), (grad * xhat).sum(axes)
        np.testing.assert_allclose(dbias, sums[0], rtol=scale, atol=scale * count)
        np.testing.assert_allclose(dweight, sums[1], rtol=scale, atol=scale * count)
        wanted = weight / np.sqrt(v + 1e-5) * (grad - (sums[0] + sums[1] * xhat) / count)
        np.testing.assert_allclose(dx, wanted, rtol=scale, atol=5 * scale * np.abs(wanted).max() + 5 * scale)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_prelu(dtype, isa):
    for c in CHANNELS:
        x, weight = draw((2, 37, 31, c), dtype, c), draw(c, dtype, 1)
        with convkern.config(isa=isa):
            y = convkern.prelu(x, weight, layout="NHWC")
        np.testing.assert_array_equal(y, np.where(x > 0, x, x * weight))


@pytest.mark.grid
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("op", ["max", "min"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pooling_with_indices(dtype, op, isa):
    run = getattr(convkern, f"{op}_pool2d")
    for c in CHANNELS:
        x = np.random.default_rng(c).integers(-3, 4, (2, 9, 8, c)).astype(dtype)  # many equal values: the first counts
        x[0, 3, 4, c // 2] = np.nan
        for kernel, stride, padding in ((2, 2, 0), (3, 2, 1), (2, 1, 0), (3, 3, 0), (1, 1, 0)):
            with convkern.config(isa=isa):
                y, found = run(x, kernel, stride, padding, return_indices=True, layout="NHWC")
                wanted, where = run(
                    np.ascontiguousarray(np.moveaxis(x, -1, 1)), kernel, stride, padding, return_indices=True
                )
                back = convkern.max_pool2d_grad(np.ones_like(y), found, x.shape, layout="NHWC")
            np.testing.assert_array_equal(y, np.moveaxis(wanted, 1, -1))
            np.testing.assert_array_equal(found, np.moveaxis(where, 1, -1))
            counts = np.zeros((2, 72, c), dtype)
            np.add.at(counts, (np.arange(2)[:, None, None], found.reshape(2, -1, c), np.arange(c)), 1)
            np.testing.assert_array_equal(back.reshape(2, 72, c), counts)


@pytest.mark.parametrize("isa", ISAS)
def test_pooling_some_of_an_images_channels_writes_no_others(isa):
    x = draw((1, 6, 6, 20))
    for c in (2, 3, 6, 7, 12):
        with convkern.config(isa=isa):
            y, found = convkern.max_pool2d(x[..., 3 : 3 + c], 2, return_indices=True, layout="NHWC")
            same, where = convkern.max_pool2d(x[..., 3 : 3 + c].copy(), 2, return_indices=True, layout="NHWC")
        np.testing.assert_array_equal(y, same)
        np.testing.assert_array_equal(found, where)


def test_bits_do_not_depend_on_threads():
    before, x = convkern.get_num_threads(), draw((3, 91, 83, 6))
    found = []
    try:
        for threads in (1, 2, 5):
            convkern.set_num_threads(threads)
            y, mean, invstd = convkern.batch_norm(x, None, None, training=True, layout="NHWC", return_stats=True)
            dx, dw, db = convkern.batch_norm_grad(y, x, mean, invstd, training=True, layout="NHWC")
            found.append([array.tobytes() for array in (y, mean, invstd, dx, dw, db)])
    finally:
        convkern.set_num_threads(before)
    assert found[0] == found[1] == found[2]
