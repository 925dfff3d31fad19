"""NaN and Inf reach exactly the outputs whose window holds them; everything else keeps its value to the bit.

An inexact algorithm has the whole sample computed anew by exact sums, so its other outputs become the right integers.
"""

import numpy as np
import pytest
from problems import (
    DIRECTIONS,
    GROUPED_ONLY,
    INEXACT,
    assert_right,
    data,
    expected,
    results,
    served,
    serves,
    variants,
)

import convkern
from convkern import _core

pytestmark = pytest.mark.grid  # cheap, and where a stray read is likeliest: sanitizers run these too
LINES = (
    "1,3,9x11->5 3x3 p1",
    "3,5,7x6->18 3x3 p2x1",
    "2,5,8x9->17 3x3 s2 p1",
    "1,17,6x7->33 1x1",
    "1,6,9x9->6 3x3 g6 p1",
    "1,4,9x10->6 3x3 g2 d2 p2",
    "1,2,7x8->3 3x3 p2 reflect",
    "1,2,7x8->3 3x3 p2 circular",
    "2,3,40->5 7 p3",
    "1,2,4x5x6->3 3x3x3 p1",
)
# Of these images windows leave out pixels.
SPARSE = ("2,5,100x101->64 2x2 s3", "1,7,30x200->40 1x3 s2x4 p0x1", "1,18,90x90->18 1x2 s2x3 g18")
WORK = [(line, way, a) for line in LINES for way in DIRECTIONS for a in _core.algorithms() if served(line, way, a)]


def positions(array):
    """Both corners, and one inside."""
    return {0, array.size - 1, array.size // 2 + 1}


@pytest.mark.parametrize("isa", _core.supported_isas())
@pytest.mark.parametrize(("line", "direction", "algorithm"), WORK, ids=map("-".join, WORK))
def test_reach(line, direction, algorithm, isa):
    image, weight, right = data(line, direction)
    for position in positions(image):
        marked = np.zeros_like(image)
        marked.flat[position] = 1
        for spec in variants(line, direction, algorithm):
            reached = expected(spec, marked, np.ones_like(weight)) > 0
            others = ~reached
            if algorithm in INEXACT:  # samples without a NaN are the same bits as in a call without any
                sample = reached.any(axis=tuple(range(1, reached.ndim)), keepdims=True)
                others = others & sample
                clean = [np.where(sample, 0, got) for got in results(spec, algorithm, isa, image, weight)]
            for value in (np.nan, np.inf):
                spoiled = image.copy()
                spoiled.flat[position] = value
                for run, got in enumerate(results(spec, algorithm, isa, spoiled, weight)):
                    # A weight of zero makes NaN of Inf, so "not finite" is what Inf promises as well.
                    np.testing.assert_array_equal(~np.isfinite(got), reached, err_msg=f"{spec} {value}")
                    np.testing.assert_array_equal(got[others], right[others], err_msg=f"{spec} {value}")
                    if algorithm in INEXACT:
                        np.testing.assert_array_equal(np.where(sample, 0, got), clean[run], err_msg=f"{spec} {value}")


@pytest.mark.parametrize(
    ("line", "algorithm"), [(line, a) for line in SPARSE for a in _core.algorithms() if served(line, "forward", a)]
)
def test_what_no_window_reads_does_no_harm(line, algorithm):
    """Whatever it is, and however threads cut the work: a step or a tile may reach over such pixels."""
    image, weight, right = data(line, "forward")
    back = variants(line, "grad_input")[0]
    read = expected(back, np.ones_like(right), np.ones_like(weight)) > 0
    assert not read.all()
    for spec in variants(line, "forward", algorithm):
        first = None
        for threads in (1, 2, 3, 4):
            convkern.set_num_threads(threads)
            for got in results(spec, algorithm, _core.get_isa(), np.where(read, image, np.nan), weight):
                assert_right(got, right, algorithm, spec)
                first = got if first is None else first
                np.testing.assert_array_equal(got, first, err_msg=f"{spec} with {threads} threads")


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("algorithm", ["auto", *_core.algorithms()])
def test_infinity_keeps_its_sign(algorithm, value):
    groups = 3 if algorithm in GROUPED_ONLY else 1
    outputs = 3 if algorithm == "plane" else 6
    x, w = np.ones((1, 3, 8, 8), np.float32), np.ones((outputs, 3 // groups, 3, 3), np.float32)
    x[0, 1, 4, 4] = value
    y = convkern.conv2d(x, w, padding=1, groups=groups, algorithm=algorithm)
    reached = slice(outputs // 3, 2 * outputs // 3) if groups == 3 else slice(6)
    assert (y[0, reached, 3:6, 3:6] == value).all()
    assert np.isfinite(y).sum() == y.size - y[0, reached, 3:6, 3:6].size


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("activation", [None, "relu", "relu6", (-1.0, 1.0)])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("algorithm", ["auto", *_core.algorithms()])
def test_nan_passes_through_activation_bias_and_residual(algorithm, kernel, activation, layout):
    if not serves(algorithm, (1, 3, 6, 7), (20, 3, kernel, kernel)):
        pytest.skip("does not serve this kernel")
    order = (0, 2, 3, 1) if layout == "NHWC" else (0, 1, 2, 3)
    x = np.ones((1, 3, 6, 7), np.float32)
    x[0, 0, 2, 3] = np.nan
    w = np.ones((20, 3, kernel, kernel), np.float32)
    reach = kernel // 2
    bias = np.zeros(20, np.float32)
    bias[5] = np.nan
    residual = np.zeros((1, 20, 6, 7), np.float32)
    residual[0, 7, 0, 6] = np.nan
    y = convkern.conv2d(
        x.transpose(order), w, bias, padding=reach, layout=layout, activation=activation,
        residual=residual.transpose(order), algorithm=algorithm,
    )  # fmt: skip
    right = np.zeros((1, 20, 6, 7), bool)
    right[:, :, 2 - reach : 3 + reach, 3 - reach : 4 + reach] = right[:, 5] = right[0, 7, 0, 6] = True
    np.testing.assert_array_equal(np.isnan(y), right.transpose(order))


@pytest.mark.parametrize("algorithm", ["auto", *_core.algorithms()])
def test_nan_in_a_weight_spoils_its_own_output_channel(algorithm):
    groups = 3 if algorithm in GROUPED_ONLY else 1
    outputs = 3 if algorithm == "plane" else 6
    w = np.ones((outputs, 3 // groups, 3, 3), np.float32)
    w[2, -1, 0, 0] = np.nan
    y = convkern.conv2d(np.ones((2, 3, 6, 6), np.float32), w, groups=groups, algorithm=algorithm)
    np.testing.assert_array_equal(np.isnan(y).all((0, 2, 3)), np.arange(outputs) == 2)
    assert np.isfinite(np.delete(y, 2, axis=1)).all()


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("algorithm", ["auto", *_core.algorithms()])
def test_overflow_to_infinity_is_not_hidden(algorithm, kernel):
    x, w = np.full((1, 2, 5, 5), 3e38, np.float32), np.ones((3, 2, kernel, kernel), np.float32)
    if not serves(algorithm, x.shape, w.shape):
        pytest.skip("does not serve this kernel")
    y = convkern.conv2d(x, w, algorithm=algorithm)
    assert (y == np.inf).all()
