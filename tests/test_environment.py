"""CONVKERN_ISA, CONVKERN_NUM_THREADS and OMP_NUM_THREADS, read when the library is loaded."""

import os

import pytest
from scripts import finish, run, start

from convkern import _core

CALL = "import numpy as np, convkern; convkern.conv2d(np.ones((1,1,4,4)), np.ones((1,1,3,3)));"
THREADS = CALL + "print(convkern.get_num_threads())"
ISA = CALL + "from convkern import _core; print(_core.get_isa(), convkern.plan((1,1,4,4), np.ones((1,1,3,3), 'f')).isa)"
CPUS = len(os.sched_getaffinity(0))


@pytest.mark.parametrize("isa", _core.supported_isas())
def test_isa_is_forced(isa):
    assert run(ISA, CONVKERN_ISA=isa).split() == [isa, isa]


def test_the_best_isa_is_the_default():
    assert run(ISA).split()[0] == _core.supported_isas()[0]


def failure(variable, value, source):
    status, out, err = finish(start(source, **{variable: value}))
    assert status == 1, f"{variable}={value!r} was accepted: {out}"
    return err.strip().splitlines()[-1]


@pytest.mark.parametrize("value", ["avx999", "AVX 2", "auto?"])
def test_an_unknown_isa_is_an_error(value):
    line = failure("CONVKERN_ISA", value, ISA)
    assert "CONVKERN_ISA" in line
    assert value in line
    assert all(isa in line for isa in _core.supported_isas())


def test_an_isa_of_another_machine_is_an_error():
    foreign = "avx2" if "neon" in _core.supported_isas() else "neon"
    assert foreign in failure("CONVKERN_ISA", foreign, ISA)


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "4,2", "100000", "99999999999999999999"])
def test_a_bad_number_of_threads_is_an_error(value):
    line = failure("CONVKERN_NUM_THREADS", value, THREADS)
    assert "CONVKERN_NUM_THREADS" in line
    assert value in line


def test_threads_from_the_environment():
    assert run(THREADS, CONVKERN_NUM_THREADS="3") == "3\n"
    assert run(THREADS, OMP_NUM_THREADS="3") == "3\n"
    assert run(THREADS, CONVKERN_NUM_THREADS="1", OMP_NUM_THREADS="3") == "1\n"
    assert run(THREADS, OMP_NUM_THREADS="3,2") == "3\n"  # OpenMP's list: one number a nesting level
    assert run(THREADS, CONVKERN_NUM_THREADS="", OMP_NUM_THREADS="") == run(THREADS)


def test_threads_default_to_the_cpus_this_process_may_use():
    assert 1 <= int(run(THREADS)) <= CPUS
    one = f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}}); {THREADS}"
    assert run(one) == "1\n"
