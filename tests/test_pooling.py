"""Pooling against plain loops: every instruction set, memory order, dtype and rank; indices, NaNs, bits, errors."""

from functools import cache

import numpy as np
import pool_oracle as oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from views import DISGUISES, WRITABLE

import convkern
from convkern import _core
from convkern.windows import pooled_shape

LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
DTYPES = (np.float32, np.float64)

# (shape, kernel, stride, padding, dilation, ceil_mode): every path of the drivers.
GRID = (
    ((2, 3, 9, 11), (3, 3), (2, 2), (1, 1), (1, 1), False),
    ((1, 17, 12, 28), (2, 2), (2, 2), (0, 0), (1, 1), False),  # pairs of neighbours, all rows alike
    ((2, 5, 13, 35), (2, 2), (2, 2), (0, 0), (1, 1), True),  # pairs, with a column left over
    ((1, 1, 1, 6, 40), (2, 2, 2), (1, 2, 2), (1, 0, 0), (1, 1, 1), False),  # pairs, two results of one plane
    ((1, 2, 9, 40), (3, 2), (2, 2), (1, 0), (1, 1), False),  # pairs of overlapping lines
    ((1, 2, 9, 71), (3, 3), (2, 2), (1, 1), (1, 1), False),  # triples, open at the left, cut at the right
    ((2, 3, 8, 36), (3, 3), (2, 2), (0, 0), (1, 1), True),  # triples, cut at the right
    ((1, 2, 5, 90), (5, 3), (1, 2), (2, 1), (1, 1), False),  # triples of many lines
    ((1, 33, 8, 9), (3, 3), (1, 1), (1, 1), (1, 1), False),
    ((1, 4, 11, 50), (5, 7), (1, 1), (2, 3), (1, 1), False),  # by axes
    ((2, 8, 14, 13), (6, 5), (3, 3), (2, 1), (1, 1), True),
    ((1, 3, 10, 23), (2, 3), (1, 4), (1, 1), (2, 3), False),
    ((1, 2, 7, 5), (7, 5), (1, 1), (0, 0), (1, 1), False),
    ((3, 2, 40), (3,), (2,), (1,), (1,), False),
    ((1, 1, 700), (2,), (2,), (0,), (1,), False),
    ((1, 20, 37), (4,), (3,), (2,), (2,), True),
    ((1, 3, 5, 6, 7), (2, 2, 2), (2, 2, 2), (0, 0, 0), (1, 1, 1), False),
    ((2, 5, 4, 7, 9), (3, 2, 3), (1, 2, 2), (1, 0, 1), (1, 2, 1), True),
    ((1, 16, 4, 4, 35), (1, 3, 3), (1, 2, 2), (0, 1, 1), (1, 1, 1), False),
)


def integers(shape, seed=0):
    return np.random.default_rng(seed).integers(-40, 40, shape).astype(np.float64)


def windows_of(shape, kernel, stride, padding, dilation, ceil_mode):
    settings = zip(shape[2:], kernel, stride, padding, dilation, strict=True)
    return [oracle.regular(*axis, ceil_mode) for axis in settings]


@cache
def expected(case):
    """Ask the oracle once for all instruction sets."""
    shape, windows, x = case[0], windows_of(*case), integers(case[0])
    found = {kind: oracle.extreme(x, windows, kind) for kind in ("max", "min")}
    grad = integers((*shape[:2], *map(len, windows)), 1)
    for include in (True, False):
        found["mean", include] = oracle.average(x, windows, include)
        found["spread", include] = oracle.average_gradient(grad, shape[2:], windows, include)
    return x, grad, found


def variants(x):
    """(array, layout, function that brings a result back to channels first) in both layouts and dtypes."""
    for dtype in DTYPES:
        yield x.astype(dtype), None, lambda a: a
        yield (
            np.ascontiguousarray(np.moveaxis(x, 1, -1), dtype),
            LAST[x.ndim - 2],
            lambda a: np.moveaxis(a, -1, 1),
        )


def call(name, rank):
    return getattr(convkern, name.replace("?", str(rank)))


