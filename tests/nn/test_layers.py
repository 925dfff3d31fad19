"""Every layer: backward against central differences, shapes, both layouts, and what it says about a wrong input."""

import numpy as np
import pytest
from gradients import check_layer, draw

from convkern import nn

A, B, C = (2, 4, 9), (2, 4, 7, 6), (2, 4, 5, 4, 6)
CASES = {
    "conv1": (lambda: nn.Conv1d(4, 6, 3, padding=1, rng=0), A),
    "conv2": (lambda: nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding="same", rng=0), B),
    "conv3": (lambda: nn.Conv3d(4, 2, 2, rng=0), C),
    "conv groups": (lambda: nn.Conv2d(4, 6, 3, groups=2, dilation=2, bias=False, rng=0), B),
    "conv reflect": (lambda: nn.Conv2d(4, 3, 3, padding=1, padding_mode="reflect", rng=0), B),
    "conv relu": (lambda: nn.Conv2d(4, 3, 3, activation="relu", rng=0), B),
    "conv clamp": (lambda: nn.Conv2d(4, 3, 3, activation=(-0.2, 0.4), rng=0), B),
    "transpose1": (lambda: nn.ConvTranspose1d(4, 3, 3, stride=2, rng=0), A),
    "transpose2": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2, rng=0), B),
    "transpose dilated": (lambda: nn.ConvTranspose2d(4, 2, 2, 2, 0, 2, dilation=3, rng=0), B),
    "transpose3": (lambda: nn.ConvTranspose3d(4, 2, 2, 2, bias=False, rng=0), C),
    "depthwise1": (lambda: nn.DepthwiseConv1d(4, 3, rng=0), A),
    "depthwise2": (lambda: nn.DepthwiseConv2d(4, 3, 2, 1, multiplier=2, rng=0), B),
    "depthwise3": (lambda: nn.DepthwiseConv3d(4, 2, rng=0), C),
    "separable1": (lambda: nn.SeparableConv1d(4, 5, 3, rng=0), A),
    "separable2": (lambda: nn.SeparableConv2d(4, 5, 3, padding=1, rng=0), B),
    "separable3": (lambda: nn.SeparableConv3d(4, 2, 2, rng=0), C),
    "flatten": (nn.Flatten, B),
    "pad": (lambda: nn.Pad((1, 2, 0, 3)), B),
    "pad all": (lambda: nn.Pad(1, value=0.5), A),
    "pad reflect": (lambda: nn.Pad(2, "reflect"), B),
    "max1": (lambda: nn.MaxPool1d(2), A),
    "max2": (lambda: nn.MaxPool2d(3, 2, 1), B),
    "max3": (lambda: nn.MaxPool3d(2, ceil_mode=True), C),
    "max dilated": (lambda: nn.MaxPool2d(2, 1, dilation=2), B),
    "min1": (lambda: nn.MinPool1d(2), A),
    "min2": (lambda: nn.MinPool2d(3, 2, 1), B),
    "min3": (lambda: nn.MinPool3d(2), C),
    "avg1": (lambda: nn.AvgPool1d(3, 2, 1), A),
    "avg2": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), B),
    "avg2 divisor": (lambda: nn.AvgPool2d(2, divisor_override=3, ceil_mode=True), B),
    "avg3": (lambda: nn.AvgPool3d(2), C),
    "lp1": (lambda: nn.LpPool1d(2, 3), A),
    "lp2": (lambda: nn.LpPool2d(2, 2), B),
    "lp3": (lambda: nn.LpPool3d(2, 2), C),
    "adaptive avg1": (lambda: nn.AdaptiveAvgPool1d(4), A),
    "adaptive avg2": (lambda: nn.AdaptiveAvgPool2d((3, None)), B),
    "adaptive avg3": (lambda: nn.AdaptiveAvgPool3d(2), C),
    "adaptive max1": (lambda: nn.AdaptiveMaxPool1d(4), A),
    "adaptive max2": (lambda: nn.AdaptiveMaxPool2d((3, 2)), B),
    "adaptive max3": (lambda: nn.AdaptiveMaxPool3d(2), C),
    "global avg1": (nn.GlobalAvgPool1d, A),
    "global avg2": (nn.GlobalAvgPool2d, B),
    "global avg3": (nn.GlobalAvgPool3d, C),
    "global max1": (nn.GlobalMaxPool1d, A),
    "global max2": (nn.GlobalMaxPool2d, B),
    "global max3": (nn.GlobalMaxPool3d, C),
    "nearest": (lambda: nn.Upsample(scale_factor=2), B),
    "nearest size": (lambda: nn.Upsample(size=(5, 9)), B),
    "nearest1": (lambda: nn.Upsample(scale_factor=1.5), A),
    "nearest3": (lambda: nn.Upsample(scale_factor=(1, 2, 3)), C),
    "linear": (lambda: nn.Upsample(scale_factor=2, mode="linear"), A),
    "bilinear": (lambda: nn.Upsample(size=(10, 4), mode="bilinear"), B),
    "bilinear corners": (lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), B),
    "trilinear": (lambda: nn.Upsample(scale_factor=2, mode="trilinear"), C),
    "shuffle": (lambda: nn.PixelShuffle(2), B),
    "batch norm1": (lambda: nn.BatchNorm1d(4), A),
    "batch norm2": (lambda: nn.BatchNorm2d(4, eps=1e-2), B),
    "batch norm3": (lambda: nn.BatchNorm3d(4), C),
    "batch norm bare": (lambda: nn.BatchNorm(4, affine=False), B),
    "group norm": (lambda: nn.GroupNorm(2, 4), B),
    "group norm1": (lambda: nn.GroupNorm(4, 4, affine=False), A),
    "local response": (lambda: nn.LocalResponseNorm(3, alpha=0.1), B),
    "relu": (nn.ReLU, B),
    "relu6": (nn.ReLU6, B),
    "leaky relu": (lambda: nn.LeakyReLU(0.2), B),
    "prelu": (nn.PReLU, B),
    "prelu channels": (lambda: nn.PReLU(4), B),
    "elu": (lambda: nn.ELU(0.7), B),
    "selu": (nn.SELU, B),
    "gelu": (nn.GELU, B),
    "gelu tanh": (lambda: nn.GELU("tanh"), B),
    "silu": (nn.SiLU, B),
    "hardswish": (nn.HardSwish, B),
    "sigmoid": (nn.Sigmoid, B),
    "tanh": (nn.Tanh, B),
    "softplus": (lambda: nn.Softplus(2.0), B),
    "softmax": (nn.Softmax, B),
    "identity": (nn.Identity, B),
}
FLAT = {
    "dense": (lambda: nn.Dense(12, 5, rng=0), (3, 12)),
    "dense bare": (lambda: nn.Dense(12, 5, bias=False, rng=0), (3, 12)),
    "batch norm": (lambda: nn.BatchNorm1d(12), (5, 12)),
    "layer norm": (lambda: nn.LayerNorm(12), (3, 12)),
    "layer norm 3": (lambda: nn.LayerNorm((7, 6)), B),
    "layer norm bare": (lambda: nn.LayerNorm((6,), affine=False), B),
    "relu flat": (nn.ReLU, (3, 12)),
    "softmax flat": (nn.Softmax, (3, 12)),
}


