"""Sizes at the edge: unbatched input, empty dimensions, one pixel, and the size of every output."""

import numpy as np
import oracle
import pytest
from problems import FLOAT32_ONLY, INEXACT, assert_right, chosen, integers, serves

import convkern
from convkern import _core

pytestmark = pytest.mark.grid  # cheap, and where a stray read is likeliest: sanitizers run these too
CONV = {1: convkern.conv1d, 2: convkern.conv2d, 3: convkern.conv3d}
TRANSPOSE = {1: convkern.conv_transpose1d, 2: convkern.conv_transpose2d, 3: convkern.conv_transpose3d}
LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
ranks = pytest.mark.parametrize("rank", [1, 2, 3])
algorithm_names = pytest.mark.parametrize("algorithm", ["auto", *_core.algorithms()])


@ranks
@pytest.mark.parametrize("layout", ["first", "last"])
def test_unbatched(rank, layout):
    x = integers((1, 4, *(7, 6, 5)[:rank]), 1)
    w = integers((6, 4, *(3, 2, 3)[:rank]), 2)
    settings = {"stride": 2, "padding": 1, "accuracy": "strict"}
    if layout == "last":
        x, settings = np.moveaxis(x, 1, -1).copy(), {**settings, "layout": LAST[rank]}
    y = CONV[rank](x, w, **settings)
    residual = integers(y.shape, 3)
    np.testing.assert_array_equal(CONV[rank](x[0], w, **settings), y[0])
    np.testing.assert_array_equal(CONV[rank](x[0], w, residual=residual[0], **settings), y[0] + residual[0])
    out = np.empty_like(y[0])
    assert CONV[rank](x[0], w, out=out, **settings) is out
    np.testing.assert_array_equal(out, y[0])
    gx = convkern.conv_grad_input(y, w, x.shape, **settings)
    np.testing.assert_array_equal(convkern.conv_grad_input(y[0], w, x.shape[1:], **settings), gx[0])
    gw = convkern.conv_grad_weight(y, x, w.shape, **settings)
    np.testing.assert_array_equal(convkern.conv_grad_weight(y[0], x[0], w.shape, **settings), gw)
    wt = integers((4, 3, *w.shape[2:]), 4)
    yt = TRANSPOSE[rank](x, wt, **settings)
    np.testing.assert_array_equal(TRANSPOSE[rank](x[0], wt, **settings), yt[0])


def test_unbatched_plan():
    x, w = integers((3, 8, 9), 1), integers((5, 3, 3, 3), 2)
    plan = convkern.plan(x.shape, w.astype(np.float32), accuracy="strict")
    got = plan(x.astype(np.float32))
    np.testing.assert_array_equal(got, convkern.conv2d(x, w, accuracy="strict"))


@algorithm_names
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_unbatched_3x3(algorithm, layout):
    x, w, bias = integers((1, 5, 8, 9), 1), integers((6, 5, 3, 3), 2), integers(6, 3)
    x = x if layout == "NCHW" else np.moveaxis(x, 1, -1).copy()
    chosen(algorithm, x.shape, w.shape, layout=layout, dtype=np.float64)
    settings = {"padding": 1, "layout": layout, "algorithm": algorithm}
    y = convkern.conv2d(x, w, bias, **settings)
    np.testing.assert_array_equal(convkern.conv2d(x[0], w, bias, **settings), y[0])
    np.testing.assert_array_equal(convkern.plan(x.shape[1:], w, bias, **settings)(x[0]), y[0])


@algorithm_names
@ranks
def test_empty_batch(rank, algorithm):
    x, w = np.zeros((0, 3, *(7, 6, 5)[:rank]), np.float32), np.ones((4, 3, *(3,) * rank), np.float32)
    chosen(algorithm, x.shape, w.shape)
    y = CONV[rank](x, w, algorithm=algorithm)
    assert y.shape == (0, 4, *(5, 4, 3)[:rank])
    assert convkern.conv_grad_input(y, w, x.shape, algorithm=algorithm).shape == x.shape
    if not serves(algorithm, x.shape, w.shape, direction="grad_weight"):
        return
    gw = convkern.conv_grad_weight(y, x, w.shape, algorithm=algorithm)
    np.testing.assert_array_equal(gw, np.zeros_like(w))


@algorithm_names
def test_no_output_channels(algorithm):
    x, w = np.ones((2, 3, 5, 5), np.float32), np.ones((0, 3, 3, 3), np.float32)
    if not serves(algorithm, x.shape, w.shape):
        pytest.skip("does not serve this layer")
    y = convkern.conv2d(x, w, algorithm=algorithm)
    assert y.shape == (2, 0, 3, 3)
    gx = convkern.conv_grad_input(y, w, x.shape, algorithm=algorithm)
    np.testing.assert_array_equal(gx, np.zeros((2, 3, 5, 5)))


