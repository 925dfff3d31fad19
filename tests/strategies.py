"""What hypothesis draws: calls of the public functions, and Specs."""

import numpy as np
import oracle
from hypothesis import assume, event
from hypothesis import strategies as st
from problems import STATED
from views import DISGUISES

import convkern
from convkern import _core
from convkern.spec import Spec

LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}
LONGEST = {1: (45, 700), 2: (14, 50), 3: (7, 12)}  # usual and rare axes
MANY = 17  # groups: more than any vector has lanes


@st.composite
def paddings(draw, rank):
    one = st.one_of(st.integers(0, 4), st.integers(0, 12))
    return draw(
        st.one_of(
            st.sampled_from(["valid", "same", "full"]),
            one,
            st.tuples(*[one] * rank),
            st.tuples(*[st.tuples(one, one)] * rank),
        )
    )


@st.composite
def convolutions(draw):
    """Draw everything that describes a call; its arrays are made from this."""
    common = draw(st.integers(0, 2)) == 0  # a 3x3 of stride 1, which the most algorithms serve
    rank = 2 if common else draw(st.integers(1, 3))
    usual, rare = LONGEST[rank]
    axis = st.one_of(st.integers(1, usual), st.integers(1, usual), st.integers(1, rare))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 7, MANY]))
    kernel = (3, 3) if common else draw(st.tuples(*[st.integers(1, 5)] * rank))
    stride = 1 if common else draw(st.one_of(st.integers(1, 4), st.tuples(*[st.integers(1, 4)] * rank)))
    dilation = 1 if common else draw(st.one_of(st.integers(1, 3), st.tuples(*[st.integers(1, 3)] * rank)))
    spatial = draw(st.tuples(*[axis] * rank))
    padding = draw(paddings(rank))
    strides = (stride,) * rank if isinstance(stride, int) else stride
    dilations = (dilation,) * rank if isinstance(dilation, int) else dilation
    pairs = oracle.pairs(padding, kernel, strides, dilations, spatial)
    mode = draw(st.sampled_from(tuple(oracle.PADDING_MODES)))
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    assume(all(i + sum(p) >= e for i, p, e in zip(spatial, pairs, extents, strict=True)))
    if any(max(p) >= i for i, p in zip(spatial, pairs, strict=True)):
        mode = "zeros"  # the other modes need a border smaller than the image
    single = groups == MANY or (groups > 1 and draw(st.booleans()))  # half of them depthwise
    per_group = 1 if single else draw(st.integers(1, 9))
    event(f"{rank}-D, {mode}")
    return {
        "rank": rank,
        "x": (draw(st.integers(1, 3)), groups * per_group, *spatial),
        "co": groups * draw(st.integers(1, 2 if groups == MANY else 20)),
        "kernel": kernel,
        "settings": {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups},
        "mode": mode,
        "layout": draw(st.sampled_from(LAYOUTS[rank])),
        "dtype": draw(st.sampled_from([np.float32, np.float64])),
        "algorithms": draw(st.permutations(["auto", *_core.algorithms()])),
        "isa": draw(st.sampled_from(_core.supported_isas())),
        "threads": draw(st.integers(1, 3)),
        "disguises": draw(st.tuples(*[st.sampled_from([*DISGUISES, "broadcast"])] * 2)),
        "explicit": (strides, pairs, dilations, groups, mode),
    }


def call_settings(case, x_shape, w_shape, direction="forward", **more):
    """(settings, name, spec) of a public call: the first drawn algorithm that serves it."""
    settings = {**case["settings"], "layout": case["layout"], "padding_mode": case["mode"], **more}
    known = {**settings, "direction": direction, "dtype": case["dtype"]}
    spec = convkern.explain(x_shape, w_shape, **known).spec
    named = next(name for name in case["algorithms"] if name == "auto" or STATED[name].supports(spec) is None)
    name = convkern.explain(x_shape, w_shape, algorithm=named, **known).chosen if named == "auto" else named
    return {**settings, "algorithm": named}, name, spec


@st.composite
def specs(draw):
    rank = draw(st.integers(1, 3))

    def per_axis(low, high):
        return draw(st.tuples(*[st.integers(low, high)] * rank))

    groups = draw(st.integers(1, 5))
    size, kernel, stride, dilation = per_axis(1, 300), per_axis(1, 9), per_axis(1, 4), per_axis(1, 3)
    padding = draw(st.tuples(*[st.tuples(st.integers(0, 6), st.integers(0, 6))] * rank))
    windows = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    assume(all(i + sum(p) >= e for i, p, e in zip(size, padding, windows, strict=True)))
    narrow = all(max(p) < i for i, p in zip(size, padding, strict=True))
    bounds = st.floats(-100, 100, width=32)
    low, high = sorted((draw(bounds), draw(bounds)))
    return Spec(
        direction=draw(st.sampled_from(["forward", "grad_input", "grad_weight"])),
        dtype=draw(st.sampled_from(["float32", "float64"])),
        n=draw(st.integers(1, 64)),
        groups=groups,
        ci=groups * draw(st.integers(1, 64)),
        co=groups * draw(st.integers(1, 64)),
        input=size,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        padding=padding,
        padding_mode=draw(st.sampled_from(tuple(oracle.PADDING_MODES) if narrow else ("zeros",))),
        channels_last=draw(st.booleans()),
        clamp=draw(st.sampled_from([None, (0.0, float("inf")), (0.0, 6.0), (low, high)])),
        bias=draw(st.booleans()),
        residual=draw(st.booleans()),
    )
