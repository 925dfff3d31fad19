"""Grey erosion and dilation and the two of them in a row (Serra 1982), as in scipy.ndimage."""

from typing import Any

import numpy as np

from .extremes import extreme_filter
from .support import INVALID, Array, Handover, as_axes, as_input, drop_in, integer, per_axis


def erode(array: Any, window: dict[str, Any], output: Any) -> Array:
    """The minimum over the window, its heights subtracted."""
    return extreme_filter(array, **window, output=output, minimum=True)


def dilate(array: Any, window: dict[str, Any], output: Any) -> Array:
    """The maximum over the window turned round, its heights added."""
    turned = dict(window)
    extents = None
    for key in ("structure", "footprint"):
        if window[key] is not None:
            part = np.asarray(window[key])
            turned[key] = part[(slice(None, None, -1),) * part.ndim]
            extents = part.shape
    count = len(as_axes(window["axes"], as_input(array).ndim))
    if extents is None:
        extents = tuple(per_axis(window["size"], count))
    origins = [integer(each) for each in per_axis(window["origin"], count)]
    if len(extents) != count:
        raise Handover(INVALID)
    turned["origin"] = [-o - (int(size) % 2 == 0) for o, size in zip(origins, extents, strict=True)]
    return extreme_filter(array, **turned, output=output, minimum=False)


def described(
    size: Any, footprint: Any, structure: Any, mode: Any, cval: Any, origin: Any, axes: Any
) -> dict[str, Any]:
    """The window as keyword arguments."""
    if size is None and footprint is None and structure is None:
        raise Handover(INVALID)
    if size is not None and footprint is not None:
        raise Handover("both size and footprint")
    return {
        "size": size,
        "footprint": footprint,
        "structure": structure,
        "mode": mode,
        "cval": cval,
        "origin": origin,
        "axes": axes,
    }


def difference(a: Array, b: Array, out: Array) -> Array:
    """Subtract, or exclusive or of booleans."""
    if a.dtype == bool and b.dtype == bool and out.dtype == bool:
        result: Array = np.bitwise_xor(a, b, out=out)
        return result
    result = np.subtract(a, b, out=out)
    return result


@drop_in
def grey_erosion(
    input: Any,  # noqa: A002
    size: Any = None,
    footprint: Any = None,
    structure: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Array:
    """Minimum over a window, its heights subtracted, as scipy.ndimage.grey_erosion.

    Parameters
    ----------
    {input}
    {window}
    {structure}
    {output}
    {modes}
    {cval}
    {origins}
    {axes}

    {result}

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import ndimage
    >>> a = np.zeros((5, 5), int)
    >>> a[2, 2] = 1
    >>> ndimage.grey_erosion(a, size=(3, 3)).max()
    np.int64(0)
    """
    return erode(input, described(size, footprint, structure, mode, cval, origin, axes), output)


@drop_in
def grey_dilation(
    input: Any,  # noqa: A002
    size: Any = None,
    footprint: Any = None,
    structure: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Array:
    """Maximum over a window, its heights added, as scipy.ndimage.grey_dilation.

    Parameters
    ----------
    {input}
    {window}
    {structure}
    {output}
    {modes}
    {cval}
    {origins}
    {axes}

    {result}

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import ndimage
    >>> a = np.zeros((5, 5), int)
    >>> a[2, 2] = 1
    >>> ndimage.grey_dilation(a, size=(3, 3)).sum()
    np.int64(9)
    """
    return dilate(input, described(size, footprint, structure, mode, cval, origin, axes), output)


@drop_in
def grey_opening(
    input: Any,  # noqa: A002
    size: Any = None,
    footprint: Any = None,
    structure: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Array:
    """Erosion, then dilation: takes away peaks narrower than the window, as scipy.ndimage.grey_opening.

    Parameters
    ----------
    {input}
    {window}
    {structure}
    {output}
    {modes}
    {cval}
    {origins}
    {axes}

    {result}

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import ndimage
    >>> a = np.zeros((5, 5), int)
    >>> a[2, 2] = 1
    >>> ndimage.grey_opening(a, size=(3, 3)).max()
    np.int64(0)
    """
    window = described(size, footprint, structure, mode, cval, origin, axes)
    return dilate(erode(input, window, None), window, output)


@drop_in
def grey_closing(
    input: Any,  # noqa: A002
    size: Any = None,
    footprint: Any = None,
    structure: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> Array:
    """Dilation, then erosion: fills pits narrower than the window, as scipy.ndimage.grey_closing.

    Parameters
    ----------
    {input}
    {window}
    {structure}
    {output}
    {modes}
    {cval}
    {origins}
    {axes}

    {result}

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import ndimage
    >>> a = np.zeros((5, 5), int)
    >>> a[2, 2] = 1
    >>> ndimage.grey_closing(a, size=(3, 3)).sum()
    np.int64(1)
    """
    window = described(size, footprint, structure, mode, cval, origin, axes)
    return erode(dilate(input, window, None), window, output)
