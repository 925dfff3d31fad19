"""Locks that survive a fork."""

import os
import threading


def fork_safe_lock() -> threading.Lock:
    """A lock that no other thread holds in a forked child: fork waits for it."""
    lock = threading.Lock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return lock


class LongLock:
    """A lock held for long: fork does not wait for it, and finds it free in the child, where its holder is gone."""

    def __init__(self) -> None:
        self.renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
