"""Models on disk: safetensors files, arrays by name and nothing executable; names are those of PyTorch's state dicts.

Files are written beside their place and moved there, so that a crash leaves the old one whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .layer import Array, Layer

PathLike = str | os.PathLike[str]


def _library() -> Any:
    try:
        import safetensors.numpy as library
    except ImportError:
        raise ImportError("saving and loading models needs safetensors: pip install convkern[nn]") from None
    return library


def write(path: PathLike, arrays: dict[str, Array], metadata: dict[str, str] | None = None) -> None:
    """Writes arrays and text to a safetensors file."""
    library = _library()
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    # The format has no strides: it takes an array's memory as it lies.
    whole = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    try:
        library.save_file(whole, draft, metadata=metadata)
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def read(path: PathLike) -> tuple[dict[str, Array], dict[str, str]]:
    """(arrays, text) of a safetensors file."""
    library = _library()
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"path: there is no file {os.fspath(path)!r}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
        return library.load_file(path), metadata
    except (SafetensorError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"path: {os.fspath(path)!r} is no safetensors file of types that NumPy has ({error}); save bfloat16 "
            "tensors as float32"
        ) from error


def save(model: Layer, path: PathLike, metadata: dict[str, str] | None = None) -> None:
    """Saves a model's parameters and running statistics.

    Parameters
    ----------
    model : Layer
    path : path-like
        A safetensors file, by custom ``name.safetensors``; replaced if it is there.
    metadata : dict of str to str, optional
        Text kept in the file's header.

    Raises
    ------
    ImportError
        If safetensors is not installed.

    Examples
    --------
    >>> import tempfile, os
    >>> from convkern import nn
    >>> a, b = nn.Dense(3, 2, rng=0), nn.Dense(3, 2, rng=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nn.save(a, os.path.join(folder, "a.safetensors"))
    ...     _ = nn.load(b, os.path.join(folder, "a.safetensors"))
    >>> bool((a.weight == b.weight).all())
    True
    """
    write(path, model.state_dict(), metadata)


def load(model: Layer, path: PathLike, rename: Callable[[str], str | None] | None = None) -> Layer:
    """Loads what :func:`save` wrote, or a PyTorch state dict saved as safetensors, into a model of the same layers.

    Parameters
    ----------
    model : Layer
    path : path-like
    rename : callable, optional
        From a name in the file to the model's, or None to leave an array out.

    Returns
    -------
    Layer
        The model.

    Raises
    ------
    ValueError
        Listing every missing, unexpected and misshaped name; the model is unchanged then.
    FileNotFoundError, ImportError
    """
    state = read(path)[0]
    if rename is not None:
        state = {new: array for old, array in state.items() if (new := rename(old)) is not None}
    try:
        return model.load_state_dict(state)
    except ValueError as error:
        raise ValueError(f"path: {os.fspath(path)!r}: {error}") from None
