"""Convolution by transforms: transform sizes, tile borders, large kernels, accuracy on hard data, memory.

Outputs are compared with float64 sums, or with NumPy's transforms where plain loops would take too long. What is
asserted of the error is relative to the tile that an output is computed in, not to the largest output.
"""

from itertools import product

import numpy as np
import problems
import pytest
from problems import STATED, assert_right, core_plan, core_run, data, integers, results, uniform, variants

import convkern
from convkern import _core
from convkern.spec import Spec

UNIT = {"float32": 2.0**-24, "float64": 2.0**-53}
isas = pytest.mark.parametrize("isa", _core.supported_isas())
dtypes = pytest.mark.parametrize("dtype", UNIT)
layouts = pytest.mark.parametrize("layout", ["NCHW", "NHWC"])


def correlate(x, w, padding):
    """One plane or line, zero padding as in convkern, by NumPy's float64 transforms of the whole."""
    x, w = (np.pad(x.astype(np.float64), [(p, p) for p in padding]), w.astype(np.float64))
    shape, axes = x.shape, range(x.ndim)
    spectrum = np.fft.rfftn(x, shape, axes) * np.conj(np.fft.rfftn(w, shape, axes))
    whole = np.fft.irfftn(spectrum, shape, axes)
    return whole[tuple(slice(n - k + 1) for n, k in zip(shape, w.shape, strict=True))]


def planes(x, w, padding, isa=None, algorithm="fft", dtype="float32", **settings):
    """Convolve one plane or line by the public function."""
    function = convkern.conv1d if x.ndim == 1 else convkern.conv2d
    with convkern.config(isa=isa):
        y = function(
            x[None, None].astype(dtype), w[None, None].astype(dtype), padding=padding, algorithm=algorithm, **settings
        )
    assert y.dtype == dtype
    return y[0, 0]


def error_of(got, x, w, padding):
    """Largest error in units of roundoff * log2(numbers of a tile) * max|x| * sum|w|."""
    right = correlate(x, w, padding)
    scale = np.abs(x).max() * np.abs(w.astype(np.float64)).sum() * np.log2(max(4, x.size))
    return np.abs(got - right).max() / (scale * UNIT[str(got.dtype)])


# ---- transforms


@isas
@dtypes
def test_every_length_of_a_column_against_numpy(dtype, isa):
    """A kernel that fills an image: the tile's length is the image's, so every length of the set is taken once."""
    seen = set()
    for n in STATED["fft"].SIZES:
        if n > 800:
            continue
        for shape in ((2 * n, 16), (32, n)):
            spec = Spec.parse(f"1,1,{shape[0]}x{shape[1]}->1 {shape[0] // 2}x{shape[1] // 2}")
            x, w = uniform(shape, 1), uniform(spec.kernel, 2)
            got = planes(x, w, (0, 0), isa, dtype=dtype)
            assert error_of(got, x.astype(dtype), w.astype(dtype), (0, 0)) < 1
            seen.add(core_plan(spec, "fft", isa).detail.split(",")[0])
    assert len(seen) >= 25, seen


