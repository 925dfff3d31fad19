"""What is copied and added line by line: response normalisation, padding, windows as columns. Bits, memory, NaN."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from views import DISGUISES, WRITABLE

import convkern
from convkern import _core

DTYPES = (np.float32, np.float64)
MODES = {
    "constant": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
    "symmetric": "symmetric",
}


def response(x, size, alpha, beta, k):
    """Channels at axis 1, in long double."""
    squares = np.pad(x.astype(np.longdouble) ** 2, [(0, 0), (size // 2, (size - 1) // 2)] + [(0, 0)] * (x.ndim - 2))
    total = sum(squares[:, j : j + x.shape[1]] for j in range(size))
    return x / (k + np.longdouble(alpha) / size * total) ** np.longdouble(beta)


def layouts(x):
    """(layout, the array in it, back): planes, pixels."""
    yield None, x, lambda a: a
    yield "NHWC", np.ascontiguousarray(np.moveaxis(x, 1, -1)), lambda a: np.moveaxis(a, -1, 1)


@pytest.mark.parametrize("isa", _core.supported_isas())
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "size"), [((2, 7, 5, 9), 5), ((1, 40, 3, 70), 4), ((2, 3, 4, 4), 9), ((1, 1, 2, 3), 3)]
)
def test_response_norm_and_its_gradient(shape, size, dtype, isa):
    rng = np.random.default_rng(0)
    x, grad = rng.normal(size=shape).astype(dtype) * 3, rng.normal(size=shape).astype(dtype)
    eps = np.finfo(dtype).eps
    with convkern.config(isa=isa):
        for alpha, beta, k in ((1e-4, 0.75, 1.0), (0.5, 0.75, 2.0), (2.0, 0.5, 0.1), (0.3, 1.0, 1.0)):
            d = response(np.ones(shape), 1, 0, 0, 1)  # ones, in long double
            d = (x / response(x, size, alpha, 1.0, k)).astype(np.longdouble) * d
            spread = grad * x * d ** np.longdouble(-beta - 1)
            padded = np.pad(spread, [(0, 0), ((size - 1) // 2, size // 2), (0, 0), (0, 0)])
            inner = sum(padded[:, j : j + shape[1]] for j in range(size))
            right = grad * d ** np.longdouble(-beta) - 2 * np.longdouble(alpha) * beta / size * x * inner
            for layout, array, back in layouts(x):
                g = grad if layout is None else np.ascontiguousarray(np.moveaxis(grad, 1, -1))
                y = convkern.local_response_norm(array, size, alpha, beta, k, layout=layout)
                np.testing.assert_allclose(back(y), response(x, size, alpha, beta, k).astype(dtype), rtol=60 * eps)
                dx = convkern.local_response_norm_grad(g, array, size, alpha, beta, k, layout=layout)
                np.testing.assert_allclose(back(dx), right.astype(dtype), rtol=200 * eps, atol=60 * eps)


@pytest.mark.parametrize("isa", _core.supported_isas())
def test_nan_and_infinity_reach_only_the_channels_around(isa):
    x = np.ones((1, 12, 3, 5), np.float32)
    x[0, 4, 1, 2], x[0, 10, 0, 0] = np.nan, np.inf
    with convkern.config(isa=isa):
        for layout, array, back in layouts(x):
            y = back(convkern.local_response_norm(array, 3, 1.0, layout=layout))
            assert np.isnan(y[0, 3:6, 1, 2]).all()
            assert np.isnan(y[0, 10, 0, 0])  # infinity / infinity
            assert (y[0, [9, 11], 0, 0] == 0).all()
            y[0, 3:6, 1, 2] = y[0, 9:12, 0, 0] = 0
            assert np.isfinite(y).all()


@pytest.mark.parametrize("layout", [None, "NHWC"])
def test_response_norm_in_place_and_any_memory(layout):
    rng = np.random.default_rng(0)
    x, grad = rng.normal(size=(2, 6, 7, 5)), rng.normal(size=(2, 6, 7, 5))
    y = convkern.local_response_norm(x, 3, 0.5, layout=layout)
    dx = convkern.local_response_norm_grad(grad, x, 3, 0.5, layout=layout)
    for disguise in DISGUISES.values():
        np.testing.assert_array_equal(convkern.local_response_norm(disguise(x), 3, 0.5, layout=layout), y)
        other = convkern.local_response_norm_grad(disguise(grad), disguise(x), 3, 0.5, layout=layout)
        np.testing.assert_array_equal(other, dx)
    inplace, gradient, both = x.copy(), grad.copy(), x.copy()
    assert convkern.local_response_norm(inplace, 3, 0.5, layout=layout, out=inplace) is inplace
    assert convkern.local_response_norm_grad(gradient, x, 3, 0.5, layout=layout, out=gradient) is gradient
    convkern.local_response_norm_grad(grad, both, 3, 0.5, layout=layout, out=both)
    np.testing.assert_array_equal(inplace, y)
    np.testing.assert_array_equal(gradient, dx)
    np.testing.assert_array_equal(both, dx)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("shape", "widths"),
    [
        ((3, 4, 50, 61), ((0, 0), (0, 0), (2, 1), (3, 4))),
        ((2, 30, 31, 17), ((0, 0), (1, 2), (2, -1), (0, 0))),
        ((70, 90, 5), ((1, 1), (0, 0), (0, 0))),
        ((2, 3, 5, 4, 6, 7), ((0, 0), (0, 0), (1, 0), (2, 2), (-1, 3), (0, 1))),
        ((4, 5), ((0, 0), (0, 0))),
    ],
)
def test_pad_of_any_memory(shape, widths, mode, dtype):
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 9, shape).astype(dtype)
    cropped = tuple(slice(max(-a, 0), size - max(-b, 0)) for size, (a, b) in zip(shape, widths, strict=True))
    right = np.pad(x[cropped], [(max(a, 0), max(b, 0)) for a, b in widths], MODES[mode])
    flat = [side for pair in reversed(widths) for side in pair]
    for disguise in DISGUISES.values():
        np.testing.assert_array_equal(convkern.pad(disguise(x), flat, mode), right)
    for disguise in WRITABLE.values():
        out = disguise(np.full(right.shape, 7, dtype))
        assert convkern.pad(x, flat, mode, out=out) is out
        np.testing.assert_array_equal(out, right)
    grad = rng.integers(-9, 9, right.shape).astype(dtype)
    dx = convkern.pad_grad(grad, flat, mode)
    other = rng.integers(-9, 9, shape).astype(dtype)
    assert (convkern.pad(other, flat, mode) * grad).sum() == (other * dx).sum()
    for disguise in DISGUISES.values():
        np.testing.assert_array_equal(convkern.pad_grad(disguise(grad), flat, mode), dx)
    for disguise in WRITABLE.values():
        out = disguise(np.full(shape, 7, dtype))
        assert convkern.pad_grad(grad, flat, mode, out=out) is out
        np.testing.assert_array_equal(out, dx)


def test_pad_of_no_axes_of_empty_arrays_and_of_broadcast_ones():
    assert convkern.pad(np.array(3.0), ()) == 3
    assert convkern.pad_grad(np.array(3.0), ()) == 3
    np.testing.assert_array_equal(convkern.pad(np.ones((2, 0)), (1, 2), value=5.0), np.full((2, 3), 5.0))
    assert convkern.pad_grad(np.ones((2, 3)), (1, 2)).shape == (2, 0)
    assert convkern.pad(np.ones((0, 4)), (1, 2)).shape == (0, 7)
    wide = np.broadcast_to(np.arange(3.0)[:, None], (2, 3, 50))
    np.testing.assert_array_equal(
        convkern.pad(wide, (1, 1, 1, 1), "replicate"), np.pad(wide, [(0, 0), (1, 1), (1, 1)], "edge")
    )
    part = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(
        convkern.pad(part[:, :3], (1, 0), out=part), np.pad(np.arange(12.0).reshape(3, 4)[:, :3], [(0, 0), (1, 0)])
    )


@given(st.data())
def test_unfold_and_fold_against_loops(data):
    rank = data.draw(st.integers(1, 3))
    kernel = tuple(data.draw(st.integers(1, 3)) for _ in range(rank))
    dilation, padding, stride = (tuple(data.draw(st.integers(low, 3)) for _ in range(rank)) for low in (1, 0, 1))
    size = tuple(d * (k - 1) + 1 + data.draw(st.integers(0, 6)) for k, d in zip(kernel, dilation, strict=True))
    dtype = data.draw(st.sampled_from(DTYPES))
    n, c = data.draw(st.integers(0, 2)), data.draw(st.integers(1, 3))
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 9, (n, c, *size)).astype(dtype)
    padded = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    counts = [
        (s + 2 * p - d * (k - 1) - 1) // t + 1
        for s, p, d, k, t in zip(size, padding, dilation, kernel, stride, strict=True)
    ]
    right = np.zeros((n, c, *kernel, *counts), dtype)
    image = np.zeros_like(padded)
    columns = rng.integers(-9, 9, right.shape).astype(dtype)
    for tap in np.ndindex(*kernel):
        for o in np.ndindex(*counts):
            at = tuple(i * s + k * d for i, s, k, d in zip(o, stride, tap, dilation, strict=True))
            right[(slice(None), slice(None), *tap, *o)] = padded[(..., *at)]
            image[(..., *at)] += columns[(slice(None), slice(None), *tap, *o)]
    shape = (n, c * int(np.prod(kernel)), int(np.prod(counts)))
    settings = (kernel, dilation, padding, stride)
    np.testing.assert_array_equal(convkern.unfold(x, *settings), right.reshape(shape))
    inside = tuple(slice(p, p + s) for p, s in zip(padding, size, strict=True))
    np.testing.assert_array_equal(convkern.fold(columns.reshape(shape), size, *settings), image[(..., *inside)])


def test_columns_of_any_memory():
    rng = np.random.default_rng(0)
    x, columns = rng.normal(size=(2, 3, 8, 9)), rng.normal(size=(2, 27, 20))
    settings = (3, 1, 1, 2)
    y, image = convkern.unfold(x, *settings), convkern.fold(columns, (8, 9), *settings)
    for disguise in DISGUISES.values():
        np.testing.assert_array_equal(convkern.unfold(disguise(x), *settings), y)
        np.testing.assert_array_equal(convkern.fold(disguise(columns), (8, 9), *settings), image)
    for disguise in WRITABLE.values():
        out, back = disguise(np.full(y.shape, 7.0)), disguise(np.full(x.shape, 7.0))
        assert convkern.unfold(x, *settings, out=out) is out
        assert convkern.fold(columns, (8, 9), *settings, out=back) is back
        np.testing.assert_array_equal(out, y)
        np.testing.assert_array_equal(back, image)


def test_bits_do_not_depend_on_threads():
    rng = np.random.default_rng(0)
    x, columns = rng.normal(size=(3, 20, 40, 33)).astype(np.float32), rng.normal(size=(2, 90, 1600)).astype(np.float32)
    results = []
    for threads in (1, 2, 4):
        convkern.set_num_threads(threads)
        results.append(
            [
                convkern.local_response_norm(x, 5, 0.1),
                convkern.local_response_norm(x, 5, 0.1, layout="NHWC"),
                convkern.local_response_norm_grad(x[::-1], x, 5, 0.1),
                convkern.local_response_norm_grad(x[::-1], x, 5, 0.1, layout="NHWC"),
                convkern.pad(x, (3, 2, 1, 4), "reflect"),
                convkern.pad_grad(x, (3, 2, 1, 4), "replicate"),
                convkern.unfold(x, 3, padding=1, stride=2),
                convkern.fold(columns, (40, 40), 3, padding=1),
            ]
        )
    for other in results[1:]:
        for one, another in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, another)
