"""Whether a peer computes the right numbers: one that does not is not timed."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from .cases import Call, Problem, inference_call, training_call

# Two correct implementations round in different places, so their largest errors differ by chance: up to 3.5 times between
# PyTorch's own ways of computing a cell. A wrong formula or a missing term is off by thousands.
_LEEWAY = 8.0


def flatten(result: Any) -> Iterator[Any]:
    """The arrays in nested lists and tuples, in order."""
    if isinstance(result, (list, tuple)):
        for part in result:
            yield from flatten(part)
    else:
        yield result


def exact(problem: Problem) -> list[Tensor]:
    """What nn.GRUCell gives for the same numbers in float64."""
    double = problem.double()
    return list(flatten(run_call(problem, reference_call(double))))


def reference_call(problem: Problem) -> Call:
    """The case on torch.nn.GRUCell itself."""
    return (training_call if problem.case.mode.trains else inference_call)(problem, problem.cells)


def run_call(problem: Problem, call: Call) -> Any:
    """One call in the grad mode of its case."""
    with torch.inference_mode(not problem.case.mode.trains):
        return call()


def error(result: Any, expected: list[Tensor], to_torch: Callable[[Any], Tensor]) -> float:
    """The largest absolute difference, as a share of the largest value of the tensor it occurs in; inf if shapes differ or NaN.

    Args:
        result: what a call returned, nested.
        expected: the float64 tensors of :func:`exact`.
        to_torch: makes a tensor of the peer's kind of array.
    """
    worst = 0.0
    for got, want in zip(flatten(result), expected, strict=True):
        tensor = to_torch(got).detach()
        if tensor.shape != want.shape or not tensor.isfinite().all():
            return float("inf")
        if want.numel():
            scale = max(want.abs().max().item(), torch.finfo(torch.float64).tiny)
            worst = max(worst, (tensor.double() - want.detach()).abs().max().item() / scale)
    return worst


def why_wrong(found: float, reference: float, epsilon: float) -> str:
    """A sentence where a peer's error is no rounding error, else empty.

    Args:
        found: the peer's :func:`error`.
        reference: nn.GRUCell's.
        epsilon: the distance of neighbouring numbers in the peer's arithmetic, at 1.
    """
    allowed = _LEEWAY * max(reference, epsilon)
    if found <= allowed:
        return ""
    return f"wrong numbers: off by {found:.1e} of the largest value, nn.GRUCell by {reference:.1e}"
