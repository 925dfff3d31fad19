"""The libraries convkern is measured against, each prepared as well as its own interface lets us.

A peer module function contestants(case, threads) returns {name: factory}; a factory builds a Contestant or raises
SkipError with the reason.  Each runs in a process of its own (worker.py); nothing here knows about timing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .case import Array, Case, Contestant, SkipError, aligned, first, last

Factories = dict[str, Callable[[], Contestant]]

# peer -> the module whose absence means that the peer is not installed
PEERS = {
    "torch": "torch",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "scipy": "scipy",
    "opencv": "cv2",
}


def contestants(peer: str, case: Case, threads: int) -> Factories:
    return _BUILDERS[peer](case, threads)


def version(peer: str) -> str:
    """Import the peer and return its version; ImportError when it is not installed."""
    return str(importlib.import_module(PEERS[peer]).__version__)


def _plain(case: Case, directions: tuple[str, ...] = ("forward",)) -> None:
    """SkipError what these peers have no single operation for."""
    s = case.spec
    if s.direction not in directions:
        raise SkipError(f"no {s.direction}")
    if s.padding_mode != "zeros" or s.clamp is not None or s.residual:
        raise SkipError("padding modes and fused steps are not compared")


def torch_contestants(case: Case, threads: int) -> Factories:
    import torch
    import torch.nn.functional as functional

    torch.set_num_threads(threads)
    s = case.spec
    rank = len(s.input)

    def build(channels_last: bool) -> Contestant:
        _plain(case, ("forward", "grad_input", "grad_weight"))
        formats = {2: torch.channels_last, 3: torch.channels_last_3d}
        if channels_last and rank not in formats:
            raise SkipError(f"no channels_last for {rank}-D")
        layout = formats[rank] if channels_last else torch.contiguous_format

        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(aligned(array)).contiguous(memory_format=layout)

        x, weight = tensor(case.x), tensor(case.weight)
        bias = None if case.bias is None else torch.from_numpy(case.bias)
        even = all(lo == hi for lo, hi in s.padding)
        low = [lo for lo, _ in s.padding]
        run: Callable[[], Any]
        part = None  # which of backward's results is asked for
        if s.direction != "forward":
            if not even:
                raise SkipError("backward takes symmetric padding only")
            part = 0 if s.direction == "grad_input" else 1
            wanted = [part == 0, part == 1, False]
            settings = (None, s.stride, low, s.dilation, False, [0] * rank, s.groups, wanted)
            backward = torch.ops.aten.convolution_backward.default
            run = partial(backward, tensor(case.grad), x, weight, *settings)
        else:
            forward = partial(
                getattr(functional, f"conv{rank}d"), stride=s.stride, dilation=s.dilation, groups=s.groups
            )
            sides = [side for pair in reversed(s.padding) for side in pair]
            if even:
                run = partial(forward, x, weight, bias, padding=low)
            else:
                run = lambda: forward(functional.pad(x, sides), weight, bias)  # noqa: E731

        torch.inference_mode().__enter__()  # for the life of the process
        return Contestant(run, lambda: (run() if part is None else run()[part]).numpy())

    return {"torch NCHW": lambda: build(False), "torch NHWC": lambda: build(True)}


def onnx_contestant(operator: str, x: Array, constants: list[tuple[str, Array]], shape: tuple[int, ...], threads: int,
                    **attributes: Any) -> Contestant:  # fmt: skip
    """Build a session of one ONNX node, x and the result bound to arrays it keeps."""
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    node = helper.make_node(operator, ["x", *(name for name, _ in constants)], ["y"], **attributes)
    kind = TensorProto.FLOAT if x.dtype == np.float32 else TensorProto.DOUBLE
    graph = helper.make_graph(
        [node], "layer",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
        [numpy_helper.from_array(array, name) for name, array in constants],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    source = ort.OrtValue.ortvalue_from_numpy(x)
    target = ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, x.dtype))
    binding.bind_ortvalue_input("x", source)
    binding.bind_ortvalue_output("y", target)
    return Contestant(lambda: session.run_with_iobinding(binding), target.numpy)


def onnxruntime_contestants(case: Case, threads: int) -> Factories:
    def build() -> Contestant:
        _plain(case)
        s = case.spec
        given = [("w", case.weight)] + ([("b", case.bias)] if case.bias is not None else [])
        pads = [lo for lo, _ in s.padding] + [hi for _, hi in s.padding]
        return onnx_contestant(
            "Conv", case.x, given, case.result_shape, threads, kernel_shape=s.kernel, strides=s.stride,
            dilations=s.dilation, pads=pads, group=s.groups,
        )  # fmt: skip

    return {"onnxruntime": build}


def openvino_contestant(x: Array, node: Callable[[Any], Any], channels_last: bool, threads: int) -> Contestant:
    """Compile a model of the nodes that `node` adds to an image, channels first; tensors in the wanted layout."""
    import openvino
    from openvino import opset13

    image = opset13.parameter(x.shape, np.float32, name="x")
    model = openvino.Model([node(image)], [image], "layer")
    if channels_last:
        steps = openvino.preprocess.PrePostProcessor(model)
        for end in (steps.input(), steps.output()):
            end.tensor().set_layout(openvino.Layout("NHWC"))
            end.model().set_layout(openvino.Layout("NCHW"))
        model = steps.build()
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    request = openvino.Core().compile_model(model, "CPU", hints).create_infer_request()
    source = last(x) if channels_last else x
    out = aligned(np.zeros(tuple(model.output(0).shape), np.float32))
    request.set_input_tensor(openvino.Tensor(source, shared_memory=True))
    request.set_output_tensor(openvino.Tensor(out, shared_memory=True))
    # Tensors on shared memory do not keep their arrays alive.
    return Contestant(
        lambda: request.infer(share_outputs=True), lambda: first(out) if channels_last else out, keep=(source, out)
    )


def openvino_contestants(case: Case, threads: int) -> Factories:
    from openvino import opset13

    s = case.spec

    def convolution(image: Any) -> Any:
        low, high = [lo for lo, _ in s.padding], [hi for _, hi in s.padding]
        if s.groups == 1:
            node = opset13.convolution(image, case.weight, s.stride, low, high, s.dilation)
        else:
            split = case.weight.reshape(s.groups, -1, *case.weight.shape[1:])
            node = opset13.group_convolution(image, split, s.stride, low, high, s.dilation)
        if case.bias is not None:
            node = opset13.add(node, case.bias.reshape(1, -1, *[1] * len(s.input)))
        return node

    def build(channels_last: bool) -> Contestant:
        _plain(case)
        if s.dtype != "float32":
            raise SkipError("computes in float32 only")
        if channels_last and len(s.input) != 2:
            raise SkipError("compared for images only")
        return openvino_contestant(case.x, convolution, channels_last, threads)

    return {"openvino NCHW": lambda: build(False), "openvino NHWC": lambda: build(True)}


def _plane(case: Case) -> tuple[np.ndarray, np.ndarray, tuple[slice, ...]]:
    """Return the image, the filter and the window of their full correlation that is the result, of one plane."""
    _plain(case)
    s = case.spec
    if (s.n, s.ci, s.co) != (1, 1, 1) or set(s.stride + s.dilation) != {1} or s.bias:
        raise SkipError("one plane, stride 1, no dilation only")
    window = tuple(
        slice(k - 1 - lo, k - 1 - lo + o) for k, (lo, _), o in zip(s.kernel, s.padding, s.output, strict=True)
    )
    if any(w.start < 0 for w in window):
        raise SkipError("padding larger than the filter")
    return case.x[0, 0], case.weight[0, 0], window


def scipy_contestants(case: Case, threads: int) -> Factories:
    import scipy.fft
    from scipy import ndimage, signal

    def by_fft(function: Callable[..., np.ndarray]) -> Contestant:
        x, weight, window = _plane(case)
        flipped = np.ascontiguousarray(np.flip(weight))
        scipy.fft.set_workers(threads).__enter__()  # for the life of the process

        def run() -> np.ndarray:
            return function(x, flipped)[window]

        return Contestant(run, lambda: run()[None, None])

    def by_taps() -> Contestant:
        x, weight, window = _plane(case)
        if any(k % 2 == 0 for k in weight.shape) or any(
            w.start != k // 2 for w, k in zip(window, weight.shape, strict=True)
        ):
            raise SkipError("centred odd filters only")
        out = aligned(np.zeros_like(x))
        return Contestant(lambda: ndimage.correlate(x, weight, out, "constant"), lambda: out[None, None])

    return {
        "scipy oaconvolve": lambda: by_fft(signal.oaconvolve),
        "scipy fftconvolve": lambda: by_fft(signal.fftconvolve),
        "scipy ndimage": by_taps,
    }


def opencv_contestants(case: Case, threads: int) -> Factories:
    import cv2

    cv2.setNumThreads(threads)

    def build() -> Contestant:
        x, weight, _ = _plane(case)
        if x.ndim != 2 or x.shape != case.spec.output:
            raise SkipError("images of unchanged size only")
        anchor = tuple(lo for lo, _ in reversed(case.spec.padding))
        out = aligned(np.zeros_like(x))

        def run() -> None:
            cv2.filter2D(x, -1, weight, out, anchor, 0, cv2.BORDER_CONSTANT)

        return Contestant(run, lambda: out[None, None])

    return {"opencv filter2D": build}


_BUILDERS: dict[str, Callable[[Case, int], Factories]] = {
    "torch": torch_contestants,
    "onnxruntime": onnxruntime_contestants,
    "openvino": openvino_contestants,
    "scipy": scipy_contestants,
    "opencv": opencv_contestants,
}