@isas
@dtypes
@pytest.mark.parametrize("size", [257, 1000, 5000, 40_000])
def test_long_lines_against_numpy(size, dtype, isa):
    x, w = uniform(3 * size, 1), uniform(size, 2)
    for padding in (0, size // 2, size - 1):
        got = planes(x, w, (padding,), isa, dtype=dtype)
        assert error_of(got, x.astype(dtype), w.astype(dtype), (padding,)) < 1


def test_a_shifted_pixel_stays_one_pixel():
    """A kernel of one 1 copies the image; whatever leaks from tile to tile or wraps around would show."""
    x = uniform((300, 290), 1).astype(np.float32)
    for ky, kx in product((0, 7, 20), (0, 3, 20)):
        w = np.zeros((21, 21), np.float32)
        w[ky, kx] = 1
        got = planes(x, w, (10, 10))
        right = np.pad(x, 10)[ky : ky + 300, kx : kx + 290]
        np.testing.assert_allclose(got, right, rtol=0, atol=1e-6)


# ---- borders of tiles


def check(line, direction, isa):
    image, weight, right = data(line, direction)
    for spec in variants(line, direction):
        for got in results(spec, "fft", isa, image, weight):
            assert_right(got, right, "fft", spec)


@isas
@pytest.mark.parametrize("direction", problems.DIRECTIONS)
def test_sizes_around_a_tile(direction, isa):
    for size in (1, 25, 26, 27, 32, 33, 51, 52, 53, 70):
        check(f"1,2,{size}x{71 - size}->3 7x5 p3x2", direction, isa)
        check(f"1,2,{9 * size}->2 33 p16", direction, isa)


@isas
@pytest.mark.parametrize("direction", problems.DIRECTIONS)
def test_more_outputs_than_numbers_in_a_tile(direction, isa):
    """Padding that would wrap onto padding must not make one tile of what has more outputs than it has numbers."""
    for line in (
        "1,2,1x4->1 2x2 p7",
        "2,2,3x11->3 3x3 p4",
        "1,2,5x9->2 2x3 p14x9",
        "1,2,300->2 3 p150",
        "1,1,500->1 9 p8",
    ):
        check(line, direction, isa)


@isas
@pytest.mark.parametrize("direction", problems.DIRECTIONS)
def test_strides_dilations_and_paddings_in_many_tiles(direction, isa):
    for line in (
        "1,2,90x70->3 9x8 s2x3 p4",
        "1,2,80x90->3 7x5 d3x2 p3",
        "2,3,61x75->2 6x9 s3x2 d2x3 p5x(3,7)",
        "1,4,70x66->6 9x9 g2 p4 reflect",
        "1,2,66x70->2 9x9 p(8,1)x(0,30) circular",
        "1,2,1500->3 90 s4 d3 p50 symmetric",
        "1,2,9x40x37->3 4x7x7 s2x1x1 d1x2x1 p3",
        "1,2,20x400->2 1x40 s3x2 p0x20",
        "1,2,400x20->2 40x1 p20x0 replicate",
    ):
        if direction == "forward" or "30" not in line:
            check(line, direction, isa)


@isas
def test_kernels_larger_than_the_image_or_any_tile(isa):
    for line in (
        "1,1,20x20->1 60x61 p40",
        "1,2,10->1 3000 p2000",
        "1,1,40x5000->1 33x4100 p0x20",
        "1,1,300x300->1 280x290 p5",
        "grad_weight 1,1,300x300->1 9x9 p4",
        "grad_weight 1,2,20000->2 11",
    ):
        spec = Spec.parse(line)
        x, w, y = problems.shapes(spec)
        image, weight = integers(x, 1), integers(y if spec.direction == "grad_weight" else w, 2)
        right = core_run(spec, core_plan(spec, "direct"), image, weight)
        assert_right(core_run(spec, core_plan(spec, "fft", isa), image, weight), right, "fft", spec)
    small = core_plan(Spec.parse("1,1,300x300->1 280x290 p5"), "fft", isa, max_workspace=1 << 20)
    assert " in 1 parts" not in small.detail
    x, w = uniform((300, 300), 1), uniform((280, 290), 2)
    with convkern.config(max_workspace=1 << 20):
        assert error_of(planes(x, w, (5, 5), isa), x.astype(np.float32), w.astype(np.float32), (5, 5)) < 1


@isas
@pytest.mark.parametrize("direction", problems.DIRECTIONS)
@pytest.mark.parametrize("limit", [600 << 10, 3 << 20, 32 << 20])
def test_small_workspaces_give_the_same_result(limit, direction, isa):
    """Sums in chunks, kernels in parts, fewer threads: all within the error, and within the limit."""
    for line in ("2,12,60x50->10 9x9 p4", "3,40,33x30->5 5x7 s2", "1,3,12x30x30->4 5x5x5 p2", "1,8,9000->8 600 p300"):
        image, weight, right = data(line, direction)
        for spec in variants(line, direction)[:3:2]:
            plan = core_plan(spec, "fft", isa, max_workspace=limit)
            assert plan.workspace_bytes <= limit
            assert_right(core_run(spec, plan, image, weight), right, "fft", spec)


# ---- accuracy


def magnitudes(shape, seed):
    """1e-3 to 1e3."""
    return 10 ** np.random.default_rng(seed).uniform(-3, 3, shape)


def one(shape, value):
    array = np.zeros(shape)
    array[tuple(n // 2 for n in shape)] = value
    return array


X = (200, 190)
W = (31, 33)
KINDS = {
    "uniform": (uniform(X, 1), uniform(W, 2)),
    "offset": (uniform(X, 1) + 100, uniform(W, 2)),
    "large offset": (uniform(X, 1) + 1e6, uniform(W, 2)),
    "large offset, kernel without a mean": (uniform(X, 1) + 1e4, uniform(W, 2) - uniform(W, 2).mean()),
    "image of mixed magnitudes": (uniform(X, 1) * magnitudes(X, 3), uniform(W, 2)),
    "kernel of mixed magnitudes": (uniform(X, 1), uniform(W, 2) * magnitudes(W, 3)),
    "a spike": (uniform(X, 1) + one(X, 1e6), uniform(W, 2)),
    "a checkerboard": (np.indices(X).sum(0) % 2 * 2.0 - 1, np.ones(W)),
    "powers of two": (2.0 ** np.random.default_rng(1).integers(-20, 20, X), uniform(W, 2)),
    "a Gaussian": (uniform(X, 1), np.exp(-0.05 * ((np.indices(W).T - 15) ** 2).sum(-1).T)),
}


@isas
@dtypes
@pytest.mark.parametrize("kind", KINDS)
def test_error_relative_to_the_tile(kind, dtype, isa):
    """The bound of docs/design.md: u log2(N) max|x| sum|w|, x the tile's, N its numbers; measured: at most 0.08."""
    x, w = (a.astype(dtype) for a in KINDS[kind])
    assert error_of(planes(x, w, (15, 16), isa, dtype=dtype), x, w, (15, 16)) < 0.2


@dtypes
def test_small_values_keep_their_accuracy_away_from_large_ones(dtype):
    """A tile's error is its own: an image that is 1e10 on the left and 1 on the right keeps the right side's digits."""
    x, w = uniform((200, 4000), 1), uniform((9, 9), 2)
    x[:, :500] *= 1e10
    x, w = x.astype(dtype), w.astype(dtype)
    got, right = planes(x, w, (4, 4), dtype=dtype), correlate(x[:, 1000:], w, (4, 4))
    far = np.abs(got[:, 1010:-10] - right[:, 10:-10]).max() / (np.abs(w).sum() * UNIT[dtype])
    assert far < 20


def test_strict_accuracy_leaves_it_out():
    x, w = np.ones((1, 1, 512, 512), np.float32), (1, 1, 31, 31)
    assert convkern.explain(x.shape, w, padding=15).chosen == "fft"
    assert convkern.explain(x.shape, w, padding=15, accuracy="strict").chosen != "fft"


@isas
def test_denormals_and_underflow(isa):
    x, w = np.full((64, 64), 1e-40, np.float32), np.ones((9, 9), np.float32)
    assert not planes(x, w, (4, 4), isa).any()
    x = uniform((64, 64), 1) * 1e-30
    assert error_of(planes(x, uniform((9, 9), 2), (4, 4), isa), x.astype(np.float32), uniform((9, 9), 2), (4, 4)) < 1


# ---- NaN and infinity


@isas
@layouts
def test_a_nan_reaches_its_windows_and_no_other_sample(layout, isa):
    x, w = integers((3, 4, 90, 80), 1).astype(np.float32), integers((5, 4, 9, 9), 2).astype(np.float32)
    spoiled = x.copy()
    spoiled[1, 2, 40, 3] = np.nan
    if layout == "NHWC":
        x, spoiled = (np.moveaxis(a, 1, -1) for a in (x, spoiled))
    with convkern.config(isa=isa):
        clean = convkern.conv2d(x, w, padding=4, layout=layout, algorithm="fft")
        exact = convkern.conv2d(spoiled, w, padding=4, layout=layout, algorithm="direct")
        got = convkern.conv2d(spoiled, w, padding=4, layout=layout, algorithm="fft")
        plan = convkern.plan(x.shape, w, padding=4, layout=layout, algorithm="fft")
    np.testing.assert_array_equal(got[[0, 2]], clean[[0, 2]])
    np.testing.assert_array_equal(got[1], exact[1])
    np.testing.assert_array_equal(plan(spoiled), got)
    rows = np.isnan(np.moveaxis(got, -1, 1) if layout == "NHWC" else got)[1, 0]
    assert rows.sum() == 9 * 8


def test_a_nan_in_a_weight_gradient_stays_in_its_group():
    x, g = uniform((2, 6, 40, 40), 1).astype(np.float32), uniform((2, 9, 40, 40), 2).astype(np.float32)
    settings = {"padding": 4, "groups": 3, "algorithm": "fft"}
    clean = convkern.conv_grad_weight(g, x, (9, 2, 9, 9), **settings)
    x[1, 3, 20, 20] = np.inf
    got = convkern.conv_grad_weight(g, x, (9, 2, 9, 9), **settings)
    right = convkern.conv_grad_weight(g, x, (9, 2, 9, 9), **{**settings, "algorithm": "direct"})
    np.testing.assert_array_equal(got[[0, 1, 2, 6, 7, 8]], clean[[0, 1, 2, 6, 7, 8]])
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(right))
    np.testing.assert_array_equal(got[3:6], right[3:6])


def test_overflow_in_the_transforms_alone_is_not_seen():
    x, w = uniform((60, 60), 1) * 3e38, uniform((9, 9), 2) * 1e-3
    got = planes(x, w, (4, 4))
    assert np.isfinite(got).all()
    np.testing.assert_array_equal(got, planes(x, w, (4, 4), algorithm="direct"))


# ---- bits and memory


@pytest.mark.parametrize(
    "line",
    [
        "5,3,70x60->4 9x9 p4",
        "4,1,90x90->1 21x21 p10",
        "3,20,40x40->18 9x9 p4",
        "2,6,9000->6 400 g6",
        "2,3,10x30x30->4 5x5x5 p2",
        "3,1,700x700->1 200x200 p100",
    ],
)
def test_the_same_bits_for_any_number_of_threads_and_any_batch(line):
    spec = Spec.parse(line)
    x, w, _ = problems.shapes(spec)
    image, weight = uniform(x, 1), uniform(w, 2)
    runs = []
    for threads in (1, 2, 3, 8):
        convkern.set_num_threads(threads)
        runs.append(core_run(spec, core_plan(spec, "fft"), image, weight))
    for run in runs[1:]:
        np.testing.assert_array_equal(run, runs[0])
    for n in (1, spec.n - 1):
        part = problems.replace(spec, n=n)
        np.testing.assert_array_equal(core_run(part, core_plan(part, "fft"), image[-n:], weight), runs[0][-n:])


def test_workspace_is_bounded_whatever_the_image():
    for threads in (1, 2, 4):
        convkern.set_num_threads(threads)
        for direction in problems.DIRECTIONS:
            for line in (
                "1,1,8192x8192->1 31x31 p15",
                "1,1,4096x4096->1 1001x1001",
                "1,1,9999999->1 16000",
                "64,64,112x112->64 15x15 p7",
                "1,16,128x128x128->16 7x7x7 p3",
                "8,256,28x28->256 9x9 p4",
            ):
                for spec in variants(line, direction)[:3:2]:
                    if STATED["fft"].supports(spec) is None:
                        assert core_plan(spec, "fft").workspace_bytes <= problems.WORKSPACE, str(spec)


def test_what_is_not_served_is_refused_with_the_reason():
    reasons = {
        "1,4,9x9->4 1x1": "1x1",
        "grad_input 1,2,900x900->2 40x40 s40": "phases",
        "1,1024,64x64->1024 9x9 p4": "2\\*\\*27",
        "1,2,9000x20x20->2 5000x3x3": "planes",
        "grad_weight 1,2,60x20x20->70 3x3x3": "planes",
        "1,1,60x60->3000 5x5": "2048 outputs",
    }
    for line, word in reasons.items():
        spec = Spec.parse(line)
        assert word.replace("\\", "") in STATED["fft"].supports(spec)
        with pytest.raises(ValueError, match=word):
            core_plan(spec, "fft")
    with pytest.raises(ValueError, match="max_workspace"):
        core_plan(Spec.parse("1,1,512x512->1 31x31"), "fft", max_workspace=1000)


@layouts
@pytest.mark.parametrize("activation", [None, "relu", (-0.5, 0.5)], ids=str)
def test_bias_residual_and_activation(activation, layout):
    x, w, bias = uniform((2, 5, 60, 50), 1), uniform((7, 5, 9, 9), 2), uniform(7, 3)
    residual = uniform((2, 7, 60, 50), 4)
    x, w, bias, residual = (a.astype(np.float32) for a in (x, w, bias, residual))
    if layout == "NHWC":
        x, residual = (np.moveaxis(a, 1, -1) for a in (x, residual))
    settings = {"padding": 4, "layout": layout, "activation": activation}
    for extra in (None, residual):
        wide = [a if a is None else a.astype(np.float64) for a in (x, w, bias, extra)]
        right = convkern.conv2d(*wide[:3], residual=wide[3], algorithm="direct", **settings)
        got = convkern.conv2d(x, w, bias, residual=extra, algorithm="fft", **settings)
        np.testing.assert_allclose(got, right, rtol=0, atol=2e-5)
        plan = convkern.plan(x.shape, w, bias, residual=extra is not None, algorithm="fft", **settings)
        np.testing.assert_array_equal(plan(x, residual=extra), got)
