"""Lp pooling against its definition, on every instruction set; windows far larger than the image."""

import numpy as np
import pytest

import convkern
from convkern import _core

POWERS = (1, 2, 3, 4, 0.5, 2.5, -1)


def windows(x, kernel, stride):
    view = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (2, 3))
    return view[:, :, ::stride, ::stride]


def central_differences(f, x, grad, step=1e-5):
    dx = np.zeros_like(x)
    for i in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        dx[i] = ((f(up) - f(down)) * grad).sum() / (2 * step)
    return dx


@pytest.mark.parametrize("layout", [None, "NHWC"])
@pytest.mark.parametrize("norm", [1, 2, 3.5])
def test_lp_gradient_by_central_differences(norm, layout):
    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 2, (1, 2, 5, 5) if layout is None else (1, 5, 5, 2))
    y = convkern.lp_pool2d(x, norm, 2, 1, layout=layout)
    grad = rng.normal(size=y.shape)
    right = central_differences(lambda a: convkern.lp_pool2d(a, norm, 2, 1, layout=layout), x, grad)
    dx = convkern.lp_pool2d_grad(grad, x, norm, 2, 1, layout=layout)
    np.testing.assert_allclose(dx, right, rtol=1e-6, atol=1e-8)


def test_lp_of_infinite_order_is_the_largest_absolute_value():
    x = np.random.default_rng(0).integers(-40, 40, (1, 2, 6, 6)).astype(np.float64)
    np.testing.assert_array_equal(convkern.lp_pool2d(x, np.inf, 2), convkern.max_pool2d(abs(x), 2))
    np.testing.assert_array_equal(convkern.lp_pool2d(x, -np.inf, 2), convkern.min_pool2d(abs(x), 2))


@pytest.mark.parametrize("isa", _core.supported_isas())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("power", POWERS)
def test_against_the_definition(power, dtype, isa):
    x = np.random.default_rng(0).uniform(0.25, 4, (2, 5, 9, 37)).astype(dtype)
    right = (windows(x.astype(np.longdouble), 3, 2) ** power).sum((-2, -1)) ** (np.longdouble(1) / power)
    with convkern.config(isa=isa):
        for layout in (None, "NHWC"):
            array = x if layout is None else np.ascontiguousarray(x.transpose(0, 2, 3, 1))
            y = convkern.lp_pool2d(array, power, 3, 2, layout=layout)
            y = y if layout is None else y.transpose(0, 3, 1, 2)
            np.testing.assert_allclose(y, right.astype(dtype), rtol=60 * np.finfo(dtype).eps)


@pytest.mark.parametrize("isa", _core.supported_isas())
def test_signs_and_borders_of_powers(isa):
    """What C's pow says, as PyTorch: odd powers keep signs, roots of negative sums are NaN."""
    x = np.array([-2.0, 1.0, np.inf, 1.0, 0.0, 0.0, -3.0, -4.0, np.nan, 1.0, -np.inf, 1.0])[None, None]
    with convkern.config(isa=isa), np.errstate(invalid="ignore", divide="ignore"):
        for power in (1, 2, 3, 5, -1, -2, 0.5, 1.5):
            if power % 1:
                x[x == -np.inf] = -8  # NumPy takes a square root of it, C's pow has infinity
            powers = x.reshape(1, 1, -1, 2) ** float(power)
            right = powers.sum(-1) ** (1 / power)
            np.testing.assert_allclose(convkern.lp_pool1d(x, power, 2), right, rtol=1e-14)


def test_a_window_that_is_cut_counts_as_a_whole_one():
    x = np.arange(1.0, 6.0)[None, None]
    for power in (1, 2, 3):
        whole = np.array([1 + 2**power, 3**power + 4**power, 2 * 5**power]) ** (1 / power)
        np.testing.assert_allclose(convkern.lp_pool1d(x, power, 2, ceil_mode=True)[0, 0], whole, rtol=1e-14)


def test_bits_do_not_depend_on_threads():
    x = np.random.default_rng(0).uniform(0.1, 2, (4, 16, 40, 40)).astype(np.float32)
    results = []
    for threads in (1, 2, 4):
        convkern.set_num_threads(threads)
        results.append([convkern.lp_pool2d(x, power, 3, 2) for power in POWERS])
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])


def test_huge_windows_take_no_memory_beyond_the_image():
    y = convkern.max_pool1d(np.ones((1, 1, 5)), 10**9, 1, 10**9 // 2)
    assert (y == 1).all()
    assert y.shape[-1] < 10
