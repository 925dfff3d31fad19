"""The suite of pooling: convkern's functions against PyTorch's in both layouts, ONNX Runtime's and OpenVINO's.

Each row is one layout of ours; all peers take part in both. Ours and PyTorch's allocate their result, the others write
into bound arrays. Inputs are float32; all have to agree with ours first: exactly for a maximum, else to 1e-6 of max|y|.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .case import Array, Contestant, first, last
from .functions import Build, Inputs, Job, resolve
from .peers import onnx_contestant, openvino_contestant


@dataclass(frozen=True)
class Pool:
    """One pooling layer with a square window."""

    kind: str  # max or average
    shape: tuple[int, int, int, int]
    kernel: int
    stride: int
    padding: int

    @property
    def function(self) -> str:
        """PyTorch's name, and ours."""
        return {"max": "max_pool2d", "average": "avg_pool2d"}[self.kind]

    @property
    def result(self) -> tuple[int, ...]:
        n, c, *sides = self.shape
        return n, c, *((side + 2 * self.padding - self.kernel) // self.stride + 1 for side in sides)


def _ours(pool: Pool, channels_last: bool) -> Build:
    def build(inputs: Inputs, threads: int) -> Contestant:
        function = resolve(f"convkern.{pool.function}")
        x = last(inputs[0]) if channels_last else inputs[0]
        layout = "NHWC" if channels_last else "NCHW"

        def run() -> Array:
            result: Array = function(x, pool.kernel, pool.stride, pool.padding, layout=layout)
            return result

        return Contestant(run, lambda: first(run()) if channels_last else run())

    return build


def _torch(pool: Pool, channels_last: bool) -> Build:
    def build(inputs: Inputs, threads: int) -> Contestant:
        import torch

        torch.set_num_threads(threads)
        torch.inference_mode().__enter__()  # for the life of the process
        layout = torch.channels_last if channels_last else torch.contiguous_format
        x = torch.from_numpy(inputs[0]).contiguous(memory_format=layout)
        run = partial(getattr(torch.nn.functional, pool.function), x, pool.kernel, pool.stride, pool.padding)
        return Contestant(run, lambda: run().numpy())

    return build


def _onnxruntime(pool: Pool) -> Build:
    def build(inputs: Inputs, threads: int) -> Contestant:
        operator = {"max": "MaxPool", "average": "AveragePool"}[pool.kind]
        return onnx_contestant(
            operator, inputs[0], [], pool.result, threads, kernel_shape=[pool.kernel] * 2, strides=[pool.stride] * 2,
            pads=[pool.padding] * 4,
        )  # fmt: skip

    return build


def _openvino(pool: Pool, channels_last: bool) -> Build:
    def build(inputs: Inputs, threads: int) -> Contestant:
        from openvino import opset13

        stride, kernel, pads = [pool.stride] * 2, [pool.kernel] * 2, [pool.padding] * 2
        nodes: dict[str, Callable[[Any], Any]] = {
            "max": lambda image: opset13.max_pool(image, stride, [1, 1], pads, pads, kernel).output(0),
            "average": lambda image: opset13.avg_pool(image, stride, pads, pads, kernel, False).output(0),
        }
        return openvino_contestant(inputs[0], nodes[pool.kind], channels_last, threads)

    return build


def jobs(shrink: int = 1) -> dict[str, Job]:
    """Return the rows by name, images `shrink` times smaller along every side."""
    side, other = 112 // shrink, 28 // shrink
    pools = {
        "max 3x3 s2 p1": Pool("max", (1, 64, side, side), 3, 2, 1),
        "average 2x2": Pool("average", (16, 256, other, other), 2, 2, 0),
    }
    found = {}
    for name, pool in pools.items():
        peers = {
            "torch NCHW": ("torch", _torch(pool, False)),
            "torch NHWC": ("torch", _torch(pool, True)),
            "onnxruntime": ("onnxruntime", _onnxruntime(pool)),
            "openvino NCHW": ("openvino", _openvino(pool, False)),
            "openvino NHWC": ("openvino", _openvino(pool, True)),
        }

        def draw(random: np.random.Generator, shape: tuple[int, ...] = pool.shape) -> Inputs:
            return (random.uniform(-1, 1, shape).astype(np.float32),)

        for channels_last, layout in ((False, "NCHW"), (True, "NHWC")):
            key = f"{name}, {layout}"
            detail = ",".join(map(str, pool.shape[:2])) + f",{pool.shape[2]}x{pool.shape[3]}"
            ours = {f"{pool.function} {layout}": _ours(pool, channels_last)}
            found[key] = Job(key, detail, draw, ours, peers, tolerance=0.0 if pool.kind == "max" else 1e-6)
    return found
