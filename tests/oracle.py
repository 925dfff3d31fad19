"""The definition of convolution and its gradients in NumPy float64, against which the library is compared.

    forward      y[n,o,p] = sum_{c,k} pad(x)[n,c,p*stride + k*dilation] w[o,c,k]     c over the group of o
    grad_input   the adjoint in x, by scatter-add over taps, then the adjoint of pad
    grad_weight  the adjoint in w

Arrays are (n, channels, *spatial) and weights (co, ci/groups, *kernel); per-axis settings are tuples, padding is
(low, high) pairs. It knows nothing of convkern. Integer-valued data gives exact results.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

PADDING_MODES = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
    "symmetric": "symmetric",
}
AXES = "xyz"  # einsum letters of output positions
TAPS = "uvw"  # einsum letters of kernel positions


def pad_source(size, low, high, mode):
    """For each padded position of an axis the position it reads, -1 for a zero."""
    options = {"constant_values": -1} if mode == "zeros" else {}
    return np.pad(np.arange(size), (low, high), mode=PADDING_MODES[mode], **options)


def pad(x, padding, mode="zeros"):
    x = np.asarray(x, np.float64)
    for axis, (low, high) in enumerate(padding, start=2):
        source = pad_source(x.shape[axis], low, high, mode)
        padded = np.zeros((*x.shape[:axis], source.size, *x.shape[axis + 1 :]))
        inside = (slice(None),) * axis + (source >= 0,)
        padded[inside] = np.take(x, source[source >= 0], axis=axis)
        x = padded
    return x


def unpad(padded, spatial, padding, mode="zeros"):
    """Add every padded value to the position it was read from: the adjoint of pad."""
    for axis, (size, (low, high)) in enumerate(zip(spatial, padding, strict=True), start=2):
        source = pad_source(size, low, high, mode)
        moved = np.moveaxis(padded, axis, 0)
        folded = np.zeros((size, *moved.shape[1:]))
        np.add.at(folded, source[source >= 0], moved[source >= 0])
        padded = np.moveaxis(folded, 0, axis)
    return padded


def windows(x, kernel, stride, padding, dilation, mode):
    """View what each output reads: [n, c, *output, *kernel]."""
    axes = tuple(range(2, 2 + len(kernel)))
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    view = sliding_window_view(pad(x, padding, mode), extent, axes)
    steps = tuple(slice(None, None, s) for s in stride) + tuple(slice(None, None, d) for d in dilation)
    return view[(slice(None), slice(None), *steps)]


def split(a, axis, groups):
    """One axis of channels as two: (groups, channels of a group)."""
    return a.reshape(*a.shape[:axis], groups, a.shape[axis] // groups, *a.shape[axis + 1 :])


def forward(x, w, stride, padding, dilation, groups=1, mode="zeros"):
    kernel = w.shape[2:]
    view = split(windows(x, kernel, stride, padding, dilation, mode), 1, groups)
    p, k = AXES[: len(kernel)], TAPS[: len(kernel)]
    y = np.einsum(f"ngc{p}{k},goc{k}->ngo{p}", view, split(np.asarray(w, np.float64), 0, groups), optimize=True)
    return y.reshape(y.shape[0], w.shape[0], *y.shape[3:])


def grad_input(grad, w, spatial, stride, padding, dilation, groups=1, mode="zeros"):
    kernel, output = w.shape[2:], grad.shape[2:]
    grad, w = split(np.asarray(grad, np.float64), 1, groups), split(np.asarray(w, np.float64), 0, groups)
    padded_shape = tuple(size + low + high for size, (low, high) in zip(spatial, padding, strict=True))
    padded = np.zeros((grad.shape[0], groups, w.shape[2], *padded_shape))
    p = AXES[: len(kernel)]
    for tap in np.ndindex(*kernel):
        where = tuple(
            slice(k * d, k * d + (o - 1) * s + 1, s) for k, d, o, s in zip(tap, dilation, output, stride, strict=True)
        )
        if 0 not in output:
            product = np.einsum(f"ngo{p},goc->ngc{p}", grad, w[(..., *tap)], optimize=True)
            padded[(slice(None),) * 3 + where] += product
    return unpad(padded.reshape(grad.shape[0], -1, *padded_shape), spatial, padding, mode)


def grad_weight(grad, x, kernel, stride, padding, dilation, groups=1, mode="zeros"):
    view = split(windows(x, kernel, stride, padding, dilation, mode), 1, groups)
    output = grad.shape[2:]
    view = view[(slice(None),) * 3 + tuple(slice(o) for o in output)]
    p, k = AXES[: len(kernel)], TAPS[: len(kernel)]
    dw = np.einsum(f"ngo{p},ngc{p}{k}->goc{k}", split(np.asarray(grad, np.float64), 1, groups), view, optimize=True)
    return dw.reshape(grad.shape[1], *dw.shape[2:])


def finish(y, bias=None, residual=None, activation=None):
    """activation(y + bias + residual), NaN kept."""
    if bias is not None:
        y = y + np.asarray(bias, np.float64).reshape(-1, *(1,) * (y.ndim - 2))
    if residual is not None:
        y = y + residual
    low, high = {None: (-np.inf, np.inf), "relu": (0, np.inf), "relu6": (0, 6)}.get(activation, activation)
    return np.minimum(np.maximum(y, low), high)


def pairs(padding, kernel, stride, dilation, spatial):
    """Every form of the padding argument as (low, high) pairs."""
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if padding == "valid":
        return tuple((0, 0) for _ in extent)
    if padding == "full":
        return tuple((e - 1, e - 1) for e in extent)
    if padding == "same":
        totals = [max((-(-i // s) - 1) * s + e - i, 0) for i, s, e in zip(spatial, stride, extent, strict=True)]
        return tuple((t // 2, t - t // 2) for t in totals)
    if isinstance(padding, int):
        padding = (padding,) * len(extent)
    return tuple((p, p) if isinstance(p, int) else tuple(p) for p in padding)
