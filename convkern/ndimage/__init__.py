"""The filters and the grey morphology of scipy.ndimage, with its signatures and results, many times faster.

Every function takes what SciPy's takes and returns what SciPy's returns; what is not computed here (half and extended
precision, NaN in maxima and minima, bad input) is handed to SciPy.
"""

from .dense import convolve, correlate
from .derivatives import (
    gaussian_gradient_magnitude,
    gaussian_laplace,
    generic_gradient_magnitude,
    generic_laplace,
    laplace,
    prewitt,
    sobel,
)
from .extremes import maximum_filter, maximum_filter1d, minimum_filter, minimum_filter1d
from .gaussian import gaussian_filter, gaussian_filter1d
from .grey import grey_closing, grey_dilation, grey_erosion, grey_opening
from .linear import convolve1d, correlate1d, uniform_filter, uniform_filter1d
from .morphology import black_tophat, morphological_gradient, morphological_laplace, white_tophat

__all__ = [
    "black_tophat",
    "convolve",
    "convolve1d",
    "correlate",
    "correlate1d",
    "gaussian_filter",
    "gaussian_filter1d",
    "gaussian_gradient_magnitude",
    "gaussian_laplace",
    "generic_gradient_magnitude",
    "generic_laplace",
    "grey_closing",
    "grey_dilation",
    "grey_erosion",
    "grey_opening",
    "laplace",
    "maximum_filter",
    "maximum_filter1d",
    "minimum_filter",
    "minimum_filter1d",
    "morphological_gradient",
    "morphological_laplace",
    "prewitt",
    "sobel",
    "uniform_filter",
    "uniform_filter1d",
    "white_tophat",
]
