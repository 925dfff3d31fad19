"""The demo's steps: filters and CNN layers, and SciPy's way to the same numbers.

    y[k, i] = sum_c sum_t w[k, c, t] x[c, i stride + t dilation - padding]

A step is one conv2d or conv_transpose2d call. The layers' weights are fixed: oriented derivatives first, so that
the feature maps show something. Knows nothing of timing, checking or drawing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

import convkern

Array = NDArray[Any]
Rivals = dict[str, Callable[[Array], Array]]
LUMINANCE = (0.299, 0.587, 0.114)


@dataclass
class Step:
    """One convolution over `image`, and the SciPy calls that give the same result.

    `settings` are the keyword arguments of conv2d or conv_transpose2d; each of `rivals` takes the image, in float32
    for the timing and in float64 for the check.
    """

    name: str
    note: str
    image: Array
    weight: Array
    settings: dict[str, Any]
    rivals: Rivals
    transposed: bool = False
    result: Array = field(init=False)
    explanation: convkern.Explanation = field(init=False)
    seconds: float = field(init=False, default=math.inf)
    rival: str = field(init=False, default="")
    rival_seconds: float = field(init=False, default=math.inf)

    def convolve(self) -> Array:
        """Our side of the step."""
        function = convkern.conv_transpose2d if self.transposed else convkern.conv2d
        return function(self.image, self.weight, **self.settings)

    def explain(self) -> convkern.Explanation:
        """Ask what the dispatcher makes of it."""
        settings = {**self.settings, "bias": "bias" in self.settings}
        direction = "transposed" if self.transposed else "forward"
        return convkern.explain(self.image.shape, self.weight.shape, direction=direction, **settings)

    @property
    def speedup(self) -> float:
        """SciPy's time over ours."""
        return self.rival_seconds / self.seconds


# --- weights -----------------------------------------------------------------------------------------------------

BINOMIAL = np.outer([1, 2, 1], [1, 2, 1]) / 16
SOBEL_X = np.outer([1, 2, 1], [-1, 0, 1])
LAPLACE = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])


def gaussian(radius: int, sigma: float) -> Array:
    """Sample a Gaussian at -radius..radius, sum one, as scipy.ndimage.gaussian_filter does."""
    line: Array = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    line /= line.sum()
    return line


def oriented(angle: float) -> Array:
    """Make a 3x3 derivative in the direction `angle`."""
    return (math.cos(angle) * SOBEL_X + math.sin(angle) * SOBEL_X.T) / 8


def contour(angle: float) -> Array:
    """Make a 3x3 line across the direction `angle`, that is, along the edge which oriented(angle) finds."""
    y, x = np.mgrid[-1:2, -1:2]
    line: Array = np.exp(-((math.cos(angle) * x + math.sin(angle) * y) ** 2) / 0.3)
    line /= line.sum()
    return line


# The 16 channels of the network: light in 8 directions, red against green and blue against yellow in 4 each.
ANGLES = [2 * math.pi * k / 8 for k in range(8)] + [2 * math.pi * k / 4 for k in range(4)] * 2
COLOURS = [LUMINANCE] * 8 + [(2.0, -2.0, 0.0)] * 4 + [(-1.0, -1.0, 2.0)] * 4


def hue(angle: float) -> Array:
    """Pick a colour for the edge direction `angle`; opposite directions lie on the same edge and share it."""
    return 0.5 + 0.5 * np.cos(2 * angle - 2 * math.pi * np.arange(3) / 3)


def network() -> list[tuple[str, str, Array, dict[str, Any]]]:
    """List the layers: name, note, weight, settings. Together they draw the picture's edges, coloured by angle."""
    edges = np.stack([np.multiply.outer(c, oriented(a)) for c, a in zip(COLOURS, ANGLES, strict=True)])
    identity = np.eye(16)
    centre = np.outer([0, 1, 0], [0, 1, 0])
    inhibited = np.multiply.outer(identity - 0.04, BINOMIAL)  # smooth, minus a little of every other channel
    detail = np.multiply.outer(identity, centre - BINOMIAL)
    along = np.stack([contour(a)[None] for a in ANGLES] * 2)
    mix = np.concatenate([identity - 0.05, 0.5 * identity], axis=1)[:, :, None, None]
    bilinear = np.outer([0.5, 1, 0.5], [0.5, 1, 0.5])
    colour = np.stack([np.multiply.outer(hue(a), bilinear) for a in ANGLES])

    bias = np.full(16, -0.01, np.float32)
    edge = {"padding": 1, "padding_mode": "replicate"}
    half = {**edge, "stride": 2}
    return [
        ("Layer 1", "oriented edges, 3 to 16", edges, {**edge, "bias": bias, "activation": "relu"}),
        ("Layer 2", "stride 2, 16 to 32", np.concatenate([inhibited, detail]), {**half, "activation": "relu"}),
        ("Layer 3", "depthwise, along contours", along, {**edge, "groups": 32}),
        ("Layer 4", "1x1, 32 to 16", mix, {"activation": "relu"}),
        ("Layer 5", "transposed, stride 2, 16 to 3", colour, {"padding": 1, "stride": 2}),
    ]


# --- SciPy's side --------------------------------------------------------------------------------------------------


def per_plane(weight: Array) -> Callable[[Array], Array]:
    """Write y[k] = scipy.ndimage.correlate(x[k], weight[k, 0]); a single plane of x meets every filter."""

    def correlate(x: Array) -> Array:
        planes, filters = np.broadcast_to(x, (len(weight), *x.shape[1:])), weight[:, 0].astype(x.dtype)
        return np.stack([ndimage.correlate(p, w, mode="nearest") for p, w in zip(planes, filters, strict=True)])

    return correlate


