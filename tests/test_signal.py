"""convkern.signal against scipy.signal: values, dtypes, shapes and errors, over everything that both take."""

import doctest
import importlib
import warnings

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

import convkern
from convkern import signal
from convkern.scipy import Report
from convkern.scipy.patching import begin, end
from convkern.signal import linear

MODES = ("full", "same", "valid")
INTEGERS = "bhilqBHILQ"
DTYPES = "?" + INTEGERS + "fdFD"
LINEAR = ("convolve", "correlate", "fftconvolve", "oaconvolve")
PLANES = ("convolve2d", "correlate2d")
BOUNDARIES = ("fill", "wrap", "symm")


def numbers(rng, shape, dtype, low=-9, high=10):
    """Numbers of a dtype, small integers among them, with a random memory layout."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        values = rng.random(shape) > 0.5
    elif kind in "iu":
        values = rng.integers(0 if kind == "u" else low, high, shape)
    else:
        values = rng.standard_normal(shape)
        if kind == "c":
            values = values + 1j * rng.standard_normal(shape)
    values = np.asarray(values).astype(dtype)
    layout = rng.integers(5)
    if layout == 1:
        return np.asfortranarray(values)
    if layout == 2:  # every other element, backwards along the first axis
        room = np.zeros([2 * n for n in shape], dtype)
        view = room[tuple(slice(None, None, 2) for _ in shape)]
        view[...] = values
        view[...] = view[::-1].copy()
        return view[::-1]
    if layout == 3:
        values.flags.writeable = False
    if layout == 4:  # unaligned
        room = np.zeros(values.nbytes + 1, np.uint8)[1:].view(dtype) if values.size else values
        room.reshape(shape)[...] = values
        return room.reshape(shape)
    return values


def outcome(function, *args, **kwargs):
    """The result, or the exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(*args, **kwargs)
        except Exception as error:
            return error


