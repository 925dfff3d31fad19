"""Edges, smoothing and textures of images, with the conventions and results of skimage.filters.

Images are (..., height, width), a batch in front if there is one; `channel_axis` names the channels' axis where there
are channels, -1 for (height, width, channel). Values are floats: float32 and float64 as they come, others as float64,
integers scaled so that the largest value of their type is 1.
"""

from .canny import canny
from .edges import laplacian, prewitt, roberts, scharr, sobel
from .gabor import gabor, gabor_bank, gabor_kernel
from .smoothing import box, difference_of_gaussians, gaussian, unsharp_mask

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
