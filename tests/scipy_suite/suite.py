"""Which of SciPy's own tests run with convkern's functions in SciPy's place, and what must come of them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """One test module of SciPy's wheel.

    ``select``: classes and functions to run, matched with the parts of a node id; empty means all of the module.
    ``at_least``: so many tests must pass, or the selection has lost some. ``taken``: functions that convkern must have
    computed itself at least once, by full name.
    """

    module: str
    select: tuple[str, ...] = ()
    at_least: int = 1
    taken: tuple[str, ...] = ()


SIGNAL = tuple(
    f"scipy.signal.{name}"
    for name in (
        "choose_conv_method",
        "convolve",
        "convolve2d",
        "correlate",
        "correlate2d",
        "correlation_lags",
        "fftconvolve",
        "oaconvolve",
    )
)

FILTERS = tuple(
    f"scipy.ndimage.{name}"
    for name in (
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
        "laplace",
        "maximum_filter",
        "maximum_filter1d",
        "minimum_filter",
        "minimum_filter1d",
        "prewitt",
        "sobel",
        "uniform_filter",
        "uniform_filter1d",
    )
)
MORPHOLOGY = tuple(
    f"scipy.ndimage.{name}"
    for name in (
        "black_tophat",
        "grey_closing",
        "grey_dilation",
        "grey_erosion",
        "grey_opening",
        "morphological_gradient",
        "morphological_laplace",
        "white_tophat",
    )
)

SUITES = (
    Suite("scipy.ndimage.tests.test_filters", at_least=2_400, taken=FILTERS),
    Suite("scipy.ndimage.tests.test_morphology", at_least=1_600, taken=MORPHOLOGY),
    Suite(
        "scipy.signal.tests.test_signaltools",
        select=(
            "TestConvolve",
            "TestConvolve2d",
            "TestFFTConvolve",
            "TestOAConvolve",
            "TestAllFreqConvolves",
            "test_convolve_longdtype_input",
            "TestCorrelateReal",
            "TestCorrelate",
            "test_correlation_lags",
            "test_correlation_lags_invalid_mode",
            "TestCorrelateComplex",
            "TestCorrelate2d",
            "test_choose_conv_method",
            "test_choose_conv_method_2",
        ),
        at_least=11_000,
        taken=SIGNAL,
    ),
    Suite("scipy.signal.tests.test_bsplines", ("TestSepfir2d",), at_least=14, taken=("scipy.signal.sepfir2d",)),
)
