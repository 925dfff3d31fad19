"""The suite of networks: a training step, and compiled inference, against PyTorch eager in its two memory formats.

Same weights, data, loss and optimizer on both sides. All have to agree with ours first, to 1e-3 of max|numbers|: in the
losses of the second and third step, which the gradients of the steps before them decide, or in what inference gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .case import Array, Contestant, last
from .functions import Build, Inputs, Job

RATE, MOMENTUM, DECAY = 1e-3, 0.9, 1e-4
WIDTHS = (64, 128, 256, 512)  # channels of ResNet-18's stages
TOLERANCE = 1e-3  # of max|numbers|: after three steps of float32


@dataclass(frozen=True)
class Work:
    """What is done with a network."""

    network: str  # lenet5 or resnet18
    shape: tuple[int, int, int, int]
    classes: int
    trained: bool
    widths: tuple[int, ...] = WIDTHS  # of resnet18


def _weights(shapes: list[tuple[int, ...]]) -> list[Array]:
    """Initial values of the arrays of a state dict that have several axes, in its order: He's normal weights."""
    random = np.random.default_rng(2)
    return [(random.standard_normal(s) * np.sqrt(2 / np.prod(s[1:]))).astype(np.float32) for s in shapes]


# Ours.


def _our_lenet5(work: Work) -> Any:
    from convkern import nn

    return nn.Sequential(
        nn.Conv2d(1, 6, 5, activation="relu"), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5, activation="relu"), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dense(400, 120), nn.ReLU(inplace=True), nn.Dense(120, 84), nn.ReLU(inplace=True),
        nn.Dense(84, work.classes),
    )  # fmt: skip


def _our_resnet18(work: Work) -> Any:
    from convkern import nn

    def conv(ci: int, co: int, kernel: int, stride: int) -> list[Any]:
        return [nn.Conv2d(ci, co, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(co)]

    def block(ci: int, co: int, stride: int) -> list[Any]:
        body = nn.Sequential(*conv(ci, co, 3, stride), nn.ReLU(inplace=True), *conv(co, co, 3, 1))
        shortcut = [nn.Sequential(*conv(ci, co, 1, stride))] if stride > 1 else []
        return [nn.Residual(body, *shortcut), nn.ReLU(inplace=True)]

    widths = work.widths
    blocks = [layer for i, width in enumerate(widths) for layer in (
        *block(widths[max(i - 1, 0)], width, 1 if i == 0 else 2), *block(width, width, 1))]  # fmt: skip
    return nn.Sequential(
        *conv(3, widths[0], 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1), *blocks, nn.GlobalAvgPool2d(),
        nn.Flatten(), nn.Dense(widths[-1], work.classes),
    )  # fmt: skip


def _ours(work: Work, channels_last: bool) -> Build:
    """A training step, or the compiled network."""

    def build(inputs: Inputs, threads: int) -> Contestant:
        from convkern import nn

        model = {"lenet5": _our_lenet5, "resnet18": _our_resnet18}[work.network](work)
        state = model.state_dict()
        several = [array for array in state.values() if array.ndim > 1]
        for array, values in zip(several, _weights([a.shape for a in several]), strict=True):
            array[...] = values
        for name, array in state.items():
            if array.ndim == 1 and name.endswith("bias"):
                array[...] = 0
        model.to_layout("NHWC" if channels_last else "NCHW")
        x, labels = inputs
        x = last(x) if channels_last else x
        if not work.trained:
            compiled = model.eval().compile(x.shape)
            return Contestant(lambda: compiled(x), lambda: compiled(x), f"{len(compiled.steps)} steps")
        loss = nn.CrossEntropy()
        optimizer = nn.SGD(model, RATE, MOMENTUM, weight_decay=DECAY)
        model.train()

        def step() -> float:
            return float(nn.train_step(model, loss, optimizer, x, labels)[0])

        return Contestant(step, lambda: np.array([step() for _ in range(2)]))

    return build


# PyTorch's.


def _torch_lenet5(work: Work) -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(inplace=True),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(inplace=True), nn.Linear(120, 84),
        nn.ReLU(inplace=True), nn.Linear(84, work.classes),
    )  # fmt: skip


