"""Activations: y = f(x), dx = dy f'(x), elementwise but for PReLU's weight and Softmax's sum.

They are convkern's compiled functions.
What f' is computed from decides what forward keeps: the input, or the output where that suffices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import convkern

from .layer import Array, Layer, Shape


class Activation(Layer):
    """An activation named by ``function``, with the settings that :meth:`settings` returns."""

    function = ""
    from_output = False  # whether the gradient is a function of the output

    def settings(self) -> dict[str, Any]:
        """Keyword arguments of the function."""
        return {}

    def forward(self, x: Array, training: bool = False) -> Array:
        y: Array = getattr(convkern, self.function)(x, **self.settings())
        self.saved = y if self.from_output else x
        return y

    def backward(self, grad: Array) -> Array:
        dx: Array = getattr(convkern, f"{self.function}_grad")(grad, self.remembered(), **self.settings())
        return dx


class ReLU(Activation):
    """max(x, 0).

    Parameters
    ----------
    inplace : bool
        Whether forward writes into its input and backward into the gradient it is given. Safe behind a convolution or
        a normalisation, which do not look at their outputs again. Default False.

    Examples
    --------
    >>> import numpy as np
    >>> from convkern import nn
    >>> nn.ReLU()(np.array([-1.0, 2.0])), nn.ReLU6()(np.array([-1.0, 9.0]))
    (array([0., 2.]), array([0., 6.]))
    """

    function = "relu"
    from_output = True

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Array, training: bool = False) -> Array:
        y: Array = getattr(convkern, self.function)(x, out=x if self.inplace else None)
        self.saved = y
        return y

    def backward(self, grad: Array) -> Array:
        dx: Array = getattr(convkern, f"{self.function}_grad")(
            grad, self.remembered(), out=grad if self.inplace else None
        )
        return dx


class ReLU6(ReLU):
    """min(max(x, 0), 6) (Sandler et al. 2018); ``inplace`` as for :class:`ReLU`."""

    function = "relu6"


class LeakyReLU(Activation):
    """x where positive, else negative_slope * x; default 0.01 (Maas et al. 2013)."""

    function = "leaky_relu"

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def settings(self) -> dict[str, Any]:
        return {"negative_slope": self.negative_slope}


class PReLU(Layer):
    """x where positive, else weight * x, the weight learned (He et al. 2015).

    Parameters
    ----------
    num_parameters : int
        1 for all channels, or the number of channels. Default 1.
    init : float
        Initial weight. Default 0.25.
    """

    parameter_names = ("weight",)

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.weight = np.full(num_parameters, init, np.float32)

    def output_shape(self, input_shape: Shape) -> Shape:
        if self.num_parameters > 1 and input_shape[self.channel_axis()] != self.num_parameters:
            raise ValueError(f"got an input of shape {tuple(input_shape)}, needs {self.num_parameters} channels")
        return tuple(input_shape)

    def _layout(self, x: Array) -> str | None:
        return {3: "NWC", 4: "NHWC", 5: "NDHWC"}.get(x.ndim) if self.channels_last else None

    def forward(self, x: Array, training: bool = False) -> Array:
        self.output_shape(x.shape)
        self.saved = x
        return convkern.prelu(x, self.weight, layout=self._layout(x))

    def backward(self, grad: Array) -> Array:
        x = self.remembered()
        dx, dweight = convkern.prelu_grad(grad, x, self.weight, layout=self._layout(x))
        if self.trainable:
            self.gradient("weight")[...] = dweight
        return dx


class ELU(Activation):
    """x where positive, else alpha * (exp(x) - 1); default alpha 1 (Clevert et al. 2016)."""

    function = "elu"

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def settings(self) -> dict[str, Any]:
        return {"alpha": self.alpha}


class SELU(Activation):
    """The self-normalising ELU (Klambauer et al. 2017)."""

    function = "selu"


class GELU(Activation):
    """x times the normal distribution function of x (Hendrycks and Gimpel 2016).

    Parameters
    ----------
    approximate : {"none", "tanh"}
    """

    function = "gelu"

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f"approximate: got {approximate!r}, needs 'none' or 'tanh'")
        self.approximate = approximate

    def settings(self) -> dict[str, Any]:
        return {"approximate": self.approximate}


class SiLU(Activation):
    """x * sigmoid(x), also called swish (Ramachandran et al. 2017)."""

    function = "silu"


class HardSwish(Activation):
    """x * relu6(x + 3) / 6 (Howard et al. 2019)."""

    function = "hardswish"


class Sigmoid(Activation):
    """1 / (1 + exp(-x))."""

    function = "sigmoid"
    from_output = True


class Tanh(Activation):
    """tanh(x)."""

    function = "tanh"
    from_output = True


class Softplus(Activation):
    """log(1 + exp(beta*x)) / beta, linear where beta*x exceeds ``threshold``."""

    function = "softplus"

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def settings(self) -> dict[str, Any]:
        return {"beta": self.beta, "threshold": self.threshold}


class Softmax(Activation):
    """exp(x) over its sum along the channels, or along ``dim``.

    For training put none in front of :class:`CrossEntropy`, which has its own.
    """

    function = "softmax"
    from_output = True

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def settings(self) -> dict[str, Any]:
        return {"dim": self.channel_axis() if self.dim is None else self.dim}
