"""Sizes no machine has: checked in 64 bit before anything is allocated, so an error comes at once and nothing crashes.

Each case runs in a process of its own that may use 4 GB of address space beyond what it has at the start.
"""

import numpy as np
import pytest
from scripts import run

import convkern

PRELUDE = """
import resource, numpy as np, convkern
from numpy.lib.stride_tricks import as_strided
convkern.conv1d(np.ones((1, 1, 9), np.float32), np.ones((1, 1, 3), np.float32))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 30),) * 2)
one = np.ones((), np.float32)
def huge(*shape):
    return as_strided(one, shape, (0,) * len(shape))
w3 = np.ones((1, 1, 3), np.float32)
w33 = np.ones((1, 1, 3, 3), np.float32)
def refused(call):
    try:
        call()
    except (ValueError, MemoryError, OverflowError) as error:
        print(type(error).__name__, error)
    else:
        raise SystemExit("was not refused")
"""

CASES = {
    "long signal": "convkern.conv1d(huge(1, 1, 2**40), w3)",
    "long signal, float64 sizes": "convkern.conv1d(huge(1, 1, 2**61), w3)",
    "large batch": "convkern.conv1d(huge(2**40, 1, 9), w3)",
    "batch times pixels": "convkern.conv2d(huge(2**31, 1, 2**31, 3), w33)",
    "many output channels": "convkern.conv1d(huge(1, 1, 2**20), huge(2**40, 1, 3))",
    "many channels and outputs": "convkern.conv1d(huge(2**20, 2**20, 2**20), huge(2**20, 2**20, 3))",
    "padding": "convkern.conv1d(huge(1, 1, 9), w3, padding=2**40)",
    "padding near 2**62": "convkern.conv1d(huge(1, 1, 9), w3, padding=2**62)",
    "padding near 2**63": "convkern.conv1d(huge(1, 1, 9), w3, padding=2**63 - 1)",
    "padding beyond 64 bit": "convkern.conv1d(huge(1, 1, 9), w3, padding=2**64)",
    "padding pairs": "convkern.conv2d(huge(1, 1, 9, 9), w33, padding=((2**62, 2**62), (2**62, 2**62)))",
    "circular padding": "convkern.conv1d(huge(1, 1, 9), w3, padding=2**40, padding_mode='circular')",
    "dilation": "convkern.conv1d(huge(1, 1, 9), w3, dilation=2**62)",
    "dilation, full": "convkern.conv1d(huge(1, 1, 9), w3, dilation=2**62, padding='full')",
    "groups": "convkern.conv1d(huge(1, 1, 9), w3, groups=2**63)",
    "transposed stride": "convkern.conv_transpose1d(huge(1, 1, 9), w3, stride=2**61)",
    "transposed stride 2**40": "convkern.conv_transpose1d(huge(1, 1, 9), w3, stride=2**40)",
    "output_padding": "convkern.conv_transpose1d(huge(1, 1, 9), w3, stride=2**62, output_padding=2**61)",
    "input_shape": "convkern.conv_grad_input(huge(1, 1, 2**40), w3, (1, 1, 2**40 + 2))",
    "weight_shape": "convkern.conv_grad_weight(huge(1, 2**40, 9), huge(1, 2**20, 9), (2**40, 2**20, 1))",
    "plan": "convkern.plan((1, 1, 2**62), w3)(one)",
    "plan of huge weights": "convkern.plan((1, 2**40, 9), huge(2**20, 2**40, 3))",
    "plan beyond 64 bit": "convkern.plan((2**70, 1, 9), w3)",
    "unbounded taps": "convkern.conv1d(huge(1, 1, 2**40), huge(2**25, 1, 2**40))",
    "empty batch of huge images": "convkern.conv2d(huge(0, 1, 2**40, 2**40), huge(2**30, 1, 3, 3), padding=2**62)",
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_refused(case):
    out = run(f"{PRELUDE}\nrefused(lambda: {case})", timeout=30)
    assert out.split()[0] in ("ValueError", "MemoryError", "OverflowError")


def test_explain_describes_what_would_not_fit():
    out = run(f"{PRELUDE}\nprint(convkern.explain((1, 64, 2**20, 2**20), (64, 64, 3, 3)))", timeout=30)
    assert "direct" in out


def test_wide_arrays_that_need_no_memory_still_work():
    run(f"{PRELUDE}\nassert convkern.conv1d(huge(0, 4, 2**30), huge(3, 4, 3)).shape == (0, 3, 2**30 - 2)")


def test_strides_beyond_32_bit(tmp_path):
    sparse = tmp_path / "3 GB"
    run(
        f"{PRELUDE}\n"
        f"memory = np.memmap({str(sparse)!r}, np.float32, 'w+', shape=(3 << 28,))\n"
        "x = as_strided(np.asarray(memory), (1, 2, 5), (0, 2700 << 20, 30 << 20))\n"
        "x[...] = np.arange(10).reshape(1, 2, 5)\n"
        "w = np.ones((3, 2, 3), np.float32)\n"
        "assert (convkern.conv1d(x, w) == convkern.conv1d(x.copy(), w)).all()\n"
    )


def test_windows_that_span_more_than_memory():
    x = w = np.ones((1, 1, 2, 2), np.float32)
    settings = {"dilation": 2**30 - 1, "padding": 2**29 - 1}  # every tap but one falls outside the image, or all do
    for algorithm in ("depthwise", "plane"):
        with pytest.raises(ValueError, match="algorithm"):
            convkern.conv2d(x, w, algorithm=algorithm, **settings)
    assert convkern.conv2d(x, w, **settings).shape == (1, 1, 1, 1)