def _torch_resnet18(work: Work) -> Any:
    from torch import nn

    def conv(ci: int, co: int, kernel: int, stride: int) -> list[Any]:
        return [nn.Conv2d(ci, co, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(co)]

    class Block(nn.Module):  # type: ignore[misc,unused-ignore]
        def __init__(self, ci: int, co: int, stride: int) -> None:
            super().__init__()
            self.body = nn.Sequential(*conv(ci, co, 3, stride), nn.ReLU(inplace=True), *conv(co, co, 3, 1))
            self.shortcut = nn.Sequential(*conv(ci, co, 1, stride)) if stride > 1 else nn.Identity()
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: Any) -> Any:
            return self.relu(self.body(x) + self.shortcut(x))

    widths = work.widths
    blocks = [block for i, width in enumerate(widths) for block in (
        Block(widths[max(i - 1, 0)], width, 1 if i == 0 else 2), Block(width, width, 1))]  # fmt: skip
    return nn.Sequential(
        *conv(3, widths[0], 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1), *blocks, nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(widths[-1], work.classes),
    )  # fmt: skip


def _torch(work: Work, channels_last: bool) -> Build:
    """The same by PyTorch eager."""

    def build(inputs: Inputs, threads: int) -> Contestant:
        import torch

        torch.set_num_threads(threads)
        model = {"lenet5": _torch_lenet5, "resnet18": _torch_resnet18}[work.network](work)
        state = model.state_dict()
        several = [array for array in state.values() if array.ndim > 1]
        with torch.no_grad():
            for array, values in zip(several, _weights([tuple(a.shape) for a in several]), strict=True):
                array.copy_(torch.from_numpy(values))
            for name, array in state.items():
                if array.ndim == 1 and name.endswith("bias"):
                    array.zero_()
        order = torch.channels_last if channels_last else torch.contiguous_format
        x, labels = torch.from_numpy(inputs[0]).contiguous(memory_format=order), torch.from_numpy(inputs[1])
        model = model.to(memory_format=order)
        if not work.trained:
            model.eval()

            def infer() -> Any:
                with torch.inference_mode():
                    return model(x)

            return Contestant(infer, lambda: infer().numpy())
        model.train()
        loss = torch.nn.CrossEntropyLoss()
        optimizer = torch.optim.SGD(model.parameters(), RATE, MOMENTUM, weight_decay=DECAY)

        def step() -> float:
            optimizer.zero_grad()
            value = loss(model(x), labels)
            value.backward()
            optimizer.step()
            return float(value.item())

        return Contestant(step, lambda: np.array([step() for _ in range(2)]))

    return build


# The rows.


def _draw(work: Work, random: np.random.Generator) -> Inputs:
    return random.standard_normal(work.shape, np.float32), random.integers(0, work.classes, work.shape[0])


def jobs(shrink: int = 1) -> dict[str, Job]:
    """Return the rows by name, wide networks `shrink` times thinner; images are as they are."""
    widths = tuple(width // shrink for width in WIDTHS)
    works = {
        "LeNet-5 step": Work("lenet5", (64, 1, 32, 32), 10, True),
        "ResNet-18 step": Work("resnet18", (8, 3, 64, 64), 1000, True, widths),
        "ResNet-18 inference": Work("resnet18", (1, 3, 224, 224), 1000, False, widths),
    }
    found = {}
    for name, work in works.items():
        ours = {"ours NHWC": _ours(work, True), "ours NCHW": _ours(work, False)}
        peers = {"torch NHWC": ("torch", _torch(work, True)), "torch NCHW": ("torch", _torch(work, False))}
        detail = ",".join(map(str, work.shape[:2])) + f",{work.shape[2]}x{work.shape[3]}"
        found[name] = Job(name, detail, partial(_draw, work), ours, peers, TOLERANCE)
    return found