@pytest.mark.grid
@pytest.mark.parametrize("isa", _core.supported_isas())
@pytest.mark.parametrize("case", GRID, ids=str)
def test_against_loops(case, isa):
    shape, *settings = case
    rank, (x, _, answers) = len(shape) - 2, expected(case)
    kernel, stride, padding, dilation, ceil_mode = settings
    with convkern.config(isa=isa):
        for array, layout, back in variants(x):
            for kind in ("max", "min"):
                values, indices = answers[kind]
                pool = call(f"{kind}_pool?d", rank)
                np.testing.assert_array_equal(back(pool(array, *settings, layout=layout)), values)
                y, found = pool(array, *settings, True, layout=layout)
                np.testing.assert_array_equal(back(y), values)
                np.testing.assert_array_equal(back(found), indices)
                assert y.dtype == array.dtype
                assert found.dtype == np.int64
            if set(dilation) != {1}:
                continue
            for include in (True, False):
                mean = call("avg_pool?d", rank)(array, kernel, stride, padding, ceil_mode, include, layout=layout)
                right = answers["mean", include].astype(array.dtype)
                np.testing.assert_allclose(back(mean), right, rtol=2 * np.finfo(array.dtype).eps, atol=0)


@pytest.mark.grid
@pytest.mark.parametrize("isa", _core.supported_isas())
@pytest.mark.parametrize("case", [c for c in GRID if set(c[4]) == {1}], ids=str)
def test_gradients_against_loops(case, isa):
    shape, kernel, stride, padding, _, ceil_mode = case
    rank, (x, grad, answers) = len(shape) - 2, expected(case)
    with convkern.config(isa=isa):
        for (array, layout, back), (image, _, _) in zip(variants(grad), variants(x), strict=True):
            settings = (kernel, stride, padding, ceil_mode)
            for include in (True, False):
                right = answers["spread", include]
                dx = call("avg_pool?d_grad", rank)(array, image.shape, *settings, include, layout=layout)
                atol = 8 * np.finfo(array.dtype).eps * np.abs(right).max()
                np.testing.assert_allclose(back(dx), right, rtol=0, atol=atol)
            _, where = answers["max"]
            right = np.zeros((*shape[:2], int(np.prod(shape[2:]))))
            for n, c in np.ndindex(*shape[:2]):
                np.add.at(right[n, c], where[n, c].ravel(), grad[n, c].ravel())
            _, found = call("max_pool?d", rank)(image, *settings[:3], 1, ceil_mode, True, layout=layout)
            dx = call("max_pool?d_grad", rank)(array, found, image.shape, layout=layout)
            np.testing.assert_array_equal(back(dx), right.reshape(shape))


