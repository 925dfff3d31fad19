"""The same plan and input give the same bits: for any number of threads, any batch, any history."""

import numpy as np
import problems
import pytest
from problems import (
    DIRECTIONS,
    GROUPED_ONLY,
    STATED,
    core_plan,
    core_run,
    data,
    results,
    served,
    serves,
    uniform,
    variants,
)

import convkern
from convkern import _core

FAST = [name for name in STATED if name != "reference"]
LINES = [(line, name) for line in problems.LARGER + problems.BLOCKED for name in FAST]
LINES += [(line, "reference") for line in problems.LARGER[1::2]]
WORK = [(line, way, name) for line, name in LINES for way in DIRECTIONS if served(line, way, name)]
algorithm_names = pytest.mark.parametrize("algorithm", _core.algorithms())


@pytest.mark.parametrize(("line", "direction", "algorithm"), WORK, ids=map("-".join, WORK))
def test_bits_do_not_depend_on_threads(line, direction, algorithm):
    image, weight, _ = data(line, direction, uniform)
    for spec in variants(line, direction, algorithm):
        runs = []
        for threads in (1, 2, 3, 4):
            convkern.set_num_threads(threads)
            runs.append(list(results(spec, algorithm, _core.get_isa(), image, weight)))
        for threads, run in enumerate(runs[1:], start=2):
            for result, first in zip(run, runs[0], strict=True):
                np.testing.assert_array_equal(result, first, err_msg=f"{spec} with {threads} threads")


@pytest.mark.parametrize(
    ("line", "algorithm"), [(line, a) for line in problems.LARGER for a in STATED if served(line, "forward", a)]
)
def test_one_plan_gives_the_same_bits_whatever_threads_run_it(line, algorithm):
    image, weight, _ = data(line, "forward", uniform)
    spec = variants(line, "forward")[0]
    plan = core_plan(spec, algorithm)
    first = core_run(spec, plan, image, weight)
    for threads in (4, 1, 2, 3):
        convkern.set_num_threads(threads)
        np.testing.assert_array_equal(core_run(spec, plan, image, weight), first)


@algorithm_names
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(
    ("channels", "size", "kernel", "settings"),
    [
        (64, (14, 15), (48, 64, 3, 3), {"padding": 1}),
        (3, (30, 31), (17, 3, 5, 5), {"stride": 2, "padding": 2}),
        (96, (7, 7), (130, 96, 1, 1), {}),
        (24, (9, 20), (24, 1, 3, 3), {"padding": 1, "groups": 24}),
    ],
    ids=["3x3", "strided", "1x1", "depthwise"],
)
def test_a_sample_alone_equals_the_sample_in_its_batch(channels, size, kernel, settings, layout, algorithm):
    x = uniform((5, channels, *size), 1).astype(np.float32)
    if not serves(algorithm, x.shape, kernel, **settings):
        pytest.skip(f"{algorithm} does not do this layer")
    x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if layout == "NHWC" else x
    w = uniform(kernel, 2).astype(np.float32)
    way_back = (
        algorithm if serves(algorithm, (5, channels, *size), kernel, direction="grad_input", **settings) else "auto"
    )
    settings = {**settings, "layout": layout}
    y = convkern.conv2d(x, w, algorithm=algorithm, **settings)
    gx = convkern.conv_grad_input(y, w, x.shape, algorithm=way_back, **settings)
    for n in range(len(x)):
        alone = convkern.conv2d(x[n : n + 1], w, algorithm=algorithm, **settings)
        np.testing.assert_array_equal(y[n : n + 1], alone, err_msg=f"sample {n}")
        gx_alone = convkern.conv_grad_input(y[n : n + 1], w, x[n : n + 1].shape, algorithm=way_back, **settings)
        np.testing.assert_array_equal(gx[n : n + 1], gx_alone, err_msg=f"input gradient of sample {n}")


@pytest.mark.parametrize("algorithm", ["auto", *_core.algorithms()])
def test_other_samples_do_not_matter(algorithm):
    groups = 32 if algorithm in GROUPED_ONLY else 1
    outputs = 32 if algorithm == "plane" else 64
    x, w = uniform((4, 32, 12, 12), 1).astype(np.float32), uniform((outputs, 32 // groups, 3, 3), 2).astype(np.float32)
    settings = {"padding": 1, "groups": groups, "algorithm": algorithm}
    first = convkern.conv2d(x, w, **settings)
    x[[0, 1, 3]] = np.nan
    np.testing.assert_array_equal(convkern.conv2d(x, w, **settings)[2], first[2])


@pytest.mark.parametrize("algorithm", ["auto", "winograd4", "winograd2", "direct", "im2col"])
def test_plan_equals_one_shot_call_of_its_algorithm(algorithm):
    x, w = uniform((1, 32, 14, 14), 1).astype(np.float32), uniform((32, 32, 3, 3), 2).astype(np.float32)
    plan = convkern.plan(x.shape, w, padding=1, algorithm=algorithm)
    first = plan(x)
    np.testing.assert_array_equal(plan(x), first)
    np.testing.assert_array_equal(convkern.conv2d(x, w, padding=1, algorithm=plan.algorithm), first)


def test_an_equal_plan_made_after_other_work_gives_the_same_bits():
    x, w = uniform((2, 16, 20, 20), 1).astype(np.float32), uniform((32, 16, 3, 3), 2).astype(np.float32)
    first = convkern.plan(x.shape, w, padding=1)(x)
    for size in range(5, 30, 5):  # leaves other data in the scratch memory
        convkern.conv2d(np.full((1, 8, size, size), 1e30, np.float32), np.ones((8, 8, 3, 3), np.float32), padding=2)
    np.testing.assert_array_equal(convkern.plan(x.shape, w, padding=1)(x), first)