@algorithm_names
def test_no_input_channels_leave_bias_and_activation(algorithm):
    x, w = np.ones((2, 0, 5, 5), np.float32), np.ones((2, 0, 3, 3), np.float32)
    if not serves(algorithm, x.shape, w.shape):
        pytest.skip("does not serve this layer")
    bias = np.array([3, -4], np.float32)
    y = convkern.conv2d(x, w, bias, activation="relu", algorithm=algorithm)
    np.testing.assert_array_equal(y, np.broadcast_to(np.float32([[[3]], [[0]]]), (2, 2, 3, 3)))


@algorithm_names
def test_an_empty_image_with_zero_padding_reads_zeros(algorithm):
    x, w = np.ones((1, 2, 0, 4), np.float32), np.ones((3, 2, 3, 3), np.float32)
    chosen(algorithm, x.shape, w.shape, padding=((2, 2), (1, 1)))
    y = convkern.conv2d(x, w, np.ones(3, np.float32), padding=((2, 2), (1, 1)), algorithm=algorithm)
    np.testing.assert_array_equal(y, np.ones((1, 3, 2, 4)))


def test_an_empty_image_has_nothing_to_reflect():
    x, w = np.ones((1, 2, 0, 4), np.float32), np.ones((3, 2, 3, 3), np.float32)
    for mode in ("reflect", "replicate", "circular", "symmetric"):
        with pytest.raises(ValueError, match="pad"):
            convkern.conv2d(x, w, padding=2, padding_mode=mode)


@algorithm_names
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_one_pixel(algorithm, layout, kernel):
    x, w = np.full((1, 1, 1, 1), 5, np.float32), np.full((1, 1, kernel, kernel), 3, np.float32)
    settings = {"padding": kernel // 2, "layout": layout}
    served_by = chosen(algorithm, x.shape, w.shape, **settings)
    assert_right(convkern.conv2d(x, w, algorithm=algorithm, **settings), np.full((1, 1, 1, 1), 15), *served_by)


@algorithm_names
@pytest.mark.parametrize(("mode", "widest"), [("reflect", 3), ("replicate", 9), ("circular", 4), ("symmetric", 4)])
def test_the_widest_border_of_each_mode(mode, widest, algorithm):
    x, w = integers((1, 2, 5, 4), 1), integers((2, 2, 3, 3), 2)
    padding = ((widest, 1), (0, widest))
    settings = {"padding": padding, "padding_mode": mode}
    served_by = chosen(algorithm, x.shape, w.shape, dtype=np.float64, **settings)
    got = convkern.conv2d(x, w, algorithm=algorithm, **settings)
    assert_right(got, oracle.forward(x, w, (1, 1), padding, (1, 1), mode=mode), *served_by)


@pytest.mark.parametrize(("mode", "size"), [("reflect", 4), ("circular", 5), ("symmetric", 5)])
def test_a_border_that_would_be_read_twice_is_refused(mode, size):
    x, w = integers((1, 2, 5, 4), 1), integers((2, 2, 3, 3), 2)
    with pytest.raises(ValueError, match=f"padding.*{size}.*{mode}"):
        convkern.conv2d(x, w, padding=((0, 0), (0, size)), padding_mode=mode)


@algorithm_names
def test_strides_and_single_tap_dilations_beyond_the_image(algorithm):
    dtype = np.float32 if algorithm in FLOAT32_ONLY else np.float64
    x, w = integers((1, 2, 9, 8), 1).astype(dtype), integers((3, 2, 3, 1), 2).astype(dtype)
    chosen(algorithm, x.shape, w.shape, stride=2**80, dilation=(1, 2**80))
    corner = convkern.conv2d(x, w, algorithm=algorithm)[:, :, :1, :1]
    got = convkern.conv2d(x, w, stride=2**80, dilation=(1, 2**80), algorithm=algorithm)
    np.testing.assert_allclose(got, corner, rtol=0, atol=1e-12 if algorithm in INEXACT else 0)


@pytest.mark.parametrize("size", [1, 2, 5, 6, 7, 13])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (2, 1), (3, 1), (3, 2), (4, 3)])
def test_same_gives_ceil_of_size_over_stride(size, stride, kernel, dilation):
    x, w = integers((1, 2, size), 1), integers((3, 2, kernel), 2)
    y = convkern.conv1d(x, w, stride=stride, padding="same", dilation=dilation)
    pairs = oracle.pairs("same", (kernel,), (stride,), (dilation,), (size,))
    assert y.shape == (1, 3, -(-size // stride))
    np.testing.assert_array_equal(y, oracle.forward(x, w, (stride,), pairs, (dilation,)))


def test_full_and_valid():
    x, w = integers((1, 2, 6, 7), 1), integers((3, 2, 2, 3), 2)
    assert convkern.conv2d(x, w, padding="full").shape == (1, 3, 7, 9)
    assert convkern.conv2d(x, w, padding="valid").shape == (1, 3, 5, 5)
    np.testing.assert_array_equal(convkern.conv2d(x, w, padding="valid"), convkern.conv2d(x, w))
