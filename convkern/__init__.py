"""Convolution for NumPy at hardware speed: compiled kernels for common CPUs and a dispatcher that explains itself."""

import os
import sys

from ._version import __version__
from .about import show_config
from .activation_gradients import (
    elu_grad,
    gelu_grad,
    hardswish_grad,
    leaky_relu_grad,
    relu6_grad,
    relu_grad,
    selu_grad,
    sigmoid_grad,
    silu_grad,
    softplus_grad,
    tanh_grad,
)
from .activations import (
    elu,
    gelu,
    hardswish,
    leaky_relu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softplus,
    tanh,
)
from .adaptive import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
)
from .api import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from .averaging import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
)
from .borders import (
    pad,
    pad_grad,
)
from .config import config, get_num_threads, set_num_threads
from .dispatch import Explanation
from .fractional import (
    fractional_max_pool1d,
    fractional_max_pool2d,
    fractional_max_pool3d,
)
from .gradients import conv_grad_bias, conv_grad_input, conv_grad_weight
from .norms import (
    batch_norm,
    batch_norm_grad,
    local_response_norm,
    local_response_norm_grad,
)
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
    max_pool1d,
    max_pool2d,
    max_pool3d,
    min_pool1d,
    min_pool2d,
    min_pool3d,
)
from .rearrange import (
    fold,
    pixel_shuffle,
    pixel_unshuffle,
    unfold,
)
from .scattering import (
    max_pool1d_grad,
    max_pool2d_grad,
    max_pool3d_grad,
)
from .softmax import (
    log_softmax,
    log_softmax_grad,
    prelu,
    prelu_grad,
    softmax,
    softmax_grad,
)
from .spec import Spec
from .tune import tune
from .unpooling import (
    max_unpool1d,
    max_unpool1d_grad,
    max_unpool2d,
    max_unpool2d_grad,
    max_unpool3d,
    max_unpool3d_grad,
)
from .whole import (
    global_avg_pool1d,
    global_avg_pool2d,
    global_avg_pool3d,
    global_max_pool1d,
    global_max_pool2d,
    global_max_pool3d,
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
    "batch_norm",
    "batch_norm_grad",
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
    "elu",
    "elu_grad",
    "explain",
    "fold",
    "fractional_max_pool1d",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "gelu",
    "gelu_grad",
    "get_num_threads",
    "global_avg_pool1d",
    "global_avg_pool2d",
    "global_avg_pool3d",
    "global_max_pool1d",
    "global_max_pool2d",
    "global_max_pool3d",
    "hardswish",
    "hardswish_grad",
    "leaky_relu",
    "leaky_relu_grad",
    "local_response_norm",
    "local_response_norm_grad",
    "log_softmax",
    "log_softmax_grad",
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
    "pad",
    "pad_grad",
    "pixel_shuffle",
    "pixel_unshuffle",
    "plan",
    "prelu",
    "prelu_grad",
    "relu",
    "relu6",
    "relu6_grad",
    "relu_grad",
    "selu",
    "selu_grad",
    "set_num_threads",
    "show_config",
    "sigmoid",
    "sigmoid_grad",
    "silu",
    "silu_grad",
    "softmax",
    "softmax_grad",
    "softplus",
    "softplus_grad",
    "tanh",
    "tanh_grad",
    "tune",
    "unfold",
]

if "threadpoolctl" in sys.modules:
    from . import threadpool as threadpool

if os.environ.get("CONVKERN_PATCH_SCIPY"):
    from .scipy.environment import apply

    apply(os.environ)
    del apply
