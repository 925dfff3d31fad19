"""How a linear convolution of two arrays of given shapes runs, worked out once for each set of shapes and settings.

    in1, in2 -> Layout -> prepared call of convkern  |  scipy.signal's FFT, where that is predicted to be much faster

The prediction asks the dispatcher, so it changes by itself with the algorithms there are. It knows float32 and float64;
other types are numbers.py's.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..algorithms import BY_NAME
from ..config import Settings
from ..machine import Machine, this_machine
from ..plan import Prepared, lookup
from .layout import Layout, Shape, Span, bordered

Array = npt.NDArray[Any]


class Route:
    """A linear convolution bound to shapes, one real dtype and settings.

    Attributes
    ----------
    exact : bool
        Whether every output is the sum over its own window alone, so that integers stay exact.
    seconds : float
        Predicted time.
    scipy : str or None
        "fftconvolve" or "oaconvolve" where that is predicted to be much faster than what convkern has.
    """

    def __init__(
        self, shape1: Shape, shape2: Shape, axes: Shape, kept: tuple[Span, ...], border: str, filled: bool,
        dtype: str, products: int, accuracy: str, settings: Settings, isa: str,
        generation: int,
    ) -> None:  # fmt: skip
        layout = Layout(shape1, shape2, axes, kept, bordered=border != "zeros" or filled)
        self.layout = layout
        self.dtype = np.dtype(dtype)
        self.border, self.filled = border, filled
        self.padding = layout.padding
        image = layout.image_spatial
        # The kernels know borders no wider than the image, and zeros.
        widest = all(max(pair) <= n for pair, n in zip(layout.padding, image, strict=True))
        self.prepad = filled or (border != "zeros" and not widest)
        if self.prepad:
            image = tuple(n + sum(pair) for n, pair in zip(image, layout.padding, strict=True))
        self._arguments = (
            layout.rank,
            (layout.batch, layout.groups, *image),
            layout.kernel_shape,
            0 if self.prepad else tuple(layout.padding),
            layout.groups,
            "zeros" if self.prepad else border,
            accuracy,
            isa,
            settings,
            generation,
        )
        self.prepared = self.plan(1, 1)
        spec = self.prepared.problem.spec
        machine = this_machine(settings.isa or isa)
        algorithm = BY_NAME[self.prepared.algorithm]
        self.exact = algorithm.windowed
        self.seconds = products * algorithm.cost(spec, machine, planned=False, threads=_core.default_num_threads())
        self.scipy = None
        free = settings.algorithm == "auto" and settings.accuracy == "default" and accuracy == "default"
        if free and border == "zeros" and not filled:
            seconds, name = scipy_seconds(layout, machine, dtype)
            seconds *= min(products, 2)  # a complex transform is two real ones, whatever it transforms
            if seconds < 0.8 * self.seconds:
                self.scipy, self.seconds, self.exact = name, seconds, False

    def plan(self, channels: int, outputs: int) -> Prepared:
        """The prepared call, with so many channels summed and so many outputs for each one there would be."""
        rank, image, kernel, padding, groups, border, accuracy, isa, settings, generation = self._arguments
        x_shape = (image[0], image[1] * channels, *image[2:])
        weight_shape = (kernel[0] * outputs, channels, *kernel[2:])
        return lookup(
            "forward", rank, x_shape, self.dtype, weight_shape, 1, padding, 0, 1, groups, border, None, None, "auto",
            accuracy, isa, settings, generation,
        )  # fmt: skip

    def __call__(self, in1: Array, in2: Array, fill: Any = 0) -> Array:
        """The convolution of two real arrays of this dtype."""
        layout = self.layout
        if layout.swap:
            in1, in2 = in2, in1
        image, kernel = layout.image(in1), layout.kernel(in2)
        if self.prepad:
            image = self.padded(image, fill)
        return layout.result(self.run(self.prepared, image, kernel))

    def padded(self, image: Array, fill: Any) -> Array:
        return bordered(image, [(0, 0), (0, 0), *self.padding], self.border, fill)

    @staticmethod
    def run(prepared: Prepared, image: Array, kernel: Array) -> Array:
        if prepared.fast is not None:
            try:
                return prepared.fast(image, kernel, None, None, None)
            except (TypeError, ValueError):
                pass  # strides or alignment that need a copy
        return prepared.run(image, kernel, None, None, None)

    def complex(self, in1: Array, in2: Array, dtype: np.dtype[Any], fill: Any = 0) -> Array:
        """The convolution of two arrays of which at least one is complex, as real products.

        (a + ib)(c + id) = (ac - bd) + i(ad + bc); each sum over two products is one convolution with two channels.
        """
        layout = self.layout
        if layout.swap:
            in1, in2 = in2, in1
        image, kernel = layout.image(in1), layout.kernel(in2)
        if self.prepad:
            image = self.padded(image, fill)
        if kernel.dtype.kind != "c":
            real, imaginary = (self.run(self.prepared, part, kernel) for part in (image.real, image.imag))
        else:
            c, d = kernel.real, kernel.imag
            channels = 1
            if image.dtype.kind == "c":
                n, groups, *size = image.shape
                channels = 2
                image = np.stack((image.real, image.imag), axis=2).reshape(n, 2 * groups, *size)
                c, d = np.concatenate((c, -d), axis=1), np.concatenate((d, c), axis=1)
            both = self.plan(channels, 2)
            if not BY_NAME[both.algorithm].windowed:  # an FFT transforms the image once for both parts
                y = self.run(both, image, np.stack((c, d), axis=1).reshape(-1, *c.shape[1:]))
                real, imaginary = y[:, ::2], y[:, 1::2]
            else:
                one = self.plan(channels, 1)
                real, imaginary = self.run(one, image, c), self.run(one, image, d)
        result = np.empty(real.shape, dtype)
        result.real, result.imag = real, imaginary
        return layout.result(result)


def scipy_seconds(layout: Layout, machine: Machine, dtype: str) -> tuple[float, str]:
    """Predicted time of scipy.signal's better FFT convolution, and its name.

    A real transform of N points counts 2.5 N log2 N operations. The constants are those of SciPy 1.17 at 3.9 GHz:
    ``timeit`` shows 10.6 ms for fftconvolve and 4.6 ms for oaconvolve of 480,000 float64 samples with 16,000 and 1,000.
    """
    clock, many = machine.clock(), layout.batch * layout.groups * layout.outputs
    full = [n + k - 1 for n, k in zip(layout.image_spatial, layout.kernel_spatial, strict=True)]
    points = math.prod(full)
    # Lines of several dimensions go through vectors of SSE; a single line does not.
    flops_a_cycle = 1.9 * (2 if dtype == "float32" and len(full) * many > 1 else 1)
    whole = 40e-6 + 7.5 * many * points * math.log2(max(2, points)) / (flops_a_cycle * clock)
    if len(full) > 1 or max(layout.kernel_spatial) * 64 > max(layout.image_spatial):
        return whole, "fftconvolve"
    blocks = 95e-6 + many * points * (6 + 2.6 * math.log2(layout.kernel_spatial[0])) / clock
    return (whole, "fftconvolve") if whole <= blocks else (blocks, "oaconvolve")


@lru_cache(maxsize=1024)
def route(*key: Any) -> Route:
    """The Route for these arguments; UnfitError if SciPy has to do it."""
    return Route(*key)
