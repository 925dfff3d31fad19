"""Edges of images: differences of neighbours, and the length of the gradient. Knows no smoothing but across."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import ndimage
from ..ndimage.support import Array
from .image import Image, magnitude

DIFFERENCE = (-1.0, 0.0, 1.0)


def edges(
    image: Any, smooth: Sequence[float], axis: int | None, mode: str, cval: float, channel_axis: int | None
) -> Array:
    """A difference along one picture axis smoothed along the other, or the length of both over sqrt(2)."""
    picture = Image(image, channel_axis)
    if axis is not None:
        if axis not in (-2, -1, 0, 1):
            raise ValueError(f"axis: got {axis}, needs 0 (along the height), 1 (along the width) or None")
        return picture.sums({axis % 2: DIFFERENCE, 1 - axis % 2: smooth}, mode, cval)
    down = picture.sums({0: DIFFERENCE, 1: smooth}, mode, cval, math.sqrt(0.5))
    right = picture.sums({1: DIFFERENCE, 0: smooth}, mode, cval, math.sqrt(0.5))
    return magnitude(down, right)


def sobel(
    image: Any, *, axis: int | None = None, mode: str = "reflect", cval: float = 0.0, channel_axis: int | None = None
) -> Array:
    """Edges by Sobel's filter: a central difference, smoothed by 1 2 1 across.

    Parameters
    ----------
    image : array_like, shape (..., height, width)
        The image or images.
    axis : {None, 0, 1}, optional
        None, the default, gives the length of the gradient over sqrt(2); 0 and 1 its part along height and width.
    mode, cval
        The border, as in :func:`convkern.ndimage.correlate`.
    channel_axis : int, optional
        The axis of the channels, each of which is filtered for itself. Default none.

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
    >>> step = np.zeros((4, 6))
    >>> step[:, 3:] = 1
    >>> filters.sobel(step, axis=1)[1]
    array([0., 0., 1., 1., 0., 0.])
    """
    return edges(image, (0.25, 0.5, 0.25), axis, mode, cval, channel_axis)


def scharr(
    image: Any, *, axis: int | None = None, mode: str = "reflect", cval: float = 0.0, channel_axis: int | None = None
) -> Array:
    """Edges by Scharr's filter, 3 10 3 across, whose gradient turns best with the image (Scharr 2000).

    Parameters and result are those of :func:`sobel`.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.vision import filters
    >>> filters.scharr(np.eye(5), axis=0).shape
    (5, 5)
    """
    return edges(image, (3 / 16, 10 / 16, 3 / 16), axis, mode, cval, channel_axis)


def prewitt(
    image: Any, *, axis: int | None = None, mode: str = "reflect", cval: float = 0.0, channel_axis: int | None = None
) -> Array:
    """Edges by Prewitt's filter, a mean of three across (Prewitt 1970).

    Parameters and result are those of :func:`sobel`.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.vision import filters
    >>> filters.prewitt(np.ones((5, 5))).max()
    np.float64(0.0)
    """
    return edges(image, (1 / 3, 1 / 3, 1 / 3), axis, mode, cval, channel_axis)


def roberts(image: Any, *, channel_axis: int | None = None) -> Array:
    """Edges by Roberts' cross: the length of the two diagonal differences over sqrt(2) (Roberts 1963).

    Parameters and result are those of :func:`sobel`.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.vision import filters
    >>> filters.roberts(np.ones((5, 5))).max()
    np.float64(0.0)
    """
    picture = Image(image, channel_axis)
    scale = picture.scale * math.sqrt(0.5)
    falling = np.array([[1.0, 0.0], [0.0, -1.0]]) * scale
    rising = np.array([[0.0, 1.0], [-1.0, 0.0]]) * scale
    parts = [ndimage.convolve(picture.array, w, picture.dtype, axes=picture.axes) for w in (falling, rising)]
    return magnitude(*parts)


def laplacian(image: Any, *, mode: str = "reflect", channel_axis: int | None = None) -> Array:
    """Minus the sum of second differences, so that a bright spot is bright (as skimage.filters.laplace).

    Parameters and result are those of :func:`sobel`.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.vision import filters
    >>> spot = np.zeros((3, 3))
    >>> spot[1, 1] = 1
    >>> filters.laplacian(spot)
    array([[ 0., -1.,  0.],
           [-1.,  4., -1.],
           [ 0., -1.,  0.]])
    """
    picture = Image(image, channel_axis)
    second = (-1.0, 2.0, -1.0)
    result = picture.sums({0: second}, mode)
    result += picture.sums({1: second}, mode)
    return result
