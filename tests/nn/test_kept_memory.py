"""Arrays in memory that is used again: what a training step allocates with."""

import multiprocessing
import resource
import sys
import threading

import numpy as np
import pytest

from convkern import _core, nn

handler = pytest.importorskip("numpy._core.multiarray").get_handler_name
BIG = 1 << 16  # bytes; blocks of this size are kept


def address(array):
    return array.__array_interface__["data"][0]


@pytest.fixture(autouse=True)
def nothing_kept():
    _core.release_memory()
    assert _core.unused_memory() == 0


def test_arrays_begin_at_a_cache_line_and_are_ordinary():
    with _core.KeptMemory():
        arrays = [np.ones(size, np.float32) for size in (0, 1, 3, 1000, 4095, 100_003, 3 << 20)]
    for array in arrays:
        assert address(array) % 64 == 0
        assert array.flags.owndata
        assert handler(array) == "convkern"
        assert array.sum() == array.size
    assert handler(np.ones(BIG)) != "convkern"


def test_memory_is_used_again_and_only_when_nobody_sees_it():
    with _core.KeptMemory():
        first = np.full(BIG, 1, np.uint8)
        view, where = first[5:], address(first)
        del first
        second = np.full(BIG, 2, np.uint8)
        assert address(second) != where
        assert (view == 1).all()
        del view
        assert _core.unused_memory() >= BIG
        third = np.zeros(BIG - 100, np.uint8)  # nearly the same size
        assert address(third) == where
        assert not third.any()
    del second, third
    assert _core.unused_memory() >= 2 * BIG


def test_contexts_nest_and_end_with_errors():
    with _core.KeptMemory():
        with pytest.raises(ZeroDivisionError), _core.KeptMemory():
            1 / 0  # noqa: B018
        assert handler(np.ones(BIG)) == "convkern"
    assert handler(np.ones(BIG)) != "convkern"


def test_resizing_keeps_the_contents():
    with _core.KeptMemory():
        array = np.arange(10_000)
    for size in (10_100, 200_000, 50_000, 7):
        array.resize(size, refcheck=False)
        known = min(size, 10_000)
        np.testing.assert_array_equal(array[:known], np.arange(known))


def test_what_is_kept_is_bounded():
    limit = 256 << 20
    with _core.KeptMemory():
        arrays = [np.empty(16 << 20, np.uint8) for _ in range(20)]
        huge = np.empty(limit + 1, np.uint8)
        del huge
        assert _core.unused_memory() == 0
        arrays.clear()
    assert limit - (32 << 20) <= _core.unused_memory() <= limit
    _core.release_memory()
    assert _core.unused_memory() == 0


def test_too_much_is_a_memory_error():
    with _core.KeptMemory(), pytest.raises(MemoryError):
        np.empty(1 << 62, np.uint8)


def test_many_threads():
    wrong = []

    def work(seed):
        random, held = np.random.default_rng(seed), []
        with _core.KeptMemory():
            for _ in range(300):
                held.append(np.full(int(random.integers(1, 40_000)), seed, np.int32))
                if len(held) > 5:
                    old = held.pop(int(random.integers(len(held))))
                    if not (old == seed).all():
                        wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert handler(np.ones(BIG)) != "convkern"


def child(queue):
    with _core.KeptMemory():
        queue.put(float(np.ones(BIG).sum()))


@pytest.mark.skipif(sys.platform == "win32", reason="fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_after_fork():
    with _core.KeptMemory():
        del_me = np.ones(BIG)
        del del_me
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert queue.get() == BIG


def steps(count):
    """A small network, and what its training steps return."""
    random = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, activation="relu", rng=1), nn.MaxPool2d(2), nn.BatchNorm2d(6), nn.Flatten(),
        nn.Dense(1176, 10, rng=2),
    ).to_layout("NHWC")  # fmt: skip
    model.train()
    loss, optimizer = nn.CrossEntropy(), nn.SGD(model, 0.01, 0.9)
    x, y = random.standard_normal((64, 32, 32, 1), np.float32), random.integers(0, 10, 64)
    for _ in range(count):
        yield nn.train_step(model, loss, optimizer, x, y)


def test_results_of_a_step_stay_what_they_are():
    found = [(value, prediction, prediction.copy()) for value, prediction in steps(5)]
    for _, prediction, copy in found:
        np.testing.assert_array_equal(prediction, copy)
    assert found[-1][0] < found[0][0]


@pytest.mark.skipif(sys.platform != "linux", reason="counts page faults as Linux does")
def test_a_warm_step_asks_the_system_for_no_memory():
    faults = []
    for _ in steps(12):
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    each = np.diff(faults)[5:]
    assert np.median(each) < 50, each  # without: some 500


def test_fit_gives_its_memory_back():
    model = nn.Sequential(nn.Dense(300, 300, rng=1), nn.ReLU(), nn.Dense(300, 2, rng=2))
    kept = []

    class Watched(nn.SGD):
        def step(self):
            super().step()
            kept.append(_core.unused_memory())

    data = np.ones((512, 300), np.float32), np.zeros(512, int)
    nn.fit(model, data, loss=nn.CrossEntropy(), optimizer=Watched(model), epochs=2, batch_size=128, progress=False)
    assert max(kept) > 0
    assert _core.unused_memory() == 0
