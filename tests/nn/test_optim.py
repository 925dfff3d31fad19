"""Optimizers against their rules written out in float64, for every ISA, dtype, memory order, thread count."""

import math

import numpy as np
import pytest

import convkern
from convkern import _core, nn

ISAS = _core.supported_isas()
DTYPES = ("float32", "float64")
# Around a vector, around the core's pieces of 16384 elements, and enough for several threads.
SIZES = (0, 1, 3, 15, 16, 17, 33, 16383, 16385, 50001)


def sgd(p, g, state, o, t):
    g = g + o.weight_decay * p
    if o.momentum:
        state["velocity"] = o.momentum * state.get("velocity", 0) + g
        g = g + o.momentum * state["velocity"] if o.nesterov else state["velocity"]
    return p - o.lr * g


def adam(p, g, state, o, t):
    if o.decoupled:
        p = p * (1 - o.lr * o.weight_decay)
    else:
        g = g + o.weight_decay * p
    b1, b2 = o.betas
    state["mean"] = b1 * state.get("mean", 0) + (1 - b1) * g
    state["square"] = b2 * state.get("square", 0) + (1 - b2) * g * g
    return p - o.lr * (state["mean"] / (1 - b1**t)) / (np.sqrt(state["square"] / (1 - b2**t)) + o.eps)


def rmsprop(p, g, state, o, t):
    g = g + o.weight_decay * p
    state["square"] = o.alpha * state.get("square", 0) + (1 - o.alpha) * g * g
    g = g / (np.sqrt(state["square"]) + o.eps)
    if o.momentum:
        g = state["velocity"] = o.momentum * state.get("velocity", 0) + g
    return p - o.lr * g


OPTIMIZERS = {
    "sgd": (sgd, lambda m: nn.SGD(m, 0.1)),
    "sgd decay": (sgd, lambda m: nn.SGD(m, 0.1, weight_decay=0.01)),
    "momentum": (sgd, lambda m: nn.SGD(m, 0.1, 0.9, weight_decay=0.01)),
    "nesterov": (sgd, lambda m: nn.SGD(m, 0.1, 0.9, True)),
    "adam": (adam, lambda m: nn.Adam(m, 0.01, weight_decay=0.1)),
    "adamw": (adam, lambda m: nn.AdamW(m, 0.01, (0.8, 0.95), 1e-6, 0.1)),
    "rmsprop": (rmsprop, lambda m: nn.RMSprop(m, 0.01, 0.9, 1e-6, weight_decay=0.1)),
    "rmsprop momentum": (rmsprop, lambda m: nn.RMSprop(m, 0.01, momentum=0.8)),
}


class Parameters(nn.Layer):
    """A layer of nothing but parameters."""

    def __init__(self, **arrays):
        super().__init__()
        self.parameter_names = tuple(arrays)
        vars(self).update(arrays)


def draw(shape, dtype, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def model(dtype, sizes=SIZES):
    return Parameters(**{f"p{size}": draw(size, dtype, size) for size in sizes})


def walk(layer, optimizer, steps=4):
    """Some steps with drawn gradients; yields what it gave the optimizer."""
    for t in range(1, steps + 1):
        for name in layer.parameter_names:
            array = getattr(layer, name)
            layer.grad[name] = draw(array.shape, array.dtype, 100 * t + array.size)
        optimizer.step()
        yield t, layer.grad


@pytest.mark.grid
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_rules(name, dtype, isa):
    rule, make = OPTIMIZERS[name]
    layer = model(dtype)
    optimizer = make(layer)
    wanted = {key: getattr(layer, key).astype(np.float64) for key in layer.parameter_names}
    state = {key: {} for key in wanted}
    with convkern.config(isa=isa):
        for t, gradients in walk(layer, optimizer):
            for key, p in wanted.items():
                wanted[key] = rule(p, gradients[key].astype(np.float64), state[key], optimizer, t)
    rounding = 40 * np.finfo(dtype).eps  # four steps of a handful of operations, on numbers around 1
    for key, p in wanted.items():
        np.testing.assert_allclose(getattr(layer, key), p, rtol=rounding, atol=rounding)
        assert getattr(layer, key).dtype == dtype
        for slot in optimizer.slots:
            np.testing.assert_allclose(optimizer.state[slot][key], state[key][slot], rtol=rounding, atol=rounding)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_bits_do_not_depend_on_threads_or_neighbours(name, isa):
    before, found = convkern.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 7):
            convkern.set_num_threads(threads)
            layer = model("float32")
            with convkern.config(isa=isa):
                list(walk(layer, OPTIMIZERS[name][1](layer)))
            found.append(layer.state_dict())
    finally:
        convkern.set_num_threads(before)
    alone = model("float32", (50001,))
    with convkern.config(isa=isa):
        list(walk(alone, OPTIMIZERS[name][1](alone)))
    found.append(alone.state_dict())
    for other in found[1:]:
        for key, array in other.items():
            np.testing.assert_array_equal(array, found[0][key])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_element_does_not_depend_on_its_place(dtype, isa):
    values, gradients = draw(41, dtype, 1), draw(41, dtype, 2)
    results = []
    for order in (slice(None), slice(None, None, -1)):
        layer = Parameters(p=values[order].copy())
        layer.grad["p"] = gradients[order].copy()
        with convkern.config(isa=isa):
            nn.Adam(layer, 0.1).step()
        results.append(layer.p[order])
    np.testing.assert_array_equal(*results)


