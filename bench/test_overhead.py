"""What a call costs besides the arithmetic: the smallest layer, planned and not, and PyTorch's on the same arrays.

    pytest bench/test_overhead.py

prints pytest-benchmark's table; look at its Min column.  The goals are 2 us for a plan and 6 us for conv2d(); the
tests fail only well beyond them, for a shared machine may be slow.  The layer has 324 multiply-adds a channel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import convkern

PLAN_LIMIT = 10e-6  # seconds; the goal is 2e-6
CALL_LIMIT = 30e-6  # seconds; the goal is 6e-6

pytest.importorskip("pytest_benchmark")


@pytest.fixture
def layer() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.random((1, 1, 8, 8), np.float32), random.random((1, 1, 3, 3), np.float32)


def least(benchmark: Any) -> float | None:
    """Seconds of the fastest call; None under --benchmark-disable."""
    return None if benchmark.stats is None else float(benchmark.stats.stats.min)


def judge(benchmark: Any, limit: float, goal: float) -> None:
    seconds = least(benchmark)
    if seconds is not None:
        benchmark.extra_info["goal_us"], benchmark.extra_info["reached"] = goal * 1e6, seconds <= goal
        assert seconds < limit, f"{seconds * 1e6:.1f} us a call; the goal is {goal * 1e6:g} us"


@pytest.mark.benchmark(group="1,1,8x8->1 3x3")
def test_plan(benchmark: Any, layer: tuple[np.ndarray, np.ndarray]) -> None:
    x, weight = layer
    plan = convkern.plan(x.shape, weight)
    result = benchmark(plan, x)
    assert result.shape == (1, 1, 6, 6)
    judge(benchmark, PLAN_LIMIT, 2e-6)


@pytest.mark.benchmark(group="1,1,8x8->1 3x3")
def test_plan_into_an_array(benchmark: Any, layer: tuple[np.ndarray, np.ndarray]) -> None:
    x, weight = layer
    plan, out = convkern.plan(x.shape, weight), np.empty((1, 1, 6, 6), np.float32)
    assert benchmark(plan, x, out) is out
    judge(benchmark, PLAN_LIMIT, 2e-6)


@pytest.mark.benchmark(group="1,1,8x8->1 3x3")
def test_conv2d(benchmark: Any, layer: tuple[np.ndarray, np.ndarray]) -> None:
    result = benchmark(convkern.conv2d, *layer)
    assert result.shape == (1, 1, 6, 6)
    judge(benchmark, CALL_LIMIT, 6e-6)


@pytest.mark.benchmark(group="1,1,8x8->1 3x3")
def test_torch(benchmark: Any, layer: tuple[np.ndarray, np.ndarray]) -> None:
    torch = pytest.importorskip("torch")
    x, weight = map(torch.from_numpy, layer)
    with torch.inference_mode():
        result = benchmark(torch.nn.functional.conv2d, x, weight)
    assert np.allclose(result.numpy(), convkern.conv2d(*layer), atol=1e-5)
