"""The examples, at a size that takes seconds."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drawn(path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.asarray(image.open(path).convert("L"))
    return pixels.shape[0] > 300 and pixels.std() > 10


def test_train_digits(tmp_path, capsys):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    example = load("train_digits")
    train, test = example.digits()
    assert train[0].shape[1:] == (1, 32, 32)
    assert len(train[0]) + len(test[0]) == 1797
    accuracy = example.main(["--epochs", "6", "--output", str(tmp_path / "digits.png")])
    assert accuracy > 0.9
    assert drawn(tmp_path / "digits.png")
    assert "61,706" in capsys.readouterr().out


def test_edges(tmp_path, capsys):
    pytest.importorskip("sklearn")
    pytest.importorskip("PIL")
    pytest.importorskip("matplotlib")
    error = load("edges").main(["--steps", "500", "--output", str(tmp_path / "edges.png")])
    assert error < 1e-2
    assert drawn(tmp_path / "edges.png")
    assert "Sobel" in capsys.readouterr().out
