"""Convolution for NumPy at hardware speed: compiled kernels for common CPUs and a dispatcher that explains itself."""

import os
import sys

from ._version import __version__
from .about import show_config
from .api import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from .config import config, get_num_threads, set_num_threads
from .dispatch import Explanation
from .gradients import conv_grad_bias, conv_grad_input, conv_grad_weight
from .plan import Plan
from .planning import explain, plan
from .spec import Spec
from .tune import tune

__all__ = [
    "Explanation",
    "Plan",
    "Spec",
    "__version__",
    "config",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_grad_bias",
    "conv_grad_input",
    "conv_grad_weight",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "explain",
    "get_num_threads",
    "plan",
    "set_num_threads",
    "show_config",
    "tune",
]

if "threadpoolctl" in sys.modules:
    from . import threadpool as threadpool

if os.environ.get("CONVKERN_PATCH_SCIPY"):
    from .scipy.environment import apply

    apply(os.environ)
    del apply
