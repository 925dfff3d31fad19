"""Winograd's algorithms: every size of output around their tiles, measured rounding errors, and samples left alone.

Their transforms round, so results are compared within stated bounds; what is equal to the bit is said to be.
"""

import numpy as np
import oracle
import problems
import pytest
from problems import STATED, assert_right, core_plan, data, integers, results, uniform, variants
from test_threads import together

import convkern
from convkern import _core

TILES = ("winograd4", "winograd2")
ONES = (1, 1)
tiles = pytest.mark.parametrize("algorithm", TILES)
isas = pytest.mark.parametrize("isa", _core.supported_isas())
layouts = pytest.mark.parametrize("layout", ["NCHW", "NHWC"])


def check(line, direction, algorithm, isa):
    image, weight, right = data(line, direction)
    for spec in variants(line, direction):
        for got in results(spec, algorithm, isa, image, weight):
            assert got.dtype == spec.dtype
            assert_right(got, right, algorithm, spec)


@pytest.mark.grid
@isas
@tiles
@pytest.mark.parametrize("channels", [3, 48], ids=["staged", "in place if channels are last"])
def test_every_size_of_output(channels, algorithm, isa):
    for size in range(1, 21):
        for width in {size, 21 - size, 13}:
            check(f"1,{channels},{size}x{width}->5 3x3 p1", "forward", algorithm, isa)


@pytest.mark.grid
@isas
@tiles
def test_every_padding(algorithm, isa):
    for mode in ("zeros", "reflect", "replicate", "circular", "symmetric"):
        for padding in ("0", "2", "1x0", "(0,2)x(3,1)", "(2,0)x(0,3)"):
            for size in ("5x4", "9x14"):
                for direction in ("forward", "grad_input"):
                    check(f"2,4,{size}->6 3x3 p{padding} g2 {mode}", direction, algorithm, isa)


# Largest errors measured on all ISAs with 128 channels, in float32: F(4) 2.6e-6 and F(2) 7.4e-7 of max(abs(y)), direct
# sums 3.0e-6; in float64 4.8e-15 and 1.3e-15. About twice that is asserted.
BOUNDS = {("winograd4", "float32"): 5e-6, ("winograd2", "float32"): 1.5e-6,
          ("winograd4", "float64"): 1e-14, ("winograd2", "float64"): 3e-15}  # fmt: skip


def magnitudes(shape, seed):
    """1e-3 to 1e3."""
    return 10 ** np.random.default_rng(seed).uniform(-3, 3, shape)


def unbalanced(x, w):
    """Channels of mixed magnitudes, made even again by the weights."""
    scale = magnitudes((1, x.shape[1], 1, 1), 3)
    return x * scale, w / scale


def spiked(x, w):
    """One pixel outshines all others of its tile."""
    x[:, :, 8, 8] = 1e3
    return x, w


KINDS = {
    "uniform": lambda x, w: (x, w),
    "offset": lambda x, w: (x + 100, w),
    "large offset": lambda x, w: (x + 1e4, w),
    "input channels of mixed magnitudes": lambda x, w: (x * magnitudes((1, x.shape[1], 1, 1), 3), w),
    "weights of mixed magnitudes": lambda x, w: (x, w * magnitudes((*w.shape[:2], 1, 1), 3)),
    "magnitudes that cancel": unbalanced,
    "tiny values": lambda x, w: (x * 1e-30, w),
    "tiny products": lambda x, w: (x * 1e-20, w * 1e-10),
    "huge values": lambda x, w: (x * 1e30, w * 1e5),
    "spike": spiked,
}


@isas
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@tiles
@pytest.mark.parametrize("kind", KINDS)
def test_measured_error(kind, algorithm, dtype, isa):
    x, w = (a.astype(dtype) for a in KINDS[kind](uniform((2, 128, 17, 18), 1), uniform((24, 128, 3, 3), 2)))
    assert error(x, w, algorithm, isa) < BOUNDS[algorithm, dtype]


def error(x, w, algorithm, isa, padding=1):
    """Relative to the largest result."""
    with convkern.config(isa=isa):
        y = convkern.conv2d(x, w, padding=padding, algorithm=algorithm)
    right = oracle.forward(x, w, ONES, ((padding, padding),) * 2, ONES)
    return np.abs(y - right).max() / np.abs(right).max()


