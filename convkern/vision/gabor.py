"""Gabor's filters: waves under a bell, one or a bank of them, for the textures of images."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import ndimage
from ..api import conv2d
from ..ndimage.dense import PADDING
from ..ndimage.support import Array
from .image import Image, magnitude, mode_number


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
