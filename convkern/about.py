"""What runs here: versions, the CPU, the instruction set in use, threads and BLAS, in one readable block."""

import platform
from typing import Any

import numpy as np

from . import _core
from ._version import __version__
from .config import get_num_threads
from .dispatch import format_bytes
from .memory import memory


def show_config() -> None:
    """Prints what runs here, to be pasted into a report.

    SciPy is imported to name its version and BLAS.

    Examples
    --------
    >>> import convkern
    >>> convkern.show_config()  # doctest: +ELLIPSIS
    convkern    ...
    """
    print(describe_config())


def describe_config() -> str:
    """The text that show_config prints."""
    info = _core.cpu_info()
    sizes = {name.upper(): format_bytes(info[name]) if info[name] else "unknown" for name in ("l1", "l2", "l3")}
    rows = {
        "convkern": __version__,
        "isa": f"{_core.get_isa()} (supported: {', '.join(_core.supported_isas())})",
        "threads": f"{get_num_threads()} (default: {_core.default_num_threads()})",
        "algorithms": ", ".join(_core.algorithms()),
        "tuning": memory.describe(),
        "cpu": f"{info['model']} ({', '.join(info['features'])})",
        "caches": ", ".join(f"{name} {size}" for name, size in sizes.items()),
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "numpy": np.__version__,
        **scipy_rows(),
    }
    width = max(map(len, rows)) + 2
    return "\n".join(f"{name:<{width}}{value}" for name, value in rows.items())


def scipy_rows() -> dict[str, str]:
    """SciPy's version and the BLAS that im2col calls through it."""
    try:
        import scipy

        found: Any = scipy.show_config(mode="dicts")
        blas = found["Build Dependencies"]["blas"]
        return {"scipy": scipy.__version__, "blas": f"{blas['name']} {blas['version']} (SciPy's)"}
    except ImportError as error:
        return {"scipy": f"cannot be imported: {error}"}
    except (AttributeError, KeyError, TypeError):
        return {"scipy": scipy.__version__, "blas": "unknown"}
