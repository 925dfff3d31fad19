"""convkern.ndimage against scipy.ndimage: drawn arrays, dtypes, modes, origins and windows, errors, NaN, overlap, ISAs.

Results of integer and float64 arithmetic must be equal to SciPy's bit for bit; where float32 sums are computed in
float32 (and where dense float64 sums are in another order), within a bound.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as theirs

import convkern
from convkern import _core
from convkern import ndimage as ours
from convkern.ndimage.gaussian import gaussian_weights

DTYPES = "?bBhHiIlLfd"
MODES = ("reflect", "constant", "nearest", "mirror", "wrap", "grid-mirror", "grid-constant", "grid-wrap")


def values(rng, shape, dtype):
    """Random values of a dtype; 64-bit integers stay exact in float64, which is what SciPy computes in."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return (rng.standard_normal(shape) * 10).astype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) > 0.5
    info = np.iinfo(dtype)
    return rng.integers(max(info.min, -(2**40)), min(info.max, 2**40), shape, dtype=np.int64).astype(dtype)


@st.composite
def calls(draw):
    """An array, also empty or not contiguous, and a generator for the rest."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dims = draw(st.integers(1, 3))
    shape = tuple(draw(st.integers(0, 40 if dims < 3 else 12)) for _ in range(dims))
    array = values(rng, shape, draw(st.sampled_from(DTYPES)))
    steps = tuple(slice(None, None, draw(st.sampled_from((1, 1, -1, 2)))) for _ in range(dims))
    array = array[steps]
    if draw(st.booleans()):
        array = array.T
    common = {"mode": draw(st.sampled_from(MODES)), "cval": draw(st.sampled_from((0.0, 1.0, 2.5, -3.0, 7.0)))}
    output = draw(st.none() | st.sampled_from(DTYPES).map(np.dtype))
    return rng, array, common, output


def line(rng, size):
    """Weights: whole or not, symmetric, antisymmetric or neither."""
    weights = rng.integers(-3, 4, size).astype(float) if rng.random() < 0.4 else rng.standard_normal(size)
    turn = rng.choice([0, 1, -1])
    return weights + turn * weights[::-1]


def origin_of(rng, size):
    return int(rng.integers(-(size // 2), (size - 1) // 2 + 1))


def outcome(module, name, array, args, kwargs):
    try:
        return getattr(module, name)(array, *args, **kwargs)
    except Exception as error:
        return error


def compare(name, array, *args, **kwargs):
    """Both sides' result or error."""
    expected, got = outcome(theirs, name, array, args, kwargs), outcome(ours, name, array, args, kwargs)
    if isinstance(expected, Exception):
        assert type(got) is type(expected), got
        assert str(got) == str(expected)
        return
    assert not isinstance(got, Exception), got
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    if not expected.size:
        return
    single = np.float32 in (np.asarray(array).real.dtype, expected.real.dtype)
    dense = name in ("correlate", "convolve")
    if expected.dtype.kind in "fc" and (single or dense):
        scale = max(1.0, np.abs(np.nan_to_num(expected)).max())
        assert np.allclose(got, expected, rtol=0, atol=scale * (1e-5 if single else 1e-12), equal_nan=True)
        return
    wide = expected.dtype.kind in "iu" and expected.itemsize == 8
    if wide and (
        np.abs(expected.astype(float)).max() > 2**53 or expected.dtype == np.uint64 != np.asarray(array).dtype
    ):
        return  # SciPy rounds these to float64, we need not
    if expected.dtype == bool:  # the bytes, which may hold more than 0 and 1
        got, expected = got.view(np.uint8), expected.view(np.uint8)
    np.testing.assert_array_equal(got, expected)


@given(calls())
def test_lines(call):
    rng, array, common, output = call
    axis, size = int(rng.integers(array.ndim)), int(rng.integers(1, 12))
    weights, origin = line(rng, size), origin_of(rng, size)
    compare("correlate1d", array, weights, axis, output, origin=origin, **common)
    compare("convolve1d", array, weights, axis, output, origin=int(rng.integers(-6, 7)), **common)
    compare("uniform_filter1d", array, size, axis, output, origin=origin, **common)
    compare("maximum_filter1d", array, size, axis, output, origin=origin, **common)
    compare("minimum_filter1d", array, size, axis, output, origin=origin, **common)
    compare("gaussian_filter1d", array, 1.5, axis, int(rng.integers(0, 3)), output, **common)


