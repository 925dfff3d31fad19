"""Bias, residual and activation, applied where the result is stored: activation(conv + bias + residual)."""

import numpy as np
import oracle
import pytest
from problems import assert_right, chosen, integers

import convkern
from convkern import _core

pytestmark = pytest.mark.grid  # cheap, and where a stray read is likeliest: sanitizers run these too
algorithm_names = pytest.mark.parametrize("algorithm", ["auto", *_core.algorithms()])
layouts = pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
CHANNELS = (1, 5, 16, 37)


@algorithm_names
@layouts
@dtypes
@pytest.mark.parametrize("activation", [None, "relu", "relu6", (-7, 30), (5, 5)], ids=str)
@pytest.mark.parametrize("parts", ["", "bias", "residual", "bias residual"], ids=lambda p: p or "plain")
def test_every_combination(parts, activation, dtype, layout, algorithm):
    for co in CHANNELS:
        x, w = integers((2, 6, 7, 9), 1), integers((co, 6, 3, 3), 2)
        bias = integers(co, 3) if "bias" in parts else None
        residual = integers((2, co, 7, 9), 4) if "residual" in parts else None
        order = (0, 2, 3, 1) if layout == "NHWC" else (0, 1, 2, 3)
        shape = x.transpose(order).shape
        name, spec = chosen(algorithm, shape, w.shape, padding=1, dtype=dtype, layout=layout)
        sums = oracle.forward(x, w, (1, 1), ((1, 1), (1, 1)), (1, 1))
        right = oracle.finish(sums, bias, residual, activation)
        got = convkern.conv2d(
            x.transpose(order).astype(dtype), w.astype(dtype), None if bias is None else bias.astype(dtype),
            padding=1, layout=layout, activation=activation, algorithm=algorithm,
            residual=None if residual is None else residual.transpose(order).astype(dtype),
        )  # fmt: skip
        assert_right(got, right.transpose(order), name, spec, sums)


@layouts
@dtypes
@pytest.mark.parametrize("kernel", [1, 3])
def test_short_sums_a_few_rows_at_a_time(kernel, dtype, layout):
    x, w = integers((2, 3, 50, 52), 1), integers((330, 3, kernel, kernel), 2)
    bias, residual = integers(330, 3), integers((2, 330, 50, 52), 4)
    order = (0, 2, 3, 1) if layout == "NHWC" else (0, 1, 2, 3)
    margin = (kernel // 2, kernel // 2)
    right = oracle.finish(oracle.forward(x, w, (1, 1), (margin, margin), (1, 1)), bias, residual, (-9, 20))
    x, residual, right = (a.transpose(order).astype(dtype) for a in (x, residual, right))
    plan = convkern.plan(
        x.shape, w.astype(dtype), bias.astype(dtype), padding=margin[0], layout=layout, activation=(-9, 20),
        residual=True, algorithm="direct",
    )  # fmt: skip
    np.testing.assert_array_equal(plan(x, residual=residual), right)
    # pixels further apart than their channels: lines of the residual have no one stride
    apart = np.zeros((*residual.shape[:2], residual.shape[2] + 3, residual.shape[3]), dtype)[:, :, :-3]
    apart[...] = residual
    np.testing.assert_array_equal(plan(x, residual=apart), right)


@algorithm_names
def test_clamp_bounds_are_taken_in_any_numeric_type(algorithm):
    x, w = integers((1, 2, 5, 5), 1).astype(np.float32), integers((3, 2, 3, 3), 2).astype(np.float32)
    chosen(algorithm, x.shape, w.shape)
    plain = convkern.conv2d(x, w, algorithm=algorithm)
    for activation in ((0, 6), (0.0, 6.0), (np.float32(0), np.int64(6)), [0, 6], "relu6"):
        got = convkern.conv2d(x, w, activation=activation, algorithm=algorithm)
        np.testing.assert_array_equal(got, np.clip(plain, 0, 6))


def test_half_open_clamps():
    x, w = integers((1, 2, 5, 5), 1).astype(np.float32), integers((3, 2, 3, 3), 2).astype(np.float32)
    plain = convkern.conv2d(x, w)
    np.testing.assert_array_equal(convkern.conv2d(x, w, activation=(-np.inf, 2)), np.minimum(plain, 2))
    np.testing.assert_array_equal(convkern.conv2d(x, w, activation=(0, np.inf)), np.maximum(plain, 0))


@dtypes
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_bias_gradient(rank, dtype):
    g = integers((3, 5, 6, 7, 4)[: rank + 2], 1).astype(dtype)
    right = g.sum(axis=(0, *range(2, rank + 2)))
    got = convkern.conv_grad_bias(g)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, right)
    last = np.moveaxis(g, 1, -1)
    np.testing.assert_array_equal(convkern.conv_grad_bias(last, layout=("NWC", "NHWC", "NDHWC")[rank - 1]), right)
    first = convkern.conv_grad_bias(g[0], layout=("NCW", "NCHW", "NCDHW")[rank - 1])
    np.testing.assert_array_equal(first, g[0].sum(axis=tuple(range(1, rank + 1))))
