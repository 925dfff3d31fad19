"""Fractional max pooling: windows of one size whose steps alternate between two so that any output size is met.

    first[o] = floor((o + u) alpha) - floor(u alpha),  alpha = (in - kernel) / (out - 1);   the last ends with the axis

with u of each channel drawn from a seeded generator: no randomness but what the caller asks for.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import FloatArray, as_array, check_out
from .call import IntOrTuple
from .config import current
from .padding import axis_values
from .problem import Shape, dtype_name, read_layout, shape_of, split_shape


def outputs_of(sizes: Shape, output_size: Any, output_ratio: Any) -> Shape:
    if (output_size is None) == (output_ratio is None):
        raise ValueError("output_size: needs either output_size or output_ratio")
    if output_size is not None:
        return axis_values(output_size, "output_size", len(sizes), 1)
    ratios = output_ratio if isinstance(output_ratio, tuple | list) else (output_ratio,) * len(sizes)
    if len(ratios) != len(sizes) or not all(0 < ratio < 1 for ratio in ratios):
        raise ValueError(f"output_ratio: got {output_ratio!r}, needs {len(sizes)} numbers between 0 and 1")
    return tuple(int(size * ratio) for size, ratio in zip(sizes, ratios, strict=True))


def starts(sample: float, size: int, kernel: int, out: int) -> npt.NDArray[np.int64]:
    """Where the windows of an axis begin."""
    first = np.full(out, size - kernel)
    if out > 1:
        alpha = (size - kernel) / (out - 1)
        first[:-1] = ((np.arange(out - 1) + sample) * alpha).astype(np.int64) - int(sample * alpha)
    return first


def fractional(
    rank: int,
    x: npt.ArrayLike,
    kernel_size: Any,
    output_size: Any,
    output_ratio: Any,
    return_indices: bool,
    random_samples: Any,
    seed: int | None,
    layout: str | None,
    out: FloatArray | None,
) -> Any:
    array = as_array(x, "x")
    dtype = dtype_name(array.dtype, "x")
    last = read_layout(layout, rank)
    batched, n, channels, sizes = split_shape("x", array.shape, rank, last)
    kernel = axis_values(kernel_size, "kernel_size", rank, 1)
    outs = outputs_of(sizes, output_size, output_ratio)
    for size, k, o in zip(sizes, kernel, outs, strict=True):
        if o < 1 or o + k - 1 > size:
            raise ValueError(f"output_size: got {o} windows of {k} on an axis of {size}, needs 1 to {size - k + 1}")
    shape = (n, channels, rank)
    samples = np.random.default_rng(seed).random(shape) if random_samples is None else np.asarray(random_samples, float)
    if samples.shape != shape and not (samples.shape == shape[1:] and n == 1):
        raise ValueError(f"random_samples: got shape {samples.shape}, needs {shape}")
    samples = samples.reshape(shape)
    samples = samples[..., ::-1] if rank == 2 else samples  # PyTorch's order: with two axes the last comes first
    if not ((samples >= 0) & (samples < 1)).all():
        raise ValueError("random_samples: needs values of at least 0 and below 1")

    planes = np.moveaxis(array if batched else array[None], -1, 1) if last else (array if batched else array[None])
    planes = np.require(planes, planes.dtype.newbyteorder("="), ["C", "A"])
    y = np.empty((n, channels, *outs), planes.dtype)
    where = np.empty(y.shape, np.int64)
    isa = current().isa or _core.get_isa()
    for i, c in np.ndindex(n, channels):  # windows of its own for every plane
        axes = [
            (size, 1, 0, 1, 0, starts(samples[i, c, a], size, k, o), np.full(o, k), None)
            for a, (size, k, o) in enumerate(zip(sizes, kernel, outs, strict=True))
        ]
        pool = _core.Pool("max", dtype, 1, 1, False, axes, 1.0)
        pool.run(planes[i : i + 1, c : c + 1], y[i : i + 1, c : c + 1], where[i : i + 1, c : c + 1], isa)
    results = [np.ascontiguousarray(np.moveaxis(a, 1, -1)) if last else a for a in (y, where)]
    if not batched:
        results = [a[0] for a in results]
    assert results[0].shape == shape_of(batched, n, channels, outs, last)
    if out is not None:
        check_out(out, results[0].shape, results[0].dtype)[...] = results[0]
        results[0] = out
    return tuple(results) if return_indices else results[0]


def fractional_max_pool1d(
    x: npt.ArrayLike,
    kernel_size: IntOrTuple,
    output_size: IntOrTuple | None = None,
    output_ratio: float | tuple[float, ...] | None = None,
    return_indices: bool = False,
    random_samples: npt.ArrayLike | None = None,
    *,
    seed: int | None = 0,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> Any:
    """Maximum of windows at pseudo-random steps over one spatial axis [1]_.

    Parameters
    ----------
    x : array_like
        (N, C, W) or (C, W); with a channels-last layout C comes last. float32 or float64, any strides.
    kernel_size : int or tuple of int
        Size of the windows.
    output_size : int or tuple of int, optional
        Outputs along each axis; either this or output_ratio.
    output_ratio : float or tuple of float, optional
        Outputs as a part of the input, between 0 and 1.
    return_indices : bool
        Whether to return where each value was found, too. Default False.
    random_samples : array_like, optional
        (N, C, 1), or (C, 1) for a single sample: where in [0, 1) the steps of each channel's axes begin.
    seed : int, optional
        Of the generator that draws random_samples where they are not given; the same seed gives the same windows.
        None draws others each time. Default 0.
    layout : {"NCW", "NWC"}, optional
        Where x and the result have their channels. Default "NCW".
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C, W_out), or as the layout and x have it.
    indices : ndarray of int64
        With return_indices: of the result's shape, flat positions in a channel's plane; the first of equal values, the
        last NaN; -1 for a window that sees only padding.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    References
    ----------
    .. [1] B. Graham, "Fractional Max-Pooling", 2014, https://arxiv.org/abs/1412.6071

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.fractional_max_pool1d(np.ones((1, 1, 4)), 2, output_size=3).shape
    (1, 1, 3)
    """
    return fractional(1, x, kernel_size, output_size, output_ratio, return_indices, random_samples, seed, layout, out)


def fractional_max_pool2d(
    x: npt.ArrayLike,
    kernel_size: IntOrTuple,
    output_size: IntOrTuple | None = None,
    output_ratio: float | tuple[float, ...] | None = None,
    return_indices: bool = False,
    random_samples: npt.ArrayLike | None = None,
    *,
    seed: int | None = 0,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> Any:
    """Maximum of windows at pseudo-random steps over two spatial axes [1]_.

    Parameters
    ----------
    x : array_like
        (N, C, H, W) or (C, H, W); with a channels-last layout C comes last. float32 or float64, any strides.
    kernel_size : int or tuple of int
        Size of the windows.
    output_size : int or tuple of int, optional
        Outputs along each axis; either this or output_ratio.
    output_ratio : float or tuple of float, optional
        Outputs as a part of the input, between 0 and 1.
    return_indices : bool
        Whether to return where each value was found, too. Default False.
    random_samples : array_like, optional
        (N, C, 2), or (C, 2) for a single sample: where in [0, 1) the steps of each channel's axes begin, the last
        axis first, as PyTorch has it.
    seed : int, optional
        Of the generator that draws random_samples where they are not given; the same seed gives the same windows.
        None draws others each time. Default 0.
    layout : {"NCHW", "NHWC"}, optional
        Where x and the result have their channels. Default "NCHW".
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C, H_out, W_out), or as the layout and x have it.
    indices : ndarray of int64
        With return_indices: of the result's shape, flat positions in a channel's plane; the first of equal values, the
        last NaN; -1 for a window that sees only padding.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    References
    ----------
    .. [1] B. Graham, "Fractional Max-Pooling", 2014, https://arxiv.org/abs/1412.6071

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.fractional_max_pool2d(np.ones((1, 1, 4, 4)), 2, output_size=3).shape
    (1, 1, 3, 3)
    """
    return fractional(2, x, kernel_size, output_size, output_ratio, return_indices, random_samples, seed, layout, out)


def fractional_max_pool3d(
    x: npt.ArrayLike,
    kernel_size: IntOrTuple,
    output_size: IntOrTuple | None = None,
    output_ratio: float | tuple[float, ...] | None = None,
    return_indices: bool = False,
    random_samples: npt.ArrayLike | None = None,
    *,
    seed: int | None = 0,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> Any:
    """Maximum of windows at pseudo-random steps over three spatial axes [1]_.

    Parameters
    ----------
    x : array_like
        (N, C, D, H, W) or (C, D, H, W); with a channels-last layout C comes last. float32 or float64, any strides.
    kernel_size : int or tuple of int
        Size of the windows.
    output_size : int or tuple of int, optional
        Outputs along each axis; either this or output_ratio.
    output_ratio : float or tuple of float, optional
        Outputs as a part of the input, between 0 and 1.
    return_indices : bool
        Whether to return where each value was found, too. Default False.
    random_samples : array_like, optional
        (N, C, 3), or (C, 3) for a single sample: where in [0, 1) the steps of each channel's axes begin.
    seed : int, optional
        Of the generator that draws random_samples where they are not given; the same seed gives the same windows.
        None draws others each time. Default 0.
    layout : {"NCDHW", "NDHWC"}, optional
        Where x and the result have their channels. Default "NCDHW".
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C, D_out, H_out, W_out), or as the layout and x have it.
    indices : ndarray of int64
        With return_indices: of the result's shape, flat positions in a channel's plane; the first of equal values, the
        last NaN; -1 for a window that sees only padding.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    References
    ----------
    .. [1] B. Graham, "Fractional Max-Pooling", 2014, https://arxiv.org/abs/1412.6071

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.fractional_max_pool3d(np.ones((1, 1, 4, 4, 4)), 2, output_size=3).shape
    (1, 1, 3, 3, 3)
    """
    return fractional(3, x, kernel_size, output_size, output_ratio, return_indices, random_samples, seed, layout, out)