@given(calls())
def test_separable_filters(call):
    rng, array, common, output = call
    axis = int(rng.integers(array.ndim))
    axes = tuple(int(i) for i in rng.permutation(array.ndim)[: rng.integers(0, array.ndim + 1)])
    compare("gaussian_filter", array, float(rng.choice([0, 0.5, 2.3])), int(rng.integers(0, 4)), output, **common)
    compare("gaussian_filter", array, 1.0, output=output, axes=axes, radius=2, **common)
    compare("sobel", array, axis, output, **common)
    compare("prewitt", array, axis, output, **common)
    compare("laplace", array, output, axes=axes, **common)
    compare("gaussian_laplace", array, 1.2, output, **common)
    compare("gaussian_gradient_magnitude", array, 1.2, output, **common)
    compare("uniform_filter", array, int(rng.integers(1, 9)), output, axes=axes, **common)


@given(calls())
def test_dense_filters(call):
    rng, array, common, output = call
    sizes = tuple(rng.integers(1, 6, array.ndim))
    weights = np.asarray(line(rng, int(np.prod(sizes)))).reshape(sizes)
    origin = [origin_of(rng, int(size)) for size in sizes]
    compare("correlate", array, weights, output, origin=origin, **common)
    compare("convolve", array, weights, output, **common)
    compare("convolve", array, weights, output, origin=1, **common)
    compare("correlate", array, weights[0] if array.ndim == 1 else weights.sum(0), output, axes=0, **common)
    compare("correlate", array, np.zeros(sizes), output, **common)


@given(calls())
def test_extremes_and_morphology(call):
    rng, array, common, output = call
    sizes = tuple(int(n) for n in rng.integers(1, 6, array.ndim))
    origin = [origin_of(rng, size) for size in sizes]
    footprint = rng.random(sizes) > 0.4
    footprint.flat[rng.integers(footprint.size)] = True
    heights = np.round(rng.standard_normal(sizes) * 2)
    for name in ("maximum_filter", "minimum_filter", "grey_erosion", "grey_dilation"):
        compare(name, array, size=sizes, output=output, origin=origin, **common)
        compare(name, array, footprint=footprint, output=output, origin=origin, **common)
    for name in ("grey_erosion", "grey_dilation"):
        compare(name, array, structure=heights, **common)
        compare(name, array, footprint=footprint, structure=rng.standard_normal(sizes), output=output, **common)
    for name in ("grey_opening", "grey_closing", "morphological_gradient", "morphological_laplace", "white_tophat",
                 "black_tophat"):  # fmt: skip
        compare(name, array, size=3, **common)
        compare(name, array, footprint=footprint, **common)


@given(calls())
@settings(max_examples=50)
def test_complex(call):
    rng, array, common, _ = call
    common["cval"] = complex(common["cval"], 1.5)
    mixed = (array + 1j * array[..., ::-1]).astype(rng.choice([np.complex64, np.complex128]))
    axis, size = int(rng.integers(array.ndim)), int(rng.integers(1, 8))
    weights = line(rng, size)
    turned = weights + 1j * line(rng, size)
    sizes = (size,) + (2,) * (array.ndim - 1)
    dense = rng.standard_normal(sizes) + 1j * rng.standard_normal(sizes)
    real = {**common, "cval": 2.0}
    for function in ("correlate1d", "convolve1d"):
        compare(function, mixed, weights, axis, **common)
        compare(function, mixed, turned, axis, **common)
        compare(function, array, turned, axis, **real)
        compare(function, array, turned, axis, **common)
    for function in ("correlate", "convolve"):
        compare(function, mixed, dense.real, **common)
        compare(function, mixed, dense, **common)
        compare(function, array, dense, **real)
    compare("uniform_filter", mixed, 3, **common)
    compare("sobel", mixed, axis, **common)
    compare("gaussian_filter", mixed, 1.0, **common)


GRID = [("correlate1d", ([1.0, 2.5, -1.0], 0)), ("correlate1d", ([1.0, 2.5], -1)), ("gaussian_filter", (1.7,)),
        ("sobel", (0,)), ("sobel", (1,)), ("uniform_filter", (5,)), ("maximum_filter", (7,)), ("minimum_filter", (2,)),
        ("maximum_filter", (None, [[1, 0, 1], [0, 1, 1]])), ("correlate", (np.arange(15.0).reshape(3, 5),)),
        ("convolve", (np.eye(4),)), ("grey_closing", (3,)), ("laplace", ())]  # fmt: skip