def shaken(layer, seed=1):
    """The layer with parameters and statistics that are not their neutral initial ones."""
    rng = np.random.default_rng(seed)
    for name, array in layer.state_dict().items():
        if array.dtype.kind == "f":
            array[...] += rng.uniform(0.1, 0.5, array.shape) * (1 if name.endswith("var") else 0.5)
    return layer


@pytest.mark.parametrize("name", [*CASES, *FLAT])
def test_backward_is_the_derivative(name):
    make, shape = (CASES | FLAT)[name]
    check_layer(shaken(make()), draw(shape))


@pytest.mark.parametrize("name", ["batch norm2", "batch norm3", "max2", "conv relu"])
def test_backward_in_inference_mode_too(name):
    make, shape = CASES[name]
    check_layer(shaken(make()), draw(shape), training=False)


@pytest.mark.parametrize("name", CASES)
def test_channels_last_computes_the_same(name):
    make, shape = CASES[name]
    x = draw(shape)
    first, last = shaken(make()).astype("float64"), shaken(make()).astype("float64").to_layout("NHWC")
    moved = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    y, z = first(x), last(moved)
    flat = y.ndim == 2
    np.testing.assert_allclose(z if flat else np.moveaxis(z, -1, 1), y, rtol=1e-12, atol=1e-12)
    assert last.output_shape(moved.shape) == z.shape
    grad = draw(y.shape, 1)
    dx, dz = first.backward(grad), last.backward(grad if flat else np.ascontiguousarray(np.moveaxis(grad, 1, -1)))
    np.testing.assert_allclose(np.moveaxis(dz, -1, 1), dx, rtol=1e-11, atol=1e-12)
    for path, gradient in first.gradients().items():
        np.testing.assert_allclose(last.gradients()[path], gradient, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", [*CASES, *FLAT])
def test_float32_stays_float32(name):
    make, shape = (CASES | FLAT)[name]
    layer, x = make(), draw(shape).astype(np.float32)
    y = layer(x)
    dx = layer.backward(np.ones_like(y))
    arrays = [y, dx, *layer.parameters().values(), *layer.gradients().values()]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}


