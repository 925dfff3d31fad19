"""Prepared calls: a problem with its algorithm chosen and its compiled plan made, remembered or kept by the caller.

One-shot calls find theirs in a bounded cache keyed on everything the call depends on but the arrays' values; those
hold no weights. A Plan owns one with its weights packed. Sums without terms and arrays without elements are settled
here, so that _core never sees them.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core, separable
from .algorithms import BY_NAME
from .arrays import FloatArray, apart, can_write, check_out, operand
from .config import Settings
from .dispatch import Explanation, choose, explain_spec
from .machine import this_machine
from .padding import fold_border
from .problem import Kind, Problem, Shape, describe
from .spec import Spec

CACHED_CALLS = 512
Run = Callable[[FloatArray, Any, Any, Any, Any], FloatArray]


class Prepared:
    """A problem ready to run.

    ``fast`` takes what _core can read as it is and raises for all else; it is None where a call needs more. ``run``
    takes anything, copies where that helps and says what is wrong where it does not.
    """

    def __init__(self, problem: Problem, settings: Settings, *, planned: bool) -> None:
        spec = problem.spec
        self.problem, self.settings = problem, settings
        self.dtype = np.dtype(spec.dtype)
        self.algorithm = choose(spec, settings, planned=planned)
        self._packed = False
        self._packed_bias: FloatArray | None = None
        self._bordered = spec.unbordered() is not spec
        self._core_plan: _core.Plan | separable.Passes | None = None
        if not spec.empty:
            self._core_plan = BY_NAME[self.algorithm].prepare(spec, settings)
        self._choose_fast()

    def _choose_fast(self) -> None:
        self.fast: Run | None = None
        if self._core_plan is not None and not self._bordered:
            self.fast = self._core_plan.run if self.problem.batched else self._run_unbatched

    def separate(self, weight: FloatArray) -> None:
        """Two passes instead, where the weight is of rank 1 and they are predicted to take less time."""
        spec, settings = self.problem.spec, self.settings
        if settings.algorithm not in ("auto", "plane") or settings.accuracy != "default" or self._core_plan is None:
            return
        machine, threads = this_machine(self.isa), _core.default_num_threads()
        chosen = BY_NAME[self.algorithm].cost(spec, machine, planned=True, threads=threads)
        if separable.cost(spec, machine, threads) >= chosen:
            return
        found = separable.separate(spec, weight)
        if found is not None:
            self._core_plan = separable.Passes(spec, found, self.isa)
            self.algorithm = self._core_plan.algorithm
            self._choose_fast()

    @property
    def workspace_bytes(self) -> int:
        return self.problem.spec.border_bytes + self._core_plan.workspace_bytes if self._core_plan is not None else 0

    @property
    def isa(self) -> str:
        return self._core_plan.isa if self._core_plan is not None else self.settings.isa or _core.get_isa()

    @property
    def packed_bytes(self) -> int:
        return self._core_plan.packed_bytes if self._core_plan is not None else 0

    @property
    def detail(self) -> str:
        return self._core_plan.detail if self._core_plan is not None else "nothing to multiply"

    def pack(self, weight: Any, bias: Any) -> None:
        """Keeps a packed copy of the weight, and of the bias if there is one."""
        weight, bias = operand(weight, "weight", self.problem.weight, self.dtype), self._bias(bias)
        if self.problem.kind == "forward":
            self.separate(weight)
        if self._core_plan is not None:
            self._core_plan.pack(weight, bias)
        elif bias is not None:
            self._packed_bias = bias.copy()
        self._packed = True

    def run(self, image: Any, weight: Any, bias: Any, residual: Any, out: Any) -> FloatArray:
        """The result, in ``out`` if it is given; ``weight`` is None once packed.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, what it got and what it needs.
        """
        problem, dtype = self.problem, self.dtype
        image_name, weight_name = problem.names
        image = operand(image, image_name, problem.image, dtype)
        if not self._packed:
            weight = operand(weight, weight_name, problem.weight, dtype)
        bias = self._bias(bias)
        if residual is not None:
            residual = operand(residual, "residual", problem.result, dtype)
        wanted = None if out is None else check_out(out, problem.result, dtype)
        target = wanted if wanted is not None and can_write(wanted, dtype, image, weight, bias, residual) else None
        result: FloatArray
        if self._core_plan is None:
            result = self._fill(self._packed_bias if bias is None else bias, residual)
        elif not self._bordered:
            run = self._core_plan.run if problem.batched else self._run_unbatched
            result = run(image, weight, bias, residual, target)
        else:
            result = self._run_bordered(image, weight)
        if wanted is None:
            return result
        if result is not wanted:
            wanted[...] = result
        return wanted

    def _bias(self, bias: Any) -> FloatArray | None:
        return None if bias is None else np.ascontiguousarray(operand(bias, "bias", self.problem.bias, self.dtype))

    def _run_unbatched(self, image: FloatArray, weight: Any, bias: Any, residual: Any, out: Any) -> FloatArray:
        """The same with a batch of one around what has no batch axis."""
        assert self._core_plan is not None
        run = self._core_plan.run
        if self.problem.kind == "grad_weight":
            gradient: FloatArray = run(image[None], weight[None], bias, residual, out)
            return gradient
        residual = None if residual is None else residual[None]
        result: FloatArray = np.empty(self.problem.result, self.dtype) if out is None else out
        run(image[None], weight, bias, residual, result[None])
        return result

    def _run_bordered(self, image: FloatArray, weight: Any) -> FloatArray:
        """The input gradient under a padding mode: that of the padded input, its border folded back."""
        assert self._core_plan is not None
        spec = self.problem.spec
        batch = image if self.problem.batched else image[None]
        padded = self._core_plan.run(batch, weight, None, None, None)
        result = fold_border(padded, 1 if spec.channels_last else 2, spec.padding, spec.padding_mode)
        return np.ascontiguousarray(result if self.problem.batched else result[0])

    def _fill(self, bias: Any, residual: Any) -> FloatArray:
        """The result where no product contributes: bias and residual alone."""
        spec = self.problem.spec
        result = np.zeros(self.problem.result, self.dtype)
        if bias is not None:
            result += bias if spec.channels_last else bias.reshape(-1, *(1,) * len(spec.kernel))
        if residual is not None:
            result += residual
        return result if spec.clamp is None else np.clip(result, *spec.clamp, out=result)


@lru_cache(maxsize=CACHED_CALLS)
def lookup(
    kind: Kind,
    rank: int,
    x_shape: Shape,
    dtype: np.dtype[Any],
    weight_shape: Shape,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: Any,
    padding_mode: str,
    layout: str | None,
    activation: Any,
    algorithm: str,
    accuracy: str,
    isa: str,
    settings: Settings,
    generation: int,
) -> Prepared:
    """The prepared call for these arguments: the plan cache. ``isa`` is the process's; the settings may say another.

    ``generation`` is that of the measured times the choice was made with.
    """
    problem = describe(
        kind, rank, x_shape, dtype, weight_shape, stride, padding, output_padding, dilation, groups, padding_mode,
        layout, activation,
    )  # fmt: skip
    return Prepared(problem, settings.merged(algorithm, accuracy, isa), planned=False)


class Plan:
    """A convolution prepared for inputs of one shape: its algorithm chosen, its weights packed. Immutable.

    Made by :func:`convkern.plan`; safe to call from many threads at once.

    Attributes
    ----------
    spec : Spec
        The problem; ``str(plan.spec)`` is its one-line description.
    algorithm, isa : str
        Names of the algorithm and of the instruction set it runs on.
    workspace_bytes, packed_bytes : int
        Scratch memory of one call, on all threads together, and memory held by the packed weights.
    flops : int
        Twice the multiply-adds of one call.
    detail : str
        Tile and blocking, for the curious.
    input_shape, output_shape : tuple of int
        Shapes of what a call takes (x, or grad) and returns.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> w = np.ones((2, 3, 3, 3), np.float32)
    >>> layer = convkern.plan((1, 3, 8, 8), w, padding=1, activation="relu")
    >>> y = layer(np.ones((1, 3, 8, 8), np.float32))
    >>> y.shape, float(y[0, 0, 4, 4]), layer.flops
    ((1, 2, 8, 8), 27.0, 6912)
    """

    __slots__ = ("_epilogue", "_fast", "_prepared", "_takes_grad")

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._fast = prepared.fast
        self._takes_grad = prepared.problem.kind == "grad_weight"
        self._epilogue = prepared.problem.kind in ("forward", "transposed")

    def __call__(
        self,
        x: npt.ArrayLike,
        out: FloatArray | None = None,
        residual: npt.ArrayLike | None = None,
        *,
        grad: npt.ArrayLike | None = None,
    ) -> FloatArray:
        """Runs the plan.

        Parameters
        ----------
        x : array_like
            Of the planned shape and dtype; for direction "grad_input" the gradient of the output.
        out : ndarray, optional
            Where to write the result, of its shape and dtype.
        residual : array_like, optional
            Added before the activation; of the result's shape.
        grad : array_like, optional
            The gradient of the output, for direction "grad_weight" only.

        Returns
        -------
        ndarray
            ``out`` if it was given.

        Raises
        ------
        ValueError, TypeError
            If a shape or dtype is not the planned one.
        """
        if (
            type(x) is np.ndarray
            and self._fast is not None
            and (type(grad) is np.ndarray if self._takes_grad else grad is None)
            and (residual is None or (type(residual) is np.ndarray and self._epilogue))
            and (out is None or apart(out, x, grad, residual))
        ):
            try:
                return self._fast(x, grad, None, residual, out)
            except (TypeError, ValueError):
                pass  # copied or said again below, naming what is needed
        if self._takes_grad != (grad is not None):
            needs = "needs the gradient of the output" if self._takes_grad else "takes none"
            raise TypeError(f"grad: got {type(grad).__name__}, a plan of direction {self.spec.direction} {needs}")
        if residual is not None and not self._epilogue:
            raise TypeError(f"residual: got an array, a plan of direction {self.spec.direction} takes none")
        return self._prepared.run(x, grad, None, residual, out)

    @property
    def spec(self) -> Spec:
        return self._prepared.problem.spec

    @property
    def algorithm(self) -> str:
        return self._prepared.algorithm

    @property
    def isa(self) -> str:
        return self._prepared.isa

    @property
    def workspace_bytes(self) -> int:
        return self._prepared.workspace_bytes

    @property
    def packed_bytes(self) -> int:
        return self._prepared.packed_bytes

    @property
    def flops(self) -> int:
        return self.spec.flops

    @property
    def detail(self) -> str:
        return self._prepared.detail

    @property
    def input_shape(self) -> Shape:
        return self._prepared.problem.image

    @property
    def output_shape(self) -> Shape:
        return self._prepared.problem.result

    def explain(self) -> Explanation:
        """Every algorithm's predicted time, workspace and error for this problem, and the choice."""
        return explain_spec(self.spec, self._prepared.settings, planned=True)

    def __repr__(self) -> str:
        return f"Plan({str(self.spec)!r}, algorithm={self.algorithm!r})"


def make_plan(problem: Problem, settings: Settings, weight: Any, bias: Any) -> Plan:
    """A Plan with its weight packed; a weight gradient has none."""
    prepared = Prepared(problem, settings, planned=True)
    if problem.kind != "grad_weight":
        prepared.pack(weight, bias)
    return Plan(prepared)
