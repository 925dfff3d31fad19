"""Combinators: names, taps, errors with a path, shared weights, and gradients that only some outputs have."""

import numpy as np
import pytest
from gradients import check_layer, difference, draw, some

from convkern import nn


def net():
    inner = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, rng=1), nn.Tanh())
    return nn.Sequential(
        conv=nn.Conv2d(3, 4, 3, rng=0), act=nn.Sigmoid(), block=nn.Residual(inner), head=nn.Conv2d(4, 2, 1, rng=2)
    )


def test_names_are_positions_or_given():
    assert list(nn.Sequential(nn.Dense(2, 2), nn.ReLU()).state_dict()) == ["0.weight", "0.bias"]
    assert "block.0.0.weight" in net().state_dict()
    assert list(nn.Sequential({"a": nn.Dense(1, 1), "b": nn.ReLU()}).layers) == ["a", "b"]
    with pytest.raises(KeyError, match="nope"):
        net().find("block.nope")
    with pytest.raises(ValueError, match="dot"):
        nn.Sequential({"a.b": nn.ReLU()})
    with pytest.raises(TypeError, match="function"):
        nn.Sequential(nn.ReLU(), lambda x: x)
    layer = nn.ReLU()
    with pytest.raises(ValueError, match="twice"):
        nn.Sequential(layer, nn.Sequential(layer))


def test_taps_return_inner_outputs_and_leave_nothing_behind():
    model, x = net(), draw((2, 3, 6, 6)).astype(np.float32)
    y, taps = model(x, taps=["conv", "block.0.1"])
    np.testing.assert_array_equal(y, model(x))
    np.testing.assert_array_equal(taps["conv"], model.layers["conv"](x))
    assert taps["block.0.1"].shape == (2, 4, 4, 4)
    assert all(layer.tap is None and not layer.tapped for _, layer in model.named_layers())
    with pytest.raises(KeyError):
        model(x, taps=["nothing"])


def test_a_tap_is_not_what_a_later_layer_made_of_it_in_place():
    model = nn.Sequential(nn.Conv2d(1, 2, 1, rng=0), nn.ReLU(inplace=True))
    y, taps = model(draw((1, 1, 3, 3)).astype(np.float32), taps=["0"])
    assert taps["0"].min() < 0 <= y.min()


@pytest.mark.parametrize("with_output", [True, False])
@pytest.mark.parametrize("paths", [["conv"], ["act", "block.0.0"], ["block", "block.0.1", "conv"]])
def test_gradients_of_taps_reach_the_input(paths, with_output):
    model, x = net().astype("float64"), draw((2, 3, 6, 6))
    y, taps = model(x, taps=paths)
    rng = np.random.default_rng(0)
    weights = {path: rng.standard_normal(tap.shape) for path, tap in taps.items()}
    top = rng.standard_normal(y.shape) if with_output else None

    def value():
        y, taps = model(x, taps=paths)
        total = 0.0 if top is None else np.vdot(y, top)
        return total + sum(np.vdot(taps[path], weights[path]) for path in paths)

    dx = model.backward(top, taps=weights)
    for index in some(x.shape, rng):
        assert dx[index] == pytest.approx(difference(value, x, index), rel=1e-5, abs=1e-7)
    model(x)
    assert all(layer.tap_grad is None for _, layer in model.named_layers())


def test_a_gradient_of_another_shape_is_refused():
    model, x = net().astype("float64"), draw((2, 3, 6, 6))
    y = model(x)
    with pytest.raises(ValueError, match="taps"):
        model.backward(np.ones_like(y), taps={"act": np.ones((1, 1))})


