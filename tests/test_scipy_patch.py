"""convkern.scipy: what is swapped, what comes back, what is counted, and the ways to switch it on."""

import pickle
import threading
import types

import numpy as np
import pytest
import scipy.signal
from scripts import finish, run, start

import convkern.signal
from convkern.scipy import REPLACEMENTS, Report, patch

THEIRS = {name: getattr(scipy.signal, name) for name in convkern.signal.__all__}


def test_functions_are_swapped_and_come_back():
    with patch():
        for name, theirs in THEIRS.items():
            ours = getattr(scipy.signal, name)
            assert ours is not theirs
            assert ours.__name__ == name
            assert ours.__doc__ == theirs.__doc__
            assert pickle.loads(pickle.dumps(ours)) is ours
    for name, theirs in THEIRS.items():
        assert getattr(scipy.signal, name) is theirs


def test_they_come_back_after_an_exception():
    with pytest.raises(ZeroDivisionError), patch():
        1 / 0  # noqa: B018
    assert scipy.signal.convolve is THEIRS["convolve"]


def test_the_report_counts_what_was_taken_and_what_was_not():
    x, w = np.ones((40, 40)), np.ones((3, 3))
    with patch() as report:
        scipy.signal.convolve2d(x, w)
        scipy.signal.convolve2d(x, w, mode="same")
        scipy.signal.fftconvolve(x, w.astype(np.float16))
        with pytest.raises(ValueError, match="Acceptable mode flags"):
            scipy.signal.convolve2d(x, w, mode="spam")
    scipy.signal.convolve2d(x, w)
    assert report.taken == {"scipy.signal.convolve2d": 2}
    assert report.handed_back == {
        "scipy.signal.convolve2d": {"an unknown mode or boundary": 1},
        "scipy.signal.fftconvolve": {"dtype float16": 1},
    }
    assert "2 taken    1 handed back (an unknown mode or boundary: 1)" in str(report)
    assert repr(report) == "<Report: 2 taken, 2 handed back>"
    assert str(Report()) == "no call of a replaced function"


def test_results_are_ours_and_equal():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((60, 60)), rng.standard_normal((7, 7))
    expected = scipy.signal.convolve2d(x, w)
    with patch():
        result = scipy.signal.convolve2d(x, w)
        batch = scipy.signal.convolve(np.stack([x, x]), w[None], axes=(1, 2))
    np.testing.assert_allclose(result, expected, atol=1e-12)
    np.testing.assert_allclose(batch[1], expected, atol=1e-12)


def test_blocks_nest_and_each_counts_its_own():
    x = np.ones(9000)
    with patch() as outer:
        scipy.signal.convolve(x, x[:9])
        with patch() as inner:
            scipy.signal.convolve(x, x[:9])
        assert scipy.signal.convolve is not THEIRS["convolve"]
    assert outer.taken == {"scipy.signal.convolve": 2}
    assert inner.taken == {"scipy.signal.convolve": 1}
    assert scipy.signal.convolve is THEIRS["convolve"]


def test_names_taken_before_are_swapped_in_modules_that_are_given():
    module = types.ModuleType("user")
    module.blur, module.other = scipy.signal.fftconvolve, len
    with patch(modules=[module]) as report:
        assert module.blur is scipy.signal.fftconvolve
        module.blur(np.ones(900), np.ones(9))
    assert module.blur is THEIRS["fftconvolve"]
    assert module.other is len
    assert report.taken == {"scipy.signal.fftconvolve": 1}
    with pytest.raises(TypeError, match="modules: got 'scipy', needs modules"), patch(modules=["scipy"]):
        pass


def test_threads_count_in_the_same_report():
    x = np.ones((50, 50))
    with patch() as report:
        threads = [
            threading.Thread(target=lambda: [scipy.signal.convolve2d(x, x[:3, :3]) for _ in range(50)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert report.taken == {"scipy.signal.convolve2d": 200}


def test_every_replaced_module_is_one_of_scipys():
    for theirs, ours in REPLACEMENTS.items():
        assert theirs.startswith("scipy.")
        assert ours == "convkern." + theirs.removeprefix("scipy.")


PROGRAM = """
    import sys
    import numpy as np
    import convkern
    assert not [name for name in sys.modules if name.split(".")[0] == "scipy"], "importing convkern imports no SciPy"
    from scipy.signal import fftconvolve
    fftconvolve(np.ones(5000), np.ones(5))
    print(fftconvolve.__code__.co_filename)
"""


def test_the_environment_variable_patches_lazily():
    assert "patching.py" in run(PROGRAM, CONVKERN_PATCH_SCIPY="1")
    assert "patching.py" not in run(PROGRAM, CONVKERN_PATCH_SCIPY="0")
    assert "patching.py" not in run(PROGRAM)


def test_the_environment_variable_prints_the_report():
    status, _, err = finish(start(PROGRAM, CONVKERN_PATCH_SCIPY="report"))
    assert status == 0
    assert err.split() == ["scipy.signal.fftconvolve", "1", "taken", "0", "handed", "back"]


def test_a_wrong_value_is_named():
    status, _, err = finish(start("import convkern", CONVKERN_PATCH_SCIPY="yes"))
    assert status == 1
    assert "environment variable CONVKERN_PATCH_SCIPY: got 'yes', needs one of 0, 1, report" in err


SCRIPT = """
import sys
import numpy as np
from scipy import signal
signal.convolve2d(np.ones((30, 30)), np.ones((3, 3)))
print(__name__, sys.argv[1:], sys.path[0])
"""
MAIN = (
    "import runpy, sys; sys.argv = ['', *{}]; runpy.run_module('convkern.scipy', run_name='__main__', alter_sys=True)"
)


def test_the_command_line_runs_a_script(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    status, out, err = finish(start(MAIN.format(["--report", str(script), "--report", "b"])))
    assert status == 0, err
    assert out.strip() == f"__main__ ['--report', 'b'] {tmp_path}"
    assert err.split() == ["scipy.signal.convolve2d", "1", "taken", "0", "handed", "back"]


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["-c", "print(6 * 7)"], 0, "42"),
        (["-m", "this"], 0, "Zen"),
        (["--help"], 0, "usage"),
        ([], 2, "usage"),
        (["--unknown"], 2, "usage"),
        (["no-such-file.py"], 2, "there is no file 'no-such-file.py'"),
    ],
)
def test_the_command_line(arguments, status, text):
    code, out, err = finish(start(MAIN.format(arguments)))
    assert code == status, err
    assert text in out + err
