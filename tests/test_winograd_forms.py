"""Winograd's forms beyond 3x3: other kernels, one and three dimensions, strides and dilations by phases.

What holds for every form: right at each size of output around its tiles, with every border; measured errors; a NaN
stays in its sample; and the bits do not depend on threads.
"""

import math
import random
from dataclasses import replace

import numpy as np
import problems
import pytest
from problems import STATED, assert_right, core_plan, data, integers, results, uniform, variants

import convkern
from convkern import _core
from convkern.machine import this_machine
from convkern.spec import Spec

# (algorithm, channels -> channels, kernel, stride, padding, dilation); one letter of size an axis.
FORMS = {
    "F(4x4,2x2)": ("winograd4", "2x2", "1", "1", "1"),
    "F(4x4,2x2), 4 phases of 3x3": ("winograd4", "3x3", "2", "1", "1"),
    "F(4x4,2x2), 4 phases of 4x4": ("winograd4", "4x4", "2", "1", "1"),
    "F(4x4,3x3), 4 phases of 5x5": ("winograd4", "5x5", "2", "2", "1"),
    "F(4x4,3x3), 16 phases of 11x11": ("winograd4", "11x11", "4", "2", "1"),
    "F(3x3,4x4)": ("winograd4", "4x4", "1", "1", "1"),
    "F(3x3,4x4), 4 phases of 7x7": ("winograd4", "7x7", "2", "3", "1"),
    "F(4x4,3x3), dilated by 2": ("winograd4", "3x3", "1", "2", "2"),
    "F(4x4,3x3), dilated by 3x2": ("winograd4", "3x3", "1", "2", "3x2"),
    "F(2x2,3x3), dilated by 6": ("winograd2", "3x3", "1", "6", "6"),
    "F(2x2,3x3), 9 phases of 7x7": ("winograd2", "7x7", "3", "3", "1"),
    "F(2x2,5x5)": ("winograd2", "5x5", "1", "2", "1"),
    "F(2x2,5x5), 4 phases of 9x10": ("winograd2", "9x10", "2", "4", "1"),
    "F(4,3)": ("winograd4", "3", "1", "1", "1"),
    "F(4,2), dilated by 4": ("winograd4", "2", "1", "0", "4"),
    "F(2,5), dilated by 2": ("winograd2", "5", "1", "4", "2"),
    "F(4,3), 2 phases of 6": ("winograd4", "6", "2", "1", "1"),
    "F(4,3) along x": ("winograd4", "1x3", "1", "0x1", "1"),
    "F(4,3) along y": ("winograd4", "3x1", "1", "1x0", "1"),
    "F(4,2), 2 phases of 3 along y": ("winograd4", "3x1", "2", "1x0", "1"),
    "F(4x4,3x3), 3 planes": ("winograd4", "3x3x3", "1", "1", "1"),
    "F(2x2,3x3), 2 planes": ("winograd2", "2x3x3", "1", "(1,0)x1x1", "1"),
    "F(4,3) along x, 3 planes": ("winograd4", "3x1x3", "1", "1x0x1", "1"),
    "F(4,3) along y, 3 planes": ("winograd4", "3x3x1", "1", "1x1x0", "1"),
    "F(4x4,3x3) in every second plane": ("winograd4", "1x3x3", "2x1x1", "0x1x1", "1"),
}
forms = pytest.mark.parametrize("form", FORMS)
isas = pytest.mark.parametrize("isa", _core.supported_isas())


def line_of(form, outputs, batch=1, channels=(3, 5), mode="", padding=None, groups=1):
    """The problem with as many outputs along each axis as its kernel, stride, padding and dilation allow, at least."""
    _, kernel, stride, given, dilation = FORMS[form]
    padding = given if padding is None else padding
    rank = len(kernel.split("x"))
    probe = Spec.parse(f"1,1,{'x'.join(['999'] * rank)}->1 {kernel} s{stride} p{padding} d{dilation}")
    sizes = []
    for count, k, s, d, pair in zip(
        outputs[-rank:], probe.kernel, probe.stride, probe.dilation, probe.padding, strict=True
    ):
        sizes.append(max(1, (count - 1) * s + (k - 1) * d + 1 - sum(pair)))
    settings = f"s{stride} p{padding} d{dilation} g{groups} {mode}"
    return f"{batch},{channels[0]},{'x'.join(map(str, sizes))}->{channels[1]} {kernel} {settings}".strip()


