"""No kernel touches memory beside its arrays: each lies against a page that cannot be read.

The problems run in a process of their own, with every array once flush with the page after it and once with the page
before it. A stray access ends that process, and the problem it announced last is the one to look at.
"""

import pytest
from problems import BORDERS, DILATED, GEOMETRY, GROUPED, LARGER, OTHER_RANKS, POINTWISE, WIDTHS
from scripts import finish, start

from convkern import _core

LINES = GEOMETRY + POINTWISE + DILATED + GROUPED + OTHER_RANKS + BORDERS + WIDTHS[::3] + LARGER[::3] + LARGER[5:6]
SOURCE = """
import ctypes, mmap, sys
sys.path.insert(0, {tests!r})
import numpy as np
from dataclasses import replace
from problems import DIRECTIONS, STATED, assert_right, core_plan, data, shapes, to_layout, variants

PAGE = mmap.PAGESIZE
mprotect = ctypes.CDLL(None).mprotect
mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int

def guarded(array, at_end):
    pages = -(-array.nbytes // PAGE)
    memory = np.frombuffer(mmap.mmap(-1, (pages + 2) * PAGE), np.uint8)
    start = memory.ctypes.data
    for page in (start, start + (pages + 1) * PAGE):
        assert mprotect(page, PAGE, 0) == 0
    first = (pages + 1) * PAGE - array.nbytes if at_end else PAGE
    copy = memory[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy

ran = 0
for line in {lines!r}:
    for direction in DIRECTIONS:
        image, weight, right = data(line, direction)
        for spec in variants(line, direction):
            if direction == "grad_input" and spec.padding_mode != "zeros":
                continue
            if STATED[{algorithm!r}].supports(spec) is not None:
                continue
            gradient = direction == "grad_weight"
            operand = to_layout(weight, spec) if gradient else weight.astype(spec.dtype)
            result = right.astype(spec.dtype) if gradient else to_layout(right, spec)
            residual = np.ones_like(result)
            bias = None if gradient else np.ones(right.shape[1], spec.dtype)
            for at_end in (True, False):
                print(spec, "flush with the end" if at_end else "flush with the start", flush=True)
                plan = core_plan(spec, {algorithm!r}, {isa!r})
                arrays = [a if a is None else guarded(a, at_end) for a in (bias, residual, np.empty_like(result))]
                got = plan.run(guarded(to_layout(image, spec), at_end), guarded(operand, at_end), *arrays)
                assert_right(got, result + (1 if gradient else 2), {algorithm!r}, spec, sums=right)
                ran += 1
assert ran >= 50
"""


@pytest.mark.parametrize("isa", _core.supported_isas())
@pytest.mark.parametrize("algorithm", [name for name in _core.algorithms() if name != "reference"])
def test_pages_beside_the_arrays_are_not_touched(algorithm, isa, request):
    source = SOURCE.format(tests=str(request.path.parent), lines=LINES, algorithm=algorithm, isa=isa)
    status, out, err = finish(start(source), timeout=120)
    assert status == 0, f"exit status {status} at: {out.strip().splitlines()[-1:]}\n{err[-2000:]}"
