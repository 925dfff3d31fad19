"""Wrong calls raise ValueError or TypeError that name the argument, what came, and what is needed."""

import numpy as np
import pytest

import convkern

X = np.ones((2, 4, 9, 8), np.float32)
W = np.ones((6, 4, 3, 3), np.float32)
B = np.ones(6, np.float32)
Y = np.ones((2, 6, 7, 6), np.float32)


def conv(*args, **more):
    return lambda: convkern.conv2d(*args, **more)


def frozen(a):
    a = a.copy()
    a.flags.writeable = False
    return a


# id: (call, exception, words that must appear, in any case of letters)
CALLS = {
    "x of integers": (conv(X.astype(int), W), TypeError, ["x", "int64", "float32", "astype"]),
    "x of half precision": (conv(X.astype(np.float16), W), TypeError, ["x", "float16", "float32"]),
    "x complex": (conv(X.astype(complex), W), TypeError, ["x", "complex128", "float32"]),
    "x of booleans": (conv(X > 0, W), TypeError, ["x", "bool", "astype"]),
    "x of objects": (conv(X.astype(object), W), TypeError, ["x", "object"]),
    "x of text": (conv("image", W), TypeError, ["x"]),
    "x ragged": (conv([[[[1, 2], [3]]]], W), ValueError, ["x", "uneven"]),
    "x masked": (conv(np.ma.masked_array(X, X > 0), W), TypeError, ["x", "masked", "filled"]),
    "x None": (conv(None, W), TypeError, ["x"]),
    "x flat": (conv(X[0, 0], W), ValueError, ["x", "(9, 8)", "4"]),
    "x with too many axes": (conv(X[None], W), ValueError, ["x", "(1, 2, 4, 9, 8)"]),
    "weight of another dtype": (conv(X, W.astype(float)), TypeError, ["weight", "float64", "float32"]),
    "weight None": (conv(X, None), TypeError, ["weight"]),
    "weight flat": (conv(X, W[0]), ValueError, ["weight", "(4, 3, 3)"]),
    "weight with other channels": (conv(X, W[:, :3]), ValueError, ["weight", "3", "4"]),
    "weight without taps": (conv(X, W[..., :0]), ValueError, ["weight", "0"]),
    "kernel larger than the image": (conv(X[:, :, :2], W), ValueError, ["weight", "3", "2"]),
    "dilated kernel larger than the image": (conv(X, W, dilation=5), ValueError, ["dilation", "9"]),
    "bias of another dtype": (conv(X, W, B.astype(float)), TypeError, ["bias", "float64", "float32"]),
    "bias too short": (conv(X, W, B[:5]), ValueError, ["bias", "5", "6"]),
    "bias of two axes": (conv(X, W, B[None]), ValueError, ["bias", "(1, 6)"]),
    "stride zero": (conv(X, W, stride=0), ValueError, ["stride", "0"]),
    "stride negative": (conv(X, W, stride=(1, -2)), ValueError, ["stride", "-2"]),
    "stride of three": (conv(X, W, stride=(1, 1, 1)), ValueError, ["stride", "(1, 1, 1)", "2"]),
    "stride a fraction": (conv(X, W, stride=1.5), TypeError, ["stride", "1.5"]),
    "stride text": (conv(X, W, stride="2"), TypeError, ["stride", "2"]),
    "padding negative": (conv(X, W, padding=-1), ValueError, ["padding", "-1"]),
    "padding unknown": (conv(X, W, padding="sane"), ValueError, ["padding", "sane", "same", "valid", "full"]),
    "padding a fraction": (conv(X, W, padding=0.5), TypeError, ["padding", "0.5"]),
    "padding of three": (conv(X, W, padding=(1, 1, 1)), ValueError, ["padding", "(1, 1, 1)"]),
    "padding of triples": (conv(X, W, padding=((1, 1, 1), (1, 1, 1))), ValueError, ["padding"]),
    "padding None": (conv(X, W, padding=None), TypeError, ["padding", "None"]),
    "dilation zero": (conv(X, W, dilation=0), ValueError, ["dilation", "0"]),
    "dilation of three": (conv(X, W, dilation=(2, 1, 1)), ValueError, ["dilation", "(2, 1, 1)"]),
    "groups zero": (conv(X, W, groups=0), ValueError, ["groups", "0"]),
    "groups negative": (conv(X, W, groups=-2), ValueError, ["groups", "-2"]),
    "groups that do not divide": (conv(X, W, groups=3), ValueError, ["groups", "3", "4"]),
    "groups that do not divide the outputs": (conv(X, W[:5, :2], groups=2), ValueError, ["groups", "2", "5"]),
    "groups a fraction": (conv(X, W, groups=1.0), TypeError, ["groups", "1.0"]),
    "padding_mode unknown": (conv(X, W, padding_mode="mirror"), ValueError, ["padding_mode", "mirror", "reflect"]),
    "padding_mode None": (conv(X, W, padding_mode=None), (TypeError, ValueError), ["padding_mode", "None"]),
    "layout unknown": (conv(X, W, layout="CHWN"), ValueError, ["layout", "CHWN", "NHWC"]),
    "layout of another rank": (conv(X, W, layout="NWC"), ValueError, ["layout", "NWC"]),
    "activation unknown": (conv(X, W, activation="gelu"), ValueError, ["activation", "gelu", "relu"]),
    "activation bounds exchanged": (conv(X, W, activation=(6, 0)), ValueError, ["activation", "6", "0"]),
    "activation bounds NaN": (conv(X, W, activation=(0, np.nan)), ValueError, ["activation", "nan"]),
    "activation of three": (conv(X, W, activation=(0, 1, 2)), (TypeError, ValueError), ["activation", "(0, 1, 2)"]),
    "activation a function": (conv(X, W, activation=np.tanh), TypeError, ["activation"]),
    "algorithm unknown": (conv(X, W, algorithm="fastest"), ValueError, ["algorithm", "fastest", "auto", "direct"]),
    "accuracy unknown": (conv(X, W, accuracy="high"), ValueError, ["accuracy", "high", "default", "strict"]),
    "residual of another shape": (conv(X, W, residual=Y[:1]), ValueError, ["residual", "(1, 6, 7, 6)", "(2, 6, 7, 6)"]),
    "residual of another dtype": (conv(X, W, residual=Y.astype(float)), TypeError, ["residual", "float64", "float32"]),
    "out of another shape": (conv(X, W, out=Y[..., 1:]), ValueError, ["out", "(2, 6, 7, 5)", "(2, 6, 7, 6)"]),
    "out of another dtype": (conv(X, W, out=Y.astype(float)), TypeError, ["out", "float64", "float32"]),
    "out read-only": (conv(X, W, out=frozen(Y)), ValueError, ["out", "writ"]),
    "out of repeated memory": (
        conv(X, W, out=np.lib.stride_tricks.as_strided(Y, Y.shape, (0, 0, 0, 4))),
        ValueError,
        ["out"],
    ),
    "out a list": (conv(X, W, out=Y.tolist()), TypeError, ["out", "list"]),
    "rank of conv1d": (lambda: convkern.conv1d(X, W), ValueError, ["x", "(2, 4, 9, 8)", "3"]),
    "rank of conv3d": (lambda: convkern.conv3d(X, W), ValueError, ["weight", "(6, 4, 3, 3)", "5"]),
    "transposed weight": (
        lambda: convkern.conv_transpose2d(X, W),
        ValueError,
        ["weight", "6", "4"],
    ),
    "output_padding too large": (
        lambda: convkern.conv_transpose2d(X, W[:4], output_padding=1),
        ValueError,
        ["output_padding", "1"],
    ),
    "output_padding negative": (
        lambda: convkern.conv_transpose2d(X, W[:4], stride=2, output_padding=-1),
        ValueError,
        ["output_padding", "-1"],
    ),
    "transposed padding that leaves nothing": (
        lambda: convkern.conv_transpose2d(X, W[:4], padding=6),
        ValueError,
        ["padding", "6"],
    ),
    "input_shape of another batch": (
        lambda: convkern.conv_grad_input(Y, W, (1, 4, 9, 8)),
        ValueError,
        ["grad", "(2, 6, 7, 6)", "(1, 6, 7, 6)"],
    ),
    "input_shape of another size": (
        lambda: convkern.conv_grad_input(Y, W, (2, 4, 19, 8)),
        ValueError,
        ["grad", "(2, 6, 7, 6)", "(2, 6, 17, 6)"],
    ),
    "input_shape of other channels": (
        lambda: convkern.conv_grad_input(Y, W, (2, 5, 9, 8)),
        ValueError,
        ["input_shape", "5", "4"],
    ),
    "input_shape negative": (
        lambda: convkern.conv_grad_input(Y, W, (2, 4, -9, 8)),
        ValueError,
        ["input_shape", "-9"],
    ),
    "weight_shape of other channels": (
        lambda: convkern.conv_grad_weight(Y, X, (6, 5, 3, 3)),
        ValueError,
        ["weight", "(6, 5, 3, 3)", "4"],
    ),
    "weight_shape of another kernel": (
        lambda: convkern.conv_grad_weight(Y, X, (6, 4, 5, 3)),
        ValueError,
        ["grad", "(2, 6, 7, 6)", "(2, 6, 5, 6)"],
    ),
    "grad of another dtype": (
        lambda: convkern.conv_grad_weight(Y.astype(float), X, W.shape),
        TypeError,
        ["float64", "float32"],
    ),
    "x_shape of plan": (lambda: convkern.plan((2, 4, 9), W), ValueError, ["x_shape", "(2, 4, 9)"]),
    "x_shape with a fraction": (lambda: convkern.plan((2, 4, 9, 8.0), W), TypeError, ["x_shape", "8.0"]),
    "plan on another shape": (
        lambda: convkern.plan(X.shape, W)(X[:1]),
        ValueError,
        ["x", "(1, 4, 9, 8)", "(2, 4, 9, 8)"],
    ),
    "plan on another dtype": (
        lambda: convkern.plan(X.shape, W)(X.astype(float)),
        TypeError,
        ["x", "float64", "float32"],
    ),
    "plan on a list": (lambda: convkern.plan(X.shape, W)(7), (TypeError, ValueError), ["x"]),
    "explain with too few sizes": (lambda: convkern.explain((4,), W.shape), ValueError, ["x_shape"]),
    "threads zero": (lambda: convkern.set_num_threads(0), ValueError, ["0", "1"]),
    "threads negative": (lambda: convkern.set_num_threads(-3), ValueError, ["-3"]),
    "threads beyond reason": (lambda: convkern.set_num_threads(10**9), ValueError, ["threads", "1000000000", "1024"]),
    "threads a fraction": (lambda: convkern.set_num_threads(1.5), TypeError, ["1.5"]),
    "config of an unknown isa": (lambda: convkern.config(isa="sse9").__enter__(), ValueError, ["isa", "sse9", "odd"]),
    "config of an unknown name": (lambda: convkern.config(speed=9).__enter__(), TypeError, ["speed"]),
}


@pytest.mark.parametrize(("call", "exception", "words"), CALLS.values(), ids=CALLS)
def test_wrong_call(call, exception, words):
    with pytest.raises(exception) as caught:
        call()
    text = str(caught.value)
    missing = [word for word in words if word.lower() not in text.lower()]
    assert not missing, f"{missing} not in: {text}"
    assert "\n" not in text.strip()
    assert len(text) < 400


def test_a_failed_call_leaves_out_alone():
    out = Y.copy()
    for wrong in ({"bias": B[:5]}, {"residual": Y[:1]}, {"stride": 0}, {"algorithm": "fastest"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            convkern.conv2d(X, W, out=out, **wrong)
    np.testing.assert_array_equal(out, Y)


def test_a_refused_algorithm_says_why():
    with convkern.config(max_workspace=0), pytest.raises(ValueError, match=r"im2col.*workspace"):
        convkern.conv2d(X, W, algorithm="im2col")
