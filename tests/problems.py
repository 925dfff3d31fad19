"""The problems the tests run, one line each, and the data and expected results that go with a line.

A line reads "batch,channels,size->channels kernel" and what differs from the defaults: s stride, p padding,
d dilation, g groups, a padding mode (see convkern.spec). GRID is kept small enough to run under sanitizers.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import oracle
import pytest

import convkern
from convkern import _core, algorithms
from convkern.spec import Spec

STATED = {algorithm.name: algorithm for algorithm in algorithms.ALGORITHMS}
# These transform what they multiply, and are held to the error they state. All others, a new one included, are sums of
# products and nothing else: on small integers they must be right to the last bit.
INEXACT = frozenset({"winograd4", "winograd2", "fft"})
# Pairs of bfloat16 stand for float32 alone.
FLOAT32_ONLY = frozenset({"bf16x3"})
DTYPES = ("float32", "float64")
DIRECTIONS = ("forward", "grad_input", "grad_weight")
WORKSPACE = 32 << 20

GEOMETRY = (
    "1,3,9x11->5 3x3",
    "1,3,9x11->5 3x3 p1",
    "5,3,6x7->4 3x3 p1",
    "2,4,8x8->6 3x3 p1 s2",
    "2,5,13x7->7 5x3 p2x1 s2x3",
    "1,3,12x10->4 3x2 p(0,1)x(2,0)",
    "1,2,5x6->3 3x3 p4",
    "1,3,17x17->4 3x3 s5",
    "1,3,16x19->4 2x3 s3x4 p1x2",
    "1,3,10x10->4 4x4 s2 p1",
    "2,3,8x8->2 2x2 s2",
    "1,3,6x5->4 6x5",
    "2,3,3x3->5 3x3",
    "1,3,16x16->24 8x8 s8",
    "1,3,15x15->8 7x7 s2 p3",
    "1,3,9x20->4 1x7 p0x3",
    "1,3,20x9->4 7x1 p3x0",
    "1,8,1x19->16 3x3 p1",
    "1,1,12x35->1 5x5 p2",
)
POINTWISE = (
    "1,4,9x9->8 1x1",
    "3,17,5x7->33 1x1",
    "1,4,16x15->8 1x1 s2",
    "1,4,9x9->8 1x1 s3x1 p1",
    "2,70,1x1->65 1x1",
    "1,6,4x4->8 1x1 g2",
    # pixels gathered panel by panel: of lines that are one, that join, of groups, of a volume
    "1,16,5x7->33 1x1",
    "2,17,9x16->40 1x1 s2",
    "1,40,6x7->70 1x1 g2",
    "1,18,3x4x9->36 1x1x1 s1x2x1",
)
DILATED = (
    "1,3,15x13->4 3x3 d2",
    "1,3,15x20->4 3x3 d2x5 p2x5",
    "1,2,14x14->3 3x3 d3 s2 p3",
    "1,3,7x7->4 3x3 d6 p6",
    "1,3,11x16->5 2x4 d3x2 s2x5 p(3,0)x(1,4)",
    "1,2,4x7->3 3x3 p1x0 d1x3",
    "1,2,7x4->3 3x3 p0x1 d3x1",
)
GROUPED = (
    "1,6,7x7->9 3x3 g3 p1",
    "2,8,6x9->4 3x3 g4 s2 p1",
    "1,32,6x6->64 3x3 g2 p1",
    "2,7,9x8->7 3x3 g7 p1",
    "1,33,5x6->33 3x3 g33 p1 s2",
    "1,33,5x6->33 3x3 g33 p1",
    "2,17,4x19->17 3x3 g17 p1",
    "1,20,7x15->20 3x3 g20",
    "1,5,6x9->15 3x3 g5 p1 s2",
    "1,18,5x5->36 5x5 g18 p2 d2",
)
OTHER_RANKS = (
    "2,3,40->5 7 p3",
    "1,1,33->1 3",
    "3,17,29->16 5 s2 d2 p4",
    "1,4,21->6 4 s5 p(0,3) g2",
    "1,3,5x6x7->4 3x3x3 p1",
    "2,2,4x5x6->3 2x3x1 s1x2x1 p(0,1)x1x0",
    "1,4,5x5x5->6 3x3x3 g2 d2x1x1 p2x1x1",
    "1,3,7x6x5->17 3x2x3 s2x3x1 p1",
)
BORDERS = tuple(
    f"{line} {mode}"
    for mode in ("reflect", "replicate", "circular", "symmetric")
    for line in (
        "1,3,7x8->4 3x3 p1",
        "2,2,9x6->3 5x5 p2x(1,2) s2",
        "2,4,23->6 5 p4 d2 g2",
        "1,2,4x5x6->3 3x3x3 p1x2x(2,0)",
        "2,17,5x9->17 3x2 p(0,2)x(0,3) g17",
    )
)
SIZES = (1, 3, 8, 15, 16, 17, 33, 48, 64, 65)
CHANNELS = tuple(
    line
    for c in SIZES
    for line in (f"1,3,5x9->{c} 3x3 p1", f"1,{c},4x6->5 3x3 p1", f"2,{c},3x5->{SIZES[-1 - SIZES.index(c)]} 1x1")
)
WIDTHS = tuple(f"1,2,3x{width}->17 3x3 p1" for width in range(1, 41))
GRID = GEOMETRY + POINTWISE + DILATED + GROUPED + OTHER_RANKS + BORDERS + CHANNELS + WIDTHS

# Longer sums and several cache blocks: for rounding, threads and determinism.
LARGER = (
    "2,64,20x23->48 3x3 p1",
    "1,130,9x9->140 3x3 p1 s2",
    "1,3,64x61->33 7x7 s2 p3",
    "3,32,12x17->64 3x3 p1 g2",
    "2,96,14x14->200 1x1",
    "1,40,24x24->40 5x5 p2 g40",
    "2,16,900->40 9 p4 d2 circular",
    "1,12,9x10x11->20 3x3x3 p1",
)

# Sums and outputs of more than one cache block, and weights that outweigh the image.
BLOCKED = (
    "1,2048,3x4->20 1x1",
    "1,512,9x8->24 1x1 s2",
    "1,1024,5x6->20 3x3 p1",
    "1,512,5x5->24 3x3 p1",
    "1,1,3000->3 2400",
    "2,16,4x5->1500 1x1",
    "1,4400,5x9->40 1x1",
    "1,160,6x6->352 3x3 p1",
    "1,3,40x40->5 31x31",
    "1,40,24x26->20 11x11 p5",
    "70,3,5x5->8 3x3 s2",
    "1,2,200x3->4 3x3 p1 d1x1 replicate",
    "1,5,7x470->6 3x3 p1",
    "1,64,3x145->64 3x3",
    "40,5,6x7->9 3x3 p1",
    "1,100,980->20 3 p7 d7",  # pieces of a line that begin within a group of a dilation's phases
    "1,16,5000->16 9 p4 g16",
    "2,20,1100x4->20 3x3 d500x1 p(0,1)x1 g20",
    "1,3,5x24000->3 5x3 p2x1 g3",
    "1,3,20000->3 7 s3 p3 g3 circular",
    "1,20,9x40->20 3x3 s2 p1 g20",
    # short sums and many outputs: some rows meet all panels before the next; of whole lines where borders are apart
    "1,3,68x70->230 1x1",
    "1,2,60x62->330 3x3 p1",
    "3,2,9x31->150 1x3 p0x1",
    # a chunk's pixels, all their channels, in the weight gradient
    "1,270,36x35->3 1x1",
    # and lines that two parts of it share unevenly
    "1,3,93x93->40 5x5 s2",
    "2,3,5x70->3 4x4 s3 p1 d1x2 g3 reflect",
    "1,6,4x5x30->6 2x3x3 s2x1x2 p1 g6",
    # planes in place: lines end to end, lines at the ends copied, tiles of 4, 6 and 7 lines of 1 to 4 vectors and more
    "2,3,15x14->3 3x3 p1 g3",
    "1,2,30x70->2 5x5 p2 g2",
    "1,2,11x130->2 7x7 p3 g2",
    "2,2,3x12x20->2 1x3x5 p0x1x4 g2",
    "2,7,9x8->7 3x3 p1 g7",
    "1,2,9x16->2 3x1 p0x900 g2",
    # and copied, where lines stay from one block to the next
    "1,2,70x512->2 5x5 p2 g2",
    "1,2,60x300->2 3x3 s2 p1 g2 reflect",
)

# (x, weight, settings) of public calls; every algorithm serves one of them.
CALLS = (
    ((2, 6, 9, 8), (20, 3, 4, 3), {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "groups": 2}),
    ((2, 6, 9, 8), (20, 3, 3, 3), {"padding": ((1, 0), (2, 1)), "groups": 2}),
    ((2, 6, 9, 8), (6, 1, 3, 3), {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "groups": 6}),
    ((2, 6, 9, 8), (6, 1, 3, 2), {"padding": ((1, 0), (2, 1)), "groups": 6}),
)
# One channel in, or one out, a group: what these serve.
GROUPED_ONLY = ("depthwise", "plane")


def integers(shape, seed, low=-4, high=4):
    """Small integers, so that every order of summation gives the same float32."""
    return np.random.default_rng(seed).integers(low, high, shape, endpoint=True).astype(np.float64)


def uniform(shape, seed):
    return np.random.default_rng(seed).uniform(-1, 1, shape)


def forms(spec, algorithm=None):
    """The spec in both layouts and dtypes, or in those dtypes that an algorithm has."""
    dtypes = DTYPES[:1] if algorithm in FLOAT32_ONLY else DTYPES
    return [replace(spec, dtype=dtype, channels_last=last) for last in (False, True) for dtype in dtypes]


def variants(line, direction, algorithm=None):
    """Read the line for one direction, in all forms."""
    return forms(replace(Spec.parse(line), direction=direction), algorithm)


def served(line, direction, algorithm):
    """Whether an algorithm computes a line; layouts and dtypes make no difference."""
    return STATED[algorithm].supports(variants(line, direction)[0]) is None


def shapes(spec):
    """(x, w, y) shapes with channels before space."""
    return (
        (spec.n, spec.ci, *spec.input),
        (spec.co, spec.ci // spec.groups, *spec.kernel),
        (spec.n, spec.co, *spec.output),
    )


def expected(spec, image, weight):
    """Ask the oracle; image and weight as _core.Plan.run names them, channels before space."""
    geometry = (spec.stride, spec.padding, spec.dilation, spec.groups, spec.padding_mode)
    if spec.direction == "forward":
        return oracle.forward(image, weight, *geometry)
    if spec.direction == "grad_input":
        return oracle.grad_input(image, weight, spec.input, *geometry)
    return oracle.grad_weight(weight, image, spec.kernel, *geometry)


def serves(algorithm, x_shape, w_shape, **settings):
    """Whether an algorithm computes such a public call; "auto" computes all."""
    if algorithm == "auto":
        return True
    return STATED[algorithm].supports(convkern.explain(x_shape, w_shape, **settings).spec) is None


def call_for(algorithm):
    """The first of CALLS that the algorithm serves."""
    return next((x, w, settings) for x, w, settings in CALLS if serves(algorithm, x, w, **settings))


def chosen(algorithm, x_shape, w_shape, **settings):
    """(name, spec) of what computes a public call; skips a test whose algorithm does not serve it."""
    if not serves(algorithm, x_shape, w_shape, **settings):
        pytest.skip(f"{algorithm} does not serve {x_shape}, {w_shape}, {settings}")
    explanation = convkern.explain(x_shape, w_shape, algorithm=algorithm, **settings)
    assert algorithm in ("auto", explanation.chosen)
    return explanation.chosen, explanation.spec


def assert_right(got, right, algorithm, spec, sums=None, exact=True):
    """Equality, or what is within the algorithm's stated error if it is inexact or the data is not integers.

    The error is relative to the largest of ``sums``: the right result before bias, residual and activation.
    """
    if exact and algorithm not in INEXACT:
        np.testing.assert_array_equal(got, right, err_msg=str(spec))
    else:
        bound = STATED[algorithm].error(spec) * np.abs(right if sums is None else sums).max(initial=0)
        np.testing.assert_allclose(got, right, rtol=0, atol=bound, err_msg=f"{algorithm}: {spec}")


@lru_cache(maxsize=4096)
def data(line, direction, kind=integers):
    """(image, weight, expected) in float64, channels before space; read-only, shared between tests."""
    spec = replace(Spec.parse(line), direction=direction)
    x, w, y = shapes(spec)
    image = kind(y if direction == "grad_input" else x, seed=1)
    weight = kind(y if direction == "grad_weight" else w, seed=2)
    if kind is not integers:  # what the library will see
        image, weight = image.astype(np.float32).astype(np.float64), weight.astype(np.float32).astype(np.float64)
    arrays = image, weight, expected(spec, image, weight)
    for array in arrays:
        array.flags.writeable = False
    return arrays


def to_layout(array, spec):
    """Copy an array with channels before space into spec's dtype and layout."""
    return np.ascontiguousarray(np.moveaxis(array, 1, -1) if spec.channels_last else array, dtype=spec.dtype)


