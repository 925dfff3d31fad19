"""The table of a model, and the arithmetic in it."""

import numpy as np
import pytest

from convkern import nn


def test_parameters_of_a_lenet_like_net():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dense(400, 120), nn.ReLU(), nn.Dense(120, 84), nn.ReLU(), nn.Dense(84, 10),
    )  # fmt: skip
    table = model.summary((1, 3, 32, 32))
    assert [row.parameters for row in table.rows if row.parameters] == [608, 3216, 48120, 10164, 850]
    assert table.parameters == sum(array.size for array in model.parameters().values()) == 62958
    assert [row.field for row in table.rows][:6] == [(5, 5), (5, 5), (6, 6), (14, 14), (14, 14), (16, 16)]
    assert table.multiply_adds == 28 * 28 * 8 * 75 + 10 * 10 * 16 * 200 + 400 * 120 + 120 * 84 + 84 * 10
    assert model.summary((4, 3, 32, 32)).multiply_adds == 4 * table.multiply_adds
    assert table.output_shape == (1, 10)
    lines = str(table).splitlines()
    assert lines[1].split()[:2] == ["0", "Conv2d"]
    assert "62,958" in lines[-1]
    assert len({len(line.split("  ")) for line in lines}) >= 1


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, dilation=2), nn.MaxPool2d(2), nn.Conv2d(1, 1, (1, 5))],
        [nn.Conv2d(1, 1, 5, 2), nn.AvgPool2d(3, 2), nn.Conv2d(1, 1, 3)],
        [nn.Residual(nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 5, padding=2)), nn.Conv2d(1, 1, 3)],
        [nn.MaxPool2d(2), nn.Conv2d(1, 1, 3), nn.ConvTranspose2d(1, 1, 2, 2), nn.Conv2d(1, 1, 3)],
        [nn.AvgPool2d(2), nn.Upsample(scale_factor=2), nn.Conv2d(1, 1, 3)],
    ],
    ids=["dilated", "strided", "branches", "transposed", "upsampled"],
)
def test_the_receptive_field_is_what_gradients_reach(layers):
    """All weights 1: the inputs with a gradient are the receptive field; of shifted outputs the largest counts."""
    model = nn.Sequential(*layers).astype("float64").to_layout("NCHW")
    for array in model.parameters().values():
        array[...] = 1
    x = np.random.default_rng(0).random((1, 1, 48, 48)) + 1
    y = model(x)
    seen = np.zeros(2, int)
    for dy in range(2):
        for dx in range(2):
            grad = np.zeros_like(y)
            grad[0, 0, y.shape[2] // 2 + dy, y.shape[3] // 2 + dx] = 1
            model(x)
            touched = np.argwhere(model.backward(grad)[0, 0])
            seen = np.maximum(seen, np.ptp(touched, axis=0) + 1)
    stated = model.summary(x.shape).rows[-1].field
    if any(isinstance(layer, nn.MaxPool2d) for layer in layers):  # gradients pass through one element of a window
        assert (np.array(stated) >= seen).all()
        assert (np.array(stated) <= seen + 8).all()
    else:
        assert stated == tuple(seen)


def test_global_pooling_and_dense_layers_see_all():
    table = nn.Sequential(nn.Conv2d(1, 2, 3), nn.GlobalAvgPool2d(), nn.Flatten(), nn.Dense(2, 1)).summary((1, 1, 9, 9))
    assert [line.split()[-1] for line in str(table).splitlines()[2:5]] == ["all", "all", "all"]


def test_one_axis_three_axes_and_none():
    assert nn.Sequential(nn.Conv1d(1, 1, 7)).summary((1, 1, 20)).rows[0].field == (7,)
    assert nn.Sequential(nn.Conv3d(1, 1, (1, 2, 3))).summary((1, 1, 4, 4, 4)).rows[0].field == (1, 2, 3)
    assert nn.Sequential(nn.ReLU(), nn.Dense(3, 2)).summary((1, 3)).rows[0].field is None
    assert nn.Dense(3, 2).summary((5, 3)).multiply_adds == 30
    assert nn.Siamese(nn.Dense(3, 2)).summary(((5, 3), (5, 3))).multiply_adds == 60


def test_a_shape_that_does_not_fit_names_the_layer():
    with pytest.raises(nn.LayerError, match=r"layer 1 \(Dense.*\(2, 3\).*\(N, 4\)"):
        nn.Sequential(nn.ReLU(), nn.Dense(4, 2)).summary((2, 3))
