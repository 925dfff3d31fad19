"""Pairs of bfloat16: what splitting keeps, sums of every magnitude, and the rows that fill a tile."""

from dataclasses import replace

import numpy as np
import pytest
from problems import assert_right, core_plan, core_run, data, integers, results, uniform

import convkern
from convkern import _core
from convkern.algorithms import BY_NAME
from convkern.spec import Spec

BF16X3 = BY_NAME["bf16x3"]
isas = pytest.mark.parametrize("isa", _core.supported_isas())
LAYER = Spec.parse("2,24,9x13->40 3x3 p1")


def both_layouts(line):
    spec = Spec.parse(line)
    return [replace(spec, channels_last=last) for last in (False, True)]


def computed(image, weight, isa, spec=LAYER):
    return core_run(spec, core_plan(spec, "bf16x3", isa), image.astype(np.float32), weight.astype(np.float32))


def exact(image, weight, spec=LAYER, of=np.asarray):
    """The result in float64 from what the float32 arrays hold, or from their magnitudes."""
    image, weight = (of(array.astype(np.float32).astype(np.float64)) for array in (image, weight))
    spec = replace(spec, dtype="float64")
    return core_run(spec, core_plan(spec, "direct"), image, weight)


@isas
def test_numbers_of_sixteen_bits_are_split_without_loss(isa):
    image = integers((2, 24, 9, 13), 1, -65535, 65535)
    weight = integers((40, 24, 3, 3), 2, -1, 1) * (integers((40, 24, 3, 3), 3, 0, 40) == 0)  # sums below 2^24
    right = exact(image, weight)
    assert 1e5 < np.abs(right).max() < 2**24
    np.testing.assert_array_equal(computed(image, weight, isa), right)


@isas
@pytest.mark.parametrize("kind", ["even", "offset", "magnitudes", "tiny", "huge", "cancelling"])
def test_each_output_is_within_its_windows_own_bound(isa, kind):
    image, weight = uniform((2, 24, 9, 13), 4), uniform((40, 24, 3, 3), 5)
    if kind == "offset":
        image += 1000
    elif kind == "magnitudes":
        image *= 10.0 ** np.random.default_rng(6).integers(-12, 12, image.shape)
    elif kind == "tiny":
        image *= 1e-30
    elif kind == "huge":
        image *= 1e34
    elif kind == "cancelling":
        weight[:, 1::2] = -weight[:, ::2] * (1 + 1e-5)
        image[:, 1::2] = image[:, ::2]
    right, magnitudes = exact(image, weight), exact(image, weight, of=np.abs)
    got = computed(image, weight, isa)
    off = np.abs(got - right) / magnitudes
    assert off.max() < 3 * 2.0**-18 + LAYER.terms * 2.0**-24
    if kind == "even":
        assert np.abs(got - right).max() < BF16X3.error(LAYER) * np.abs(right).max()


@isas
def test_sums_beyond_the_range_are_those_of_direct(isa):
    image, weight = uniform((2, 24, 9, 13), 7), uniform((40, 24, 3, 3), 8)
    image[1] *= 3.3e38  # some of these are infinite once rounded to bfloat16, and sums of them overflow
    direct = core_run(LAYER, core_plan(LAYER, "direct", isa), image.astype(np.float32), weight.astype(np.float32))
    assert np.isinf(direct[1]).any()
    got = computed(image, weight, isa)
    np.testing.assert_array_equal(got[1], direct[1])
    np.testing.assert_allclose(got[0], direct[0], atol=2e-5 * np.abs(direct[0]).max(), rtol=0)


@isas
@pytest.mark.parametrize("settings", ["3x3 p1", "3x3 p4", "5x5 p2 s2", "1x1", "3x3 p2 d2", "1x1 s3", "2x4 s3x2 p1x0"])
def test_every_size_of_a_line(isa, settings):
    """Rows that run from one line into the next, zeros that two lines share, tiles that begin earlier."""
    for size in [*range(1, 21), 31, 33, 50]:
        line = f"1,3,{size}x{size}->17 {settings}"
        try:
            specs = both_layouts(line)
        except ValueError:  # the window is larger than the image
            continue
        image, weight, right = data(line, "forward")
        for spec in specs:
            for got in results(spec, "bf16x3", isa, image, weight):
                assert_right(got, right, "bf16x3", spec)


@pytest.mark.parametrize("kernel", ["3x3 p1", "1x1"])
@pytest.mark.parametrize("channels", [1, 31, 32, 33, 48, 64, 96])
def test_steps_that_are_not_full(channels, kernel):
    line = f"2,{channels},6x7->33 {kernel}"
    image, weight, right = data(line, "forward")
    for spec in both_layouts(line):
        for got in results(spec, "bf16x3", _core.get_isa(), image, weight):
            assert_right(got, right, "bf16x3", spec)


def test_strict_and_double_leave_it_out():
    table = convkern.explain((1, 64, 14, 14), (64, 64, 3, 3), padding=1, accuracy="strict")
    reasons = {row.algorithm: row.reason for row in table.rows}
    assert "strict" in reasons["bf16x3"]
    assert BF16X3.supports(replace(LAYER, dtype="float64")) == "float32 only"
    assert "16 MB" in BF16X3.supports(Spec.parse("1,512,600x600->8 100x200"))


def test_the_unit_is_an_isa_of_its_own():
    """Where the CPU has one, forcing the ISA beneath it takes it away: both compute the same sums."""
    features = _core.cpu_info()["features"]
    assert ("amx" in _core.supported_isas()) == ("amx-bf16" in features)
    if "amx" not in _core.supported_isas():
        pytest.skip("no bfloat16 unit here")
    assert _core.supported_isas()[:2] == ("amx", "avx512")
    image, weight = uniform((2, 24, 9, 13), 9), uniform((40, 24, 3, 3), 10)
    unit, plain = computed(image, weight, "amx"), computed(image, weight, "avx512")
    np.testing.assert_allclose(unit, plain, atol=2.0**-24 * 2 * LAYER.terms, rtol=0)