def from_layout(array, spec):
    return np.moveaxis(array, -1, 1) if spec.channels_last else array


def core_plan(spec, algorithm, isa=None, max_workspace=WORKSPACE):
    return _core.Plan(
        algorithm, spec.direction, spec.dtype, spec.n, spec.groups, spec.ci, spec.co, spec.input, spec.output,
        spec.kernel, spec.stride, spec.dilation, tuple(low for low, _ in spec.padding), spec.padding_mode,
        spec.channels_last, spec.clamp, max_workspace, isa,
    )  # fmt: skip


def core_run(spec, plan, image, weight):
    """Run a plan on arrays with channels before space; so is the result (a weight gradient has no layout).

    It begins as NaN: an output that is not written is seen.
    """
    gradient = spec.direction == "grad_weight"
    if weight is not None:
        weight = to_layout(weight, spec) if gradient else weight.astype(spec.dtype)
    x, w, y = shapes(spec)
    out = np.full({"forward": y, "grad_input": x, "grad_weight": w}[spec.direction], np.nan)
    out = out.astype(spec.dtype) if gradient else to_layout(out, spec)
    result = plan.run(to_layout(image, spec), weight, None, None, out)
    return result if gradient else from_layout(result, spec)


def results(spec, algorithm, isa, image, weight):
    """Run the problem with plain and with packed weights; what ran is asserted."""
    if spec.direction == "grad_input" and spec.padding_mode != "zeros":
        yield bordered_gradient(spec, algorithm, isa, image, weight)  # the border is folded back in Python
        return
    for packed in (False, True)[: 1 + (spec.direction != "grad_weight")]:
        plan = core_plan(spec, algorithm, isa)
        assert (plan.algorithm, plan.isa) == (algorithm, isa)
        if packed:
            plan.pack(weight.astype(spec.dtype))
        yield core_run(spec, plan, image, None if packed else weight)


def bordered_gradient(spec, algorithm, isa, image, weight):
    shape = (spec.n, *spec.input, spec.ci) if spec.channels_last else (spec.n, spec.ci, *spec.input)
    with convkern.config(isa=isa):
        plan = convkern.plan(
        shape, weight.astype(spec.dtype), None, spec.stride, spec.padding, spec.dilation, spec.groups,
        padding_mode=spec.padding_mode, layout=spec.layout, direction="grad_input", algorithm=algorithm,
    )  # fmt: skip
    assert (plan.algorithm, plan.isa) == (algorithm, isa)
    return from_layout(plan(to_layout(image, spec)), spec)
