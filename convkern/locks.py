"""Locks that survive a fork."""

import os
import threading


def fork_safe_lock() -> threading.Lock:
    """A lock that no other thread holds in a forked child: fork waits for it."""
    lock = threading.Lock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return lock
