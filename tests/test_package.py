"""The installed package: its names, their documentation, what an import costs, and who else can set its threads."""

import importlib
import inspect

import pytest
from scripts import finish, run, start

import convkern

PUBLIC = convkern.__all__
NAMES = {
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "conv_grad_input",
    "conv_grad_weight", "plan", "Plan", "explain", "config", "set_num_threads", "get_num_threads", "show_config",
}  # fmt: skip


def test_the_promised_names_are_there():
    assert set(PUBLIC) >= NAMES
    assert len(set(PUBLIC)) == len(PUBLIC)
    assert all(hasattr(convkern, name) for name in PUBLIC)
    assert set(PUBLIC) <= set(dir(convkern))


@pytest.mark.parametrize("name", PUBLIC)
def test_documented_and_typed(name):
    thing = getattr(convkern, name)
    if not callable(thing):
        assert name.startswith("__")
        return
    text = inspect.getdoc(thing) or ""
    assert text.splitlines()[0].strip().endswith(".")
    if inspect.isfunction(thing):
        signature = inspect.signature(thing)
        for parameter in signature.parameters.values():
            assert parameter.annotation is not inspect.Parameter.empty, parameter.name
            assert parameter.name in text, f"{parameter.name} is not described"
        assert signature.return_annotation is not inspect.Signature.empty
        if signature.parameters:
            assert "Examples\n" in text


SIGNATURES = {
    "conv": ["x", "weight", "bias", "stride", "padding", "dilation", "groups"],
    "conv_transpose": ["x", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"],
}


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", SIGNATURES)
def test_positional_arguments_are_in_pytorchs_order(kind, rank):
    parameters = inspect.signature(getattr(convkern, f"{kind}{rank}d")).parameters.values()
    positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    assert positional == SIGNATURES[kind]


def test_import_is_light():
    source = """
        import sys, time, numpy
        before = set(sys.modules)
        start = time.perf_counter()
        import convkern
        print(time.perf_counter() - start)
        print(*sorted({name.split(".")[0] for name in set(sys.modules) - before}))
    """
    # Compiled once and kept, whatever the environment asks of its other processes.
    runs = [run(source, PYTHONDONTWRITEBYTECODE="").splitlines() for _ in range(3)]
    assert min(float(seconds) for seconds, _ in runs) < 0.1  # about 16 ms where little else runs
    assert not {"scipy", "matplotlib", "torch", "rich", "PIL"} & set(runs[0][1].split())


def test_scipy_is_looked_up_on_first_use_of_its_blas():
    out = run("""
        import sys, numpy as np, convkern
        x, w = np.ones((1, 8, 9, 9), np.float32), np.ones((8, 8, 3, 3), np.float32)
        convkern.conv2d(x, w, algorithm="direct")
        print("scipy.linalg" in sys.modules)
        print(convkern.conv2d(x, w, algorithm="im2col")[0, 0, 0, 0])
    """)
    assert out.split() == ["False", "72.0"]


def test_show_config_prints_what_matters(capsys):
    text = convkern.show_config()
    text = text if isinstance(text, str) else capsys.readouterr().out
    assert convkern.__version__ in text
    assert str(convkern.get_num_threads()) in text
    assert "isa" in text.lower()


MAIN = "import runpy, sys; sys.argv = ['convkern', *{}]; runpy.run_module('convkern', run_name='__main__')"


@pytest.mark.parametrize("arguments", [["info"], ["explain", "1,8,9x9->8 3x3 p1"], ["--help"]], ids=" ".join)
def test_command_line(arguments):
    out = run(MAIN.format(arguments))
    assert {"info": "isa", "explain": "direct", "--help": "demo"}[arguments[0]] in out.lower()


def test_command_line_refuses_a_bad_descriptor_in_one_line():
    status, _, err = finish(start(MAIN.format(["explain", "1,8"])))
    assert status not in (0, None)
    assert "Traceback" not in err
    assert "1,8" in err


def test_threadpoolctl_sees_and_limits_our_threads():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    importlib.import_module("convkern.threadpool")
    before = convkern.get_num_threads()
    ours = [info for info in threadpoolctl.threadpool_info() if info["internal_api"] == "convkern"]
    assert len(ours) == 1
    assert ours[0]["num_threads"] == before
    with threadpoolctl.threadpool_limits(1):
        assert convkern.get_num_threads() == 1
    assert convkern.get_num_threads() == before
    with threadpoolctl.threadpool_limits({"convkern": 3}):
        assert convkern.get_num_threads() == 3
    assert convkern.get_num_threads() == before


def test_threadpoolctl_imported_before_convkern_knows_it():
    pytest.importorskip("threadpoolctl")
    source = "import threadpoolctl, convkern; print([i['internal_api'] for i in threadpoolctl.threadpool_info()])"
    assert "convkern" in run(source)