@pytest.mark.grid
@pytest.mark.parametrize("isa", _core.supported_isas())
@pytest.mark.parametrize(("name", "args"), GRID, ids=str)
def test_every_isa_every_dtype_every_width(isa, name, args):
    rng = np.random.default_rng(3)
    with convkern.config(isa=isa):
        for dtype in DTYPES:
            for shape in ((1, 1), (3, 5), (17, 70), (5, 67, 3), (2, 9, 130)):
                if len(shape) == 3 and name in ("correlate", "convolve", "maximum_filter"):
                    continue
                compare(name, values(rng, shape, dtype), *args, mode="mirror")


@pytest.mark.parametrize("name", ["gaussian_filter", "uniform_filter", "maximum_filter", "sobel", "correlate"])
def test_bits_do_not_depend_on_the_number_of_threads(name):
    args = {"correlate": (np.random.default_rng(1).random((5, 7)),), "sobel": ()}.get(name, (5,))
    array = np.random.default_rng(0).random((301, 517), np.float32)
    results = []
    for threads in (1, 2, 3):
        with convkern.config(threads=threads):
            results.append(getattr(ours, name)(array, *args))
    assert all(np.array_equal(results[0], other) for other in results)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_finite_goes_where_scipy_lets_it_go(bad, dtype):
    array = np.random.default_rng(0).standard_normal((80, 90)).astype(dtype)
    array[7, 9] = array[0, 3] = bad
    cross = np.array([[0, 1, 0], [1, 2, 1], [0, 1, 0.0]])
    for name, args in [
        *GRID,
        ("correlate", (cross,)),
        ("correlate1d", ([1, 0, 2.0, 5],)),
        ("uniform_filter1d", (4, 0)),
    ]:
        compare(name, array, *args)
    compare("grey_dilation", array, structure=cross)


ERRORS = [
    ("correlate1d", ([],), {}), ("correlate1d", ([1, 2],), {"origin": 5}), ("correlate1d", ([1, 2], 5), {}),
    ("correlate1d", ([1, 2],), {"mode": "x"}), ("correlate1d", ([[1, 2]],), {}), ("correlate1d", (["a"],), {}),
    ("correlate1d", ([1, 2],), {"cval": "a"}), ("correlate1d", ([1, 2],), {"output": "O"}),
    ("correlate1d", ([1, 2],), {"output": np.zeros((2, 2))}), ("convolve1d", ([1, 2, 3],), {"origin": 2}),
    ("convolve1d", ([],), {}), ("correlate", ([1, 2],), {}), ("correlate", (np.ones((2, 2)),), {"origin": 3}),
    ("correlate", (np.ones((0, 2)),), {}), ("correlate", (np.ones((2, 2)),), {"mode": ["reflect", "wrap"]}),
    ("gaussian_filter", (1,), {"radius": -1}), ("gaussian_filter", (1,), {"radius": 1.5}),
    ("gaussian_filter", (1,), {"order": -1}), ("gaussian_filter", ((1, 2, 3),), {}), ("gaussian_filter", (-1,), {}),
    ("sobel", (7,), {}), ("sobel", (0,), {"mode": ["a", "b"]}), ("sobel", (0,), {"mode": ["wrap", "constant"]}),
    ("uniform_filter1d", (0,), {}), ("uniform_filter1d", (3.5,), {}), ("uniform_filter", (3,), {"origin": 2}),
    ("uniform_filter", (2.5,), {}), ("maximum_filter", (), {}), ("maximum_filter", (3,), {"origin": 9}),
    ("maximum_filter", (), {"footprint": [1, 0, 1]}), ("maximum_filter", (), {"footprint": np.zeros((2, 2))}),
    ("maximum_filter1d", (0,), {}), ("grey_erosion", (), {}), ("grey_dilation", (), {"structure": np.ones(3)}),
    ("grey_dilation", (), {"size": (3, 3, 3)}), ("maximum_filter", (3,), {"axes": (0, 0)}),
    ("maximum_filter", (3,), {"axes": (0, 5)}), ("correlate", (np.eye(2),), {"axes": (1, 0)}),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [float, np.uint8, np.float16, np.longdouble, object, ">i2", complex])
@pytest.mark.parametrize(("name", "args", "kwargs"), ERRORS, ids=str)
def test_bad_input_raises_what_scipy_raises(name, args, kwargs, dtype):
    compare(name, np.arange(12).reshape(3, 4).astype(dtype), *args, **kwargs)


