"""Images smoothed, and what is made of the difference: sharper ones, and bands of their frequencies."""

from typing import Any

import numpy as np

from .. import ndimage
from ..ndimage.support import Array
from .image import Image, mode_number


def gaussian(
    image: Any,
    sigma: Any = 1.0,
    *,
    mode: str = "nearest",
    cval: float = 0.0,
    truncate: float = 4.0,
    preserve_range: bool = False,
    channel_axis: int | None = None,
) -> Array:
    """Smooth with a Gaussian over the picture axes.

    Parameters
    ----------
    image : array_like, shape (..., height, width)
        The image or images.
    sigma : scalar or (scalar, scalar), optional
        Standard deviation in pixels, along height and width. Default 1.
    mode, cval
        The border, as in :func:`convkern.ndimage.correlate`; "nearest" by default, as in scikit-image.
    truncate : float, optional
        Where the window ends, in standard deviations. Default 4.
    preserve_range : bool, optional
        Leave the values of integers as they are instead of bringing them to 0..1.
    channel_axis : int, optional
        The axis of the channels. Default none.

    Returns
    -------
    array of the shape of `image`
        float32 for float32 images, else float64.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.vision import filters
    >>> filters.gaussian(np.full((4, 4), 255, np.uint8)).max().round(6)
    np.float64(1.0)
    """
    picture = Image(image, channel_axis, preserve_range=preserve_range)
    return smoothed(picture, sigma, mode, cval, truncate)


def smoothed(picture: Image, sigma: Any, mode: str, cval: float, truncate: float) -> Array:
    """The picture's values smoothed."""
    try:
        sigmas = np.broadcast_to(np.asarray(sigma, np.float64), (2,))
    except ValueError:
        raise ValueError(f"sigma: got {sigma!r}, needs one number or two") from None
    if not (sigmas >= 0).all():
        raise ValueError(f"sigma: got {sigma!r}, needs numbers of at least 0")
    mode_number(mode)
    array = picture.values() if picture.scale != 1 else picture.array
    out = np.empty(array.shape, picture.dtype)
    return ndimage.gaussian_filter(array, tuple(sigmas), 0, out, mode, cval, truncate, axes=picture.axes)


def box(
    image: Any, size: Any = 3, *, mode: str = "reflect", cval: float = 0.0, channel_axis: int | None = None
) -> Array:
    """Mean over a rectangle of `size` pixels, one number or (height, width).

    The other parameters and the result are those of :func:`sobel`.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.vision import filters
    >>> filters.box(np.eye(3), 3)[1, 1].round(6)
    np.float64(0.333333)
    """
    picture = Image(image, channel_axis)
    sizes = tuple(size) if np.iterable(size) else (size, size)
    if len(sizes) != 2 or any(int(n) != n or n < 1 for n in sizes):
        raise ValueError(f"size: got {size!r}, needs one or two whole numbers of at least 1")
    mode_number(mode)
    return ndimage.uniform_filter(picture.values(), sizes, picture.dtype, mode, cval, axes=picture.axes)


def unsharp_mask(
    image: Any,
    radius: float = 1.0,
    amount: float = 1.0,
    *,
    preserve_range: bool = False,
    channel_axis: int | None = None,
) -> Array:
    """Sharpen: add `amount` times the difference from the image smoothed with sigma `radius`.

    Parameters
    ----------
    image : array_like, shape (..., height, width)
        The image or images.
    radius : float, optional
        Standard deviation of the Gaussian, in pixels. Default 1.
    amount : float, optional
        How much of the difference is added; negative blurs. Default 1.
    preserve_range : bool, optional
        Leave values as they are; else the result is limited to 0..1, or -1..1 where the image has negative values.
    channel_axis : int, optional
        The axis of the channels. Default none.

    Returns
    -------
    array of the shape of `image`
        float32 for float32 images, else float64.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.vision import filters
    >>> step = np.repeat([[0.2, 0.2, 0.2, 0.8, 0.8, 0.8]], 6, axis=0)
    >>> filters.unsharp_mask(step, 1.0, 1.0)[2].round(2)
    array([0.2 , 0.16, 0.02, 0.98, 0.84, 0.8 ])
    """
    picture = Image(image, channel_axis, preserve_range=preserve_range)
    values = picture.values()
    result = smoothed(picture, radius, "reflect", 0.0, 4.0)
    np.subtract(values, result, out=result)
    result *= amount
    result += values
    if not preserve_range and values.size:
        np.clip(result, -1.0 if values.min() < 0 else 0.0, 1.0, out=result)
    return result


def difference_of_gaussians(
    image: Any,
    low_sigma: Any,
    high_sigma: Any = None,
    *,
    mode: str = "nearest",
    cval: float = 0.0,
    truncate: float = 4.0,
    channel_axis: int | None = None,
) -> Array:
    """Band-pass: the image smoothed a little minus the image smoothed more (Marr & Hildreth 1980).

    Parameters
    ----------
    image : array_like, shape (..., height, width)
        The image or images.
    low_sigma : scalar or (scalar, scalar)
        The smaller standard deviation, in pixels.
    high_sigma : scalar or (scalar, scalar), optional
        The larger one. Default 1.6 times the smaller.
    mode, cval, truncate, channel_axis
        As in :func:`gaussian`.

    Returns
    -------
    array of the shape of `image`
        float32 for float32 images, else float64.

    Raises
    ------
    ValueError
        If ``high_sigma`` is smaller than ``low_sigma``.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.vision import filters
    >>> filters.difference_of_gaussians(np.ones((8, 8)), 1.0).max().round(6)
    np.float64(0.0)
    """
    high_sigma = np.multiply(low_sigma, 1.6) if high_sigma is None else high_sigma
    if np.any(np.less(high_sigma, low_sigma)):
        raise ValueError(f"high_sigma: got {high_sigma!r}, needs at least low_sigma, {low_sigma!r}")
    picture = Image(image, channel_axis)
    result = smoothed(picture, low_sigma, mode, cval, truncate)
    result -= smoothed(picture, high_sigma, mode, cval, truncate)
    return result
