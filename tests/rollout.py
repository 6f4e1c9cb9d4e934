"""A model around the cell, and what every transformation of it must reproduce: torch's own cell in double precision."""

import copy
from collections.abc import Callable, Sequence
from typing import Optional

import torch
from samples import cell_pair
from tolerances import assert_grad, assert_value
from torch import Tensor, nn

# Small enough that a wrong element shows in a failure's text.
T, N, I, H = 4, 5, 3, 4  # noqa: E741 (the project's names)


class Rollout(nn.Module):
    """T steps of a cell over input ``[T, N, I]`` from state ``[N, H]`` or zeros; all states, ``[T, N, H]``. Scriptable."""

    def __init__(self, cell: nn.GRUCell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, input: Tensor, hx: Optional[Tensor] = None) -> Tensor:
        states: list[Tensor] = []
        h = hx
        for t in range(input.size(0)):
            h = self.cell(input[t], h)
            states.append(h)
        return torch.stack(states)


def rollout_pair(**options) -> tuple[Rollout, Rollout]:
    """torch's cell and ours, I to H, with equal weights, each in a rollout."""
    theirs, ours = cell_pair(I, H, **options)
    return Rollout(theirs), Rollout(ours)


def value_and_grads(run: Callable[..., Tensor], parameters: Sequence[Tensor], args: Sequence[Tensor]) -> list[Tensor]:
    """The output for copies of `args`, then its gradients for them and for `parameters`, for a cotangent with all signs."""
    leaves = [arg.detach().clone().requires_grad_() for arg in args]
    output = run(*leaves)
    cotangent = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    return [output.detach(), *torch.autograd.grad(output, [*leaves, *parameters], cotangent)]


def assert_like_torch(
    run: Callable[..., Tensor], ours: nn.Module, theirs: nn.Module, *args: Tensor, steps: int = 1, grads: bool = True
) -> None:
    """`run`, some form of `ours`, gives the values and gradients that `theirs` gives in double precision."""
    exact = copy.deepcopy(theirs).double()
    with torch.enable_grad():
        expected = value_and_grads(exact, list(exact.parameters()), [arg.double() for arg in args])
    if not grads:
        assert_value(run(*args), expected[0], steps)
        return
    actual = value_and_grads(run, list(ours.parameters()), args)
    names = [f"gradient {i}" for i in range(len(args))] + [f"gradient of {name}" for name, _ in ours.named_parameters()]
    assert_value(actual[0], expected[0], steps)
    for name, got, want in zip(names, actual[1:], expected[1:], strict=True):
        assert_grad(got, want, name, steps)