def directions(line, algorithm):
    return [
        d for d in ("forward", "grad_input") if STATED[algorithm].supports(Spec.parse(f"{d} {line}".strip())) is None
    ]


def check(line, algorithm, isa):
    served = directions(line, algorithm)
    assert "forward" in served
    for direction in served:
        image, weight, right = data(line, direction)
        for spec in variants(line, direction):
            for got in results(spec, algorithm, isa, image, weight):
                assert_right(got, right, algorithm, spec)


@pytest.mark.grid
@isas
@forms
def test_every_size_of_output(form, isa):
    for size in range(1, 21):
        check(line_of(form, (3, size, 21 - size)), FORMS[form][0], isa)


@pytest.mark.grid
@isas
@forms
def test_every_border_in_place_and_staged(form, isa):
    rank = len(FORMS[form][1].split("x"))
    for mode in ("zeros", "reflect", "replicate", "circular", "symmetric"):
        for channels in ((3, 5), (32, 20)):
            for padding in (None, "x".join(["(1,0)", "(0,1)", "1"][-rank:])):
                line = line_of(form, (3, 9, 8), 2, channels, mode, padding)
                spec = Spec.parse(line)
                if mode != "reflect" or all(
                    max(pair) < size for pair, size in zip(spec.padding, spec.input, strict=True)
                ):
                    check(line, FORMS[form][0], isa)


@pytest.mark.grid
@isas
@forms
def test_groups(form, isa):
    check(line_of(form, (2, 6, 7), 2, (32, 6), groups=2), FORMS[form][0], isa)


# Few channels into whole vectors of outputs; lines of more than 64 tiles, whose last ones have outputs to spare.
FIRST_LAYERS = (
    "2,3,9x270->64 3x3 p1",
    "1,1,21x23->32 3x3 p1 bias relu",
    "1,3,25x29->64 7x7 s2 p3 bias",
    "1,3,47x51->48 11x11 s4 relu6",
    "1,2,14x203->80 4x4 p2",
    "2,6,13x12->64 3x3 g2 reflect p1",
)


@pytest.mark.grid
@isas
@pytest.mark.parametrize("line", FIRST_LAYERS)
def test_first_layers(line, isa):
    spec = Spec.parse(" ".join(word for word in line.split() if word not in {"bias", "relu", "relu6"}))
    image, weight, right = data(str(spec), "forward", uniform)
    bias = np.linspace(-1, 1, spec.co) if "bias" in line else np.zeros(spec.co)
    activation = next((word for word in line.split() if "relu" in word), None)
    wanted = right + bias.reshape(-1, 1, 1)
    if activation:
        wanted = np.clip(wanted, 0, 6 if activation == "relu6" else None)
    for dtype in ("float32", "float64"):
        for layout in ("NCHW", "NHWC"):
            x, w = image.astype(dtype), weight.astype(dtype)
            x = x if layout == "NCHW" else np.ascontiguousarray(x.transpose(0, 2, 3, 1))
            with convkern.config(isa=isa):
                got = [
                    run(x, w, bias.astype(dtype), spec, layout, activation, threads)
                    for threads in (1, 2)
                    for run in RUNS
                ]
            bound = STATED["winograd4"].error(replace(spec, dtype=dtype)) * np.abs(right).max()
            for y in got:
                y = y if layout == "NCHW" else y.transpose(0, 3, 1, 2)
                np.testing.assert_allclose(y, wanted, rtol=0, atol=bound)
            np.testing.assert_array_equal(got[0], got[2])
            np.testing.assert_array_equal(got[1], got[3])


def one_shot(x, w, bias, spec, layout, activation, threads):
    with convkern.config(threads=threads):
        return convkern.conv2d(
            x, w, bias, spec.stride, spec.padding, spec.dilation, spec.groups, padding_mode=spec.padding_mode,
            layout=layout, activation=activation, algorithm="winograd4",
        )  # fmt: skip


def planned(x, w, bias, spec, layout, activation, threads):
    with convkern.config(threads=threads):
        return convkern.plan(
            x.shape, w, bias, spec.stride, spec.padding, spec.dilation, spec.groups, padding_mode=spec.padding_mode,
            layout=layout, activation=activation, algorithm="winograd4",
        )(x)  # fmt: skip


