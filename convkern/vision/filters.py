"""Edges, smoothing and textures of images, with the conventions and results of skimage.filters.

Images are (..., height, width), a batch in front if there is one; `channel_axis` names the channels' axis where there
are channels, -1 for (height, width, channel). Values are floats: float32 and float64 as they come, others as float64,
integers scaled so that the largest value of their type is 1.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .. import ndimage
from ..api import conv2d
from ..ndimage.dense import PADDING
from ..ndimage.support import Array
from .canny import canny
from .image import Image, mode_number

__all__ = [
    "box",
    "canny",
    "difference_of_gaussians",
    "gabor",
    "gabor_bank",
    "gabor_kernel",
    "gaussian",
    "laplacian",
    "prewitt",
    "roberts",
    "scharr",
    "sobel",
    "unsharp_mask",
]

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


def magnitude(a: Array, b: Array) -> Array:
    """sqrt(a^2 + b^2), in place of a."""
    np.multiply(a, a, out=a)
    np.multiply(b, b, out=b)
    np.add(a, b, out=a)
    return np.sqrt(a, out=a)


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


def gabor_kernel(
    frequency: float,
    theta: float = 0.0,
    *,
    bandwidth: float = 1.0,
    sigma_x: float | None = None,
    sigma_y: float | None = None,
    n_stds: float = 3.0,
    offset: float = 0.0,
) -> Array:
    """A Gaussian times a complex wave (Gabor 1946; Daugman 1985).

    Parameters
    ----------
    frequency : float
        Of the wave, in cycles a pixel.
    theta : float, optional
        Its direction, in radians. Default 0, along the width.
    bandwidth : float, optional
        Of the filter, in octaves; decides the sigmas that are not given. Default 1.
    sigma_x, sigma_y : float, optional
        Standard deviations along the wave and across, in pixels.
    n_stds : float, optional
        Where the kernel ends, in standard deviations. Default 3.
    offset : float, optional
        Phase of the wave, in radians.

    Returns
    -------
    complex128 array with odd extents

    Raises
    ------
    ValueError
        If ``frequency`` or ``bandwidth`` is not positive.

    Examples
    --------
    >>> from convkern.vision import filters
    >>> filters.gabor_kernel(0.25).shape
    (15, 15)
    """
    if not frequency > 0 or not bandwidth > 0:
        raise ValueError(f"frequency, bandwidth: got {frequency!r}, {bandwidth!r}, need positive numbers")
    default = math.sqrt(math.log(2) / 2) * (2.0**bandwidth + 1) / (2.0**bandwidth - 1) / (math.pi * frequency)
    along = default if sigma_x is None else sigma_x
    across = default if sigma_y is None else sigma_y
    cos, sin = math.cos(theta), math.sin(theta)
    reach_x = math.ceil(max(abs(n_stds * along * cos), abs(n_stds * across * sin), 1))
    reach_y = math.ceil(max(abs(n_stds * across * cos), abs(n_stds * along * sin), 1))
    y, x = np.ogrid[-reach_y : reach_y + 1, -reach_x : reach_x + 1]
    u, v = x * cos + y * sin, y * cos - x * sin
    bell = np.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2)) / (2 * math.pi * along * across)
    kernel: Array = bell * np.exp(1j * (2 * math.pi * frequency * u + offset))
    return kernel


def gabor(
    image: Any,
    frequency: float,
    theta: float = 0.0,
    *,
    mode: str = "reflect",
    cval: float = 0.0,
    channel_axis: int | None = None,
    **kernel: Any,
) -> tuple[Array, Array]:
    """Convolve with a Gabor kernel; real and imaginary part.

    Parameters
    ----------
    image : array_like, shape (..., height, width)
        The image or images.
    frequency, theta
        Of the wave, as in :func:`gabor_kernel`.
    mode, cval, channel_axis
        As in :func:`sobel`.
    **kernel
        Further arguments of :func:`gabor_kernel`.

    Returns
    -------
    real, imaginary : arrays of the shape of `image`

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.vision import filters
    >>> real, imaginary = filters.gabor(np.ones((9, 9)), 0.25)
    >>> abs(imaginary).max().round(6)
    np.float64(0.0)
    """
    mode_number(mode)
    picture = Image(image, channel_axis)
    weights, values = gabor_kernel(frequency, theta, **kernel), picture.values()

    def part(of: Array) -> Array:
        return ndimage.convolve(values, of, None, mode, cval, axes=picture.axes)

    return part(weights.real), part(weights.imag)


def gabor_bank(
    image: Any,
    frequencies: Iterable[float],
    thetas: Iterable[float],
    *,
    mode: str = "reflect",
    channel_axis: int | None = None,
    **kernel: Any,
) -> Array:
    """Magnitudes of the responses to Gabor kernels of all frequencies and directions, in one convolution a frequency.

    Parameters
    ----------
    image : array_like, shape (..., height, width)
        The image or images.
    frequencies, thetas : iterable of float
        Of the waves, as in :func:`gabor_kernel`.
    mode, channel_axis
        As in :func:`sobel`.
    **kernel
        Further arguments of :func:`gabor_kernel`.

    Returns
    -------
    array, shape (frequencies, thetas, ..., height, width)

    Examples
    --------
    >>> import numpy as np
    >>> from convkern.vision import filters
    >>> filters.gabor_bank(np.eye(32), (0.1, 0.2), (0.0, 0.8, 1.6)).shape
    (2, 3, 32, 32)
    """
    number = mode_number(mode)
    picture = Image(image, channel_axis)
    values = np.moveaxis(picture.values(), picture.axes, (-2, -1))
    planes = values.reshape(-1, 1, *values.shape[-2:])
    frequencies, thetas = list(frequencies), list(thetas)
    result = np.empty((len(frequencies), len(thetas), *picture.array.shape), picture.dtype)
    for row, frequency in enumerate(frequencies):
        kernels = [gabor_kernel(frequency, theta, **kernel) for theta in thetas]
        if not kernels:
            continue
        reach = np.max([k.shape for k in kernels], axis=0) // 2
        if (reach >= values.shape[-2:]).any():  # the border repeats: one kernel after another
            responses = [
                gabor(image, frequency, theta, mode=mode, channel_axis=channel_axis, **kernel) for theta in thetas
            ]
            result[row] = [magnitude(*parts) for parts in responses]
            continue
        bank = np.zeros((2 * len(kernels), 1, *(2 * reach + 1)), picture.dtype)
        for i, each in enumerate(kernels):
            (y, x), (h, w) = reach - np.array(each.shape) // 2, each.shape
            bank[2 * i : 2 * i + 2, 0, y : y + h, x : x + w] = each.real[::-1, ::-1], each.imag[::-1, ::-1]
        both = conv2d(planes, bank, padding=tuple(int(n) for n in reach), padding_mode=PADDING[number])
        lengths = magnitude(both[:, ::2], both[:, 1::2])
        lengths = np.moveaxis(lengths, 1, 0).reshape(len(kernels), *values.shape)
        result[row] = np.moveaxis(lengths, (-2, -1), [axis + 1 for axis in picture.axes])
    return result
