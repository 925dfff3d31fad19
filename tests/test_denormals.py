"""Denormals are flushed to zero inside kernels; the caller's arithmetic keeps them."""

import ctypes
import ctypes.util
import platform
import threading

import numpy as np
import pytest
from problems import FLOAT32_ONLY, GROUPED_ONLY, serves

import convkern
from convkern import _core

TINY = {np.float32: np.float32(1e-40), np.float64: np.float64(1e-310)}
BLAS = pytest.mark.xfail(reason="BLAS multiplies on threads of its own, which keep denormals")
ALGORITHMS = [pytest.param(name, marks=[BLAS][: name == "im2col"]) for name in _core.algorithms()]


def keeps_denormals():
    small, half = np.float32(2e-38), np.float32(0.25)
    product = np.multiply(np.full(64, small), half)  # underflows into the denormals
    return bool((product > 0).all() and (np.full(64, np.float32(1e-40)) + np.float32(0) > 0).all())


def call(algorithm, dtype=np.float32, size=40):
    x = np.full((1, 16, size, size), TINY[dtype], dtype)
    groups = 16 if algorithm in GROUPED_ONLY else 1
    w = np.ones((16, 16 // groups, 3, 3), dtype)
    return convkern.conv2d(x, w, padding=1, groups=groups, algorithm=algorithm)


@pytest.mark.parametrize("isa", _core.supported_isas())
@pytest.mark.parametrize("dtype", TINY)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_denormal_inputs_count_as_zero(algorithm, dtype, isa):
    if algorithm in FLOAT32_ONLY and dtype is not np.float32:
        pytest.skip("float32 only")
    with convkern.config(isa=isa):
        assert not call(algorithm, dtype).any()


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("algorithm", _core.algorithms())
def test_products_that_underflow_are_zero(algorithm, kernel):
    x = np.full((1, 4, 9, 9), 1e-25, np.float32)
    groups = 4 if algorithm in GROUPED_ONLY else 1
    w = np.full((4 if algorithm == "plane" else 8, 4 // groups, kernel, kernel), 1e-15, np.float32)
    if not serves(algorithm, x.shape, w.shape, groups=groups):
        pytest.skip("does not serve this kernel")
    assert not convkern.conv2d(x, w, groups=groups, algorithm=algorithm).any()


@pytest.mark.parametrize("algorithm", _core.algorithms())
def test_the_caller_keeps_denormals(algorithm):
    assert keeps_denormals()
    call(algorithm)
    assert keeps_denormals()
    with pytest.raises(ValueError, match="channels"):
        convkern.conv2d(np.ones((1, 4, 9, 9), np.float32), np.ones((5, 3, 3, 3), np.float32), algorithm=algorithm)
    assert keeps_denormals()


def test_other_python_threads_keep_denormals():
    failures, done = [], threading.Event()

    def watch():
        while not done.is_set():
            if not keeps_denormals():
                failures.append("flushed")

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(25):
        call("direct")
        call("winograd4")
    done.set()
    watcher.join()
    assert not failures


@pytest.mark.parametrize("algorithm", _core.algorithms())
def test_the_caller_keeps_its_rounding_mode(algorithm):
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    nearest = libm.fegetround()
    upward = {"x86_64": 0x800, "aarch64": 0x400000}[platform.machine()]
    try:
        libm.fesetround(upward)
        call(algorithm)
        assert libm.fegetround() == upward
    finally:
        libm.fesetround(nearest)