RUNS = (one_shot, planned)


# Largest errors measured on all ISAs, in float32 and relative to max(abs(y)): 3.1e-6 with 6 points, 2.5e-6 with 5, 5e-7
# with 4; in float64 6e-15. About twice that is asserted.
BOUNDS = {"float32": 6e-6, "float64": 1.2e-14}


@isas
@pytest.mark.parametrize("dtype", BOUNDS)
@forms
def test_measured_error(form, dtype, isa):
    line = line_of(form, (3, 10, 11), 1, (64, 8))
    image, weight, _ = data(line, "forward", uniform)
    algorithm = FORMS[form][0]
    for offset in (0, 100):
        x = (image + offset).astype(dtype)
        right = problems.expected(Spec.parse(line), x.astype(np.float64), weight)
        for spec in variants(line, "forward"):
            if spec.dtype != dtype:
                continue
            for got in results(spec, algorithm, isa, x, weight):
                assert np.abs(got - right).max() < BOUNDS[dtype] * np.abs(right).max()


@isas
@forms
def test_a_nan_stays_in_its_sample_and_window(form, isa):
    algorithm = FORMS[form][0]
    spec = Spec.parse(line_of(form, (2, 9, 10), 3, (6, 4)))
    x_shape, w_shape, _ = problems.shapes(spec)
    x, w = integers(x_shape, 1).astype(np.float32) / 7, integers(w_shape, 2).astype(np.float32) / 7
    spoiled = x.copy()
    spoiled[1].flat[x[1].size // 2] = np.nan
    settings = (spec.stride, spec.padding, spec.dilation, spec.groups)
    function = (convkern.conv1d, convkern.conv2d, convkern.conv3d)[len(spec.kernel) - 1]
    with convkern.config(isa=isa):
        clean, exact = (
            function(x, w, None, *settings, algorithm=algorithm),
            function(spoiled, w, None, *settings, algorithm="direct"),
        )
        got = function(spoiled, w, None, *settings, algorithm=algorithm)
    np.testing.assert_array_equal(got[1], exact[1])
    np.testing.assert_array_equal(got[[0, 2]], clean[[0, 2]])
    assert np.isnan(exact[1]).any()
    assert np.isfinite(exact[1]).any()


@forms
def test_bits_do_not_depend_on_threads_or_batch(form):
    algorithm = FORMS[form][0]
    for channels in ((5, 40), (64, 70)):
        line = line_of(form, (4, 33, 40), 3, channels)
        for direction in directions(line, algorithm):
            spec = variants(line, direction)[2]
            image, weight, _ = data(line, direction, uniform)
            found = []
            for threads in (1, 2, 3, 4):
                with convkern.config(threads=threads):
                    plan = core_plan(spec, algorithm)
                    plan.pack(weight.astype(spec.dtype))
                    found.append(problems.core_run(spec, plan, image, None))
            for other in found[1:]:
                np.testing.assert_array_equal(other, found[0])
            alone = core_plan(variants(line.replace("3,", "1,", 1), direction)[2], algorithm)
            alone.pack(weight.astype(spec.dtype))
            np.testing.assert_array_equal(problems.core_run(replace(spec, n=1), alone, image[2:], None), found[0][2:])


def test_the_core_serves_what_python_says_it_does():
    draw = random.Random(1)
    tried = served = 0
    while tried < 3000:
        rank = draw.choice((1, 2, 2, 2, 3))

        def some(values, same=0.6, rank=rank):
            first = draw.choice(values)
            return tuple(first if draw.random() < same else draw.choice(values) for _ in range(rank))

        kernel, stride = some((1, 2, 3, 3, 3, 4, 5, 6, 11)), some((1, 1, 1, 2, 3, 4))
        dilation = some((1, 1, 1, 2, 3, 6, 170, 204, 205, 255, 256, 341, 342))
        size = tuple(draw.randint(1, 30) + draw.choice((0, 0, 0, 1200)) for _ in range(rank))
        if any(n < (k - 1) * d + 1 for n, k, d in zip(size, kernel, dilation, strict=True)):
            continue
        tried += 1
        text = ["x".join(map(str, values)) for values in (size, kernel, stride, dilation)]
        for direction in ("forward", "grad_input"):
            few, many = ("1,4,{}->6 {} s{} d{}", "1,64,{}->70 {} s{} d{}")
            spec = variants((many if tried % 4 == 0 else few).format(*text), direction)[0]
            for algorithm in ("winograd2", "winograd4"):
                reason = STATED[algorithm].supports(spec)
                served += reason is None
                if reason is None:
                    assert core_plan(spec, algorithm).algorithm == algorithm
                    assert math.isfinite(
                        STATED[algorithm].cost(spec, this_machine(_core.get_isa()), planned=True, threads=2)
                    )
                else:
                    with pytest.raises(ValueError, match=r"no tile|phases"):
                        core_plan(spec, algorithm)
    assert served > 500


def test_a_patch_of_zeros_gives_the_bias():
    x, w = np.zeros((1, 16, 12, 12), np.float32), uniform((8, 16, 3, 3), 1).astype(np.float32)
    bias = np.arange(8, dtype=np.float32)
    for settings in ({"stride": 2}, {"dilation": 2}, {}):
        y = convkern.conv2d(x, w, bias, padding=1, algorithm="winograd4", **settings)
        np.testing.assert_array_equal(y, np.broadcast_to(bias[:, None, None], y.shape[1:])[None])


# The weight gradient: F(3x3, 4x4), tiles of the gradient as kernels.


@pytest.mark.grid
@isas
def test_weight_gradient_at_every_size(isa):
    for size in range(1, 21):
        for line in (f"2,3,{size}x{21 - size}->5 3x3 p1", f"1,48,{size + 2}x13->17 3x3"):
            image, weight, right = data(line, "grad_weight")
            for spec in variants(line, "grad_weight"):
                for got in results(spec, "winograd4", isa, image, weight):
                    assert_right(got, right, "winograd4", spec)


@isas
@pytest.mark.parametrize("dtype", BOUNDS)
def test_measured_error_of_the_weight_gradient(dtype, isa):
    """Largest errors measured: 4.7e-6 and 8e-15 of max(abs(dw)), over 500 tiles; direct sums 2e-6."""
    line = "2,48,61x62->20 3x3 p1"
    image, weight, _ = data(line, "grad_weight", uniform)
    for offset in (0, 10):
        x = (image + offset).astype(dtype)
        right = problems.expected(replace(Spec.parse(line), direction="grad_weight"), x.astype(np.float64), weight)
        for spec in variants(line, "grad_weight"):
            for got in results(spec, "winograd4", isa, x, weight) if spec.dtype == dtype else ():
                assert np.abs(got - right).max() < 1.5 * BOUNDS[dtype] * np.abs(right).max()


@isas
def test_a_nan_stays_in_its_group_and_its_weights(isa):
    x, grad = integers((2, 12, 9, 10), 1).astype(np.float32) / 7, integers((2, 8, 9, 10), 2).astype(np.float32) / 7
    x[1, 7, 0, 0] = np.nan  # of group 1: meets only the taps that reach the corner
    settings = {"padding": 1, "groups": 2}
    with convkern.config(isa=isa):
        got, exact = (
            convkern.conv_grad_weight(grad, x, (8, 6, 3, 3), algorithm=name, **settings)
            for name in ("winograd4", "direct")
        )
        x[1, 7, 0, 0] = 0
        clean = convkern.conv_grad_weight(grad, x, (8, 6, 3, 3), algorithm="winograd4", **settings)
    np.testing.assert_array_equal(got[4:], exact[4:])
    np.testing.assert_array_equal(got[:4], clean[:4])
    assert 0 < np.isnan(got).sum() < 4 * 9


def test_bits_of_the_weight_gradient_do_not_depend_on_threads():
    for line in ("3,64,40x41->70 3x3 p1", "1,5,100x90->9 3x3 p1 reflect"):
        image, weight, _ = data(line, "grad_weight", uniform)
        for spec in variants(line, "grad_weight"):
            found = []
            for threads in (1, 2, 3, 4):
                with convkern.config(threads=threads):
                    found += results(spec, "winograd4", _core.get_isa(), image, weight)
            for other in found[1:]:
                np.testing.assert_array_equal(other, found[0])