@given(st.data())
def test_drawn_shapes(data):
    rank = data.draw(st.integers(1, 3))
    shape = (data.draw(st.integers(1, 2)), data.draw(st.sampled_from((1, 2, 3, 9, 17))))
    shape += tuple(data.draw(st.integers(1, (70, 20, 7)[rank - 1])) for _ in range(rank))
    kernel, stride = (tuple(data.draw(st.integers(1, 4)) for _ in range(rank)) for _ in range(2))
    dilation = tuple(data.draw(st.integers(1, 2)) for _ in range(rank))
    padding = tuple(data.draw(st.integers(0, (d * (k - 1) + 1) // 2)) for k, d in zip(kernel, dilation, strict=True))
    ceil_mode = data.draw(st.booleans())
    isa = data.draw(st.sampled_from(_core.supported_isas()))
    if any(d * (k - 1) + 1 > s + 2 * p for s, k, p, d in zip(shape[2:], kernel, padding, dilation, strict=True)):
        return
    x = integers(shape, data.draw(st.integers(0, 99)))
    windows = windows_of(shape, kernel, stride, padding, dilation, ceil_mode)
    values, indices = oracle.extreme(x, windows, "max")
    assert values.shape == pooled_shape(shape, kernel, stride, padding, dilation, ceil_mode)
    with convkern.config(isa=isa):
        for array, layout, back in variants(x):
            y, found = call("max_pool?d", rank)(
                array, kernel, stride, padding, dilation, ceil_mode, True, layout=layout
            )
            np.testing.assert_array_equal(back(y), values)
            np.testing.assert_array_equal(back(found), indices)
            y = call("max_pool?d", rank)(array, kernel, stride, padding, dilation, ceil_mode, layout=layout)
            np.testing.assert_array_equal(back(y), values)


@pytest.mark.grid
@pytest.mark.parametrize("isa", _core.supported_isas())
@pytest.mark.parametrize(
    ("shape", "out"),
    [
        ((2, 3, 7, 9), (3, 4)),
        ((1, 18, 8, 6), (4, 3)),
        ((1, 2, 5, 6), (7, 8)),
        ((3, 2, 90), (1,)),
        ((1, 5, 4, 6, 5), (2, 3, 1)),
    ],
)
def test_adaptive_and_global(shape, out, isa):
    rank, x = len(out), integers(shape)
    windows = [oracle.adaptive(size, o) for size, o in zip(shape[2:], out, strict=True)]
    values, indices = oracle.extreme(x, windows, "max")
    with convkern.config(isa=isa):
        for array, layout, back in variants(x):
            eps = np.finfo(array.dtype).eps
            y, found = call("adaptive_max_pool?d", rank)(array, out, True, layout=layout)
            np.testing.assert_array_equal(back(y), values)
            np.testing.assert_array_equal(back(found), indices)
            np.testing.assert_array_equal(back(call("adaptive_max_pool?d", rank)(array, out, layout=layout)), values)
            mean = call("adaptive_avg_pool?d", rank)(array, out, layout=layout)
            np.testing.assert_allclose(back(mean), oracle.average(x, windows), rtol=4 * eps, atol=0)
            dx = call("adaptive_avg_pool?d_grad", rank)(mean, array.shape, layout=layout)
            right = oracle.average_gradient(np.asarray(back(mean), np.float64), shape[2:], windows)
            np.testing.assert_allclose(back(dx), right, rtol=0, atol=8 * eps * np.abs(right).max())
            top = call("global_max_pool?d", rank)(array, layout=layout)
            np.testing.assert_array_equal(back(top).reshape(shape[:2]), x.reshape(*shape[:2], -1).max(axis=-1))
            mean = call("global_avg_pool?d", rank)(array, layout=layout)
            right = x.reshape(*shape[:2], -1).mean(axis=-1)
            np.testing.assert_allclose(back(mean).reshape(shape[:2]), right, rtol=4 * eps, atol=eps)


@pytest.mark.parametrize("layout", [None, "NHWC"])
def test_sums_of_many_elements_keep_their_precision(layout):
    x = np.random.default_rng(0).uniform(0, 1, (1, 200, 200, 3) if layout else (1, 3, 200, 200)).astype(np.float32)
    mean = convkern.global_avg_pool2d(x, layout=layout)
    right = x.mean(axis=(1, 2) if layout else (2, 3), dtype=np.float64)
    np.testing.assert_allclose(mean.ravel(), right.ravel(), rtol=1e-6)


@pytest.mark.parametrize("isa", _core.supported_isas())
@pytest.mark.parametrize("layout", [None, "NHWC"])
def test_images_that_no_cache_holds(layout, isa):
    pairs = integers((8, 37, 32, 2, 33, 2)).astype(np.float32)  # 5 MB: fetched ahead
    x = pairs.reshape(8, 37, 64, 66)
    x = x if layout is None else np.ascontiguousarray(np.moveaxis(x, 1, -1))
    with convkern.config(isa=isa):
        for name, right in (("avg", pairs.mean((3, 5))), ("max", pairs.max((3, 5))), ("min", pairs.min((3, 5)))):
            y = getattr(convkern, f"{name}_pool2d")(x, 2, layout=layout)
            np.testing.assert_array_equal(y if layout is None else np.moveaxis(y, -1, 1), right)


@pytest.mark.parametrize("isa", _core.supported_isas())
@pytest.mark.parametrize("layout", [None, "NHWC"])
@pytest.mark.parametrize("kernel", [2, 3, 7])
def test_nan_reaches_exactly_its_windows(kernel, layout, isa):
    x = integers((1, 19, 24, 34))
    x[0, 5, 11, 13] = x[0, 5, 12, 13] = np.nan
    x[0, 6, 3, 4] = -np.nan
    x[0, 7] = -np.inf
    settings = (kernel, 2, kernel // 2)
    windows = windows_of(x.shape, (kernel,) * 2, (2, 2), (kernel // 2,) * 2, (1, 1), False)
    for kind in ("max", "min"):
        values, indices = oracle.extreme(x, windows, kind)
        with convkern.config(isa=isa):
            for dtype in DTYPES:
                array = np.ascontiguousarray(np.moveaxis(x, 1, -1) if layout else x, dtype)
                y, found = call(f"{kind}_pool?d", 2)(array, *settings, return_indices=True, layout=layout)
                plain = call(f"{kind}_pool?d", 2)(array, *settings, layout=layout)
                if layout:
                    y, found, plain = (np.moveaxis(a, -1, 1) for a in (y, found, plain))
                np.testing.assert_array_equal(y, values)
                np.testing.assert_array_equal(found, indices)
                np.testing.assert_array_equal(plain, values)


def test_a_window_of_padding_alone_is_empty():
    x = np.ones((1, 2, 3))
    y, indices = convkern.max_pool1d(x, 2, 1, 2, 5, return_indices=True)
    assert (y == -np.inf).all()
    assert (indices == -1).all()
    assert (convkern.max_pool1d(x, 2, 1, 2, 5) == -np.inf).all()
    assert not convkern.max_pool1d_grad(np.ones_like(y), indices, x.shape).any()


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
@pytest.mark.parametrize("layout", [None, "NHWC"])
def test_any_memory(disguise, layout):
    x = integers((2, 10, 12, 6)).astype(np.float32)
    right = convkern.max_pool2d(x, 3, 2, 1, layout=layout)
    indices = convkern.max_pool2d(x, 3, 2, 1, return_indices=True, layout=layout)[1]
    view = disguise(x)
    np.testing.assert_array_equal(convkern.max_pool2d(view, 3, 2, 1, layout=layout), right)
    found = convkern.max_pool2d(view, 3, 2, 1, return_indices=True, layout=layout)[1]
    np.testing.assert_array_equal(found, indices)
    dx = convkern.max_pool2d_grad(disguise(right), disguise(indices), x.shape, layout=layout)
    np.testing.assert_array_equal(dx, convkern.max_pool2d_grad(right, indices, x.shape, layout=layout))


@pytest.mark.parametrize("disguise", WRITABLE.values(), ids=WRITABLE)
@pytest.mark.parametrize("layout", [None, "NHWC"])
def test_out(disguise, layout):
    x = integers((2, 10, 12, 6)).astype(np.float32)
    y, indices = convkern.max_pool2d(x, 3, 2, 1, return_indices=True, layout=layout)
    for result, run in (
        (y, lambda out: convkern.max_pool2d(x, 3, 2, 1, layout=layout, out=out)),
        (y, lambda out: convkern.max_pool2d(x, 3, 2, 1, return_indices=True, layout=layout, out=out)[0]),
        (convkern.avg_pool2d(x, 2, layout=layout), lambda out: convkern.avg_pool2d(x, 2, layout=layout, out=out)),
        (
            convkern.max_pool2d_grad(y, indices, x.shape, layout=layout),
            lambda out: convkern.max_pool2d_grad(y, indices, x.shape, layout=layout, out=out),
        ),
    ):
        out = disguise(np.full(result.shape, 7, np.float32))
        assert run(out) is out
        np.testing.assert_array_equal(out, result)


def test_out_may_be_part_of_x():
    x = integers((1, 3, 8, 8)).astype(np.float32)
    right = convkern.max_pool2d(x, 2)
    out = x[:, :, :4, :4]
    convkern.max_pool2d(x, 2, out=out)
    np.testing.assert_array_equal(out, right)


@pytest.mark.parametrize("layout", [None, "NHWC"])
def test_bits_do_not_depend_on_threads_or_batch(layout):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 24, 70, 65)).astype(np.float32)
    x = np.ascontiguousarray(np.moveaxis(x, 1, -1)) if layout else x

    def results(a):
        mean = convkern.avg_pool2d(a, 3, 2, 1, layout=layout)
        return (
            mean,
            convkern.avg_pool2d(a, 2, layout=layout),
            convkern.avg_pool2d(a, 9, 4, 2, True, False, layout=layout),
            convkern.global_avg_pool2d(a, layout=layout),
            convkern.adaptive_avg_pool2d(a, 7, layout=layout),
            convkern.avg_pool2d_grad(mean, a.shape, 3, 2, 1, layout=layout),
        )

    convkern.set_num_threads(1)
    first = results(x)
    for threads in (2, 3, 4):
        convkern.set_num_threads(threads)
        for got, right in zip(results(x), first, strict=True):
            np.testing.assert_array_equal(got, right)
    for got, right in zip(results(x[1:2]), first, strict=True):
        np.testing.assert_array_equal(got, right[1:2])


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (2, 0, 8, 8), (2, 3, 0, 8)])
def test_zero_sizes(shape):
    y, indices = convkern.max_pool2d(np.ones(shape), 2, return_indices=True)
    assert y.size == indices.size == 0
    assert y.shape[:2] == shape[:2]
    assert convkern.avg_pool2d(np.ones(shape), 2).shape == y.shape
    assert convkern.max_pool2d_grad(y, indices, shape).shape == shape
    assert convkern.avg_pool2d_grad(y, shape, 2).shape == shape


def test_unbatched():
    x = integers((5, 9, 8))
    y, indices = convkern.max_pool2d(x, 3, 2, 1, return_indices=True)
    whole, found = convkern.max_pool2d(x[None], 3, 2, 1, return_indices=True)
    np.testing.assert_array_equal(y, whole[0])
    np.testing.assert_array_equal(indices, found[0])
    np.testing.assert_array_equal(convkern.avg_pool2d(x, 2), convkern.avg_pool2d(x[None], 2)[0])
    assert convkern.max_pool2d_grad(y, indices, x.shape).shape == x.shape
    assert convkern.fractional_max_pool2d(x, 2, 4).shape == (5, 4, 4)


def test_the_result_keeps_channels_last_memory():
    x = np.moveaxis(np.ones((2, 8, 9, 6), np.float32), -1, 1)  # NCHW by shape, NHWC in memory
    y, indices = convkern.max_pool2d(x, 3, 2, 1, return_indices=True)
    assert np.moveaxis(y, 1, -1).flags.c_contiguous
    assert indices.strides == tuple(2 * stride for stride in y.strides)
    np.testing.assert_array_equal(indices, convkern.max_pool2d(x.copy(), 3, 2, 1, return_indices=True)[1])


def test_unpooling_inverts_pooling():
    x = integers((2, 3, 8, 6)) + 0.5  # no zeros
    y, indices = convkern.max_pool2d(x, 2, return_indices=True)
    back = convkern.max_unpool2d(y, indices, 2)
    assert back.shape == x.shape
    np.testing.assert_array_equal(convkern.max_pool2d(np.where(back == 0, -99, back), 2), y)
    np.testing.assert_array_equal(convkern.max_unpool2d_grad(back, indices), y)
    assert convkern.max_unpool2d(y, indices, 2, output_size=(9, 7)).shape == (2, 3, 9, 7)


def test_fractional_pooling_is_seeded():
    x = np.random.default_rng(0).normal(size=(2, 3, 20, 21))
    first, indices = convkern.fractional_max_pool2d(x, 3, output_ratio=0.6, return_indices=True)
    assert first.shape == (2, 3, 12, 12)
    np.testing.assert_array_equal(first, convkern.fractional_max_pool2d(x, 3, (12, 12)))
    assert (first != convkern.fractional_max_pool2d(x, 3, (12, 12), seed=1)).any()
    picked = np.take_along_axis(x.reshape(2, 3, -1), indices.reshape(2, 3, -1), -1)
    np.testing.assert_array_equal(picked.reshape(first.shape), first)


X = np.ones((1, 2, 8, 8), np.float32)
BAD = {
    "kernel_size: got": lambda: convkern.max_pool2d(X, 0),
    "kernel_size: got 3 values": lambda: convkern.max_pool2d(X, (2, 2, 2)),
    "kernel_size: got a window": lambda: convkern.max_pool2d(X, 9),
    "stride": lambda: convkern.avg_pool2d(X, 2, 0),
    "padding": lambda: convkern.max_pool2d(X, 3, 1, 2),
    "dilation": lambda: convkern.max_pool2d(X, 3, dilation=0),
    "x: got shape": lambda: convkern.max_pool2d(np.ones((8, 8)), 2),
    "layout": lambda: convkern.max_pool2d(X, 2, layout="NHCW"),
    "divisor_override": lambda: convkern.avg_pool2d(X, 2, divisor_override=0),
    "out: got shape": lambda: convkern.max_pool2d(X, 2, out=np.ones((1, 2, 3, 3), np.float32)),
    "output_size": lambda: convkern.adaptive_avg_pool2d(X, (1, 2, 3)),
    "output_size: got -1|needs values": lambda: convkern.adaptive_avg_pool2d(X, -1),
    "grad: got shape": lambda: convkern.avg_pool2d_grad(X, X.shape, 2),
    "indices: got one outside": lambda: convkern.max_pool2d_grad(X, np.full(X.shape, 64), X.shape),
    "indices: got shape": lambda: convkern.max_pool2d_grad(X, np.zeros((1, 2, 8, 7), int), X.shape),
    "norm_type": lambda: convkern.lp_pool2d(X, 0, 2),
    "output_ratio|output_size": lambda: convkern.fractional_max_pool2d(X, 2),
    "random_samples": lambda: convkern.fractional_max_pool2d(X, 2, 4, random_samples=np.ones((1, 2, 2))),
    "windows that span": lambda: convkern.max_pool2d(X, 1 << 41, padding=1 << 40),
}


@pytest.mark.parametrize("message", BAD)
def test_errors_name_the_argument(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()


def test_wrong_types():
    with pytest.raises(TypeError, match="x: got dtype int64"):
        convkern.max_pool2d(np.ones((1, 2, 8, 8), np.int64), 2)
    with pytest.raises(TypeError, match="indices"):
        convkern.max_pool2d_grad(X, X, X.shape)
    with pytest.raises(TypeError, match="out"):
        convkern.max_pool2d(X, 2, out=np.ones((1, 2, 4, 4)))