def test_the_path_leads_through_all_combinators():
    wrong = nn.Sequential(nn.Residual(nn.Identity(), nn.Sequential(nn.Skip(nn.Concat(nn.Conv2d(9, 1, 1))))))
    for call in (lambda: wrong(np.ones((1, 3, 4, 4), np.float32)), lambda: wrong.output_shape((1, 3, 4, 4))):
        with pytest.raises(nn.LayerError) as caught:
            call()
        assert caught.value.path == "0.1.0.0.0"
        assert "(1, 3, 4, 4)" in str(caught.value)
        assert "(N, 9, H, W)" in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Residual(nn.Conv2d(3, 4, 1)), ["(1, 4, 4, 4)", "(1, 3, 4, 4)"]),
        (lambda: nn.Concat(nn.Conv2d(3, 4, 3), nn.Identity()), ["(1, 4, 2, 2)", "(1, 3, 4, 4)"]),
        (lambda: nn.Skip(nn.MaxPool2d(2)), ["(1, 3, 2, 2)", "(1, 3, 4, 4)"]),
        (lambda: nn.Scale(nn.Conv2d(3, 5, 1)), ["(1, 5, 4, 4)", "(1, 3, 4, 4)"]),
    ],
)
def test_branches_that_do_not_fit_are_named_with_their_shapes(make, words):
    model = nn.Sequential(nn.Identity(), make())
    for call in (lambda: model(np.ones((1, 3, 4, 4), np.float32)), lambda: model.output_shape((1, 3, 4, 4))):
        with pytest.raises(nn.LayerError) as caught:
            call()
        assert caught.value.path == "1"
        assert all(word in str(caught.value) for word in words)


def test_a_dtype_that_does_not_fit_names_the_layer():
    with pytest.raises(TypeError) as caught:
        net()(np.ones((1, 3, 6, 6)))
    assert "conv" in str(caught.value.__notes__)


def test_three_branches_and_a_gate_without_axes():
    check_layer(
        nn.Residual(nn.Conv2d(3, 2, 1, rng=0), nn.Conv2d(3, 2, 1, rng=1), nn.Conv2d(3, 2, 1, rng=2)), draw((2, 3, 4, 4))
    )
    gate = nn.Sequential(nn.GlobalAvgPool2d(), nn.Flatten(), nn.Dense(3, 3, rng=0), nn.Sigmoid())
    check_layer(nn.Scale(gate), draw((2, 3, 4, 4)))
    spatial = nn.Scale(nn.Sequential(nn.Conv2d(3, 1, 3, padding=1, rng=0), nn.Sigmoid()))
    check_layer(spatial, draw((2, 3, 4, 4)))


def test_siamese_shares_weights():
    model = nn.Siamese(nn.Sequential(nn.Conv2d(1, 2, 3, rng=0), nn.Tanh(), nn.Flatten(), nn.Dense(8, 3, rng=1))).astype(
        "float64"
    )
    a, b, c = (draw((2, 1, 4, 4), seed) for seed in range(3))
    loss = nn.Triplet(2.0)

    def value():
        return loss(model((a, b, c)))

    value()
    back = model.backward(loss.backward())
    gradient = model.gradients()["0.0.weight"].copy()
    weight = model.parameters()["0.0.weight"]
    for index in some(weight.shape, np.random.default_rng(0)):
        assert gradient[index] == pytest.approx(difference(value, weight, index), rel=1e-5, abs=1e-8)
    for dx, x in zip(back, (a, b, c), strict=True):
        index = (1, 0, 2, 2)
        assert dx[index] == pytest.approx(difference(value, x, index), rel=1e-5, abs=1e-8)
    np.testing.assert_allclose(model((a, b, c))[1], model.layers["0"](b))
    assert model.output_shape((a.shape, b.shape)) == ((2, 3), (2, 3))
    with pytest.raises(ValueError, match="Siamese"):
        model((a, draw((2, 1, 5, 5))))


def test_backward_weights_gives_the_same_gradients():
    model, x = net().astype("float64"), draw((2, 3, 6, 6))
    y = model(x)
    model.backward(y)
    wanted = {name: array.copy() for name, array in model.gradients().items()}
    model(x)
    model.backward_weights(y)
    assert all(np.array_equal(wanted[name], array) for name, array in model.gradients().items())


def test_predict_takes_batches_and_keeps_nothing():
    model, x = net().eval(), draw((5, 3, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(model.predict(x, batch_size=2), model(x), rtol=1e-5, atol=1e-6)
    model.predict(x)
    assert all(layer.saved is None for _, layer in model.named_layers())
