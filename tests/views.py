"""Arrays of given values in every memory order NumPy can make."""

import numpy as np


def padded_slice(a):
    """Every second element of a larger array, from an offset."""
    big = np.full(tuple(2 * size + 3 for size in a.shape), 99, a.dtype)
    view = big[tuple(slice(1, 1 + 2 * size, 2) for size in a.shape)]
    view[...] = a
    return view


def reversed_order(a):
    """Negative strides along every axis."""
    flip = (slice(None, None, -1),) * a.ndim
    return np.ascontiguousarray(a[flip])[flip]


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def transposed(a):
    """First and last axis exchanged in memory."""
    return np.ascontiguousarray(a.swapaxes(0, -1)).swapaxes(0, -1)


def unaligned(a):
    """Start one byte off."""
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:]
    view = raw.view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def odd_bytes(a):
    """Make a field of packed records: its strides are no multiple of the itemsize."""
    records = np.zeros(a.shape, np.dtype([("flag", np.uint8), ("value", a.dtype)]))
    records["value"] = a
    return records["value"]


def swapped(a):
    """Use the other byte order."""
    return a.astype(a.dtype.newbyteorder())


WRITABLE = {
    "contiguous": np.ascontiguousarray,
    "fortran": lambda a: np.array(a, order="F"),
    "negative": reversed_order,
    "sliced": padded_slice,
    "transposed": transposed,
    "unaligned": unaligned,
    "odd bytes": odd_bytes,
}
DISGUISES = {**WRITABLE, "read-only": read_only}


def broadcast(a, axis):
    """Stride zero along an axis: its first value repeated, so the values differ from a."""
    first = (slice(None),) * (axis % a.ndim) + (slice(0, 1),)
    return np.broadcast_to(a[first], a.shape)