def memory_orders(values):
    """The same numbers in memory that the core cannot walk along."""
    wide = np.zeros((values.shape[0], 2 * values.shape[1]), values.dtype)
    bytes_ = np.zeros(values.nbytes + 1, np.uint8)
    return {
        "fortran": np.asfortranarray(values),
        "gaps": (lambda view: (view.__setitem__(..., values), view)[1])(wide[:, ::2]),
        "backwards": values[:, ::-1].copy()[:, ::-1],
        "swapped bytes": values.astype(values.dtype.newbyteorder()),
        "unaligned": (lambda view: (view.__setitem__(..., values), view)[1])(
            bytes_[1:].view(values.dtype).reshape(values.shape)
        ),
    }


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", memory_orders(np.zeros((2, 2))))
@pytest.mark.parametrize("name", ["momentum", "adamw", "rmsprop momentum"])
def test_parameters_and_gradients_in_any_memory(name, order, dtype):
    values = draw((37, 23), dtype, 5)
    plain, odd = Parameters(p=values.copy()), Parameters(p=memory_orders(values)[order])
    held = odd.p
    optimizers = OPTIMIZERS[name][1](plain), OPTIMIZERS[name][1](odd)
    for step in range(3):
        gradient = draw((37, 23), dtype, 50 + step)
        plain.grad["p"], odd.grad["p"] = gradient, memory_orders(gradient)[order]
        for optimizer in optimizers:
            optimizer.step()
    assert odd.p is held
    np.testing.assert_array_equal(odd.p, plain.p)
    assert not np.array_equal(odd.p, values)


def test_a_state_in_another_order_is_taken_over():
    plain, other = Parameters(p=draw((9, 5), "float32", 1)), Parameters(p=draw((9, 5), "float32", 1))
    first, second = nn.Adam(plain), nn.Adam(other)
    list(walk(plain, first, 2))
    list(walk(other, second, 1))
    for layer, optimizer in ((plain, first), (other, second)):
        layer.p[...] = 0
        optimizer.load_state_dict({"mean.p": np.asfortranarray(np.ones((9, 5), np.float32)),
                                   "square.p": np.ones((9, 5), ">f4")}, 3)  # fmt: skip
        list(walk(layer, optimizer, 1))
    np.testing.assert_array_equal(plain.p, other.p)
    assert first.state["mean"]["p"].mean() > 0.5


def test_tied_weights_are_updated_one_after_the_other():
    weight = draw((200, 200), "float32", 1)
    tied = Parameters(a=weight, b=weight.T)  # both write to the same memory
    tied.grad.update(a=np.ones((200, 200), np.float32), b=np.full((200, 200), 2, np.float32))
    before = weight.copy()
    nn.SGD(tied, 0.5).step()
    np.testing.assert_array_equal(weight, before - np.float32(0.5) - np.float32(1))


def test_both_dtypes_in_one_model():
    layer = Parameters(a=np.ones(5, np.float32), b=np.ones(5))
    layer.grad.update(a=np.ones(5), b=np.ones(5, np.float32))  # gradients of the other dtype are converted
    nn.SGD(layer, 0.25).step()
    np.testing.assert_array_equal(layer.a, np.full(5, 0.75, np.float32))
    np.testing.assert_array_equal(layer.b, np.full(5, 0.75))


@pytest.mark.parametrize("make", [nn.SGD, nn.Adam, nn.AdamW, nn.RMSprop])
@pytest.mark.parametrize(
    ("parameter", "gradient", "error", "message"),
    [
        (np.ones(3), np.ones(4), ValueError, r"gradient of p: got shape \(4,\), needs \(3,\)"),
        (np.ones(3, np.float16), np.ones(3, np.float16), TypeError, "p: got dtype float16, needs float32 or float64"),
        (np.ones(3, int), np.ones(3), TypeError, "p: got dtype int64, needs float32 or float64"),
        (np.broadcast_to(1.0, 3), np.ones(3), ValueError, "p: got a read-only array, needs one that can be updated"),
    ],
)
def test_bad_arrays_are_named_and_nothing_changes(make, parameter, gradient, error, message):
    layer = Parameters(a=np.ones(2), p=parameter)
    layer.grad.update(a=np.ones(2), p=gradient)
    optimizer = make(layer)
    with pytest.raises(error, match=message):
        optimizer.step()
    assert optimizer.steps == 0
    np.testing.assert_array_equal(layer.a, 1)


