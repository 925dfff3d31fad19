"""Fork in mid-use, multiprocessing, and Ctrl-C: each in processes of its own, each ending by itself."""

import signal
import time

import pytest
from scripts import finish, run, start

PRELUDE = """
import os, signal, sys, threading, time
import numpy as np, convkern
convkern.set_num_threads(3)
rng = np.random.default_rng(0)
x = rng.integers(-4, 4, (2, 32, 40, 40)).astype(np.float32)
w = rng.integers(-4, 4, (48, 32, 3, 3)).astype(np.float32)
exact = convkern.conv2d(x, w, padding=1, algorithm="reference")
plans = [convkern.plan(x.shape, w, padding=1, algorithm=name) for name in ("direct", "winograd4", "winograd2")]
rights = [plan(x) for plan in plans]
plan = plans[1]
def equal(a, b):
    return bool((a == b).all())
def works():
    return (
        equal(convkern.conv2d(x, w, padding=1, accuracy="strict"), exact)
        and equal(rights[0], exact)
        and all(equal(plan(x), right) for plan, right in zip(plans, rights))
        and all(abs(right - exact).max() < 2e-5 * abs(exact).max() for right in rights)
    )
def child_ends_well(pid, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False
assert works()
"""


def test_fork_after_use():
    run(
        PRELUDE
        + """
pid = os.fork()
if not pid:
    os._exit(0 if works() and works() else 1)
assert child_ends_well(pid) and works()
"""
    )


def test_fork_before_first_use_and_twice():
    run("""
import os, numpy as np, convkern
def works():
    return (convkern.conv2d(np.ones((1, 8, 60, 60)), np.ones((8, 8, 3, 3)), accuracy="strict") == 72).all()
def forked(child):
    pid = os.fork()
    if not pid:
        os._exit(0 if child() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert forked(lambda: works() and forked(works))
assert works()
""")


def test_fork_while_other_threads_convolve():
    run(
        PRELUDE
        + """
stop = threading.Event()
def keep_convolving():
    while not stop.is_set():
        assert works()
callers = [threading.Thread(target=keep_convolving) for _ in range(2)]
for caller in callers: caller.start()
try:
    for _ in range(15):
        pid = os.fork()
        if not pid:
            convkern.set_num_threads(2)
            os._exit(0 if works() else 1)
        assert child_ends_well(pid)
finally:
    stop.set()
    for caller in callers: caller.join()
assert works()
""",
        timeout=120,
    )


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method, tmp_path):
    script = tmp_path / "main.py"
    script.write_text("""
import multiprocessing, sys
import numpy as np, convkern
def work(seed):
    x = np.random.default_rng(seed).integers(-4, 4, (1, 16, 30, 30)).astype(np.float32)
    w = np.ones((24, 16, 3, 3), np.float32)
    return convkern.conv2d(x, w, padding=1, accuracy="strict")
if __name__ == "__main__":
    here = [work(seed) for seed in range(6)]
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        there = pool.map_async(work, range(6)).get(timeout=60)
    assert all((a == b).all() for a, b in zip(here, there))
""")
    # A script of its own, because spawn imports the main module again by its path.
    run(f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, {str(script)!r}, {method!r}]))", timeout=90)


def test_keyboard_interrupt_leaves_the_library_usable():
    process = start(
        PRELUDE
        + """
signal.signal(signal.SIGINT, signal.default_int_handler)
print("ready", flush=True)
try:
    while True:
        plan(x)
except KeyboardInterrupt:
    assert works()
    print("interrupted", flush=True)
"""
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    status, out, err = finish(process, 20)
    assert (status, out) == (0, "interrupted\n"), err


def test_keyboard_interrupt_ends_a_program_with_calls_in_other_threads():
    process = start(
        PRELUDE
        + """
signal.signal(signal.SIGINT, signal.default_int_handler)
def forever():
    while True:
        plan(x)
for _ in range(2): threading.Thread(target=forever, daemon=True).start()
print("ready", flush=True)
while True:
    plan(x)
"""
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    status, _, err = finish(process, 20)
    assert status != 0
    assert "KeyboardInterrupt" in err


@pytest.mark.parametrize("ending", ["", "sys.exit(0)", "os._exit(0)", "del plan", "convkern.set_num_threads(1)"])
def test_a_program_ends_with_the_pool_alive(ending):
    run(PRELUDE + ending, timeout=20)


def test_idle_threads_sleep():
    """After a short bounded spin the pool parks: waiting costs no processor time."""
    used = float(
        run(
            PRELUDE
            + """
time.sleep(0.05)
before = time.process_time()
time.sleep(0.5)
print(time.process_time() - before)
"""
        )
    )
    assert used < 0.1
