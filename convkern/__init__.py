"""Convolution for NumPy at hardware speed: compiled kernels for common CPUs and a dispatcher that explains itself."""

import sys

from ._version import __version__
from .about import show_config
from .adaptive import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    global_avg_pool1d,
    global_avg_pool2d,
    global_avg_pool3d,
    global_max_pool1d,
    global_max_pool2d,
    global_max_pool3d,
)
from .api import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from .config import config, get_num_threads, set_num_threads
from .dispatch import Explanation
from .fractional import (
    fractional_max_pool1d,
    fractional_max_pool2d,
    fractional_max_pool3d,
)
from .gradients import conv_grad_bias, conv_grad_input, conv_grad_weight
from .plan import Plan
from .planning import explain, plan
from .pool_gradients import (
    adaptive_avg_pool1d_grad,
    adaptive_avg_pool2d_grad,
    adaptive_avg_pool3d_grad,
    avg_pool1d_grad,
    avg_pool2d_grad,
    avg_pool3d_grad,
)
from .pool_norms import (
    lp_pool1d,
    lp_pool1d_grad,
    lp_pool2d,
    lp_pool2d_grad,
    lp_pool3d,
    lp_pool3d_grad,
)
from .pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    min_pool1d,
    min_pool2d,
    min_pool3d,
)
from .spec import Spec
from .unpooling import (
    max_pool1d_grad,
    max_pool2d_grad,
    max_pool3d_grad,
    max_unpool1d,
    max_unpool1d_grad,
    max_unpool2d,
    max_unpool2d_grad,
    max_unpool3d,
    max_unpool3d_grad,
)

__all__ = [
    "Explanation",
    "Plan",
    "Spec",
    "__version__",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool1d_grad",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_grad",
    "adaptive_avg_pool3d",
    "adaptive_avg_pool3d_grad",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool1d_grad",
    "avg_pool2d",
    "avg_pool2d_grad",
    "avg_pool3d",
    "avg_pool3d_grad",
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
    "fractional_max_pool1d",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "get_num_threads",
    "global_avg_pool1d",
    "global_avg_pool2d",
    "global_avg_pool3d",
    "global_max_pool1d",
    "global_max_pool2d",
    "global_max_pool3d",
    "lp_pool1d",
    "lp_pool1d_grad",
    "lp_pool2d",
    "lp_pool2d_grad",
    "lp_pool3d",
    "lp_pool3d_grad",
    "max_pool1d",
    "max_pool1d_grad",
    "max_pool2d",
    "max_pool2d_grad",
    "max_pool3d",
    "max_pool3d_grad",
    "max_unpool1d",
    "max_unpool1d_grad",
    "max_unpool2d",
    "max_unpool2d_grad",
    "max_unpool3d",
    "max_unpool3d_grad",
    "min_pool1d",
    "min_pool2d",
    "min_pool3d",
    "plan",
    "set_num_threads",
    "show_config",
]

if "threadpoolctl" in sys.modules:
    from . import threadpool as threadpool