WRONG = {
    "conv": (lambda: nn.Conv2d(3, 8, 3), (2, 4, 8, 8), ["(2, 4, 8, 8)", "(N, 3, H, W)"]),
    "conv axes": (lambda: nn.Conv2d(3, 8, 3), (3, 8, 8), ["(3, 8, 8)", "(N, 3, H, W)"]),
    "window": (lambda: nn.Conv2d(3, 8, 9), (2, 3, 8, 8), ["8"]),
    "transpose": (lambda: nn.ConvTranspose1d(3, 8, 2), (2, 4, 8), ["(2, 4, 8)", "(N, 3, W)"]),
    "dense": (lambda: nn.Dense(10, 2), (2, 11), ["(2, 11)", "(N, 10)"]),
    "dense map": (lambda: nn.Dense(10, 2), (2, 5, 2), ["Flatten"]),
    "batch norm": (lambda: nn.BatchNorm2d(3), (2, 4, 8, 8), ["(2, 4, 8, 8)", "3"]),
    "batch norm axes": (lambda: nn.BatchNorm1d(3), (2, 3, 8, 8), ["(2, 3, 8, 8)", "2 or 3"]),
    "one value": (lambda: nn.BatchNorm1d(3), (1, 3), ["more than one"]),
    "layer norm": (lambda: nn.LayerNorm(5), (2, 4), ["(2, 4)", "5"]),
    "group norm": (lambda: nn.GroupNorm(2, 6), (2, 4, 3, 3), ["(2, 4, 3, 3)", "6"]),
    "pool": (lambda: nn.MaxPool2d(2), (2, 3, 8), ["(2, 3, 8)", "NCHW"]),
    "shuffle": (lambda: nn.PixelShuffle(2), (1, 3, 2, 2), ["(1, 3, 2, 2)", "4"]),
    "prelu": (lambda: nn.PReLU(3), (1, 4, 2, 2), ["(1, 4, 2, 2)", "3"]),
    "upsample": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (1, 4, 2), ["(1, 4, 2)", "bilinear"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_input_is_named_with_both_shapes_and_the_layer(name):
    make, shape, words = WRONG[name]
    model = nn.Sequential(nn.Identity(), nn.Sequential(make()))
    with pytest.raises(nn.LayerError) as caught:
        model(np.ones(shape, np.float32))
    text = str(caught.value)
    assert caught.value.path == "1.0"
    assert type(model[1][0]).__name__ in text
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Conv2d(3, 8, 3, groups=2), "groups"),
        (lambda: nn.Conv(3, 8, 3), "kernel_size"),
        (lambda: nn.Conv2d(3, 8, (3, 3, 3)), "kernel_size"),
        (lambda: nn.Conv2d(3, 8, 3, stride=0), "stride"),
        (lambda: nn.Conv2d(3, 8, 3, init="magic"), "init"),
        (lambda: nn.Dense(0, 3), "in_features"),
        (lambda: nn.Dropout(1.5), "p"),
        (lambda: nn.GroupNorm(2, 3), "num_groups"),
        (lambda: nn.Upsample(), "scale_factor"),
        (lambda: nn.Upsample(size=3, scale_factor=2), "scale_factor"),
        (lambda: nn.Upsample(size=3, mode="cubic"), "mode"),
        (lambda: nn.FractionalMaxPool2d(2), "output_size"),
        (lambda: nn.Conv2d(3, 8, 3).to_layout("HWC"), "layout"),
    ],
)
def test_wrong_settings_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_backward_without_forward_says_so():
    for layer in (nn.Conv2d(1, 1, 1), nn.Dense(1, 1), nn.BatchNorm(1), nn.MaxPool2d(2), nn.ReLU(), nn.Dropout()):
        with pytest.raises(RuntimeError, match="forward"):
            layer.backward(np.ones((1, 1, 1, 1), np.float32))


def test_dropout_drops_its_share_and_keeps_the_mean():
    layer = nn.Dropout(0.3, rng=0)
    x = np.ones((100, 1000), np.float32)
    y = layer(x)
    assert abs((y == 0).mean() - 0.3) < 0.01
    assert abs(y.mean() - 1) < 0.01
    np.testing.assert_array_equal(layer.backward(x), y)
    assert layer.eval()(x) is x
    assert nn.Dropout(1.0)(x).sum() == 0


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_fractional_pooling(rank):
    layer = getattr(nn, f"FractionalMaxPool{rank}d")(2, output_ratio=0.6, rng=0)
    x = draw((2, 3, *(10, 12, 11)[:rank]))
    y = layer.forward(x, True)
    assert y.shape == layer.output_shape(x.shape) == (2, 3, *(6, 7, 6)[:rank])
    assert np.isin(y, x).all()
    dx = layer.backward(np.ones_like(y))
    assert dx.sum() == y.size
    assert np.isin(x[dx > 0], y).all()
    assert not np.array_equal(layer.forward(x, True), y)  # drawn anew
    np.testing.assert_array_equal(layer.forward(x), layer.forward(x))


