"""What was measured on this CPU, on disk: one JSON file per CPU model in the user's cache folder.

    {"format": 1, "cpu": {...},
     "constants": {"ISA THREADS VERSION": {constant of the cost models: value}},
     "times": {"ISA THREADS VERSION": {"plan|call PROBLEM": {algorithm: seconds}}}}

CONVKERN_CACHE names another folder, or says ``off``. Writers lock each other out, merge and replace the file in one
step, so a reader always finds a whole one. A file that cannot be understood is left out with a warning. It knows
neither what the numbers mean nor when they are looked up; that is memory's business.
"""

import math
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from . import _core
from ._version import __version__

VARIABLE = "CONVKERN_CACHE"
FORMAT = 1
MAX_PROBLEMS = 4096  # remembered in a file or a process: some 200 bytes each
MAX_BYTES = 4 << 20  # a larger file is not ours
Table = dict[str, dict[str, float]]


class Content(NamedTuple):
    """A file's two tables; the first key of each says for what the numbers hold."""

    constants: Table
    times: dict[str, Table]


def validity(isa: str, threads: int) -> str:
    """For what a number holds, beside the CPU: another number of threads or version has its own."""
    return f"{isa} {threads} {__version__}"


def off() -> bool:
    """Whether the environment says to keep nothing."""
    return os.environ.get(VARIABLE, "").lower() == "off"


def folder(cache: str | os.PathLike[str] | None = None) -> str | None:
    """Where files are kept: ``cache``, else what CONVKERN_CACHE names, else the user's cache folder; None if off.

    Raises
    ------
    ImportError
        If only platformdirs could tell, and it is not installed.
    """
    if cache is not None:
        return os.fspath(cache)
    named = os.environ.get(VARIABLE, "")
    if named:
        return None if off() else os.path.expanduser(named)
    try:
        from platformdirs import user_cache_dir
    except ImportError:
        raise ImportError(
            "remembering measured times needs platformdirs: pip install 'convkern[tune]', "
            f"or name a folder in the environment variable {VARIABLE} (off: remember nothing after the process)"
        ) from None
    return str(user_cache_dir("convkern", appauthor=False))


def cpu() -> dict[str, Any]:
    """What makes this CPU another one than the next."""
    info = _core.cpu_info()
    return {**info, "features": list(info["features"])}


def file_in(place: str) -> str:
    """Path of this CPU's file in a folder; its name tells a person which CPU, and another format is another file."""
    import zlib

    model = re.sub(r"[^a-z0-9]+", "-", cpu()["model"].lower()).strip("-")[:60] or "unknown"
    return os.path.join(place, f"{model}-{zlib.crc32(repr(cpu()).encode()):08x}.v{FORMAT}.json")


def find() -> str | None:
    """Path of this CPU's file if there is one. platformdirs is imported only where it could lead to something."""
    if off() or not (os.environ.get(VARIABLE) or any(map(os.path.isdir, _usual_folders()))):
        return None
    try:
        place = folder()
    except ImportError:
        return None
    found = None if place is None else file_in(place)
    return found if found is not None and os.path.isfile(found) else None


def _usual_folders() -> Iterator[str]:
    """The folders that platformdirs may name, by its documented rules: two looks instead of its import."""
    if sys.platform == "win32":
        yield os.path.join(os.environ.get("LOCALAPPDATA", os.path.expanduser("~")), "convkern")
        return
    yield os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "convkern")
    if sys.platform == "darwin":
        yield os.path.expanduser("~/Library/Caches/convkern")


def read(path: str) -> Content:
    """The file's tables; empty with a warning where it cannot be read or is not this CPU's."""
    import json

    try:
        with open(path, "rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES} bytes")
        return _checked(json.loads(text))
    except FileNotFoundError:
        return Content({}, {})
    except (OSError, ValueError, RecursionError) as error:
        warnings.warn(
            f"{path}: measured times cannot be read and are not used ({error}); "
            "`python -m convkern tune --forget` deletes the file",
            RuntimeWarning,
            stacklevel=2,
        )
        return Content({}, {})


def _checked(data: Any) -> Content:
    """The tables of a parsed file, or a ValueError that says what is wrong with it."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f"it is not of format {FORMAT}")
    if data.get("cpu") != cpu():
        raise ValueError("it is another CPU's")
    constants: Any = data.get("constants")
    times: Any = data.get("times")
    if not (_is_table(constants) and isinstance(times, dict) and all(map(_is_table, times.values()))):
        raise ValueError("its tables are not tables of positive numbers")
    return Content(constants, times)


def _is_table(table: Any) -> bool:
    """Whether it is a Table: {name: {name: finite positive number}}."""
    return isinstance(table, dict) and all(
        isinstance(row, dict) and all(type(x) in (int, float) and 0 < x < math.inf for x in row.values())
        for row in table.values()
    )


def write(place: str, constants: Table, times: dict[str, Table]) -> str:
    """Adds rows to this CPU's file in a folder, which is made if need be; returns its path.

    Rows of the same name are replaced. Beyond MAX_PROBLEMS those written longest ago go.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    import json
    import tempfile

    os.makedirs(place, exist_ok=True)
    path = file_in(place)
    with _locked(path + ".lock"):
        old = read(path)
        merged = dict(old.times)
        for key, rows in times.items():
            kept = {name: row for name, row in merged.pop(key, {}).items() if name not in rows}
            merged[key] = {**kept, **rows}  # to the end: the youngest
        kept_constants = {key: row for key, row in old.constants.items() if key not in constants}
        content = {
            "format": FORMAT,
            "cpu": cpu(),
            "constants": dict(list({**kept_constants, **constants}.items())[-64:]),
            "times": _youngest(merged),
        }
        handle, temporary = tempfile.mkstemp(prefix=os.path.basename(path), suffix=".tmp", dir=place)
        try:
            with open(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=1)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    return path


def _youngest(times: dict[str, Table]) -> dict[str, Table]:
    """The last MAX_PROBLEMS rows."""
    extra = sum(map(len, times.values())) - MAX_PROBLEMS
    result: dict[str, Table] = {}
    for key, rows in times.items():
        dropped = min(max(extra, 0), len(rows))
        extra -= dropped
        if dropped < len(rows):
            result[key] = dict(list(rows.items())[dropped:])
    return result


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Keeps other processes out. Where files cannot be locked the last writer wins, with a whole file all the same."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(path, "ab") as file:
        with suppress(OSError):  # some network file systems
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:  # closing alone would leave it locked while a child that was forked meanwhile has the file open
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)


def forget(place: str) -> bool:
    """Deletes this CPU's file in a folder; whether there was one."""
    path = file_in(place)
    with suppress(FileNotFoundError):
        os.unlink(path)
        return True
    return False
