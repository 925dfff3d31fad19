"""A process that holds one library and runs its contestants on command: JSON lines in, JSON lines out.

Started as `python -m bench.worker PEER THREADS`; the parent's side is pool.py.  Commands, each answered by one line:

    {"do": "hello"}                               -> version, or "missing"
    {"do": "machine"}                             -> what machine.describe says ("ours" only)
    {"do": "prepare", "spec", "algorithms", "folder"} -> per contestant: seconds a call and its result's file, or "skip"
    {"do": "network", "task", "folder"}           -> the same for a network of training.py
    {"do": "time", "name", "calls"}               -> seconds a call; "ours": the FMA peak beside them
    {"do": "bandwidth", "footprint"} -> bytes a second of a copy touching that many bytes ("ours" only)

After each burst the process waits until its own thread pool has gone to sleep before it answers, so that no spinning
thread runs into the next contestant's time; the peers keep the waiting policy their makers chose.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from convkern.spec import Spec

from . import peers
from .case import Case, Contestant, SkipError

QUIET_STEP = 0.002  # seconds slept between two looks at the CPU time this process used
QUIET_LIMIT = 0.5  # give up waiting for a pool that spins this long (an Intel OpenMP spins 0.2 s)


def quiet() -> float:
    """Sleep until the threads of this process use less than a tenth of a core; return the seconds that took."""
    start = time.perf_counter()
    while True:
        wall, used = time.perf_counter(), time.process_time()
        time.sleep(QUIET_STEP)
        idle = time.process_time() - used < 0.1 * (time.perf_counter() - wall)
        if idle or time.perf_counter() - start > QUIET_LIMIT:
            return time.perf_counter() - start


def burst(contestant: Contestant, calls: int) -> float:
    """Seconds a call, over `calls` calls, after a warm-up that is about a fifth as long."""
    run = contestant.run
    for _ in range(max(1, calls // 5)):
        run()
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


def estimate(contestant: Contestant) -> float:
    """Roughly the seconds a call takes once warm, found in a few milliseconds."""
    calls, seconds = 1, burst(contestant, 1)
    while calls * seconds < 1e-3:
        calls *= 4
        seconds = min(seconds, burst(contestant, calls))
    return seconds


class Worker:
    def __init__(self, name: str, threads: int) -> None:
        self.name, self.threads = name, threads
        self.ready: dict[str, Contestant] = {}
        self.meters: Any = None

    def hello(self) -> dict[str, Any]:
        try:
            if self.name != "ours":
                return {"version": peers.version(self.name)}
            import convkern

            convkern.set_num_threads(self.threads)
            return {"version": str(convkern.__version__)}
        except ImportError as error:
            return {"missing": str(error)}

    def machine(self) -> dict[str, Any]:
        from . import machine

        return machine.describe(self.threads)

    def network(self, task: str, folder: str) -> dict[str, Any]:
        from . import training

        if self.name == "ours":
            from . import machine

            self.meters = machine.Meters("float32")
        return self.build(training.contestants(self.name, task, self.threads), folder)

    def prepare(self, spec: str, algorithms: bool, folder: str) -> dict[str, Any]:
        case = Case(Spec.parse(spec))
        if self.name == "ours":
            from . import machine, ours

            factories = ours.contestants(case, algorithms)
            self.meters = machine.Meters(case.spec.dtype)
        else:
            factories = peers.contestants(self.name, case, self.threads)
        return self.build(factories, folder)

    def build(self, factories: dict[str, Callable[[], Contestant]], folder: str) -> dict[str, Any]:
        self.ready.clear()
        gc.collect()
        replies: dict[str, Any] = {}
        for number, (name, build) in enumerate(factories.items()):
            try:
                contestant = build()
                contestant.run()
                result = np.asarray(contestant.result())
            except SkipError as reason:
                replies[name] = {"skip": str(reason)}
                continue
            except Exception as error:  # whatever a library objects to: it is named, the rest goes on
                replies[name] = {"skip": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
                continue
            path = Path(folder) / f"{self.name}{number}.npy"
            np.save(path, result)
            self.ready[name] = contestant
            replies[name] = {"seconds": estimate(contestant), "result": str(path), "note": contestant.note}
        quiet()
        return {"contestants": replies}

    def time(self, name: str, calls: int) -> dict[str, Any]:
        reply: dict[str, Any] = {}
        contestant = self.ready[name]
        if self.meters is None:
            reply["seconds"] = burst(contestant, calls)
        else:
            before = self.meters.peak()
            reply["seconds"] = burst(contestant, calls)
            reply["peak"] = max(before, self.meters.peak())  # an interruption can only lower it
        reply["settled"] = quiet()
        return reply

    def bandwidth(self, footprint: int) -> dict[str, Any]:
        reply = {"bandwidth": self.meters.bandwidth(footprint)}
        quiet()
        return reply


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints belongs in the log, not between the answers
    gc.disable()
    worker = Worker(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        command = json.loads(line)
        reply = getattr(worker, command.pop("do"))(**command)
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