def test_inplace_relu_computes_the_same():
    x = draw((2, 3, 4, 5))
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, rng=0), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1, rng=1))
    check_layer(model, x)


def test_dense_as_conv_is_equal_and_slides():
    head = nn.Dense(16 * 5 * 4, 10, rng=0).astype("float64")
    x = draw((3, 16, 5, 4))
    wanted = head(x.reshape(3, -1))
    np.testing.assert_allclose(head.as_conv((5, 4))(x)[..., 0, 0], wanted, rtol=1e-12)
    large = draw((1, 16, 7, 9))
    slid = head.as_conv((5, 4))(large)
    assert slid.shape == (1, 10, 3, 6)
    np.testing.assert_allclose(slid[0, :, 2, 5], head(large[:, :, 2:7, 5:9].reshape(1, -1))[0], rtol=1e-12)
    with pytest.raises(ValueError, match="size"):
        head.as_conv(3)


def test_frozen_layers_pass_gradients_and_have_none():
    model = nn.Sequential(nn.Conv2d(2, 3, 3, rng=0), nn.BatchNorm(3), nn.ReLU(), nn.Flatten(), nn.Dense(12, 2, rng=1))
    x = draw((2, 2, 4, 4)).astype(np.float32)
    before = {name: array.copy() for name, array in model.state_dict().items() if array.dtype.kind == "f"}
    model.layers["0"].freeze()
    y = model(x)
    wanted = model.backward(np.ones_like(y))
    assert not [name for name in model.gradients() if name.startswith("0.")]
    assert not [name for name in model.parameters() if name.startswith("0.")]
    nn.SGD(model, 0.1).step()
    np.testing.assert_array_equal(model.layers["0"].weight, before["0.weight"])
    assert not np.array_equal(model.layers["4"].weight, before["4.weight"])
    model.load_state_dict(model.state_dict() | before)
    model.layers["0"].freeze(False)
    np.testing.assert_array_equal(model(x), y)
    np.testing.assert_array_equal(model.backward(np.ones_like(y)), wanted)
    assert "0.weight" in model.gradients()


@pytest.mark.parametrize("name", sorted(nn.init.INITIALISERS))
def test_initialisers(name):
    weight = nn.Conv2d(64, 96, 3, init=name, rng=0).weight
    fan_in, fan_out = 64 * 9, 96 * 9
    variance = {"xavier": 2 / (fan_in + fan_out), "glorot": 2 / (fan_in + fan_out), "kaiming": 2 / fan_in,
                "he": 2 / fan_in, "lecun": 1 / fan_in, "fan": 1 / (3 * fan_in), "zeros": 0, "ones": 0,
                "truncated": (0.02 * 0.88) ** 2, "orthogonal": 1 / fan_in}[name.split("_")[0]]  # fmt: skip
    assert weight.dtype == np.float32
    assert weight.shape == (96, 64, 3, 3)
    assert abs(weight.var() - variance) <= 0.03 * variance + 1e-12
    assert np.array_equal(weight, nn.Conv2d(64, 96, 3, init=name, rng=0).weight)
    if name == "orthogonal":
        rows = weight.reshape(96, -1).astype(np.float64)
        np.testing.assert_allclose(rows @ rows.T, np.eye(96), atol=1e-5)


def test_seeds_make_models_reproducible():
    def weights(seed):
        nn.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dense(3, 4)).state_dict()

    a, b, c = weights(3), weights(3), weights(4)
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert not np.array_equal(a["0.weight"], c["0.weight"])
    assert not np.array_equal(
        nn.SeparableConv2d(4, 4, 1, rng=1)[0].weight, nn.SeparableConv2d(4, 4, 1, rng=1)[1].weight[:, :1]
    )


def test_repr_is_the_constructor_call():
    assert repr(nn.Conv2d(3, 8, 3, padding=1, bias=False)) == "Conv2d(3, 8, 3, padding=1, bias=False)"
    assert repr(nn.MaxPool2d(2)) == "MaxPool2d(2)"
    assert repr(nn.Dropout(0.1)) == "Dropout(p=0.1)"
    assert "0: Dense(3, 4)" in repr(nn.Sequential(nn.Dense(3, 4)))
