"""Networks instead of single layers: a training step, and compiled inference, against PyTorch eager.

    python -m bench training [--seconds 20] [--only LeNet] [--json OUT]

The same networks, weights, data and optimizer in a process each, in interleaved rounds as rounds.py runs them. Before
any clock starts the losses of the second and third step (or the numbers of one inference) are compared.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .case import Contestant, last

Array = NDArray[Any]
RATE, MOMENTUM, DECAY = 1e-3, 0.9, 1e-4
TASKS = {
    "LeNet-5 step, batch 64, 1x32x32": ("lenet", (64, 1, 32, 32), True, 1.3),
    "ResNet-18 step, batch 8, 3x64x64": ("resnet18", (8, 3, 64, 64), True, 1.3),
    "ResNet-18 inference, batch 1, 3x224x224": ("resnet18", (1, 3, 224, 224), False, 1.5),
}  # network, input, whether it is trained, the ratio wanted
SMOKE = {"LeNet-5 step, batch 2, 1x32x32": ("lenet", (2, 1, 32, 32), True, 0.0)}
TOLERANCE = 1e-3  # of max|numbers|, after three steps of float32
WIDTHS = (64, 128, 256, 512)


def data(shape: tuple[int, ...], classes: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(1)
    return rng.standard_normal(shape, dtype=np.float32), rng.integers(0, classes, shape[0])


def weights(shapes: list[tuple[int, ...]]) -> list[Array]:
    """Initial values for arrays of a state dict in its order: scaled normal weights, else what norms start from."""
    rng = np.random.default_rng(2)
    return [
        (rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)
        if len(shape) > 1
        else np.zeros(shape, np.float32)
        for shape in shapes
    ]


# Ours.


def our_lenet() -> Any:
    from convkern import nn

    return nn.Sequential(
        nn.Conv2d(1, 6, 5, activation="relu"), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5, activation="relu"), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dense(400, 120), nn.ReLU(inplace=True), nn.Dense(120, 84), nn.ReLU(inplace=True),
        nn.Dense(84, 10),
    )  # fmt: skip


def our_resnet18() -> Any:
    from convkern import nn

    def conv(ci: int, co: int, kernel: int, stride: int) -> list[Any]:
        return [nn.Conv2d(ci, co, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(co)]

    def block(ci: int, co: int, stride: int) -> list[Any]:
        body = nn.Sequential(*conv(ci, co, 3, stride), nn.ReLU(inplace=True), *conv(co, co, 3, 1))
        shortcut = [nn.Sequential(*conv(ci, co, 1, stride))] if stride > 1 else []
        return [nn.Residual(body, *shortcut), nn.ReLU(inplace=True)]

    blocks = [layer for i, width in enumerate(WIDTHS) for layer in (
        *block(WIDTHS[max(i - 1, 0)], width, 1 if i == 0 else 2), *block(width, width, 1))]  # fmt: skip
    return nn.Sequential(
        *conv(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1), *blocks, nn.GlobalAvgPool2d(), nn.Flatten(),
        nn.Dense(512, 1000),
    )  # fmt: skip


def ours(network: str, shape: tuple[int, ...], trained: bool) -> dict[str, Callable[[], Contestant]]:
    """A training step in both layouts, or the compiled network."""
    from convkern import nn

    def build(channels_last: bool) -> Contestant:
        model = {"lenet": our_lenet, "resnet18": our_resnet18}[network]()
        arrays = [array for name, array in model.state_dict().items() if array.ndim > 1]
        for array, values in zip(arrays, weights([a.shape for a in arrays]), strict=True):
            array[...] = values
        for name, array in model.state_dict().items():
            if array.ndim == 1 and name.endswith("bias"):
                array[...] = 0
        model.to_layout("NHWC" if channels_last else "NCHW")
        x, y = data(shape, 10 if network == "lenet" else 1000)
        x = last(x) if channels_last else x
        if not trained:
            compiled = model.eval().compile(x.shape)
            return Contestant(lambda: compiled(x), lambda: compiled(x), f"{len(compiled.steps)} steps")
        loss = nn.CrossEntropy()
        optimizer = nn.SGD(model, RATE, MOMENTUM, weight_decay=DECAY)
        model.train()

        def step() -> float:
            return nn.train_step(model, loss, optimizer, x, y)[0]

        return Contestant(step, lambda: np.array([step() for _ in range(2)]))

    return {"ours NHWC": lambda: build(True), "ours NCHW": lambda: build(False)}


# PyTorch's.


def torch_lenet() -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(inplace=True),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(inplace=True), nn.Linear(120, 84),
        nn.ReLU(inplace=True), nn.Linear(84, 10),
    )  # fmt: skip


def torch_resnet18() -> Any:
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

    blocks = [block for i, width in enumerate(WIDTHS) for block in (
        Block(WIDTHS[max(i - 1, 0)], width, 1 if i == 0 else 2), Block(width, width, 1))]  # fmt: skip
    return nn.Sequential(
        *conv(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1), *blocks, nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(512, 1000),
    )  # fmt: skip


def torchs(network: str, shape: tuple[int, ...], trained: bool, threads: int) -> dict[str, Callable[[], Contestant]]:
    """The same by PyTorch eager, in its two memory formats."""
    import torch

    torch.set_num_threads(threads)

    def build(channels_last: bool) -> Contestant:
        model = {"lenet": torch_lenet, "resnet18": torch_resnet18}[network]()
        arrays = [array for array in model.state_dict().values() if array.ndim > 1]
        with torch.no_grad():
            for array, values in zip(arrays, weights([tuple(a.shape) for a in arrays]), strict=True):
                array.copy_(torch.from_numpy(values))
            for name, array in model.state_dict().items():
                if array.ndim == 1 and name.endswith("bias"):
                    array.zero_()
        plain, labels = data(shape, 10 if network == "lenet" else 1000)
        order = torch.channels_last if channels_last else torch.contiguous_format
        x, y = torch.from_numpy(plain).contiguous(memory_format=order), torch.from_numpy(labels)
        model = model.to(memory_format=order)
        if not trained:
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
            value = loss(model(x), y)
            value.backward()
            optimizer.step()
            return float(value.item())

        return Contestant(step, lambda: np.array([step() for _ in range(2)]))

    return {"torch channels_last": lambda: build(True), "torch NCHW": lambda: build(False)}


def contestants(name: str, task: str, threads: int) -> dict[str, Callable[[], Contestant]]:
    """What a worker of this name races in a task."""
    network, shape, trained, _ = (TASKS | SMOKE)[task]
    return ours(network, shape, trained) if name == "ours" else torchs(network, shape, trained, threads)


# The parent's side.


def main(arguments: list[str]) -> int:
    """Race the tasks and print the ratios."""
    from rich.console import Console
    from rich.table import Table

    from .pool import workers
    from .rounds import Entry, _difference, race

    options = argparse.ArgumentParser(prog="python -m bench training", description=__doc__.splitlines()[0])
    options.add_argument("--only", default="", metavar="TEXT", help="only tasks whose name contains TEXT")
    options.add_argument("--seconds", type=float, default=15.0, help="budget of a task's rounds (15)")
    options.add_argument("--threads", type=int, default=2, help="threads of every contestant (2)")
    options.add_argument("--smoke", action="store_true", help="one small task, two rounds")
    options.add_argument("--json", type=Path, metavar="OUT", help="write all samples here")
    chosen = options.parse_args(arguments)
    console = Console()
    table = Table(
        "task", "contestant", "ms", "ratio", "goal", title="training and inference; ratio = fastest peer / ours"
    )
    samples: dict[str, dict[str, list[float]]] = {}
    with workers(["ours", "torch"], chosen.threads) as (handles, versions, missing):
        for task, (_, _, _, goal) in (SMOKE if chosen.smoke else TASKS).items():
            if chosen.only.lower() not in task.lower():
                continue
            entries, truth = [], None
            with tempfile.TemporaryDirectory() as folder:
                for handle in handles.values():
                    for name, found in handle.ask("network", task=task, folder=folder)["contestants"].items():
                        if "skip" in found:
                            console.print(f"[red]{name} does not take part in {task}: {found['skip']}[/]")
                            continue
                        result = np.load(found["result"]).astype(np.float64)
                        truth = result if truth is None else truth
                        off = _difference(found["result"], truth)
                        if off > TOLERANCE:
                            console.print(f"[red]{name} computes something else in {task}: differs by {off:.1e}[/]")
                            continue
                        entries.append(Entry(name, handle, found["seconds"], found["note"]))
            race(
                entries,
                1 << 22,
                0.0 if chosen.smoke else chosen.seconds,
                2 if chosen.smoke else 5,
                4e-3,
                lambda _: None,
            )
            samples[task] = {e.name: e.seconds for e in entries}
            quarter = {e.name: float(np.quantile(e.seconds, 0.25)) for e in entries}
            best = min((t for name, t in quarter.items() if name.startswith("torch")), default=None)
            for name, seconds in sorted(quarter.items(), key=lambda item: item[1]):
                ratio = f"{best / seconds:.2f}" if best and name.startswith("ours") else ""
                table.add_row(task, name, f"{seconds * 1e3:.2f}", ratio, f">= {goal}" if ratio else "")
    for name, reason in missing.items():
        console.print(f"[yellow]{name} is not here: {reason}[/]", highlight=False)
    console.print(table)
    if chosen.json:
        chosen.json.write_text(json.dumps({"versions": versions, "samples": samples}) + "\n")
    return 0
