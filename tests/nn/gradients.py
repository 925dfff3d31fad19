"""The oracle of backward: central differences in float64, for the input and every parameter of a layer."""

import numpy as np

STEP = 1e-6
SAMPLES = 24  # elements of each array that are varied


def difference(function, array, index):
    """Central difference of a function without arguments in one element of an array."""
    kept = array[index]
    array[index] = kept + STEP
    above = function()
    array[index] = kept - STEP
    below = function()
    array[index] = kept
    return (above - below) / (2 * STEP)


def some(shape, rng):
    size = int(np.prod(shape))
    chosen = rng.choice(size, min(size, SAMPLES), replace=False)
    return [np.unravel_index(i, shape) for i in chosen]


def assert_close(got, wanted, where):
    assert abs(got - wanted) <= 2e-6 * max(1.0, abs(wanted)), f"{where}: backward {got}, differences {wanted}"


def check_layer(layer, x, training=True, seed=0):
    """Compares backward with differences of a random weighted sum of the output; returns the output."""
    rng = np.random.default_rng(seed)
    layer.astype(np.float64)
    state = {name: array.copy() for name, array in layer.state_dict().items()}
    y = layer.forward(x, training)
    weights = rng.standard_normal(y.shape)

    def value():
        return float(np.vdot(layer.forward(x, training), weights))

    assert layer.output_shape(x.shape) == y.shape
    layer.load_state_dict(state)  # running statistics as they were
    layer.forward(x, training)
    before = x.copy(), weights.copy()
    dx = layer.backward(weights)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(weights, before[1])
    assert dx.shape == x.shape
    assert dx.dtype == x.dtype
    gradients = {name: array.copy() for name, array in layer.gradients().items()}
    assert gradients.keys() == layer.parameters().keys()
    for index in some(x.shape, rng):
        assert_close(dx[index], difference(value, x, index), f"input {index}")
    for name, parameter in layer.parameters().items():
        assert gradients[name].shape == parameter.shape
        for index in some(parameter.shape, rng):
            assert_close(gradients[name][index], difference(value, parameter, index), f"{name} {index}")
    layer.load_state_dict(state)
    return y


def draw(shape, seed=0):
    """Values a good way apart from each other, so that no maximum or threshold lies within a step."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    return ((rng.permutation(size) - size / 2 + 0.3) * (4 / max(size, 1))).reshape(shape)
