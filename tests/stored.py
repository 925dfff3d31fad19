"""A problem and made-up times for it, kept in a store as another process would keep them."""

import numpy as np

import convkern
from convkern import _core, store
from convkern.algorithms import ALGORITHMS
from convkern.memory import row_name
from convkern.spec import Spec

LINE = "1,16,12x12->16 3x3 p1"
SPEC = Spec.parse(LINE)
SHAPES = (1, 16, 12, 12), (16, 16, 3, 3)
# The slowest first: no prediction would have it so.
ODD_TIMES = {a.name: 1.0 for a in ALGORITHMS if not a.oracle and a.supports(SPEC) is None}
ODD_TIMES |= {"im2col": 1e-7, "winograd2": 2e-7, "direct": 3e-7, "winograd4": 4e-7}
CHOSEN = """
import numpy as np, convkern
x, w = np.ones((1, 16, 12, 12), np.float32), np.ones((16, 16, 3, 3), np.float32)
print(convkern.plan(x.shape, w, padding=1).algorithm)
"""


def key():
    return store.validity(_core.get_isa(), _core.default_num_threads())


def keep(place, times=ODD_TIMES, spec=SPEC):
    """Write rows for a problem as another process would."""
    rows = {row_name(spec, planned): times for planned in (True, False)}
    return store.write(place, {}, {key(): rows})


def plan(**settings):
    return convkern.plan(SHAPES[0], np.ones(SHAPES[1], np.float32), padding=1, **settings)