def test_the_core_refuses_what_does_not_fit():
    one, two = np.ones(3, np.float32), np.ones(4, np.float32)
    for parameters, gradients, states, message in (
        ([one], [two], (), "parameter: needs 4 elements"),
        ([one], [two[:3].astype(float)], (), "dtype"),
        ([one, one], [two], (), "lists of 2 and 1"),
        ([one], [one[::-1]], (), "C-contiguous"),
        ([one], [one], ([one], [one], [one]), "at most two"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            _core.update("sgd", parameters, gradients, states, {"rate": 1.0}, _core.get_isa())
    with pytest.raises(ValueError, match="adam needs more"):
        _core.update("adam", [one], [one.copy()], ([one.copy()],), {"rate": 1.0}, _core.get_isa())
    with pytest.raises(ValueError, match="isa"):
        _core.update("sgd", [one], [one.copy()], (), {"rate": 1.0}, "none")


def test_an_optimizer_of_ones_own_sees_flat_pieces():
    class Halves(nn.SGD):  # an update of one's own goes before the compiled rule of the class it derives from
        sizes = ()

        def update(self, p, g, state):
            self.sizes = (*self.sizes, p.size)
            p *= 0.5

    layer = Parameters(p=np.ones((200, 100), np.float32))
    layer.grad["p"] = np.zeros((200, 100), np.float32)
    optimizer = Halves(layer)
    optimizer.step()
    np.testing.assert_array_equal(layer.p, 0.5)
    assert sum(optimizer.sizes) == 20000
    assert max(optimizer.sizes) < 20000


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_clipping(dtype, isa):
    before, found = convkern.get_num_threads(), []
    for threads in (1, 2, 5):
        layer = model(dtype)
        for name in layer.parameter_names:
            layer.grad[name] = draw(getattr(layer, name).shape, dtype, getattr(layer, name).size + 7)
        given = {name: g.copy() for name, g in layer.grad.items()}
        exact = math.sqrt(math.fsum(float(v) ** 2 for g in given.values() for v in g))
        try:
            convkern.set_num_threads(threads)
            with convkern.config(isa=isa):
                norm = nn.clip_gradients(layer, 2.0)
                assert norm == pytest.approx(exact, rel=1e-12)
                for name, g in layer.grad.items():
                    np.testing.assert_allclose(g, given[name] * (2 / exact), rtol=4 * np.finfo(dtype).eps)
                assert nn.clip_gradients(layer, 3.0) == pytest.approx(2, rel=1e-5)
                nn.clip_values(layer, 0.001)
        finally:
            convkern.set_num_threads(before)
        for name, g in layer.grad.items():
            np.testing.assert_allclose(
                g, np.clip(given[name] * (2 / exact), -0.001, 0.001), rtol=4 * np.finfo(dtype).eps
            )
        found.append((norm, *(g.tobytes() for g in layer.grad.values())))
    assert found[0] == found[1] == found[2]


def test_clipping_of_odd_gradients():
    layer = Parameters(p=np.ones((4, 4), np.float32), q=np.ones(2))
    layer.grad.update(p=np.full((8, 8), 3, np.float32)[::2, ::2], q=np.array([np.nan, 4.0]))
    nn.clip_values(layer, 1.0)
    np.testing.assert_array_equal(layer.grad["p"], 1)
    np.testing.assert_array_equal(layer.grad["q"], [np.nan, 1])
    assert math.isnan(nn.clip_gradients(layer, 1.0))
    np.testing.assert_array_equal(layer.grad["p"], 1)  # no norm, nothing to scale by
    layer.grad["q"][0] = 3e200
    assert nn.clip_gradients(layer, 1.0) == math.inf
    np.testing.assert_array_equal(layer.grad["p"], 0)
    for limit in (-1.0, math.nan):
        with pytest.raises(ValueError, match="limit"):
            nn.clip_values(layer, limit)
    layer.grad["p"] = np.ones((4, 4), int)
    with pytest.raises(TypeError, match="gradient of p: got dtype int64"):
        nn.clip_gradients(layer, 1.0)
    assert nn.clip_gradients(Parameters(), 1.0) == 0
