"""Training interrupted and resumed to the same bits: model, optimizer, random generators and history in one file.

file = model.* + optimizer.* arrays, and JSON with the steps, the epoch, the generators' states and the history
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from .layer import Layer
from .optim import Optimizer
from .serialize import PathLike, read, write

FORMAT = "convkern training 1"


def generators(model: Layer) -> dict[str, np.random.Generator]:
    """The generators of layers that draw numbers, by path."""
    return {path: layer.rng for path, layer in model.named_layers() if layer.rng is not None}


def save_checkpoint(
    path: PathLike, model: Layer, optimizer: Optimizer, rng: np.random.Generator, progress: dict[str, Any]
) -> None:
    """Writes everything that training goes on from; ``progress`` is anything JSON holds."""
    arrays = {f"model.{name}": array for name, array in model.state_dict().items()}
    arrays |= {f"optimizer.{name}": array for name, array in optimizer.state_dict().items()}
    about = {
        "steps": optimizer.steps,
        "rng": rng.bit_generator.state,
        "layers": {name: generator.bit_generator.state for name, generator in generators(model).items()},
        "progress": progress,
    }
    write(path, arrays, {"format": FORMAT, "training": json.dumps(about)})


def load_checkpoint(path: PathLike, model: Layer, optimizer: Optimizer, rng: np.random.Generator) -> dict[str, Any]:
    """Puts model, optimizer and generators into the state of a checkpoint; returns its ``progress``.

    Raises
    ------
    ValueError
        If the file is no checkpoint, or one of another model or optimizer.
    """
    arrays, metadata = read(path)
    if metadata.get("format") != FORMAT:
        raise ValueError(f"checkpoint: {path} was not written by fit(); load() reads plain models")
    parts: dict[str, dict[str, Any]] = {"model": {}, "optimizer": {}}
    for name, array in arrays.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = array
    about = json.loads(metadata["training"])
    own = generators(model)
    if set(own) != set(about["layers"]):
        raise ValueError(f"checkpoint: {path} has random layers {sorted(about['layers'])}, the model {sorted(own)}")
    model.load_state_dict(parts["model"])
    optimizer.load_state_dict(parts["optimizer"], about["steps"])
    rng.bit_generator.state = about["rng"]
    for name, state in about["layers"].items():
        own[name].bit_generator.state = state
    progress: dict[str, Any] = about["progress"]
    return progress