def test_a_window_of_nothing_is_refused_where_scipy_would_crash():
    with pytest.raises(ValueError, match="All-zero footprint"):
        ours.grey_erosion(np.ones((4, 4)), footprint=np.zeros((2, 2)), structure=np.ones((2, 2)))


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.float64])
@pytest.mark.parametrize(("name", "args"), GRID[:-1], ids=str)
def test_output_may_be_the_input_or_any_view(name, args, dtype):
    array = (np.random.default_rng(0).random((30, 40)) * 200).astype(dtype)
    expected = getattr(theirs, name)(array, *args)
    same, view = array.copy(), np.zeros((60, 80), dtype)[::2, ::-2]
    assert getattr(ours, name)(same, *args, output=same) is same
    assert getattr(ours, name)(array, *args, output=view) is view
    np.testing.assert_allclose(same, expected, rtol=1e-6, atol=1e-3)
    np.testing.assert_allclose(view, expected, rtol=1e-6, atol=1e-3)
    buffer = np.zeros((33, 40), dtype)
    buffer[:30] = array
    np.testing.assert_allclose(
        getattr(ours, name)(buffer[:30], *args, output=buffer[3:]), expected, rtol=1e-6, atol=1e-3
    )


def test_byte_order_and_alignment():
    array = np.arange(600, dtype=">f4").reshape(20, 30)
    shifted = np.zeros(20 * 30 * 4 + 1, np.uint8)[1:].view(np.float32).reshape(20, 30)
    shifted[...] = array
    for given_ in (array, shifted):
        np.testing.assert_allclose(ours.gaussian_filter(given_, 1), theirs.gaussian_filter(given_, 1), rtol=1e-5)
        np.testing.assert_array_equal(ours.maximum_filter(given_, 3), theirs.maximum_filter(given_, 3))


def test_large_windows_and_long_lines():
    rng = np.random.default_rng(0)
    long = rng.random(300_000)
    compare("correlate1d", long, rng.random(701))
    compare("maximum_filter1d", long, 5001)
    compare("uniform_filter1d", long, 5001)
    image = rng.random((50, 60))
    compare("maximum_filter", image, (300, 201), mode="wrap")
    compare("gaussian_filter", image, 40.0, mode="mirror")
    compare("correlate", image, rng.random((90, 101)), mode="reflect")
    for mode in ("reflect", "constant", "wrap"):  # each row is kept once, however often the window meets it
        compare("correlate1d", values(rng, (7, 300), "H"), rng.random(1001), 0, mode=mode, cval=2.0)
        compare("sobel", values(rng, (2, 300), "H"), mode=mode, cval=2.0)
        compare("gaussian_filter", values(rng, (5, 80), "h"), 20.0, output=float, mode=mode, cval=2.0)
        compare("uniform_filter1d", values(rng, (9, 70), "h"), 41, 0, mode=mode, cval=2.0)
    compare("correlate", rng.random((9, 8, 7, 6)), rng.random((3, 2, 3, 2)))
    compare("gaussian_filter", rng.random((7, 8, 9, 10, 3)), 1.0)


@pytest.mark.parametrize("dtype", "Bhfd")
@pytest.mark.parametrize("size", [3, 9, 70])
def test_bands_of_many_rows(size, dtype):
    rng = np.random.default_rng(size)
    for shape in ((4500, 72), (300, 1100)):  # means of more than one band that L2 holds; bands of many groups of rows
        array = values(rng, shape, dtype)
        for mode in ("reflect", "constant", "wrap"):
            compare("uniform_filter1d", array, size, 0, mode=mode)
            compare("correlate1d", array, line(rng, size), 0, mode=mode)
        for axis in (0, 1):
            compare("sobel", array, axis)


@pytest.mark.parametrize("order", range(5))
def test_gaussian_weights_are_scipys_bit_for_bit(order):
    from scipy.ndimage._filters import _gaussian_kernel1d

    for sigma, radius in ((0.4, 2), (1.0, 4), (2.7, 11), (30.0, 120)):
        expected = _gaussian_kernel1d(sigma, order, radius)[::-1]
        np.testing.assert_array_equal(gaussian_weights(sigma, order, radius), expected)


def test_float32_stays_within_the_documented_bound():
    array = np.random.default_rng(0).standard_normal((200, 300)).astype(np.float32)
    exact = theirs.gaussian_filter1d(array.astype(float), 6.0, 0)
    error = np.abs(ours.gaussian_filter1d(array, 6.0, 0) - exact).max()
    assert error <= (49 + 3) * 2.0**-24 * np.abs(array).max()


def test_names_are_scipys():
    assert set(ours.__all__) <= set(theirs.__all__)