@isas
@tiles
def test_output_channels_of_mixed_magnitudes_keep_their_own_accuracy(algorithm, isa):
    """Nothing of a large output channel gets into a small one."""
    x, w = uniform((1, 128, 17, 18), 1), uniform((24, 128, 3, 3), 2) * magnitudes((24, 1, 1, 1), 3)
    x, w = x.astype(np.float32), w.astype(np.float32)
    with convkern.config(isa=isa):
        y = convkern.conv2d(x, w, padding=1, algorithm=algorithm)
    right = oracle.forward(x, w, ONES, (ONES, ONES), ONES)
    errors = np.abs(y - right).max(axis=(0, 2, 3)) / np.abs(right).max(axis=(0, 2, 3))
    assert errors.max() < 2 * BOUNDS[algorithm, "float32"]  # as above, but of the least favourable channel


@isas
@pytest.mark.parametrize(("algorithm", "bound"), [("winograd4", 5e-7), ("winograd2", 1.2e-7)])
def test_error_where_sums_cancel(algorithm, bound, isa):
    """Filters without a mean on an image far from zero: what is lost is a share of sum(abs(x) abs(w)), not of y.

    Measured: F(4) 2.3e-7, F(2) 4.8e-8, direct 9e-8 of the largest such sum.
    """
    for channels, offset in ((1, 100), (16, 1e4), (128, 100)):
        x, w = uniform((2, channels, 17, 18), 1) + offset, uniform((24, channels, 3, 3), 2)
        laplace = np.full_like(w, -1 / 8)
        laplace[..., 1, 1] = 1
        for kernel in (w - w.mean(axis=(2, 3), keepdims=True), laplace):
            given = x.astype(np.float32), kernel.astype(np.float32)
            with convkern.config(isa=isa):
                y = convkern.conv2d(*given, algorithm=algorithm)
            none = ((0, 0), (0, 0))
            lost = np.abs(y - oracle.forward(*given, ONES, none, ONES)).max()
            assert lost < bound * oracle.forward(*map(np.abs, given), ONES, none, ONES).max()


@isas
@tiles
def test_512_channels_stay_within_the_promise(algorithm, isa):
    """accuracy="default" promises 2e-5 of max(abs(y)); F(4) was measured at 4.9e-6, F(2) at 1.0e-6."""
    x, w = uniform((1, 512, 14, 14), 1).astype(np.float32), uniform((64, 512, 3, 3), 2).astype(np.float32)
    assert error(x, w, algorithm, isa) < {"winograd4": 1e-5, "winograd2": 2.5e-6}[algorithm] < 2e-5


