"""The suite of filters: SciPy's functions and ours of the same name, and OpenCV's and frameworks' that equal them.

Inputs are float32 unless a row says uint8. Opponents: SciPy in the fastest of its ways, OpenCV, and the best of
PyTorch, ONNX Runtime and OpenVINO where the row is a convolution with a large kernel. A function of ours that is not
there is reported as absent. All have to agree with ours first: to 2e-5 of max|y| in float32, exactly in uint8.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import convkern
from convkern.spec import Spec

from . import peers
from .case import Case, Contestant, aligned
from .functions import Build, Inputs, Job, calling, opencv_calling, scipy_calling

FRAMEWORK_CONTESTANTS = {
    "torch NCHW": "torch", "torch NHWC": "torch", "onnxruntime": "onnxruntime", "openvino NCHW": "openvino",
    "openvino NHWC": "openvino",
}  # fmt: skip


def _arrays(*shapes: tuple[int, ...], dtype: str = "float32") -> Callable[[np.random.Generator], Inputs]:
    """Return a maker of arrays: the image in [0, 1) or 0..255, kernels in [-1, 1)."""

    def make(random: np.random.Generator) -> Inputs:
        first = random.integers(0, 256, shapes[0]) if dtype == "uint8" else random.random(shapes[0])
        return first.astype(dtype), *(random.uniform(-1, 1, shape).astype(np.float32) for shape in shapes[1:])

    return make


def _namesakes(dotted: str, call: Callable[..., Any], *more: str) -> dict[str, Any]:
    """Return ours and SciPy's function of the same name, and SciPy's `more` ways to the same result."""
    module, _, name = dotted.rpartition(".")
    theirs = {f"scipy {other}": ("scipy", scipy_calling(f"scipy.{module}.{other}", call)) for other in (name, *more)}
    return {"ours": {name: calling(f"convkern.{dotted}", call)}, "peers": theirs}


def _frameworks(text: str, flip: bool) -> dict[str, tuple[str, Build]]:
    """Return the frameworks' convolution of a descriptor; flip turns the kernel round, as convolution in SciPy does."""

    def one(worker: str, name: str) -> Build:
        def build(inputs: Inputs, threads: int) -> Contestant:
            case, (x, kernel) = Case(Spec.parse(text)), inputs
            weight = np.flip(kernel, (-2, -1)) if flip else kernel
            case.x = aligned(x).reshape(case.x.shape)
            case.weight = aligned(weight).reshape(case.weight.shape)
            made = peers.contestants(worker, case, threads)[name]()
            return Contestant(made.run, lambda: made.result().reshape(x.shape), keep=(case, made))

        return build

    return {name: (worker, one(worker, name)) for name, worker in FRAMEWORK_CONTESTANTS.items()}


def _planned(**settings: Any) -> Build:
    """Return a builder of our plan, the opponent of frameworks that hold prepared weights."""

    def build(inputs: Inputs, threads: int) -> Contestant:
        x, weight = map(aligned, inputs)
        prepared = convkern.plan(x.shape, weight, **settings)
        out = prepared(x)
        return Contestant(partial(prepared, x, out=out), lambda: out, prepared.algorithm)

    return build


def _filter2d(border: str) -> tuple[str, Build]:
    """OpenCV's correlation with the kernel turned round is the convolution."""
    return "opencv", opencv_calling(
        "filter2D", lambda cv2, f, x, k: f(x, -1, np.flip(k), borderType=getattr(cv2, border))
    )


