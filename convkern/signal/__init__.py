"""scipy.signal's convolutions by their own names, signatures and conventions, at the speed of the hardware.

What they do not do themselves (object arrays, masked arrays, float16, long double, more than three axes, bad input)
they hand to SciPy, so that results and errors are SciPy's.

>>> import numpy as np
>>> from convkern.signal import convolve
>>> convolve([1, 2, 3], [0, 1, 0.5], "same")
array([1. , 2.5, 4. ])
"""

from .linear import convolve, correlate, fftconvolve, oaconvolve
from .method import choose_conv_method, correlation_lags
from .plane import convolve2d, correlate2d, sepfir2d

__all__ = [
    "choose_conv_method",
    "convolve",
    "convolve2d",
    "correlate",
    "correlate2d",
    "correlation_lags",
    "fftconvolve",
    "oaconvolve",
    "sepfir2d",
]