@layouts
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@tiles
def test_input_gradient_and_transposed_convolution(algorithm, dtype, layout):
    for groups, padding in ((1, ((1, 1), (1, 1))), (3, ((0, 2), (1, 0)))):
        w = uniform((18, 12 // groups, 3, 3), 1).astype(dtype)
        g = uniform((3, 18, 9, 14), 2).astype(dtype)
        sizes = tuple(size + 2 - sum(pair) for size, pair in zip(g.shape[2:], padding, strict=True))
        right = oracle.grad_input(g, w, sizes, ONES, padding, ONES, groups)
        x_shape = right.shape
        if layout == "NHWC":
            g, right = np.moveaxis(g, 1, -1), np.moveaxis(right, 1, -1)
        settings = {"padding": padding, "groups": groups, "layout": layout}
        spec = convkern.explain(right.shape, w.shape, direction="grad_input", dtype=dtype, **settings).spec
        gx = convkern.conv_grad_input(g, w, right.shape, algorithm=algorithm, **settings)
        assert_right(gx, right, algorithm, spec, exact=False)
        transposed = convkern.conv_transpose2d(g, w, algorithm=algorithm, **settings)
        np.testing.assert_array_equal(transposed, gx)
        # The adjoint of its own forward direction, within the rounding of both.
        x = uniform(x_shape, 3).astype(dtype)
        x = np.moveaxis(x, 1, -1) if layout == "NHWC" else x
        y = convkern.conv2d(x, w, algorithm=algorithm, **settings)
        scale = np.abs(y).max() * np.abs(g).max() * y.size**0.5
        assert abs(np.vdot(y, g) - np.vdot(x, gx)) < 4 * STATED[algorithm].error(spec) * scale


@isas
@layouts
@tiles
@pytest.mark.parametrize("activation", [None, "relu", (-0.5, 0.5)], ids=str)
def test_bias_residual_and_activation_on_random_data(activation, algorithm, layout, isa):
    x, w, bias = uniform((3, 20, 13, 10), 1), uniform((37, 20, 3, 3), 2), uniform(37, 3)
    residual = uniform((3, 37, 13, 10), 4)
    x, w, bias, residual = (a.astype(np.float32) for a in (x, w, bias, residual))
    sums = oracle.forward(x, w, ONES, (ONES, ONES), ONES)
    right = oracle.finish(sums, bias, residual, activation)
    if layout == "NHWC":
        x, residual, right = (np.moveaxis(a, 1, -1) for a in (x, residual, right))
    settings = {"padding": 1, "layout": layout, "activation": activation, "algorithm": algorithm}
    with convkern.config(isa=isa):
        got = convkern.conv2d(x, w, bias, residual=residual, **settings)
        plan = convkern.plan(x.shape, w, bias, residual=True, **settings)
    spec = plan.spec
    assert_right(got, right, algorithm, spec, sums, exact=False)
    np.testing.assert_array_equal(plan(x, residual=residual), got)


@layouts
@tiles
@pytest.mark.parametrize("dilation", [1, 2])
def test_results_and_residuals_whose_elements_lie_apart(dilation, algorithm, layout):
    """Outputs of a tile go straight to their places, which the strides of arrays and a dilation's phases spread."""
    x, w, residual = uniform((2, 16, 14, 13), 1), uniform((64, 16, 3, 3), 2), uniform((2, 64, 14, 13), 4)
    x, w, residual = (a.astype(np.float32) for a in (x, w, residual))
    if layout == "NHWC":
        x, residual = (np.ascontiguousarray(np.moveaxis(a, 1, -1)) for a in (x, residual))
    settings = {"padding": dilation, "dilation": dilation, "layout": layout, "algorithm": algorithm}
    plan = convkern.plan(x.shape, w, residual=True, activation=(-0.5, 0.5), **settings)
    right = plan(x, residual=residual)
    np.testing.assert_allclose(right, np.clip(convkern.conv2d(x, w, **settings) + residual, -0.5, 0.5), atol=1e-6)
    wide, kept = (np.full((*residual.shape[:3], residual.shape[3] + n), 7, np.float32) for n in (3, 5))
    wide[..., :-3] = residual
    np.testing.assert_array_equal(plan(x, kept[..., :-5], residual=wide[..., :-3]), right)
    assert (kept[..., -5:] == 7).all()


@tiles
def test_samples_do_not_depend_on_their_batch(algorithm):
    """Blocks of tiles reach over samples where these are small."""
    for channels, size in ((5, (3, 4)), (16, (7, 7)), (40, (15, 14))):
        x, w = uniform((23, channels, *size), 1).astype(np.float32), uniform((9, channels, 3, 3), 2).astype(np.float32)
        y = convkern.conv2d(x, w, padding=1, algorithm=algorithm)
        for count in (1, 2, 7, 22):
            part = convkern.conv2d(x[-count:], w, padding=1, algorithm=algorithm)
            np.testing.assert_array_equal(part, y[-count:])


@pytest.mark.grid
@isas
@layouts
@pytest.mark.parametrize("direction", ["forward", "grad_input"])
@tiles
def test_a_sample_with_a_nan_is_summed_directly_and_others_are_left_alone(algorithm, direction, layout, isa):
    x, w, bias = integers((5, 6, 9, 10), 1), integers((6, 6, 3, 3), 2), integers(6, 3)
    residual = integers((5, 6, 9, 10), 4)
    x, w, bias, residual = (a.astype(np.float32) for a in (x / 7, w / 7, bias / 7, residual / 7))
    spoiled = x.copy()
    spoiled[1, 2, 0, 3], spoiled[3, 5, 8, 9] = np.nan, -np.inf
    if layout == "NHWC":
        x, spoiled, residual = (np.moveaxis(a, 1, -1) for a in (x, spoiled, residual))
    residual = residual[:, ::-1][:, ::-1]  # strides of its own

    def run(image, algorithm, packed):
        settings = {"padding": 1, "layout": layout, "algorithm": algorithm}
        if direction == "grad_input":
            if packed:
                return convkern.plan(image.shape, w, direction=direction, **settings)(image)
            return convkern.conv_grad_input(image, w, image.shape, **settings)
        settings["activation"] = (-3, 5)
        if packed:
            return convkern.plan(image.shape, w, bias, residual=True, **settings)(image, residual=residual)
        return convkern.conv2d(image, w, bias, residual=residual, **settings)

    for packed in (False, True):
        with convkern.config(isa=isa):
            clean, exact = run(x, algorithm, packed), run(spoiled, "direct", packed)
            for threads in (1, 2, 3, 4):
                with convkern.config(threads=threads):
                    got = run(spoiled, algorithm, packed)
                np.testing.assert_array_equal(got[[1, 3]], exact[[1, 3]])
                np.testing.assert_array_equal(got[[0, 2, 4]], clean[[0, 2, 4]])
        assert not np.isfinite(exact[1]).all()


@isas
@tiles
def test_overflow_in_the_transforms_alone_is_not_seen(algorithm, isa):
    x, w = uniform((2, 4, 9, 9), 1) * 3e38, uniform((5, 4, 3, 3), 2) * 1e-3
    x, w = x.astype(np.float32), w.astype(np.float32)
    with convkern.config(isa=isa):
        y = convkern.conv2d(x, w, padding=1, algorithm=algorithm)
        np.testing.assert_array_equal(y, convkern.conv2d(x, w, padding=1, algorithm="direct"))
    assert np.isfinite(y).all()


@tiles
def test_samples_with_nans_in_many_threads(algorithm):
    x, w = uniform((8, 6, 20, 12, 13), 1).astype(np.float32), uniform((24, 20, 3, 3), 2).astype(np.float32)
    for caller in range(4):
        x[caller, caller, caller, 5, 5] = np.nan
    plan = convkern.plan(x[0].shape, w, padding=1, algorithm=algorithm)
    right = [plan(one) for one in x]

    def work(index):
        for _ in range(20):
            np.testing.assert_array_equal(plan(x[index]), right[index])
            np.testing.assert_array_equal(convkern.conv2d(x[index], w, padding=1, algorithm=algorithm), right[index])

    together(work, len(x))


@pytest.mark.parametrize("threads", [1, 2, 4])
@tiles
def test_workspace_does_not_grow_with_image_or_batch(algorithm, threads):
    convkern.set_num_threads(threads)
    cache = _core.cpu_info()["l2"] or 1 << 20
    for direction in ("forward", "grad_input"):
        for line in (
            "1,64,56x56->64",
            "1,64,1792x1792->64",
            "256,64,56x56->64",
            "4096,64,3x3->64",
            "1,3,1792x1792->64",
        ):
            for spec in variants(f"{line} 3x3 p1", direction):
                assert core_plan(spec, algorithm).workspace_bytes <= 3 * threads * max(cache, 1 << 20), str(spec)


@tiles
def test_what_is_not_served_is_refused_with_the_reason(algorithm):
    for line in (
        "1,4,9x9->4 3x3 p1 s2 d2",
        "1,4,9x9->4 3x5 p1",
        "1,4,9x9->4 3x3 s4",
        "1,4,9x9->4 7x7",
        "1,4,9x9->4 1x1",
        "1,4,9x9->4 3x3 s2x1",
        "1,4,9x9x9->4 3x3x3 d2x1x1",
        "1,4,2000x9->4 3x3 d600x1",
        "grad_input 1,4,9x9->4 3x3 s3",
    ):
        assert "no tile" in STATED[algorithm].supports(problems.Spec.parse(line))
    for line in ("1,4,9x9->4 5x5", "1,4,9x9->4 3x3 s2 p1", "1,4,9->4 3", "1,4096,9x9->4096 3x3"):
        assert "weight gradient" in STATED[algorithm].supports(problems.Spec.parse(f"grad_weight {line}"))
