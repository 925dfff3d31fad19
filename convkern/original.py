"""SciPy's own functions, for what the drop-ins do not do themselves.

    original("scipy.signal", "convolve", "object arrays")(in1, in2)

While convkern.scipy.patch() has our functions in SciPy's place, this still finds SciPy's; the reason goes into the
report of the patch. It knows neither which functions are replaced nor how.
"""

from collections.abc import Callable
from contextvars import ContextVar
from importlib import import_module
from typing import Any

# (module, name) -> SciPy's function, for those that patch() has replaced at least once.
replaced: dict[tuple[str, str], Callable[..., Any]] = {}
# Reasons of the patched call under way, None outside of one.
reasons: ContextVar[list[str] | None] = ContextVar("convkern_reasons", default=None)


def original(module: str, name: str, reason: str) -> Callable[..., Any]:
    """SciPy's own function, imported on first use; ``reason`` says why it is needed instead of ours."""
    noted = reasons.get()
    if noted is not None:
        noted.append(reason)
    function = replaced.get((module, name))
    if function is None:
        function = getattr(import_module(module), name)
    return function
