"""The blocks that known networks are made of, each gradient-checked, in both layouts, and compiled."""

import numpy as np
import pytest
from gradients import check_layer, draw

from convkern import nn


def conv_bn(ci, co, kernel=1, stride=1, padding=0, groups=1, *, act=nn.ReLU, rng=0):
    layers = [nn.Conv2d(ci, co, kernel, stride, padding, groups=groups, bias=False, rng=rng), nn.BatchNorm2d(co)]
    return nn.Sequential(*layers, *([act()] if act else []))


def bottleneck():
    """ResNet-50: 1x1, 3x3 with stride, 1x1, and a projected shortcut."""
    body = nn.Sequential(conv_bn(6, 4), conv_bn(4, 4, 3, 2, 1, rng=1), conv_bn(4, 8, act=None, rng=2))
    return nn.Sequential(nn.Residual(body, conv_bn(6, 8, 1, 2, act=None, rng=3)), nn.ReLU())


def inception():
    """GoogLeNet: 1x1, 3x3, 5x5 and pooled branches side by side."""
    return nn.Concat(
        conv_bn(6, 3),
        nn.Sequential(conv_bn(6, 2, rng=1), conv_bn(2, 4, 3, 1, 1, rng=2)),
        nn.Sequential(conv_bn(6, 2, rng=3), conv_bn(2, 3, 5, 1, 2, rng=4)),
        nn.Sequential(nn.MaxPool2d(3, 1, 1), conv_bn(6, 2, rng=5)),
    )


def inverted_residual():
    """MobileNetV3, EfficientNet: expand, depthwise, squeeze-and-excite, project; no activation behind the sum."""
    gate = nn.Sequential(
        nn.GlobalAvgPool2d(), nn.Conv2d(12, 3, 1, rng=1), nn.ReLU(), nn.Conv2d(3, 12, 1, rng=2), nn.Sigmoid()
    )
    depthwise = nn.Sequential(nn.DepthwiseConv2d(12, 3, padding=1, bias=False, rng=3), nn.BatchNorm2d(12), nn.SiLU())
    return nn.Residual(
        nn.Sequential(conv_bn(6, 12, act=nn.SiLU), depthwise, nn.Scale(gate), conv_bn(12, 6, act=None, rng=4))
    )


def unet():
    """Two levels: down by pooling, up by a transposed convolution, the upper level's features around."""

    def double(ci, co, rng):
        return [
            nn.Conv2d(ci, co, 3, padding=1, rng=rng),
            nn.ReLU(),
            nn.Conv2d(co, co, 3, padding=1, rng=rng + 1),
            nn.ReLU(),
        ]

    bottom = nn.Sequential(nn.MaxPool2d(2), *double(4, 6, 2), nn.ConvTranspose2d(6, 4, 2, 2, rng=4))
    middle = nn.Sequential(
        nn.MaxPool2d(2), *double(3, 4, 0), nn.Skip(bottom), *double(8, 4, 5), nn.ConvTranspose2d(4, 3, 2, 2, rng=7)
    )
    return nn.Sequential(*double(6, 3, 8), nn.Skip(middle), *double(6, 3, 10), nn.Conv2d(3, 2, 1, rng=12))


BLOCKS = [bottleneck, inception, inverted_residual, unet]
SHAPE = (2, 6, 8, 8)


def prepared(block, dtype="float64"):
    """A block with running statistics and parameters that are not neutral."""
    model = block()
    rng = np.random.default_rng(5)
    for array in model.state_dict().values():
        if array.dtype.kind == "f" and array.ndim == 1:
            array += rng.uniform(0.1, 0.4, array.shape).astype(array.dtype)
    return model.astype(dtype)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("block", BLOCKS)
def test_backward_is_the_derivative(block, training):
    check_layer(prepared(block), draw(SHAPE), training)


@pytest.mark.parametrize("block", BLOCKS)
def test_channels_last_computes_the_same(block):
    first, last = prepared(block), prepared(block).to_layout("NHWC")
    x = draw(SHAPE)
    y, z = first(x), last(np.ascontiguousarray(np.moveaxis(x, 1, -1)))
    np.testing.assert_allclose(np.moveaxis(z, -1, 1), y, rtol=1e-11, atol=1e-12)
    dx, dz = first.backward(y), last.backward(z)
    np.testing.assert_allclose(np.moveaxis(dz, -1, 1), dx, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("block", BLOCKS)
def test_compiled_is_equal(block, dtype, layout):
    model = prepared(block, dtype).to_layout(layout).eval()
    for _ in range(3):  # running statistics that are not the initial ones
        model.forward((draw(SHAPE, 3) + 1).astype(dtype) if layout == "NCHW" else np.ones((2, 8, 8, 6), dtype), True)
    x = draw(SHAPE).astype(dtype)
    if layout == "NHWC":
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    fast = model.compile(x.shape)
    wanted = model(x)
    error = 1e-4 if dtype == "float32" else 1e-12
    for _ in range(2):  # the second call finds the buffers of the first
        y = fast(x)
        assert y.shape == wanted.shape
        assert np.abs(y - wanted).max() <= error * np.abs(wanted).max()
    np.testing.assert_array_equal(fast(x, np.full_like(y, np.nan)), y)


def test_compiled_blocks_are_fused():
    residual = prepared(bottleneck, "float32").eval().compile(SHAPE)
    assert len(residual.steps) == 4  # four convolutions: sums, normalisation and activations are in them
    assert sum("residual" in step for step in residual.steps) == 1
    assert not any("copy" in step for step in prepared(inception, "float32").eval().compile(SHAPE).steps)
