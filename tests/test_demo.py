"""The demo: every step equals SciPy's, the sheet is written, and what goes wrong is said in one line."""

import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib")
image = pytest.importorskip("PIL.Image")
pytest.importorskip("sklearn")

import convkern  # noqa: E402
from convkern.__main__ import main  # noqa: E402


def photo(path, height, width, dtype=np.uint8):
    """An image file with an edge and some texture."""
    pixels = np.random.default_rng(0).integers(0, 40, (height, width))
    pixels[:, width // 2 :] += 150
    image.fromarray((pixels * np.iinfo(dtype).max / 255).astype(dtype)).save(path)
    return str(path)


@pytest.mark.parametrize("size", [(48, 65), (1, 1), (3, 40)], ids=str)
def test_every_step_equals_scipy(tmp_path, capsys, size):
    sheet = tmp_path / "sheet.png"
    assert main(["demo", photo(tmp_path / "photo.png", *size), "--output", str(sheet)]) == 0
    out = capsys.readouterr().out
    assert out.count("equal: largest difference") == 10
    assert out.count("chosen") == 10
    with image.open(sheet) as drawn:
        assert drawn.width > 1000
        assert len(drawn.convert("RGB").resize((64, 64)).getcolors(4096)) > 20


def test_a_large_photo_is_scaled_down_and_sixteen_bits_are_read(tmp_path):
    from convkern.demo import load_photo

    path = photo(tmp_path / "photo.png", 30, 90, np.uint16)
    assert load_photo(path, 60).shape == (3, 20, 60)
    x = load_photo(path, 0)
    assert x.shape == (3, 30, 90)
    assert x[:, :, :45].max() < 0.2 < 0.5 < x[:, :, 45:].min()


def test_a_wrong_result_is_exit_code_1(tmp_path, capsys, monkeypatch):
    right = convkern.conv2d
    monkeypatch.setattr(convkern, "conv2d", lambda *given, **settings: right(*given, **settings) * np.float32(1.0001))
    assert main(["demo", photo(tmp_path / "photo.png", 20, 20), "--output", str(tmp_path / "sheet.png")]) == 1
    assert "Sobel: differs from ndimage" in capsys.readouterr().err
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.jpg"], "no such photograph"),
        (["text.jpg"], "not an image"),
        (["."], "cannot read"),
        (["--output", "sheet.jpg"], ".png"),
        (["--output", "missing/sheet.png"], "no such directory"),
    ],
    ids=str,
)
def test_unusable_files_are_exit_code_2(tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.jpg").write_text("not a picture")
    assert main(["demo", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("module", ["matplotlib", "PIL", "sklearn.datasets"])
def test_a_missing_extra_names_the_pip_command(capsys, monkeypatch, tmp_path, module):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["demo"]) == 2
    assert "pip install 'convkern[demo]'" in capsys.readouterr().err
