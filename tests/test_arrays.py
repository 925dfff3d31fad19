"""Memory orders: any strides in, any strides out, and outputs that overlap their inputs."""

from itertools import combinations

import numpy as np
import oracle
import pytest
from problems import CALLS, assert_right, call_for, chosen, integers, serves
from views import DISGUISES, WRITABLE, broadcast, swapped

import convkern
from convkern import _core

pytestmark = pytest.mark.grid  # cheap, and where a stray read is likeliest: sanitizers run these too
algorithm_names = pytest.mark.parametrize("algorithm", ["auto", *_core.algorithms()])
layouts = pytest.mark.parametrize("layout", ["NCHW", "NHWC"])


def operands(layout, algorithm="auto"):
    """x, w, bias, residual in the layout, and the right answer in it."""
    x_shape, w_shape, settings = call_for(algorithm)
    x, w, bias = integers(x_shape, 1), integers(w_shape, 2), integers(w_shape[0], 3)
    y = oracle.forward(x, w, settings.get("stride", (1, 1)), settings["padding"], (1, 1), settings["groups"])
    residual = integers(y.shape, 4)
    right = oracle.finish(y, bias, residual, "relu")
    if layout == "NHWC":
        x, residual, right = (np.moveaxis(a, 1, -1) for a in (x, residual, right))
    return *(np.array(a, np.float32, order="C") for a in (x, w, bias, residual)), right


def run(x, w, bias, residual, algorithm="auto", **more):
    settings = {**call_for(algorithm)[2], **more}
    return convkern.conv2d(x, w, bias, residual=residual, activation="relu", algorithm=algorithm, **settings)


def check(got, right, algorithm):
    """Compare a result of run with the right answer, by the rule of its algorithm."""
    x_shape, w_shape, settings = call_for(algorithm)
    assert_right(got, right, *chosen(algorithm, x_shape, w_shape, **settings), sums=LARGEST[w_shape])


# Of the sums before bias and residual: what a stated error is relative to.
LARGEST = {
    w: oracle.forward(integers(x, 1), integers(w, 2), s.get("stride", (1, 1)), s["padding"], (1, 1), s["groups"])
    for x, w, s in CALLS
}


@algorithm_names
@layouts
@pytest.mark.parametrize("kind", DISGUISES)
@pytest.mark.parametrize("which", ["x", "weight", "bias", "residual"])
def test_inputs_of_any_memory_order(which, kind, layout, algorithm):
    *given, right = operands(layout, algorithm)
    position = ["x", "weight", "bias", "residual"].index(which)
    before = given[position].copy()
    given[position] = DISGUISES[kind](given[position])
    check(run(*given, layout=layout, algorithm=algorithm), right, algorithm)
    np.testing.assert_array_equal(given[position], before)  # inputs are left alone


@algorithm_names
@layouts
@pytest.mark.parametrize("kind", WRITABLE)
def test_out_of_any_memory_order(kind, layout, algorithm):
    *given, right = operands(layout, algorithm)
    out = WRITABLE[kind](np.full(right.shape, np.nan, np.float32))
    assert run(*given, layout=layout, algorithm=algorithm, out=out) is out
    check(out, right, algorithm)


AXES = [axes for size in (1, 2, 3, 4) for axes in combinations(range(4), size)]