def assert_same(ours, theirs, single):
    """Equal in type, shape and dtype; integers equal, floats close to their precision relative to the largest."""
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        assert type(ours) is type(theirs), (ours, theirs)
        assert str(ours) == str(theirs)
        return
    assert type(ours) is type(theirs)
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    if ours.size == 0 or theirs.dtype.kind in "biu":
        np.testing.assert_array_equal(ours, theirs)
    else:
        tolerance = (1e-5 if single else 1e-13) * (1 + np.abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


@st.composite
def cases(draw, most_axes=3, least_axes=1):
    """(rng, shape1, shape2, dtype1, dtype2, mode); sizes 0 to 40, one-sided and mixed, even and odd."""
    axes = draw(st.integers(least_axes, most_axes))
    size = st.integers(draw(st.sampled_from((1, 1, 1, 1, 1, 0))), (40, 40, 9, 4)[axes - 1])
    shape1 = tuple(draw(st.lists(size, min_size=axes, max_size=axes)))
    shape2 = tuple(draw(st.lists(size, min_size=axes, max_size=axes)))
    dtypes = draw(st.tuples(st.sampled_from(DTYPES), st.sampled_from(DTYPES)))
    seed = draw(st.integers(0, 2**32))
    return np.random.default_rng(seed), shape1, shape2, *dtypes, draw(st.sampled_from(MODES))


@pytest.mark.parametrize("few", [0, linear.FEW])
@given(cases(), st.sampled_from(LINEAR), st.sampled_from(("auto", "direct", "fft")))
def test_linear_functions_equal_scipys(few, case, name, method):
    rng, shape1, shape2, dtype1, dtype2, mode = case
    x, w = numbers(rng, shape1, dtype1), numbers(rng, shape2, dtype2)
    arguments = (x, w, mode, method) if name in ("convolve", "correlate") else (x, w, mode)
    if method == "fft" and "?" in (dtype1, dtype2) and 0 not in (*shape1, *shape2):
        return  # SciPy rounds no booleans
    theirs = outcome(getattr(scipy.signal, name), *arguments)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(linear, "FEW", few)  # below it NumPy computes
        ours = outcome(getattr(signal, name), *arguments)
    assert_same(ours, theirs, bool(set("fF") & {dtype1, dtype2}))


@given(cases(2, 2), st.sampled_from(PLANES), st.sampled_from(BOUNDARIES), st.sampled_from([0, 0, 3, -1, 2.5]))
def test_planes_equal_scipys(case, name, boundary, fill):
    rng, shape1, shape2, dtype1, dtype2, mode = case
    if boundary != "fill" and 0 in (*shape1, *shape2):
        return  # SciPy divides by zero here, which ends the process
    x, w = numbers(rng, shape1, dtype1), numbers(rng, shape2, dtype2)
    assert_same(
        outcome(getattr(signal, name), x, w, mode, boundary, fill),
        outcome(getattr(scipy.signal, name), x, w, mode, boundary, fill),
        bool(set("fF") & {dtype1, dtype2}),
    )


@pytest.mark.parametrize("name", PLANES)
def test_an_empty_image_has_no_border(name):
    with pytest.raises(ValueError, match=r"in1: got shape \(0, 3\), boundary 'wrap' needs"):
        getattr(signal, name)(np.ones((0, 3)), np.ones((2, 2)), "full", "wrap")


@given(cases(2, 2), st.integers(0, 6), st.integers(0, 6))
def test_sepfir2d_equals_scipys(case, rows, columns):
    rng, shape, _, dtype, filter_dtype, _ = case
    x = numbers(rng, shape, dtype)
    rows, columns = (numbers(rng, (2 * half + 1,), filter_dtype) for half in (rows, columns))
    ours = outcome(signal.sepfir2d, x, rows, columns)
    if rows.size <= shape[1] and columns.size <= shape[0]:
        theirs = outcome(scipy.signal.sepfir2d, x, rows, columns)
        assert_same(ours, theirs, getattr(ours, "dtype", np.dtype("f")).char in "fF")
    elif not isinstance(ours, Exception):  # SciPy reads and writes beyond the image there
        assert ours.shape == shape
        if x.size:
            padded = np.pad(x, [(columns.size // 2,) * 2, (rows.size // 2,) * 2], mode="symmetric").astype(ours.dtype)
            kernel = np.multiply.outer(columns.astype(ours.dtype), rows.astype(ours.dtype))
            assert_same(ours, scipy.signal.convolve2d(padded, kernel, "valid"), ours.dtype.char in "fF")


@given(cases(4, 2), st.data())
def test_axes_equal_fftconvolves(case, data):
    rng, shape1, shape2, dtype1, dtype2, mode = case
    ndim = len(shape1)
    axes = data.draw(st.lists(st.sampled_from(range(-ndim, ndim)), min_size=1, max_size=ndim))
    alone = [data.draw(st.sampled_from(("both", "first", "second"))) for _ in range(ndim)]
    shape1, shape2 = list(shape1), list(shape2)
    for i in range(ndim):
        if i not in [a % ndim for a in axes]:
            shape1[i], shape2[i] = {"both": (shape1[i],) * 2, "first": (shape1[i], 1), "second": (1, shape2[i])}[
                alone[i]
            ]
    x, w = numbers(rng, shape1, dtype1), numbers(rng, shape2, dtype2)
    single = bool(set("fF") & {dtype1, dtype2})
    for name in ("fftconvolve", "oaconvolve"):
        theirs = outcome(getattr(scipy.signal, name), x, w, mode, axes)
        assert_same(outcome(getattr(signal, name), x, w, mode, axes), theirs, single)
    ours = outcome(signal.convolve, x, w, mode, axes=axes)
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        assert isinstance(ours, ValueError)
    elif theirs.size:
        assert ours.dtype == np.result_type(x, w)
        assert ours.shape == theirs.shape
        if ours.dtype.kind in "iu":
            theirs = np.rint(theirs).astype(np.int64).astype(ours.dtype)
        assert_same(ours, theirs.astype(ours.dtype), single)
        turned = w
        for axis in axes:
            turned = np.flip(turned, axis)
        assert_same(signal.correlate(x, turned.conj(), mode, axes=axes), ours, single)


@pytest.mark.parametrize("method", ["auto", "direct"])
@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize(("n", "k"), [(3000, 40), (40, 9)])
def test_integers_of_all_sizes_are_exact_and_wrap(dtype, method, n, k):
    info = np.iinfo(dtype)
    rng = np.random.default_rng(1)
    x = rng.integers(info.min, info.max, n, dtype, endpoint=True)
    w = rng.integers(info.min, info.max, k, dtype, endpoint=True)
    x[:3], w[:2] = (info.min, info.max, info.min), (info.min, info.max)
    np.testing.assert_array_equal(signal.convolve(x, w, "full", method), np.convolve(x, w))
    image, kernel = x[: n // 8 * 8].reshape(8, -1), w[: k // 2 * 2].reshape(2, -1)
    for mode in MODES:
        ours = signal.convolve2d(image, kernel, mode)
        assert ours.dtype == dtype
        np.testing.assert_array_equal(ours, scipy.signal.convolve2d(image, kernel, mode))
    fill = int(info.max) // 2
    np.testing.assert_array_equal(
        signal.convolve2d(image, kernel, "full", "fill", fill),
        # SciPy's fill value goes through a double; this does not.
        scipy.signal.convolve2d(
            np.pad(image, [(n - 1, n - 1) for n in kernel.shape], constant_values=fill), kernel, "valid"
        ),
    )


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("bits", [7, 20, 45, 48, 50, 51, 53])
def test_integers_near_the_limits_of_floats(dtype, bits):
    rng = np.random.default_rng(6)
    x = rng.integers(-(2 ** (bits - 4)), 2 ** (bits - 4), (50, 60), endpoint=True).astype(dtype)
    w = rng.integers(-8, 8, (3, 3), endpoint=True).astype(dtype)
    np.testing.assert_array_equal(signal.convolve2d(x, w), scipy.signal.convolve2d(x, w))


def test_a_fill_value_beyond_the_type_of_the_image():
    image, kernel = np.full((5, 6), 255, np.uint8), np.full((3, 3), 1000, np.int64)
    for fill in (2**20 + 1, -(2**31), 2**40 + 1):
        ours = signal.convolve2d(image, kernel, "full", "fill", fill)
        np.testing.assert_array_equal(ours, scipy.signal.convolve2d(image, kernel, "full", "fill", fill))


def test_integers_with_a_large_kernel_are_exact_by_fft_too():
    rng = np.random.default_rng(2)
    x, w = rng.integers(0, 256, (300, 300), np.uint8), rng.integers(0, 256, (150, 150), np.uint8)
    x, w = x.astype(np.int64), w.astype(np.int64)
    np.testing.assert_array_equal(signal.convolve(x, w), signal.convolve(x, w, method="direct"))
    np.testing.assert_array_equal(signal.convolve(x, w)[149, 149], (x[:150, :150] * w[::-1, ::-1]).sum())


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize(("n", "k"), [(60, 7), (20000, 500), (90000, 9000)])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_nan_and_infinity_reach_their_own_outputs_only(name, n, k, bad, dtype):
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal(n).astype(dtype), 1 + rng.random(k).astype(dtype)
    x[n // 2] = bad
    y = getattr(signal, name)(x, w)
    np.testing.assert_array_equal(np.flatnonzero(~np.isfinite(y)), np.arange(n // 2, n // 2 + k))


def test_fft_warns_of_nan_as_scipys_does():
    x, w = np.ones(5000), np.ones(50)
    x[7] = np.nan
    with pytest.warns(RuntimeWarning, match="Use of fft convolution on input with NAN") as ours:
        signal.convolve(x, w, method="fft")
    assert ours[0].filename == __file__
    x[9], x[11] = np.inf, -np.inf
    with warnings.catch_warnings(record=True) as ours:
        warnings.simplefilter("always")
        signal.convolve(x, w, method="fft")
        signal.convolve(x, w, method="direct")
    assert len(ours) == 1


def test_direct_sums_every_output_over_its_own_window():
    x, w = np.zeros(100_000), np.ones(3000)
    x[0], x[50_000] = 1e20, 1.0
    y = signal.convolve(x, w, method="direct")
    assert y[50_000] == 1.0
    assert y[49_999] == 0.0


def test_a_batch_with_a_kernel_for_each_channel():
    rng = np.random.default_rng(4)
    x, w = rng.standard_normal((2, 3, 20, 22)).astype("f"), rng.standard_normal((3, 5, 4)).astype("f")
    y = signal.convolve(x, w, "same", axes=(-2, -1))
    assert y.dtype == np.float32
    for i in range(2):
        for c in range(3):
            np.testing.assert_allclose(y[i, c], scipy.signal.convolve(x[i, c], w[c], "same"), atol=1e-4)
    with pytest.raises(ValueError, match="needs axes counted from the end"):
        signal.convolve(x, w, axes=(2, 3))
    with pytest.raises(ValueError, match="which axes= does not cover: shapes that do not fit"):
        signal.convolve(x, w[:2], axes=(-2, -1))


BAD = [
    ("convolve", ([1, 2], [[1, 2]])),
    ("convolve", ([1, 2], [1], "spam")),
    ("convolve", ([1, 2], [1], "full", "spam")),
    ("convolve", (np.ones((3, 4)), np.ones((4, 3)), "valid")),
    ("convolve", ([], [1])),
    ("convolve", (["a"], [1])),
    ("correlate", ([1, 2], [[1, 2]])),
    ("correlate", ([1, 2], [1], "spam")),
    ("correlate", ([1, 2], [1], "full", "spam")),
    ("fftconvolve", ([1, 2], [1, 2], "spam")),
    ("fftconvolve", ([1, 2], [1], "full", [])),
    ("fftconvolve", ([1, 2], [1], "full", [0, 0])),
    ("fftconvolve", ([1, 2], [1], "full", 1)),
    ("fftconvolve", ([1, 2], [1], "full", 0.5)),
    ("fftconvolve", ([1, 2], [1], "full", [1.0])),
    ("oaconvolve", (np.ones((2, 3)), np.ones((3, 3)), "full", 1)),
    ("convolve2d", ([1, 2], [[1]])),
    ("convolve2d", (np.eye(3), np.eye(2), "spam")),
    ("convolve2d", (np.eye(3), np.eye(2), "full", "spam")),
    ("convolve2d", (np.eye(3), np.eye(2), "full", "reflect")),
    ("convolve2d", (np.eye(3), np.eye(2), "full", "fill", 1j)),
    ("convolve2d", (np.eye(3), np.eye(2), "full", "fill", [1, 2])),
    ("convolve2d", (np.eye(3) > 0, np.eye(2) > 0)),
    ("correlate2d", (np.ones((2, 5)), np.ones((5, 2)), "valid")),
    ("sepfir2d", (np.eye(4), [1, 2], [1])),
    ("sepfir2d", (np.ones(4), [1], [1])),
    ("sepfir2d", (np.eye(4, dtype="f"), np.ones(3), [1])),
    ("choose_conv_method", ([1, 2], [1], "spam")),
    ("correlation_lags", (3, 2, "spam")),
]


@pytest.mark.parametrize(("name", "arguments"), BAD)
def test_bad_input_raises_what_scipy_raises(name, arguments):
    theirs = outcome(getattr(scipy.signal, name), *arguments)
    assert isinstance(theirs, Exception)
    assert_same(outcome(getattr(signal, name), *arguments), theirs, False)


HANDED = {
    "object": np.array([1, 2, 3], object),
    "float16": np.ones(300, np.float16),
    "long double": np.ones(3, np.longdouble),
    "masked": np.ma.masked_less([1.0, 2.0, 3.0], 2.0),
    "no dimensions": np.float64(3),
}


@pytest.mark.parametrize("kind", HANDED)
def test_unusual_input_is_handed_to_scipy(kind):
    x = HANDED[kind]
    w = np.ones(2 if np.ndim(x) else (), np.asarray(x).dtype)
    for name in LINEAR:
        ours, theirs = outcome(getattr(signal, name), x, w), outcome(getattr(scipy.signal, name), x, w)
        if isinstance(theirs, Exception):
            assert_same(ours, theirs, False)
        else:
            assert type(ours) is type(theirs)
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)


def test_other_byte_orders():
    x = np.arange(900.0).reshape(30, 30)
    for name in ("convolve", "convolve2d", "fftconvolve"):
        result = getattr(signal, name)(x.astype(">f8"), np.ones((3, 3), ">f4"))
        np.testing.assert_allclose(result, scipy.signal.convolve(x, np.ones((3, 3)), method="direct"))


@pytest.mark.parametrize("mode", MODES)
def test_correlation_lags_equal_scipys(mode):
    for n in range(1, 12):
        for k in range(1, 12):
            ours, theirs = signal.correlation_lags(n, k, mode), scipy.signal.correlation_lags(n, k, mode)
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)


def test_choose_conv_method_says_what_runs():
    assert signal.choose_conv_method(np.ones((2000, 2000)), np.ones((400, 400))) == "fft"
    assert signal.choose_conv_method(np.ones((2000, 2000)), np.ones((3, 3))) == "direct"
    assert signal.choose_conv_method(np.ones((600, 600), int) << 50, np.ones((200, 200), int)) == "direct"
    method, times = signal.choose_conv_method(np.ones(400), np.ones(300), measure=True)
    assert method == min(times, key=times.get)
    assert set(times) == {"fft", "direct"}


def test_settings_are_followed():
    x, w = np.random.default_rng(5).standard_normal((2, 90, 90))
    expected = scipy.signal.convolve2d(x[:40, :40], w[:9, :9])
    for settings in ({"algorithm": "reference"}, {"accuracy": "strict"}, {"threads": 1}, {"isa": "odd"}):
        with convkern.config(**settings):
            np.testing.assert_allclose(signal.convolve2d(x[:40, :40], w[:9, :9]), expected, atol=1e-12)
    report = Report()
    begin(report)
    try:
        with convkern.config(accuracy="strict"):
            scipy.signal.fftconvolve(np.ones((400, 400)), np.ones((150, 150)))
    finally:
        end(report)
    assert report.taken == {"scipy.signal.fftconvolve": 1}


@pytest.mark.parametrize("module", ["signal", "signal.linear", "signal.plane", "signal.method", "scipy", "scipy.report",
                                    "scipy.patching"])  # fmt: skip
def test_examples(module):
    result = doctest.testmod(importlib.import_module(f"convkern.{module}"))
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize("name", signal.__all__)
def test_arguments_are_scipys(name):
    from inspect import Parameter, signature

    if name == "sepfir2d":  # SciPy's is compiled, and has no signature
        assert list(signature(signal.sepfir2d).parameters) == ["input", "hrow", "hcol"]
        return
    ours, theirs = (signature(getattr(m, name)).parameters.values() for m in (signal, scipy.signal))
    assert [(p.name, p.default) for p in ours if p.kind is not Parameter.KEYWORD_ONLY] == [
        (p.name, p.default) for p in theirs
    ]
