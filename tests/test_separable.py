"""Filters of rank 1: found in plans, right under every border and layout, and left alone where they are none."""

import numpy as np
import oracle
import pytest
from problems import uniform

import convkern
from convkern import _core, separable

ONES = (1, 1)
MODES = ("zeros", "reflect", "replicate", "circular", "symmetric")


@pytest.fixture
def eager(monkeypatch):
    """Passes wherever they serve, whatever they are predicted to cost."""
    monkeypatch.setattr(separable, "cost", lambda *_: 0.0)


def kernels(channels, ky, kx, dtype, same=False):
    """Kernels of rank 1, each with an element that is zero."""
    column, row = uniform((channels, ky), 1), uniform((channels, kx), 2)
    if same:
        column[:], row[:] = column[0], row[0]
    row[:, 0] = 0
    return (column[:, :, None] * row[:, None, :])[:, None].astype(dtype)


def two_passes(plan):
    return "rank 1" in plan.detail


@pytest.mark.parametrize("isa", _core.supported_isas())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", MODES)
def test_planes_and_channels(mode, dtype, isa, eager):
    for batch, channels, same, layout in (
        (1, 1, True, "NCHW"),
        (3, 1, True, "NHWC"),
        (2, 5, False, "NCHW"),
        (2, 5, True, "NHWC"),
        (2, 17, True, "NCHW"),
    ):
        for ky, kx, padding in ((3, 3, ((1, 1), (1, 1))), (5, 2, ((2, 2), (1, 0))), (4, 9, ((0, 3), (8, 0)))):
            x, w = uniform((batch, channels, 13, 41), 3).astype(dtype), kernels(channels, ky, kx, dtype, same)
            right = oracle.forward(x, w, ONES, padding, ONES, channels, mode)
            if layout == "NHWC":
                x, right = (np.ascontiguousarray(np.moveaxis(a, 1, -1)) for a in (x, right))
            settings = {"padding": padding, "groups": channels, "padding_mode": mode, "layout": layout}
            with convkern.config(isa=isa):
                plan = convkern.plan(x.shape, w, **settings)
            assert two_passes(plan)
            assert (plan.algorithm, plan.isa) == ("plane", isa)
            bound = np.finfo(dtype).eps * 4 * (ky + kx) * np.abs(right).max()
            for got in (plan(x), plan(x[::-1, ...][::-1]), plan(np.asfortranarray(x))):
                np.testing.assert_allclose(got, right, rtol=0, atol=bound)
            out = np.full(right.shape, -1, dtype)[:, ::-1]
            assert plan(x, out) is out
            np.testing.assert_array_equal(out, plan(x))
            np.testing.assert_array_equal(plan(x, residual=right.astype(dtype)), plan(x) + right.astype(dtype))


def test_large_images_and_small_ones_choose_for_themselves():
    box = np.ones((1, 1, 9, 9), np.float32)
    assert two_passes(convkern.plan((1, 1, 1024, 1024), box, padding=4))
    assert not two_passes(convkern.plan((1, 1, 8, 8), box, padding=4))


def test_what_is_not_of_rank_1_is_left_alone(eager):
    w = kernels(1, 5, 5, np.float32)
    shape = (1, 1, 64, 64)
    assert two_passes(convkern.plan(shape, w, padding=2))
    other = w.copy()
    other[0, 0, 1, 1] *= 1 + 1e-5
    assert not two_passes(convkern.plan(shape, other, padding=2))
    assert not two_passes(convkern.plan(shape, np.zeros_like(w), padding=2))
    assert not two_passes(convkern.plan(shape, np.full_like(w, np.nan), padding=2))
    for settings in (
        {"accuracy": "strict"},
        {"algorithm": "direct"},
        {"stride": 2},
        {"dilation": 2},
        {"padding": 0},
        {"activation": "relu"},
        {"residual": True},
        {"direction": "grad_input"},
    ):
        assert not two_passes(convkern.plan(shape, w, **{"padding": 2} | settings)), settings
    assert not two_passes(convkern.plan(shape, w, np.ones(1, np.float32), padding=2))
    mixed = np.concatenate([w, other])
    assert not two_passes(convkern.plan((1, 2, 64, 64), mixed, padding=2, groups=2))
    apart = kernels(2, 5, 5, np.float32)
    assert not two_passes(convkern.plan((1, 64, 64, 2), apart, padding=2, groups=2, layout="NHWC"))


def test_nan_and_infinity_reach_their_windows_alone(eager):
    x, w = uniform((1, 1, 30, 40), 1).astype(np.float32), kernels(1, 5, 3, np.float32)
    plan = convkern.plan(x.shape, w, padding=(2, 1))
    clean = plan(x)
    x[0, 0, 10, 20], x[0, 0, 25, 5] = np.nan, np.inf
    got = plan(x)
    hit = np.zeros(x.shape, bool)
    hit[..., 8:13, 19:22] = hit[..., 23:28, 4:7] = True
    np.testing.assert_array_equal(got[~hit], clean[~hit])
    assert not np.isfinite(got[hit]).any()


def test_bits_do_not_depend_on_threads_and_the_plan_survives_its_weight(eager):
    x, w = uniform((2, 3, 200, 333), 1).astype(np.float32), kernels(3, 7, 9, np.float32)
    plan = convkern.plan(x.shape, w, padding=(3, 4), groups=3)
    w[:] = 0
    first = plan(x)
    assert first.any()
    for threads in (1, 2, 3, 4):
        with convkern.config(threads=threads):
            np.testing.assert_array_equal(plan(x), first)


def test_one_image_without_a_batch_and_wrong_arguments(eager):
    x, w = uniform((1, 50, 60), 1).astype(np.float32), kernels(1, 3, 3, np.float32)
    plan = convkern.plan(x.shape, w, padding=1)
    assert two_passes(plan)
    np.testing.assert_array_equal(plan(x), convkern.plan((1, *x.shape), w, padding=1)(x[None])[0])
    with pytest.raises(ValueError, match="x"):
        plan(x[:, 1:])
    with pytest.raises(ValueError, match="out"):
        plan(x, np.empty((1, 50, 61), np.float32))
    assert plan.workspace_bytes >= 0
    assert plan.packed_bytes > 0