@algorithm_names
@layouts
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("axes", AXES, ids=lambda axes: "axes " + "".join(map(str, axes)))
def test_broadcast_inputs(axes, kernel, layout, algorithm):
    x = repeated(integers((2, 6, 5, 6), 1).astype(np.float32), axes)
    w = repeated(integers((20, 6, kernel, kernel), 2).astype(np.float32), axes)
    if not serves(algorithm, x.shape, w.shape, padding=kernel // 2):
        pytest.skip(f"{algorithm} does not serve this kernel")
    settings = {"layout": layout, "algorithm": algorithm, "padding": kernel // 2}
    if layout == "NHWC":
        x = x.transpose(0, 2, 3, 1)
    shape = convkern.conv2d(x.copy(), w.copy(), **settings).shape
    g = repeated(integers(shape, 3).astype(np.float32), axes)
    assert x.strides.count(0) == g.strides.count(0) == len(axes)

    def same(function, a, b, *shape, **more):
        right = function(a.copy(), b.copy(), *shape, **settings, **{k: v.copy() for k, v in more.items()})
        np.testing.assert_array_equal(function(a, b, *shape, **settings, **more), right)

    same(convkern.conv2d, x, w)
    same(convkern.conv2d, x, w, residual=g)
    same(convkern.conv_grad_input, g, w, x.shape)
    if serves(algorithm, x.shape, w.shape, padding=kernel // 2, layout=layout, direction="grad_weight"):
        same(convkern.conv_grad_weight, g, x, w.shape)


def repeated(a, axes):
    for axis in axes:
        a = broadcast(a, axis)
    return a


def test_slices_of_out_leave_the_rest_alone():
    x, w, bias, residual, right = operands("NCHW")
    big = np.full((2, 24, right.shape[2] + 2, right.shape[3] + 2), -1, np.float32)
    run(x, w, bias, residual, out=big[:, 2:22, 1:-1, 1:-1])
    np.testing.assert_array_equal(big[:, 2:22, 1:-1, 1:-1], right)
    big[:, 2:22, 1:-1, 1:-1] = -1
    assert (big == -1).all()


@algorithm_names
def test_residual_may_be_out(algorithm):
    x, w, bias, residual, right = operands("NCHW", algorithm)
    out = residual.copy()
    run(x, w, bias, out, out=out, algorithm=algorithm)
    check(out, right, algorithm)


@algorithm_names
@layouts
@pytest.mark.parametrize("shift", [0, 1, -1], ids=["same", "ahead", "behind"])
@pytest.mark.parametrize("kernel", [1, 3])
def test_out_that_overlaps_x(kernel, shift, layout, algorithm):
    memory = integers(1 * 8 * 12 * 12 + 300, 1).astype(np.float32)
    shape = (1, 8, 12, 12) if layout == "NCHW" else (1, 12, 12, 8)
    size = int(np.prod(shape))
    x = memory[150 : 150 + size].reshape(shape)
    out = memory[150 + 150 * shift : 150 + 150 * shift + size].reshape(shape)
    w = integers((8, 8, kernel, kernel), 2).astype(np.float32)
    if not serves(algorithm, shape, w.shape, padding=kernel // 2, layout=layout):
        pytest.skip(f"{algorithm} does not serve this kernel")
    settings = {"padding": kernel // 2, "layout": layout, "algorithm": algorithm}
    right = convkern.conv2d(x.copy(), w, **settings)
    np.testing.assert_array_equal(convkern.conv2d(x, w, out=out, **settings), right)


def test_out_that_overlaps_the_weight():
    memory = integers(4 * 4 * 5 * 5, 1).astype(np.float32)
    w, out = memory.reshape(4, 4, 5, 5), memory[:100].reshape(1, 4, 5, 5)
    x = integers((1, 4, 5, 5), 2).astype(np.float32)
    right = convkern.conv2d(x, w.copy(), padding=2)
    np.testing.assert_array_equal(convkern.conv2d(x, w, padding=2, out=out), right)


def test_out_that_overlaps_the_bias_and_a_shifted_residual():
    memory = integers(3 * 36 + 40, 1).astype(np.float32)
    x, w = integers((1, 2, 6, 6), 2).astype(np.float32), integers((3, 2, 1, 1), 3).astype(np.float32)
    bias, residual, out = memory[50:53], memory[7 : 7 + 108].reshape(1, 3, 6, 6), memory[:108].reshape(1, 3, 6, 6)
    right = convkern.conv2d(x, w, bias.copy(), residual=residual.copy())
    np.testing.assert_array_equal(convkern.conv2d(x, w, bias, residual=residual, out=out), right)


def test_the_other_byte_order_is_read_and_written():
    x, w, bias, residual, right = operands("NCHW")
    given = [swapped(a) for a in (x, w, bias, residual)]
    np.testing.assert_array_equal(run(*given), right)
    out = swapped(np.zeros(right.shape, np.float32))
    assert run(*given, out=out) is out
    np.testing.assert_array_equal(out, right)


def test_lists_are_taken():
    x = [[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]]
    got = convkern.conv2d(x, [[[[1, 0], [0, 1]]]], [10])
    np.testing.assert_array_equal(got, [[[[16, 18], [22, 24]]]])


def test_lists_beside_an_array_take_its_dtype():
    x, w, bias, residual, right = operands("NCHW")
    got = run(x, w.tolist(), bias.tolist(), residual.tolist())
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, right)


def test_array_likes_and_subclasses_give_plain_arrays(tmp_path):
    class Tagged(np.ndarray):
        pass

    class Image:
        def __init__(self, array):
            self.array = array

        def __array__(self, dtype=None, copy=None):
            return self.array

    x, w, bias, residual, right = operands("NCHW")
    mapped = np.memmap(tmp_path / "x", x.dtype, "w+", shape=x.shape)
    mapped[...] = x
    for image in (mapped, x.view(Tagged), Image(x)):
        got = run(image, w.view(Tagged), bias.view(Tagged), residual.view(Tagged))
        assert type(got) is np.ndarray
        np.testing.assert_array_equal(got, right)


def test_results_are_new_contiguous_arrays():
    x, w, bias, residual, _ = operands("NCHW")
    y = run(x, w, bias, residual)
    assert y.flags.c_contiguous
    assert y.flags.owndata
    assert y.flags.writeable
    assert run(x, w, bias, residual) is not y


def test_planes_outside_a_volume_whose_channels_are_flipped():
    """Plane -1 of a channel would lie where plane 0 of the next one does."""
    x, w = integers((2, 4, 1, 11, 55), 1).astype(np.float32), integers((4, 1, 1, 1, 1), 2).astype(np.float32)
    strides, padding = (1, 1, 2), ((1, 1), (1, 2), (2, 3))
    right = oracle.forward(x, w, strides, padding, (1, 1, 1), 4)
    flipped = np.ascontiguousarray(x[:, ::-1])[:, ::-1]
    for algorithm in ("depthwise", "plane", "direct"):
        got = convkern.conv3d(flipped, w, stride=strides, padding=padding, groups=4, algorithm=algorithm)
        np.testing.assert_array_equal(got, right)