def _loop(fftconvolve: Callable[..., np.ndarray], x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """What SciPy's users write for a batch of channels with a kernel each, correlating as CNNs do."""
    out = np.empty_like(x)
    flipped = weight[:, 0, ::-1, ::-1]
    for sample, target in zip(x, out, strict=True):
        for c, kernel in enumerate(flipped):
            target[c] = fftconvolve(sample[c], kernel, mode="same")
    return out


def jobs(shrink: int = 1) -> dict[str, Job]:
    """Return the rows by name, images `shrink` times smaller along every side, kernels as they are where they fit."""

    def at(*sides: int) -> tuple[int, ...]:
        return tuple(side // shrink for side in sides)

    def kernel(*sides: int) -> tuple[int, ...]:
        return sides if shrink == 1 else tuple(min(side, 21) for side in sides)

    def size(shape: tuple[int, ...]) -> str:
        return "x".join(map(str, shape))

    photo = at(1080, 1920)
    found: list[Job] = []

    def add(name: str, inputs: Any, extra: dict[str, Any] | None = None, **fields: Any) -> None:
        shapes = size(inputs[0]) + (f" * {size(inputs[1])}" if len(inputs) > 1 else "")
        dtype = fields.pop("dtype", "float32")
        fields["peers"] = {**fields["peers"], **(extra or {})}
        found.append(Job(name, f"{shapes} {dtype}", _arrays(*inputs, dtype=dtype), **fields))

    for length, taps in ((48_000, 1024), (480_000, 16_000)):
        lines = at(length), (taps // shrink,)
        fields = _namesakes("signal.oaconvolve", lambda f, x, k: f(x, k), "fftconvolve")
        add(f"oaconvolve {length} * {taps}", lines, **fields)
    for side, taps in ((1024, 101), (800, 200)):
        fields = _namesakes("signal.fftconvolve", lambda f, x, k: f(x, k, mode="same"), "oaconvolve")
        add(f"fftconvolve {side}x{side} * {taps}x{taps}", (at(side, side), kernel(taps, taps)), **fields)

    plane = at(512, 512)
    fields = _namesakes("signal.convolve2d", lambda f, x, k: f(x, k, mode="same"))
    add("convolve2d 512x512 * 15x15", (plane, (15, 15)), _frameworks(f"1,1,{size(plane)}->1 15x15 p7", True), **fields)

    for taps in (5, 9):
        fields = _namesakes("ndimage.convolve", lambda f, x, k: f(x, k))
        opencv = {"opencv filter2D": _filter2d("BORDER_REFLECT")}
        add(f"ndimage.convolve {taps}x{taps}", (photo, (taps, taps)), opencv, **fields)
    fields = _namesakes("ndimage.convolve", lambda f, x, k: f(x, k, mode="constant"))
    others = {"opencv filter2D": _filter2d("BORDER_CONSTANT"), **_frameworks(f"1,1,{size(photo)}->1 31x31 p15", True)}
    add("ndimage.convolve 31x31", (photo, (31, 31)), others, **fields)

    fields = _namesakes("ndimage.gaussian_filter", lambda f, x: f(x, 2.0))
    blur = opencv_calling("GaussianBlur", lambda cv2, f, x: f(x, (17, 17), 2.0, borderType=cv2.BORDER_REFLECT))
    add("gaussian_filter sigma 2", (photo,), {"opencv GaussianBlur": ("opencv", blur)}, **fields)
    add("gaussian_filter sigma 2, 3-D", (at(128, 128, 128),), **_namesakes("ndimage.gaussian_filter",
                                                                         lambda f, x: f(x, 2.0)))  # fmt: skip
    line = np.hanning(11)[1:-1].astype(np.float32)  # symmetric: SciPy convolves, OpenCV correlates
    fields = _namesakes("signal.sepfir2d", lambda f, x: f(x, line, line))
    apart = opencv_calling("sepFilter2D", lambda cv2, f, x: f(x, -1, line, line, borderType=cv2.BORDER_REFLECT))
    add("sepfir2d 9 + 9", (photo,), {"opencv sepFilter2D": ("opencv", apart)}, **fields)

    sobel = _namesakes("ndimage.sobel", lambda f, x: f(x, -1))
    add("sobel uint8", (photo,), dtype="uint8", tolerance=0.0, **sobel)
    slope = opencv_calling("Sobel", lambda cv2, f, x: f(x, cv2.CV_32F, 1, 0, ksize=3, borderType=cv2.BORDER_REFLECT))
    add("sobel float32", (photo,), {"opencv Sobel": ("opencv", slope)}, **sobel)
    add("maximum_filter 15", (photo,), tolerance=0.0, **_namesakes("ndimage.maximum_filter", lambda f, x: f(x, 15)))

    c = 64 // shrink
    layer = (1, c, *at(56, 56))
    theirs = _frameworks(f"{size(layer).replace('x', ',', 2)}->{c} 15x15 p7", False)
    ours = {"plan": _planned(padding=7), "conv2d": calling("convkern.conv2d", lambda f, x, w: f(x, w, padding=7))}
    add("conv2d 15x15", (layer, (c, c, 15, 15)), ours=ours, peers=theirs)

    batch = (8, 16, *at(256, 256)) if shrink == 1 else (2, 4, *at(256, 256))
    n, c = batch[:2]
    text = f"{n},{c},{size(batch[2:])}->{c} 21x21 p10 g{c}"
    ours = {"conv2d": calling("convkern.conv2d", lambda f, x, w: f(x, w, padding=10, groups=c))}
    theirs = {"scipy fftconvolve, a loop": ("scipy", scipy_calling("scipy.signal.fftconvolve", _loop))}
    add("conv2d depthwise 21x21", (batch, (c, 1, 21, 21)), _frameworks(text, False), ours=ours, peers=theirs)
    return {job.name: job for job in found}
