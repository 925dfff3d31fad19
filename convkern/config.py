"""Settings of a call: process-wide (threads, ISA) and within a ``with config(...)`` block.

Settings travel in a context variable, so blocks in different threads and tasks do not see each other. The number of
threads is the exception: it belongs to the process's one pool, the block entered last decides, and no result depends
on it.
"""

import operator
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from . import _core, store
from .locks import fork_safe_lock

ACCURACIES = ("default", "strict")
DEFAULT_WORKSPACE = 32 << 20  # bytes an algorithm may use where no limit is set
MAX_THREADS = 1024  # kMaxThreads of the pool


class Settings(NamedTuple):
    """What a call may choose from; one element of the key a prepared call is remembered under."""

    algorithm: str = "auto"
    accuracy: str = "default"
    isa: str | None = None
    max_workspace: int | None = None
    tune: bool = False

    def merged(self, algorithm: str, accuracy: str, isa: str) -> "Settings":
        """These settings with a call's own arguments, which win unless they are the defaults, and the process's ISA."""
        check_choice("algorithm", algorithm, ("auto", *_core.algorithms()))
        check_choice("accuracy", accuracy, ACCURACIES)
        return self._replace(
            algorithm=self.algorithm if algorithm == "auto" else algorithm,
            accuracy=self.accuracy if accuracy == "default" else accuracy,
            isa=self.isa or isa,
        )


DEFAULTS: Settings = Settings()
_settings: ContextVar[Settings] = ContextVar("convkern", default=DEFAULTS)
current = _settings.get


class _Threads:
    """The number of threads: the block entered last, or what set_num_threads said."""

    def __init__(self) -> None:
        self.lock = fork_safe_lock()
        self.blocks: list[list[int]] = []
        self.outside = 0

    def enter(self, count: int) -> list[int]:
        with self.lock:
            if not self.blocks:
                self.outside = _core.get_num_threads()
            block = [count]
            self.blocks.append(block)
            _core.set_num_threads(count)
            return block

    def leave(self, block: list[int]) -> None:
        with self.lock:
            self.blocks = [other for other in self.blocks if other is not block]
            _core.set_num_threads(self.blocks[-1][0] if self.blocks else self.outside)


_threads = _Threads()


@contextmanager
def config(
    *,
    threads: int | None = None,
    isa: str | None = None,
    algorithm: str | None = None,
    accuracy: str | None = None,
    max_workspace: int | None = None,
    tune: bool | None = None,
) -> Iterator[None]:
    """Settings for the calls and plans made inside a ``with`` block or a decorated function.

    Blocks nest; None leaves a setting as it is outside. What a call says itself wins.

    Parameters
    ----------
    threads : int, optional
        Threads the pool uses, at least 1. Process-wide while the block lasts; the block entered last decides.
    isa : str, optional
        Instruction set, one of those :func:`show_config` lists.
    algorithm : str, optional
        "auto" or the name of an algorithm, used where a call says "auto".
    accuracy : {"default", "strict"}, optional
        "strict" leaves out algorithms that mix neighbouring outputs (Winograd, FFT).
    max_workspace : int, optional
        Bytes an algorithm may use besides its arguments and its copy of the weights. Default 32 MB for algorithms
        that work in slices.
    tune : bool, optional
        Whether a call or a plan that meets a problem for the first time measures the algorithms that serve it within
        these limits, takes the fastest and remembers the times: see :func:`tune`. A problem takes some tenths of a
        second, once. Default False.

    Raises
    ------
    ValueError, TypeError
        Naming the setting, what it got and what it needs.
    ImportError
        With ``tune``, if the store's place is not known: neither platformdirs nor CONVKERN_CACHE is there.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x, w = np.ones((1, 3, 8, 8), np.float32), np.ones((4, 3, 3, 3), np.float32)
    >>> with convkern.config(threads=1, algorithm="reference"):
    ...     y = convkern.conv2d(x, w)
    >>> y.shape
    (1, 4, 6, 6)
    """
    settings = _settings.get()
    if isa is not None:
        check_choice("isa", isa, _core.supported_isas())
        settings = settings._replace(isa=isa)
    if algorithm is not None:
        check_choice("algorithm", algorithm, ("auto", *_core.algorithms()))
        settings = settings._replace(algorithm=algorithm)
    if accuracy is not None:
        check_choice("accuracy", accuracy, ACCURACIES)
        settings = settings._replace(accuracy=accuracy)
    if max_workspace is not None:
        settings = settings._replace(max_workspace=check_integer("max_workspace", max_workspace, 0))
    if tune is not None:
        if type(tune) is not bool:
            raise TypeError(f"tune: got {tune!r} ({type(tune).__name__}), needs True or False")
        if tune:
            store.folder()
        settings = settings._replace(tune=tune)
    count = None if threads is None else check_integer("threads", threads, 1, MAX_THREADS)
    block = None if count is None else _threads.enter(count)
    token = _settings.set(settings)
    try:
        yield
    finally:
        _settings.reset(token)
        if block is not None:
            _threads.leave(block)


def set_num_threads(threads: int | None) -> None:
    """Sets how many threads the pool uses, for the whole process.

    Parameters
    ----------
    threads : int or None
        At least 1. None returns to the default: CONVKERN_NUM_THREADS, else OMP_NUM_THREADS, else the cores that the
        process may run on (affinity and cgroup limits counted).

    Raises
    ------
    TypeError, ValueError
        If it is not an integer of at least 1.

    Examples
    --------
    >>> import convkern
    >>> convkern.set_num_threads(1)
    >>> convkern.get_num_threads()
    1
    >>> convkern.set_num_threads(None)
    """
    if threads is None:
        threads = _core.default_num_threads()
    _core.set_num_threads(check_integer("threads", threads, 1, MAX_THREADS))


def get_num_threads() -> int:
    """The number of threads the pool uses now.

    Returns
    -------
    int

    Examples
    --------
    >>> import convkern
    >>> convkern.get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: got {value!r}, needs one of {', '.join(choices)}")


def check_integer(name: str, value: Any, minimum: int, maximum: int = 2**62) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: got {value!r} ({type(value).__name__}), needs an integer") from None
    if not minimum <= number <= maximum:
        raise ValueError(f"{name}: got {number}, needs {minimum} to {maximum}")
    return number


def apply_environment(environment: Mapping[str, str]) -> None:
    """Takes the ISA that CONVKERN_ISA names, and says what is wrong with CONVKERN_NUM_THREADS, which _core reads."""
    error = _core.thread_environment_error()
    if error is not None:
        raise ValueError(f"environment variable {error}")
    isa = environment.get("CONVKERN_ISA", "")
    if isa:
        check_choice("environment variable CONVKERN_ISA", isa, _core.supported_isas())
        _core.set_isa(isa)


apply_environment(os.environ)
