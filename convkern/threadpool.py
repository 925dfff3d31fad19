"""convkern's pool in threadpoolctl: import this module, and threadpool_info and threadpool_limits know it.

convkern registers itself where threadpoolctl is imported before it; it never imports threadpoolctl by itself.

Examples
--------
>>> import convkern, convkern.threadpool
>>> from threadpoolctl import threadpool_limits
>>> with threadpool_limits(1, user_api="convkern"):
...     convkern.get_num_threads()
1
"""

from threadpoolctl import LibController, register

from . import _core
from ._version import __version__


class ConvkernController(LibController):  # type: ignore[misc]
    """The one pool of the process, found by the compiled core's file name and its exported symbols."""

    user_api = "convkern"
    internal_api = "convkern"
    filename_prefixes = ("_core",)
    check_symbols = ("convkern_get_num_threads", "convkern_set_num_threads")

    def get_num_threads(self) -> int:
        return _core.get_num_threads()

    def set_num_threads(self, num_threads: int) -> None:
        _core.set_num_threads(num_threads)

    def get_version(self) -> str:
        return __version__

    def set_additional_attributes(self) -> None:
        self.architecture = _core.get_isa()


register(ConvkernController)
