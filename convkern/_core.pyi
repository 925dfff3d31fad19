from collections.abc import Sequence
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

Int64Array = NDArray[np.int64]
Axis = tuple[int, int, int, int, int, Int64Array, Int64Array, Int64Array | None]

class Pool:
    def __init__(
        self, op: str, dtype: str, n: int, c: int, channels_last: bool, axes: Sequence[Axis], divisor: float
    ) -> None: ...
    @property
    def result_shape(self) -> tuple[int, ...]: ...
    def allocate(self, x: Array) -> Array: ...
    def run(self, x: Array, out: Array | None, indices: Int64Array | None, isa: str) -> Array: ...

def scatter(
    op: str,
    channels_last: bool,
    n: int,
    c: int,
    to_size: int,
    from_size: int,
    to: Array,
    source: Array,
    indices: Int64Array,
) -> bool: ...
def unary(op: str, source: Array, grad: Array | None, out: Array, a: float, b: float, isa: str) -> None: ...
def unary_plain(op: str, source: Any, grad: Any, out: Any, a: float, b: float, isa: str) -> Any: ...
def batch_norm(
    channels_last: bool,
    n: int,
    c: int,
    inner: int,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    running_mean: Array | None,
    running_var: Array | None,
    out: Array,
    mean: Array,
    invstd: Array,
    training: bool,
    momentum: float,
    eps: float,
    isa: str,
) -> None: ...
def batch_norm_grad(
    channels_last: bool,
    n: int,
    c: int,
    inner: int,
    x: Array,
    grad: Array,
    mean: Array | None,
    invstd: Array | None,
    weight: Array | None,
    dx: Array,
    dweight: Array,
    dbias: Array,
    training: bool,
    isa: str,
) -> None: ...
def prelu(
    channels_last: bool, n: int, c: int, inner: int, x: Array, g: Array | None, out: Array, a: Array, isa: str
) -> None: ...
def moments(
    channels_last: bool,
    n: int,
    c: int,
    inner: int,
    x: Array,
    g: Array | None,
    m: Array,
    s0: Array,
    s1: Array,
    isa: str,
) -> None: ...
def softmax(
    n: int, c: int, inner: int, x: Array, grad: Array | None, out: Array, logarithm: bool, isa: str
) -> None: ...
def update(
    rule: str,
    parameters: list[Array],
    gradients: list[Array],
    states: tuple[list[Array], ...],
    settings: dict[str, float],
    isa: str,
) -> None: ...
def gradient_squares(gradients: list[Array], isa: str) -> float: ...
def gradient_clip(op: str, gradients: list[Array], bound: float, isa: str) -> None: ...

class KeptMemory:
    def __enter__(self) -> None: ...
    def __exit__(self, *error: object) -> None: ...

def unused_memory() -> int: ...
def release_memory() -> None: ...
def pad(x: Array, out: Array, strides: Sequence[int], tables: Sequence[Array], block: int, value: float) -> None: ...
def gather_add(
    grad: Array, out: Array, strides: Sequence[int], starts: Sequence[Array], positions: Sequence[Array], block: int
) -> None: ...
def columns(
    image: Array,
    folded: Array,
    back: bool,
    planes: int,
    sizes: Sequence[int],
    positions: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int],
) -> None: ...
def power(x: Array, out: Array, p: float, isa: str) -> None: ...
def response(
    channels_last: bool,
    n: int,
    c: int,
    inner: int,
    x: Array,
    g: Array | None,
    out: Array,
    size: int,
    alpha: float,
    beta: float,
    k: float,
    isa: str,
) -> None: ...
