"""Canny's edge detector (Canny 1986): smooth, take the gradient, keep its ridges, follow them from the strong ones."""

import itertools
from typing import Any

import numpy as np

from .. import _core, ndimage
from ..ndimage.support import Array
from .image import Image, mode_number


def canny(
    image: Any,
    sigma: float = 1.0,
    low_threshold: float | None = None,
    high_threshold: float | None = None,
    *,
    mask: Any = None,
    use_quantiles: bool = False,
    mode: str = "constant",
    cval: float = 0.0,
    channel_axis: int | None = None,
) -> Array:
    """Edges of one pixel's width, as skimage.feature.canny.

    Parameters
    ----------
    image : array_like, shape (..., height, width)
        The image or images.
    sigma : float, optional
        Standard deviation of the smoothing, in pixels. Default 1.
    low_threshold, high_threshold : float, optional
        Ridges of the gradient's magnitude (of Sobel's filter, weights 1 2 1) from the lower threshold on are edges
        where a path of such pixels leads to one from the higher on. In units of the image: for integers 0..255 and so
        on. Default 0.1 and 0.2 of the largest value (1 for floats).
    mask : array_like of bool, shape (height, width), optional
        Only pixels inside, a pixel away from its border, may be edges; others do not count in the smoothing either.
    use_quantiles : bool, optional
        The thresholds are quantiles of the magnitude, 0 to 1.
    mode, cval
        The border of the smoothing, as in :func:`convkern.ndimage.correlate`. With "constant", the default, smoothed
        values are divided by the weight that lies inside.
    channel_axis : int, optional
        The axis of the channels, each of which is looked at for itself. Default none.

    Returns
    -------
    array of bool, of the shape of `image`

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.vision import filters
    >>> step = np.zeros((8, 8))
    >>> step[:, 4:] = 1
    >>> filters.canny(step)[3].astype(int)
    array([0, 0, 0, 1, 1, 0, 0, 0])
    """
    picture = Image(image, channel_axis)
    mode_number(mode)
    dtype = picture.array.dtype
    largest = float(np.iinfo(dtype).max) if dtype.kind in "ui" else 1.0
    values = np.moveaxis(picture.values(), picture.axes, (-2, -1))
    thresholds = []
    for name, given, default in (("low_threshold", low_threshold, 0.1), ("high_threshold", high_threshold, 0.2)):
        if given is not None and use_quantiles and not 0 <= given <= 1:
            raise ValueError(f"{name}: got {given!r}, needs a quantile between 0 and 1")
        thresholds.append(default if given is None else given if use_quantiles else given / largest)
    low, high = thresholds
    if not low <= high:
        raise ValueError(f"low_threshold: got {low_threshold!r}, needs at most high_threshold, {high_threshold!r}")
    inside = weight = None
    if mask is not None:
        mask = np.asarray(mask, bool)
        if mask.shape != values.shape[-2:]:
            raise ValueError(f"mask: got shape {mask.shape}, needs {values.shape[-2:]}")
        inside = ndimage.minimum_filter(mask, 3, mode="constant")
        inside = np.ascontiguousarray(inside)
    settings: dict[str, Any] = {"sigma": sigma, "mode": mode, "cval": cval}
    if values.size and (mask is not None or mode == "constant"):
        counted = np.ones(values.shape[-2:], picture.dtype) if mask is None else mask.astype(picture.dtype)
        weight = ndimage.gaussian_filter(counted, **settings) + float(np.finfo(counted.dtype).eps)
    result = np.zeros(values.shape, bool)
    for index in itertools.product(*map(range, values.shape[:-2])):
        plane = values[index] if mask is None else np.where(mask, values[index], picture.dtype.type(0))
        if plane.size:
            result[index] = edges_of(plane, settings, weight, inside, (low, high), use_quantiles)
    return np.moveaxis(result, (-2, -1), picture.axes)


def edges_of(
    plane: Array,
    settings: dict[str, Any],
    weight: Array | None,
    inside: Array | None,
    thresholds: tuple[float, float],
    use_quantiles: bool,
) -> Array:
    """The edges of one plane."""
    smooth = ndimage.gaussian_filter(plane, **settings)
    if weight is not None:
        smooth /= weight
    down, right = ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)
    magnitude = np.sqrt(down * down + right * right)
    low, high = np.percentile(magnitude, [100 * t for t in thresholds]) if use_quantiles else thresholds
    marks = np.empty(plane.shape, np.uint8)
    _core.canny_edges(down, right, magnitude, inside, float(low), float(high), marks)
    return marks.view(bool)
