"""What is composed of grey erosions and dilations: gradient, Laplacian, top hats (Serra 1982), as in scipy.ndimage."""

from typing import Any

import numpy as np

from .grey import described, difference, dilate, erode
from .support import Array, Handover, as_input, drop_in


@drop_in
def morphological_gradient(
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
    """Dilation minus erosion, as scipy.ndimage.morphological_gradient.

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
    >>> ndimage.morphological_gradient(a, size=(3, 3)).sum()
    np.int64(9)
    """
    window = described(size, footprint, structure, mode, cval, origin, axes)
    if isinstance(output, np.ndarray) and np.may_share_memory(as_input(input), output):
        raise Handover("output overlaps input")
    high = dilate(input, window, None)
    if isinstance(output, np.ndarray):
        low = erode(input, window, output)
        result: Array = np.subtract(high, low, low)
        return result
    result = high - erode(input, window, None)
    return result


@drop_in
def morphological_laplace(
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
    """Dilation plus erosion minus twice the input, as scipy.ndimage.morphological_laplace.

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
    >>> ndimage.morphological_laplace(a, size=(3, 3))[2, 2]
    np.int64(-1)
    """
    window = described(size, footprint, structure, mode, cval, origin, axes)
    array = as_input(input)
    if isinstance(output, np.ndarray) and np.may_share_memory(array, output):
        raise Handover("output overlaps input")
    high = dilate(array, window, None)
    low = erode(array, window, output if isinstance(output, np.ndarray) else None)
    np.add(high, low, low)
    np.subtract(low, array, low)
    result: Array = np.subtract(low, array, low)
    return result


@drop_in
def white_tophat(
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
    """The input minus its opening: peaks narrower than the window, as scipy.ndimage.white_tophat.

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
    >>> ndimage.white_tophat(a, size=(3, 3)).sum()
    np.int64(1)
    """
    window = described(size, footprint, structure, mode, cval, origin, axes)
    array = as_input(input)
    if isinstance(output, np.ndarray) and np.may_share_memory(array, output):
        raise Handover("output overlaps input")
    opened = dilate(erode(array, window, None), window, output)
    return difference(array, opened, opened)


@drop_in
def black_tophat(
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
    """The closing of the input minus the input: pits narrower than the window, as scipy.ndimage.black_tophat.

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
    >>> ndimage.black_tophat(a, size=(3, 3)).sum()
    np.int64(0)
    """
    window = described(size, footprint, structure, mode, cval, origin, axes)
    array = as_input(input)
    if isinstance(output, np.ndarray) and np.may_share_memory(array, output):
        raise Handover("output overlaps input")
    closed = erode(dilate(array, window, None), window, output)
    return difference(closed, array, closed)