def summed_planes(weight: Array, stride: int, bias: Array | float) -> Callable[[Array], Array]:
    """Write a layer with ReLU: ndimage.correlate a plane at a time, summed over channels, then every stride-th pixel.

    This was the fastest of SciPy's ways: scipy.signal.correlate on whole (channels, height, width) volumes took 4 to
    5 times as long on the demo's layers, scipy.signal.oaconvolve summed over channels 3 to 4 times.
    """

    def layer(x: Array) -> Array:
        y = np.empty((len(weight), *x[0, ::stride, ::stride].shape), x.dtype)
        for result, filters in zip(y, weight.astype(x.dtype), strict=True):
            total = np.zeros(x.shape[1:], x.dtype)
            for plane, w in zip(x, filters, strict=True):
                total += ndimage.correlate(plane, w, mode="nearest")
            result[:] = total[::stride, ::stride]
        y += np.reshape(bias, (-1, 1, 1)).astype(x.dtype)
        return np.maximum(y, 0, out=y)

    return layer


def summed_pixels(weight: Array) -> Callable[[Array], Array]:
    """Write a 1x1 layer with ReLU, which is a matrix product: numpy.tensordot, that is, BLAS."""
    return lambda x: np.maximum(np.tensordot(weight[:, :, 0, 0].astype(x.dtype), x, 1), 0)


def summed_up(weight: Array, size: tuple[int, ...]) -> Callable[[Array], Array]:
    """Write a transposed layer: zeros between the pixels, then scipy.ndimage.convolve summed over channels."""

    def layer(x: Array) -> Array:
        spread = np.zeros((len(x), *size), x.dtype)
        spread[:, ::2, ::2] = x
        y = np.zeros((weight.shape[1], *size), x.dtype)
        for plane, filters in zip(spread, weight.astype(x.dtype), strict=True):
            for result, w in zip(y, filters, strict=True):
                result += ndimage.convolve(plane, w, mode="constant")
        return y

    return layer


# --- steps ---------------------------------------------------------------------------------------------------------


def filter_steps(photo: Array) -> Iterator[Step]:
    """Edge and blur filters; the border repeats the edge pixel (padding_mode replicate, SciPy's mode nearest)."""
    grey = np.tensordot(np.asarray(LUMINANCE, np.float32), photo, 1)[None]

    def step(name: str, note: str, image: Array, kernels: Array, rivals: Rivals) -> Step:
        weight = np.ascontiguousarray(kernels[:, None], np.float32)
        rivals = {"ndimage.correlate": per_plane(weight), **rivals}
        settings = {"padding": "same", "padding_mode": "replicate", "groups": len(image)}
        return Step(name, note, image, weight, settings, rivals)

    def each(kernel: Array) -> Array:
        return np.stack([kernel] * 3)

    def smooth(sigma: float, radius: int) -> Callable[[Array], Array]:
        return lambda x: ndimage.gaussian_filter(x, (0, sigma, sigma), radius=(0, radius, radius), mode="nearest")

    sobel = np.stack([SOBEL_X, SOBEL_X.T])
    yield step(
        "Sobel",
        "x and y, shown as magnitude",
        grey,
        sobel,
        {"ndimage.sobel": lambda x: np.stack([ndimage.sobel(x[0], a, mode="nearest") for a in (1, 0)])},
    )
    yield step(
        "Laplacian",
        "second derivative",
        grey,
        LAPLACE[None],
        {"ndimage.laplace": lambda x: ndimage.laplace(x[0], mode="nearest")[None]},
    )
    line = gaussian(4, 1.5)
    yield step(
        "Gaussian 9x9",
        "sigma 1.5, each colour",
        photo,
        each(np.outer(line, line)),
        {"ndimage.gaussian_filter": smooth(1.5, 4)},
    )
    line = gaussian(15, 5.0)
    yield step(
        "Gaussian 31x31",
        "sigma 5, each colour",
        photo,
        each(np.outer(line, line)),
        {"ndimage.gaussian_filter": smooth(5.0, 15)},
    )
    line, centre = gaussian(3, 1.0), np.pad([[1.0]], 3)
    blur = smooth(1.0, 3)
    yield step(
        "Sharpen 7x7",
        "unsharp mask, each colour",
        photo,
        each(2.5 * centre - 1.5 * np.outer(line, line)),
        {"ndimage.gaussian_filter": lambda x: 2.5 * x - 1.5 * blur(x)},
    )


def layer_steps(photo: Array) -> Iterator[Step]:
    """Yield the network. A layer takes the result of the one before: set step.result before asking for the next."""
    x = photo
    for name, note, kernels, settings in network():
        weight = np.ascontiguousarray(kernels, np.float32)
        transposed = name == "Layer 5"
        if transposed:
            size = photo.shape[1:]
            settings["output_padding"] = tuple(1 - s % 2 for s in size)  # an even size needs one more pixel
            rivals = {"ndimage.convolve": summed_up(weight, size)}
        elif weight.shape[2:] == (1, 1):
            rivals = {"numpy.tensordot": summed_pixels(weight)}
        elif "groups" in settings:
            rivals = {"ndimage.correlate": per_plane(weight)}
        else:
            rivals = {"ndimage.correlate": summed_planes(weight, settings.get("stride", 1), settings.get("bias", 0.0))}
        step = Step(name, note, x, weight, settings, rivals, transposed)
        yield step
        x = step.result
