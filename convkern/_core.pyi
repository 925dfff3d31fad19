from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Extents = tuple[int, ...]

class CpuInfo(TypedDict):
    model: str
    l1: int
    l2: int
    l3: int
    features: tuple[str, ...]

def algorithms() -> tuple[str, ...]: ...
def supported_isas() -> tuple[str, ...]: ...
def get_isa() -> str: ...
def set_isa(name: str) -> None: ...
def default_num_threads() -> int: ...
def thread_environment_error() -> str | None: ...
def get_num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
def cpu_info() -> CpuInfo: ...
def fma_loop(dtype: str, iterations: int) -> int: ...
def stream(source: Array, target: Array, repeats: int) -> int: ...

class Plan:
    def __init__(
        self,
        algorithm: str,
        direction: str,
        dtype: str,
        n: int,
        groups: int,
        ci: int,
        co: int,
        input: Extents,  # noqa: A002
        output: Extents,
        kernel: Extents,
        stride: Extents,
        dilation: Extents,
        pad_low: Extents,
        padding_mode: str,
        channels_last: bool,
        clamp: tuple[float, float] | None,
        max_workspace: int,
        isa: str | None = None,
    ) -> None: ...
    @property
    def algorithm(self) -> str: ...
    @property
    def isa(self) -> str: ...
    @property
    def workspace_bytes(self) -> int: ...
    @property
    def packed_bytes(self) -> int: ...
    @property
    def detail(self) -> str: ...
    def pack(self, weight: Array, bias: Array | None = None) -> None: ...
    def run(
        self, image: Array, weight: Array | None, bias: Array | None, residual: Array | None, out: Array | None
    ) -> Array: ...

def line_type(dtype: np.dtype[Any]) -> int | None: ...
def filter_lines(
    kind: str,
    image: Array,
    out: Array,
    element: int,
    across: Any,
    along: Any,
    along_first: bool,
    cval: float,
    isa: str | None = None,
) -> bool: ...
def filter_taps(
    kind: str,
    image: Array,
    out: Array,
    element: int,
    offsets: Array,
    weights: Array | None,
    mode: int,
    cval: float,
    isa: str | None = None,
) -> None: ...
def canny_edges(
    down: Array, right: Array, magnitude: Array, inside: Array | None, low: float, high: float, marks: Array
) -> None: ...
