"""Activations, norms, softmax, padding, rearranging: against exact formulas; gradients by central differences."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from views import DISGUISES

import convkern
from convkern import _core

DTYPES = (np.float32, np.float64)
ISAS = _core.supported_isas()


def exact(name):
    """Map a name to (the function in long double, the range tested, units in the last place it may be off)."""
    long = np.longdouble

    def normal(x):  # a series of positive terms; above -2 the last difference costs few digits
        term = total = x
        for n in range(1, 120):
            term = term * x * x / (2 * n + 1)
            total = total + term
        return long(0.5) + total * np.exp(-x * x / 2) / np.sqrt(2 * np.arccos(long(-1)))

    alpha, scale = long(1.6732632423543772), long(1.0507009873554805)
    table = {
        "elu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), 20, 2),
        "selu": (lambda x: scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))), 20, 3),
        "gelu": (lambda x: x * normal(x), (-2, 6), 7),
        "silu": (lambda x: x / (1 + np.exp(-x)), 40, 3),
        "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 40, 3),
        "tanh": (np.tanh, 12, 3),
        "softplus": (lambda x: np.where(x > 20, x, np.log1p(np.exp(x))), 40, 3),
    }
    return table[name]


@pytest.mark.grid
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["elu", "selu", "gelu", "silu", "sigmoid", "tanh", "softplus"])
def test_stated_errors(name, dtype, isa):
    function, reach, ulps = exact(name)
    rng = np.random.default_rng(0)
    low, high = reach if isinstance(reach, tuple) else (-reach, reach)
    x = np.concatenate([rng.uniform(low, high, 20001), rng.normal(size=5000) * 1e-3]).astype(dtype)
    right = function(x.astype(np.longdouble))
    with convkern.config(isa=isa):
        y = getattr(convkern, name)(x)
    unit = np.maximum(np.spacing(np.abs(right).astype(dtype)), np.finfo(dtype).tiny)
    error = np.abs(y.astype(np.longdouble) - right) / unit
    assert error.max() <= ulps, (x[error.argmax()], y[error.argmax()], error.max())


@pytest.mark.parametrize("isa", ISAS)
def test_gelu_far_below_zero(isa):
    x = np.linspace(-12, -2, 20001, dtype=np.float32)  # further down the probability is no normal number
    right = x * special.ndtr(x.astype(np.float64))
    with convkern.config(isa=isa):
        error = np.abs(convkern.gelu(x) - right) / np.spacing(np.abs(right).astype(np.float32))
        assert error.max() <= 14
        assert not convkern.gelu(np.array([-15.0, -1e30], np.float32)).any()


FUNCTIONS = {
    "relu": (),
    "relu6": (),
    "leaky_relu": (0.2,),
    "elu": (0.7,),
    "selu": (),
    "gelu": (),
    "gelu ": ("tanh",),
    "silu": (),
    "hardswish": (),
    "sigmoid": (),
    "tanh": (),
    "softplus": (2.0, 3.0),
}
OF_OUTPUT = ("sigmoid", "tanh")


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_by_central_differences(name, isa):
    f = functools.partial(lambda x, run, more: run(x, *more), run=getattr(convkern, name.strip()), more=FUNCTIONS[name])
    rng = np.random.default_rng(0)
    x = np.round(rng.uniform(-8, 8, 203), 2) + 0.005  # kinks lie at whole numbers
    grad = rng.normal(size=x.shape)
    with convkern.config(isa=isa):
        source = f(x) if name in OF_OUTPUT else x
        dx = getattr(convkern, f"{name.strip()}_grad")(grad, source, *FUNCTIONS[name])
        right = grad * (f(x + 1e-5) - f(x - 1e-5)) / 2e-5
    np.testing.assert_allclose(dx, right, rtol=2e-6, atol=2e-9)
    single = getattr(convkern, f"{name.strip()}_grad")(grad.astype("f"), source.astype("f"), *FUNCTIONS[name])
    np.testing.assert_allclose(single, dx, rtol=3e-5, atol=3e-6)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_stays_and_infinity_has_its_limit(name, dtype, isa):
    run = functools.partial(getattr(convkern, name.strip()))
    x = np.zeros(37, dtype)
    x[[3, 36]] = np.nan
    with convkern.config(isa=isa):
        y = run(x, *FUNCTIONS[name])
        assert np.isnan(y[[3, 36]]).all()
        assert np.isfinite(np.delete(y, [3, 36])).all()
        top = run(np.array([np.inf], dtype), *FUNCTIONS[name])[0]
    assert top == {"relu6": 6, "sigmoid": 1, "tanh": 1}.get(name, np.inf)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_memory_in_place_and_threads(name):
    run = functools.partial(getattr(convkern, name.strip()))
    x = np.random.default_rng(0).normal(size=(3, 7, 11)).astype(np.float32)
    right = run(x, *FUNCTIONS[name])
    for disguise in DISGUISES.values():
        np.testing.assert_array_equal(run(disguise(x), *FUNCTIONS[name]), right)
    inplace = x.copy()
    assert run(inplace, *FUNCTIONS[name], out=inplace) is inplace
    np.testing.assert_array_equal(inplace, right)
    flat = np.arange(100.0, dtype=np.float32) / 50 - 1
    shifted = run(flat[:-1].copy(), *FUNCTIONS[name])
    run(flat[:-1], *FUNCTIONS[name], out=flat[1:])  # overlaps, but not as a whole
    np.testing.assert_array_equal(flat[1:], shifted)
    big = np.random.default_rng(1).normal(size=100003).astype(np.float32)
    results = []
    for threads in (1, 2, 4):
        convkern.set_num_threads(threads)
        results.append(run(big, *FUNCTIONS[name]))
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])


@pytest.mark.parametrize("isa", ISAS)
def test_denormals_count_as_zero_and_the_callers_mode_stays(isa):
    tiny = np.full(40, 1e-40, np.float32)
    with convkern.config(isa=isa):
        assert not convkern.leaky_relu(-tiny).any()
        assert not convkern.avg_pool1d(tiny.reshape(1, 1, 40), 2).any()
    assert (np.multiply(np.full(64, np.float32(2e-38)), np.float32(0.25)) > 0).all()


@pytest.mark.grid
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 1), (4, 10), (3, 33), (2, 7, 5), (2, 5, 40), (3, 1000)])
def test_softmax(shape, dtype, isa):
    rng = np.random.default_rng(0)
    x, grad = (rng.normal(size=shape).astype(dtype) * scale for scale in (4, 1))
    eps = np.finfo(dtype).eps
    with convkern.config(isa=isa):
        for dim in range(-1, len(shape) - 1):
            right = special.softmax(x.astype(np.longdouble), axis=dim)
            y, log = convkern.softmax(x, dim), convkern.log_softmax(x, dim)
            np.testing.assert_allclose(y, right.astype(dtype), rtol=20 * eps)
            np.testing.assert_allclose(log, np.log(right).astype(dtype), rtol=4 * eps, atol=8 * eps)
            dx = convkern.softmax_grad(grad, y, dim)
            np.testing.assert_allclose(dx, right * (grad - (grad * right).sum(dim, keepdims=True)), atol=40 * eps)
            dx = convkern.log_softmax_grad(grad, log, dim)
            np.testing.assert_allclose(dx, grad - right * grad.sum(dim, keepdims=True), atol=200 * eps)
        huge = convkern.softmax(np.array([1e4, 1e4 - 1, -1e4], dtype))
    np.testing.assert_allclose(huge, special.softmax([1.0, 0.0, -2e4]), rtol=20 * eps)


def layouts(x):
    yield x, None, lambda a: a
    if x.ndim > 2:
        layout = {3: "NWC", 4: "NHWC"}[x.ndim]
        yield np.ascontiguousarray(np.moveaxis(x, 1, -1)), layout, lambda a: np.moveaxis(a, -1, 1)


def differences(f, x, grad, step=1e-5):
    """Central differences of sum(grad f) in every element of x."""
    dx = np.zeros_like(x)
    for i in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        dx[i] = ((f(up) - f(down)) * grad).sum() / (2 * step)
    return dx


@pytest.mark.grid
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", [(6, 5), (4, 3, 7), (3, 18, 5, 4), (2, 3, 40, 41)])
def test_batch_norm(shape, training, isa):
    rng = np.random.default_rng(0)
    c, axes = shape[1], (0, *range(2, len(shape)))
    column = (slice(None), *(None,) * (len(shape) - 2))
    x = rng.normal(3, 2, shape)
    weight, bias, mean, var = rng.normal(size=c), rng.normal(size=c), rng.normal(size=c), rng.uniform(1, 2, c)
    used_mean, used_var = (x.mean(axes), x.var(axes)) if training else (mean, var)
    right = (x - used_mean[column]) / np.sqrt(used_var[column] + 1e-5) * weight[column] + bias[column]
    count = x.size / c
    with convkern.config(isa=isa):
        for dtype in DTYPES:
            for array, layout, back in layouts(x.astype(dtype)):
                rm, rv = mean.astype(dtype), var.astype(dtype)
                y = convkern.batch_norm(array, rm, rv, weight, bias, training, layout=layout)
                np.testing.assert_allclose(back(y), right, atol=100 * np.finfo(dtype).eps)
                wanted = (0.9 * mean + 0.1 * used_mean, 0.9 * var + 0.1 * used_var * count / (count - 1))
                for running, value in zip((rm, rv), wanted if training else (mean, var), strict=True):
                    np.testing.assert_allclose(running, value.astype(dtype), rtol=20 * np.finfo(dtype).eps, atol=1e-7)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("layout", [None, "NWC"])
def test_batch_norm_gradients(layout, training):
    rng = np.random.default_rng(0)
    x, grad = rng.normal(size=(3, 4, 4)), rng.normal(size=(3, 4, 4))
    mean, var, weight, bias = rng.normal(size=4), rng.uniform(1, 2, 4), rng.normal(size=4), rng.normal(size=4)

    def f(x=x, weight=weight, bias=bias):
        return convkern.batch_norm(x, mean.copy(), var.copy(), weight, bias, training, layout=layout)

    stats = convkern.batch_norm(x, mean.copy(), var.copy(), weight, bias, training, layout=layout, return_stats=True)[
        1:
    ]
    dx, dweight, dbias = convkern.batch_norm_grad(grad, x, *stats, weight, training, layout=layout)
    np.testing.assert_allclose(dx, differences(lambda a: f(x=a), x, grad), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(dweight, differences(lambda a: f(weight=a), weight, grad), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(dbias, differences(lambda a: f(bias=a), bias, grad), rtol=1e-6, atol=1e-8)


def test_batch_statistics_far_from_zero():
    x = (1e4 + np.random.default_rng(0).normal(size=(64, 3, 30, 30))).astype(np.float32)
    for array, layout, _ in layouts(x):
        _, mean, invstd = convkern.batch_norm(array, None, None, training=True, layout=layout, return_stats=True)
        np.testing.assert_allclose(mean, x.mean((0, 2, 3), dtype=np.float64), rtol=1e-7)
        np.testing.assert_allclose(invstd, 1 / np.sqrt(x.var((0, 2, 3), dtype=np.float64) + 1e-5), rtol=1e-4)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_local_response_norm(size):
    rng = np.random.default_rng(0)
    x, grad = rng.normal(size=(2, 5, 3, 2)), rng.normal(size=(2, 5, 3, 2))
    total = np.zeros_like(x)
    for c in range(5):
        for other in range(c - size // 2, c + (size - 1) // 2 + 1):
            if 0 <= other < 5:
                total[:, c] += x[:, other] ** 2
    right = x / (2 + 0.3 / size * total) ** 0.6
    for array, layout, back in layouts(x):
        settings = {"alpha": 0.3, "beta": 0.6, "k": 2.0, "layout": layout}
        y = convkern.local_response_norm(array, size, **settings)
        np.testing.assert_allclose(back(y), right, rtol=1e-13)
        run = functools.partial(convkern.local_response_norm, size=size, **settings)
        g = np.ascontiguousarray(np.moveaxis(grad, 1, -1)) if layout else grad
        dx = convkern.local_response_norm_grad(g, array, size, **settings)
        np.testing.assert_allclose(dx, differences(run, array, g), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("count", [1, 6])
def test_prelu(count):
    rng = np.random.default_rng(0)
    x, grad, weight = rng.normal(size=(3, 6, 5)), rng.normal(size=(3, 6, 5)), rng.normal(size=count)
    for array, layout, back in layouts(x):
        g = np.ascontiguousarray(np.moveaxis(grad, 1, -1)) if layout else grad
        y = back(convkern.prelu(array, weight, layout=layout))
        np.testing.assert_array_equal(y, np.where(x > 0, x, np.broadcast_to(weight, 6)[:, None] * x))
        dx, dweight = convkern.prelu_grad(g, array, weight, layout=layout)
        of_x = functools.partial(convkern.prelu, weight=weight, layout=layout)
        of_weight = functools.partial(convkern.prelu, array, layout=layout)
        np.testing.assert_allclose(dx, differences(of_x, array, g), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(dweight, differences(of_weight, weight, g), rtol=1e-6, atol=1e-8)


MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap", "symmetric": "symmetric"}


@given(st.data())
def test_pad(data):
    shape = tuple(data.draw(st.integers(1, 6)) for _ in range(3))
    mode = data.draw(st.sampled_from(["constant", *MODES]))
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 1
    widths, cropped = [], []
    for size in shape:
        low, high = (data.draw(st.integers(-min(2, (size - 1) // 2), 3)) for _ in range(2))
        inner = size + min(low, 0) + min(high, 0)
        most = {"reflect": inner - 1, "circular": inner, "symmetric": inner}.get(mode, 99)
        widths.append((min(low, most), min(high, most)))
        cropped.append(slice(max(-widths[-1][0], 0), size - max(-widths[-1][1], 0)))
    flat = [side for pair in reversed(widths) for side in pair]
    added = [(max(low, 0), max(high, 0)) for low, high in widths]
    more = {"constant_values": 7} if mode == "constant" else {}
    right = np.pad(x[tuple(cropped)], added, MODES.get(mode, "constant"), **more)
    value = 7 if mode == "constant" else None
    y = convkern.pad(x, flat, mode, value)
    np.testing.assert_array_equal(y, right)
    grad = np.random.default_rng(0).integers(-9, 9, y.shape).astype(np.float64)
    dx = convkern.pad_grad(grad, flat, mode)
    assert dx.shape == shape
    # The adjoint: <pad(e), grad> = <e, pad_grad(grad)> for a linear pad.
    e = np.random.default_rng(1).integers(-9, 9, shape).astype(np.float64)
    assert (convkern.pad(e, flat, mode, 0 if mode == "constant" else None) * grad).sum() == (e * dx).sum()


def test_pad_in_a_layout_skips_the_channels():
    x = np.ones((1, 3, 4, 2))
    y = convkern.pad(x, (1, 2, 3, 0), layout="NHWC")
    assert y.shape == (1, 6, 7, 2)
    assert convkern.pad_grad(y, (1, 2, 3, 0), layout="NHWC").shape == x.shape
    out = np.full(y.shape, 5.0)
    assert convkern.pad(x, (1, 2, 3, 0), layout="NHWC", out=out) is out
    np.testing.assert_array_equal(out, y)


@pytest.mark.parametrize(("size", "kernel"), [((9,), (3,)), ((6, 7), (2, 3)), ((5, 4, 6), (2, 1, 3))])
def test_unfold_and_fold_are_adjoint_and_multiply_to_a_convolution(size, kernel):
    rng = np.random.default_rng(0)
    x, w = rng.integers(-4, 4, (2, 3, *size)).astype(float), rng.integers(-4, 4, (5, 3, *kernel)).astype(float)
    geometry = {"dilation": 1, "padding": 1, "stride": 2}
    columns = convkern.unfold(x, kernel, **geometry)
    y = getattr(convkern, f"conv{len(size)}d")(x, w, stride=2, padding=1)
    np.testing.assert_array_equal(np.matmul(w.reshape(5, -1), columns).reshape(y.shape), y)
    other = rng.integers(-4, 4, columns.shape).astype(float)
    image = convkern.fold(other, size, kernel, **geometry)
    assert (columns * other).sum() == (x * image).sum()


@pytest.mark.parametrize("layout", [None, "NHWC"])
def test_pixel_shuffle(layout):
    x = np.arange(2 * 12 * 3 * 5.0).reshape(2, 12, 3, 5)
    right = np.zeros((2, 3, 6, 10))
    for c, a, b in np.ndindex(3, 2, 2):
        right[:, c, a::2, b::2] = x[:, 4 * c + 2 * a + b]
    array = np.moveaxis(x, 1, -1) if layout else x
    y = convkern.pixel_shuffle(array, 2, layout=layout)
    np.testing.assert_array_equal(np.moveaxis(y, -1, 1) if layout else y, right)
    np.testing.assert_array_equal(convkern.pixel_unshuffle(y, 2, layout=layout), array)


X = np.ones((2, 3, 4, 4), np.float32)
BAD = {
    "x: got dtype": (TypeError, lambda: convkern.relu(np.ones(3, int))),
    "approximate": (ValueError, lambda: convkern.gelu(X, "erf")),
    "beta": (ValueError, lambda: convkern.softplus(X, 0)),
    "dim": (ValueError, lambda: convkern.softmax(X, 4)),
    "weight": (ValueError, lambda: convkern.prelu(X, np.ones(2))),
    "grad: got shape": (ValueError, lambda: convkern.relu_grad(X[:1], X)),
    "out: got shape": (ValueError, lambda: convkern.relu(X, out=X[:1].copy())),
    "running_mean: got shape": (ValueError, lambda: convkern.batch_norm(X, np.ones(2), np.ones(3))),
    "running_mean": (ValueError, lambda: convkern.batch_norm(X, None, None)),
    "more than one value": (ValueError, lambda: convkern.batch_norm(X[:1, :, :1, :1], None, None, training=True)),
    "size": (ValueError, lambda: convkern.local_response_norm(X, 0)),
    "mode": (ValueError, lambda: convkern.pad(X, (1, 1), "mirror")),
    "pad: got 5": (ValueError, lambda: convkern.pad(X, (5, 5), "circular")),
    "pad": (ValueError, lambda: convkern.pad(X, (1, 1, 1))),
    "upscale_factor": (ValueError, lambda: convkern.pixel_shuffle(X, 2)),
    "downscale_factor": (ValueError, lambda: convkern.pixel_unshuffle(X, 3)),
    "kernel_size": (ValueError, lambda: convkern.unfold(X, 5)),
    "windows for": (ValueError, lambda: convkern.fold(X[0], (4, 4), 2)),
}


@pytest.mark.parametrize("message", BAD)
def test_errors_name_the_argument(message):
    kind, run = BAD[message]
    with pytest.raises(kind, match=message):
        run()


def test_empty_arrays():
    assert convkern.relu(np.ones((0, 3))).shape == (0, 3)
    assert convkern.softmax(np.ones((0, 3))).shape == (0, 3)
    assert convkern.softmax(np.ones((3, 0))).shape == (3, 0)
    assert convkern.batch_norm(np.ones((0, 3)), np.ones(3), np.ones(3)).shape == (0, 3)
