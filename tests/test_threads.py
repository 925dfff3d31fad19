"""Many Python threads at once, more threads than cores, thread counts changed in between, and the GIL released."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from problems import assert_right, chosen, integers, serves

import convkern
from convkern import _core

LAYERS = (
    ((1, 16, 30, 30), (32, 16, 3, 3), {"padding": 1}),
    ((2, 3, 40, 40), (8, 3, 5, 5), {"stride": 2}),
    ((1, 24, 20, 20), (24, 1, 3, 3), {"groups": 24, "padding": 1}),
    ((1, 64, 10, 10), (64, 64, 1, 1), {}),
    ((3, 20, 25, 18), (33, 20, 3, 3), {"padding": 1}),
)


def layer(index, algorithm="auto"):
    """One of the layers with its right result, which no number of threads and callers may change by a bit."""
    x_shape, w_shape, settings = LAYERS[index % len(LAYERS)]
    x, w = integers(x_shape, index).astype(np.float32), integers(w_shape, 100 + index).astype(np.float32)
    with convkern.config(threads=1):
        once = convkern.conv2d(x, w, algorithm=algorithm, **settings)
    exact = convkern.conv2d(x, w, algorithm="reference", **settings)
    assert_right(once, exact, *chosen(algorithm, x_shape, w_shape, **settings))
    return x, w, settings, once


def together(work, threads):
    """Run work(index) in threads that start at the same moment; the first error is raised."""
    barrier = threading.Barrier(threads)

    def wait_and_work(index):
        barrier.wait(30)
        return work(index)

    with ThreadPoolExecutor(threads) as pool:
        return [future.result(timeout=120) for future in [pool.submit(wait_and_work, i) for i in range(threads)]]


@pytest.mark.parametrize("algorithm", ["auto", *_core.algorithms()])
def test_different_calls_at_once(algorithm):
    served = [i for i in range(2 * len(LAYERS)) if serves(algorithm, *LAYERS[i % 5][:2], **LAYERS[i % 5][2])]
    problems = [layer(index, algorithm) for index in served]

    def work(index):
        x, w, settings, right = problems[index]
        for _ in range(20):
            np.testing.assert_array_equal(convkern.conv2d(x, w, algorithm=algorithm, **settings), right)

    together(work, len(problems))


@pytest.mark.parametrize("algorithm", ["auto", "winograd4", "winograd2", "direct"])
def test_one_plan_in_many_threads(algorithm):
    x, w, settings, _ = layer(0)
    plan = convkern.plan(x.shape, w, algorithm=algorithm, **settings)
    inputs = [integers(x.shape, seed).astype(np.float32) for seed in range(8)]
    right = [plan(one) for one in inputs]

    def work(index):
        for _ in range(30):
            np.testing.assert_array_equal(plan(inputs[index]), right[index])

    together(work, len(inputs))


@pytest.mark.parametrize("threads", [3, 16, 64])
def test_more_threads_than_cores(threads):
    convkern.set_num_threads(threads)
    assert convkern.get_num_threads() == threads
    for index in range(len(LAYERS)):
        x, w, settings, right = layer(index)
        for _ in range(3):
            np.testing.assert_array_equal(convkern.conv2d(x, w, **settings), right)


def test_many_callers_with_many_threads_each():
    convkern.set_num_threads(16)
    problems = [layer(index) for index in range(6)]

    def work(index):
        x, w, settings, right = problems[index]
        for _ in range(10):
            np.testing.assert_array_equal(convkern.conv2d(x, w, **settings), right)

    together(work, len(problems))


def test_the_number_of_threads_changes_between_and_during_calls():
    problems = [layer(index) for index in range(4)]
    done = threading.Event()

    def work(index):
        if index == len(problems):
            threads = 0
            while not done.wait(0.001):
                threads += 1
                convkern.set_num_threads(1 + threads % 5)
            return threads
        x, w, settings, right = problems[index]
        try:
            for _ in range(40):
                np.testing.assert_array_equal(convkern.conv2d(x, w, **settings), right)
        finally:
            if index == 0:
                done.set()
        return 1

    assert together(work, len(problems) + 1)[-1] > 0


def test_config_is_undone_on_exit_and_after_errors():
    def now():
        return convkern.get_num_threads(), convkern.plan((1, 1, 4, 4), np.ones((1, 1, 3, 3), np.float32)).isa

    before = now()
    with convkern.config(threads=5, isa="odd"):
        assert now() == (5, "odd")
        with convkern.config(threads=2):
            assert now() == (2, "odd")
        assert now() == (5, "odd")
    assert now() == before
    with pytest.raises(ZeroDivisionError), convkern.config(threads=5, isa="odd"):
        _ = 1 / 0
    assert now() == before


def test_blocks_in_other_threads_do_not_change_this_ones_isa():
    isas = _core.supported_isas()
    w = np.ones((1, 1, 3, 3), np.float32)

    def work(index):
        for size in range(4, 40):
            isa = isas[(index + size) % len(isas)]
            with convkern.config(isa=isa):
                assert convkern.plan((1, 1, 4 + index, size), w).isa == isa

    together(work, 6)


def test_other_python_threads_run_during_a_call():
    """With the GIL held, nothing would tick between a call's start and its end."""
    convkern.set_num_threads(1)
    x, w = np.ones((1, 64, 96, 96), np.float32), np.ones((64, 64, 3, 3), np.float32)
    plan = convkern.plan(x.shape, w, padding=1, algorithm="reference")
    span = []

    def work():
        start = time.perf_counter()
        plan(x)
        span.extend((start, time.perf_counter()))

    caller = threading.Thread(target=work)
    ticks = []
    caller.start()
    while caller.is_alive():
        ticks.append(time.perf_counter())
        time.sleep(0.001)
    caller.join()
    start, end = span
    assert end - start > 0.02, "too fast to tell: use a larger image"
    inside = [tick for tick in ticks if start < tick < end]
    gaps = np.diff([start, *inside, end])
    assert len(inside) >= 5
    assert gaps.max() < 0.6 * (end - start)


def test_making_plans_in_many_threads():
    x, w, settings, _ = layer(0)
    right = convkern.plan(x.shape, w, **settings)(x)

    def work(index):
        for size in range(10, 30):
            convkern.conv2d(x[..., :size], w, **settings)
        return convkern.plan(x.shape, w, **settings)(x)

    for got in together(work, 8):
        np.testing.assert_array_equal(got, right)
