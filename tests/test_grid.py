"""Every algorithm on every ISA over the problems of problems.py, in both layouts, dtypes and all directions.

Small integers have one right answer in float32 whatever the order of summation, so algorithms that only sum products
are compared for equality; others, and random data, must stay within the error the algorithm states. A new row of
algo/list.inc is tested unedited, as one that only sums products.
"""

import problems
import pytest
from problems import DIRECTIONS, INEXACT, STATED, assert_right, core_plan, data, results, served, variants

from convkern import _core

pytestmark = pytest.mark.grid
FORMS = [(a, i) for a in _core.algorithms() for i in _core.supported_isas()]
# The reference's plain loops use no kernel, so one ISA stands for all where problems are large.
FAST_FORMS = [(a, i) for a, i in FORMS if a != "reference" or i == _core.supported_isas()[0]]


def cases(lines, forms):
    """Each line and direction by every algorithm that serves it, on every ISA."""
    product = [(line, way, a, i) for line in lines for way in DIRECTIONS for a, i in forms if served(line, way, a)]
    return pytest.mark.parametrize(("line", "direction", "algorithm", "isa"), product, ids=map("-".join, product))


def check(line, direction, algorithm, isa, kind):
    image, weight, right = data(line, direction, kind)
    for spec in variants(line, direction, algorithm):
        for got in results(spec, algorithm, isa, image, weight):
            assert got.dtype == spec.dtype
            assert got.shape == right.shape
            assert_right(got, right, algorithm, spec, exact=kind is problems.integers)


@cases(problems.GRID, FORMS)
def test_integers(line, direction, algorithm, isa):
    check(line, direction, algorithm, isa, problems.integers)


@cases(problems.BLOCKED, FAST_FORMS)
def test_integers_in_many_blocks(line, direction, algorithm, isa):
    check(line, direction, algorithm, isa, problems.integers)


@cases(problems.LARGER, FAST_FORMS)
def test_random_numbers_within_the_stated_error(line, direction, algorithm, isa):
    check(line, direction, algorithm, isa, problems.uniform)


def test_stated_errors_are_tight_enough_to_mean_something():
    for line in problems.LARGER:
        for direction in DIRECTIONS:
            for spec in variants(line, direction):
                limit = 1e-4 if spec.dtype == "float32" else 1e-12
                errors = {name: a.error(spec) for name, a in STATED.items() if a.supports(spec) is None}
                assert all(0 < error < limit for error in errors.values()), (str(spec), errors)


def test_every_algorithm_of_the_core_is_described():
    assert tuple(STATED) == _core.algorithms()
    assert list(STATED)[-1] == "reference"
    assert set(STATED) > INEXACT


def test_strict_leaves_out_the_inexact():
    assert not any(STATED[name].windowed for name in INEXACT)


def test_three_algorithms_serve_everything():
    for line in problems.GRID + problems.BLOCKED + problems.LARGER:
        for direction in DIRECTIONS:
            assert all(served(line, direction, name) for name in ("direct", "im2col", "reference")), line


def test_refused_problems_are_refused_by_the_core_too():
    for line in problems.GRID[:40]:
        for direction in DIRECTIONS:
            for spec in variants(line, direction):
                for name, algorithm in STATED.items():
                    if algorithm.supports(spec) is not None:
                        with pytest.raises(ValueError, match=name):
                            core_plan(spec, name)


def test_odd_is_among_the_isas_and_last():
    assert _core.supported_isas()[-1] == "odd"
    assert len(set(_core.supported_isas())) == len(_core.supported_isas()) >= 2
