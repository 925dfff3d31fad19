"""Forward, input gradient and weight gradient are one bilinear form: <conv(x,w),g> = <x,gx(g,w)> = <w,gw(g,x)>.

With integer data the three sums are equal to the last bit (algorithms that do more than sum products are left out by
accuracy="strict"); no oracle is involved.
"""

import numpy as np
import pytest
from problems import integers

import convkern

pytestmark = pytest.mark.grid  # cheap, and where a stray read is likeliest: sanitizers run these too
STRICT = {"accuracy": "strict"}
MODES = ("zeros", "reflect", "replicate", "circular", "symmetric")
CONV = {1: convkern.conv1d, 2: convkern.conv2d, 3: convkern.conv3d}
TRANSPOSE = {1: convkern.conv_transpose1d, 2: convkern.conv_transpose2d, 3: convkern.conv_transpose3d}
CASES = {
    "1d": ((3, 4, 21), (6, 2, 5), {"stride": 2, "padding": 3, "dilation": 2, "groups": 2}),
    "2d": ((2, 5, 9, 12), (17, 5, 3, 3), {"padding": 1}),
    "2d-strided-asymmetric": ((2, 3, 11, 9), (4, 3, 3, 2), {"stride": (2, 3), "padding": ((1, 2), (0, 3))}),
    "2d-depthwise": ((1, 18, 7, 8), (36, 1, 3, 3), {"padding": 2, "dilation": 2, "groups": 18}),
    "2d-same-strided": ((1, 3, 10, 7), (5, 3, 4, 3), {"stride": 3, "padding": "same"}),
    "2d-full": ((1, 3, 6, 7), (5, 3, 3, 4), {"padding": "full"}),
    "3d": ((1, 2, 5, 6, 4), (3, 2, 3, 2, 3), {"stride": (1, 2, 1), "padding": (1, 0, 1)}),
}


def channels_last(a):
    return np.ascontiguousarray(np.moveaxis(a, 1, -1))


@pytest.mark.parametrize("layout", ["channels first", "channels last"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("x_shape", "w_shape", "settings"), CASES.values(), ids=CASES)
def test_three_directions_agree(x_shape, w_shape, settings, mode, layout):
    x, w = integers(x_shape, 1).astype(np.float32), integers(w_shape, 2).astype(np.float32)
    rank = len(x_shape) - 2
    settings = {**settings, "padding_mode": mode, **STRICT}
    if layout == "channels last":
        settings["layout"] = {1: "NWC", 2: "NHWC", 3: "NDHWC"}[rank]
        x = channels_last(x)
    y = CONV[rank](x, w, **settings)
    g = integers(y.shape, 3).astype(np.float32)
    through = np.vdot(y.astype(np.float64), g)
    assert through != 0
    gx = convkern.conv_grad_input(g, w, x.shape, **settings)
    gw = convkern.conv_grad_weight(g, x, w.shape, **settings)
    assert gx.shape == x.shape
    assert gw.shape == w.shape
    assert np.vdot(x.astype(np.float64), gx) == through
    assert np.vdot(w.astype(np.float64), gw) == through


@pytest.mark.parametrize("output_padding", [0, 1])
@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), [(2, 1, 1, 1), (3, 0, 2, 2), (4, 2, 1, 4)])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_transposed_convolution_is_the_input_gradient(rank, stride, padding, dilation, groups, output_padding):
    x, w = integers((2, 4, *(5, 4, 3)[:rank]), 1), integers((4, 3, *(3, 4, 2)[:rank]), 2)
    y = TRANSPOSE[rank](x, w, None, stride, padding, output_padding, groups, dilation, **STRICT)
    sizes = tuple(
        (i - 1) * stride - 2 * padding + dilation * (k - 1) + output_padding + 1
        for i, k in zip(x.shape[2:], w.shape[2:], strict=True)
    )
    assert y.shape == (2, 3 * groups, *sizes)
    same = convkern.conv_grad_input(x, w, y.shape, stride, padding, dilation, groups, **STRICT)
    np.testing.assert_array_equal(y, same)
    image = integers(y.shape, 3)
    forward = CONV[rank](image, w, None, stride, padding, dilation, groups, **STRICT)
    assert np.vdot(forward, x) == np.vdot(image, y)


def test_transposed_convolution_adds_its_bias_and_activation():
    x, w, bias = integers((2, 4, 5, 6), 1), integers((4, 3, 3, 3), 2), integers(3, 3)
    plain = convkern.conv_transpose2d(x, w, stride=2)
    got = convkern.conv_transpose2d(x, w, bias, stride=2, activation="relu")
    np.testing.assert_array_equal(got, np.maximum(plain + bias[:, None, None], 0))
