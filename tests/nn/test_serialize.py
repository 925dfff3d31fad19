"""Models on disk: round trips to the bit, one list of everything that does not fit, and files that are none."""

import sys

import numpy as np
import pytest

from convkern import nn

pytest.importorskip("safetensors")


def net(channels=4, seed=0):
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, rng=seed),
        nn.BatchNorm2d(channels),
        nn.PReLU(),
        nn.Flatten(),
        nn.Dense(channels * 4, 2, rng=seed),
    )


def test_round_trip(tmp_path):
    a, b = net(), net(seed=1)
    a(np.random.default_rng(0).standard_normal((8, 3, 4, 4), dtype=np.float32))  # statistics of its own
    nn.save(a, tmp_path / "net.safetensors", {"note": "hello"})
    assert nn.load(b, tmp_path / "net.safetensors") is b
    for name, array in a.state_dict().items():
        np.testing.assert_array_equal(b.state_dict()[name], array)
        assert b.state_dict()[name].dtype == array.dtype
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


def test_transposed_parameters_are_saved_as_they_are(tmp_path):
    layer = nn.Dense(3, 4, rng=0)
    layer.weight = np.asfortranarray(layer.weight)
    nn.save(layer, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(nn.load(nn.Dense(3, 4, rng=1), tmp_path / "a.safetensors").weight, layer.weight)


def test_everything_that_does_not_fit_is_listed_and_nothing_changed(tmp_path):
    other = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.Identity(), nn.Identity(), nn.Identity(), nn.Dense(16, 2), nn.Dense(1, 1)
    )
    nn.save(other, tmp_path / "other.safetensors")
    model = net()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    with pytest.raises(ValueError, match="does not fit") as caught:
        nn.load(model, tmp_path / "other.safetensors")
    text = str(caught.value)
    wanted = ["missing: 1.weight", "missing: 1.running_mean", "missing: 2.weight", "unexpected: 5.weight",
              "unexpected: 5.bias",
                            "misshaped: 0.weight is (6, 3, 3, 3), needs (4, 3, 3, 3)", "misshaped: 0.bias"]  # fmt: skip
    assert all(line in text for line in wanted), text
    assert "4.weight" not in text
    assert "other.safetensors" in text
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())


def test_names_can_be_changed_or_left_out(tmp_path):
    nn.save(nn.Sequential(fc=nn.Dense(3, 2, rng=0), more=nn.Dense(1, 1)), tmp_path / "a.safetensors")
    layer = nn.Dense(3, 2, rng=1)
    nn.load(layer, tmp_path / "a.safetensors", lambda name: name[3:] if name.startswith("fc.") else None)
    np.testing.assert_array_equal(layer.weight, nn.Dense(3, 2, rng=0).weight)


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        nn.load(net(), tmp_path / "nowhere.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(ValueError, match="safetensors"):
        nn.load(net(), tmp_path / "bad.safetensors")


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"convkern\[nn\]"):
        nn.save(net(), tmp_path / "a.safetensors")
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    x = np.ones((4, 3), np.float32)
    layer = nn.Dense(3, 1)
    with pytest.raises(ImportError, match=r"convkern\[nn\]"):
        nn.fit(layer, (x, x[:, :1]), loss=nn.MSE(), optimizer=nn.SGD(layer), progress=True)
