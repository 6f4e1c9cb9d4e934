"""The tensors of a case and the calls that are timed on them, the same for every peer."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Union

import torch
from torch import Tensor, nn

from .selection import Case

#: One call of one cell: (input [N, I], state [N, H]) -> state [N, H], in the peer's own kind of array.
Step = Callable[[Any, Any], Any]
#: All that is timed as one: every step of every cell, and the backward pass where the mode has one.
Call = Callable[[], Any]


@dataclass(frozen=True)
class Trial:
    """Inputs of all cells at one batch size: `inputs[k]` holds one [N, I] for each step, or a single one for all steps."""

    inputs: list[list[Tensor]]
    states: list[Tensor]  # [N, H] for each cell
    grads: list[Tensor]  # [N, H] for each cell: what flows into its state at every step

    def double(self) -> "Trial":
        return Trial(
            [[_double(x) for x in xs] for xs in self.inputs], *([_double(t) for t in s] for s in (self.states, self.grads))
        )


@dataclass(frozen=True)
class Problem:
    """A case with its numbers. Peers must use the parameters of `cells` themselves, so that all read the same memory."""

    case: Case
    dtype: torch.dtype
    cells: list[nn.GRUCell]
    trials: list[Trial]

    @property
    def steps_per_call(self) -> int:
        return self.case.steps * len(self.trials)

    def double(self) -> "Problem":
        """The same numbers in float64."""
        cells = [copy.deepcopy(cell).double() for cell in self.cells]
        return Problem(self.case, torch.float64, cells, [trial.double() for trial in self.trials])


def _double(tensor: Tensor) -> Tensor:
    return tensor.detach().double().requires_grad_(tensor.requires_grad)


def build(case: Case, dtype: torch.dtype, device: Union[str, torch.device] = "cpu") -> Problem:
    """Random cells, inputs and states of a case: the same numbers at every call and on every device."""
    workload, trains = case.workload, case.mode.trains
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        cells = [nn.GRUCell(c.input_size, c.hidden_size, workload.bias, dtype=dtype).to(device) for c in workload.cells]

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape).to(device, dtype).requires_grad_(trains)

        def trial(at: int) -> Trial:
            batches = [c.batches[at] for c in workload.cells]
            # In training every step's input needs a gradient of its own. Without gradients one input serves all steps: a
            # model has just computed its input, so it is in cache, which T separate ones would not be.
            inputs = [
                [normal(n, c.input_size) for _ in range(case.steps if trains else 1)]
                for n, c in zip(batches, workload.cells, strict=True)
            ]
            states = [
                normal(n, c.hidden_size).detach().tanh().requires_grad_(trains)
                for n, c in zip(batches, workload.cells, strict=True)
            ]
            return Trial(
                inputs, states, [normal(n, c.hidden_size).detach() for n, c in zip(batches, workload.cells, strict=True)]
            )

        return Problem(case, dtype, cells, [trial(at) for at in range(len(workload.cells[0].batches))])


def inference_call(problem: Problem, steps: Sequence[Step], adopt: Callable[[Tensor], Any] = lambda tensor: tensor) -> Call:
    """A call that runs the case without gradients and returns the last states.

    Args:
        problem: the case's numbers.
        steps: the peer's version of each of `problem.cells`.
        adopt: makes the peer's kind of array of a tensor; not timed.
    """

    def unroll(trial: Trial) -> Call:
        repeats = problem.case.steps
        inputs = [[adopt(x) for x in xs] * (repeats // len(xs)) for xs in trial.inputs]
        first = [adopt(h) for h in trial.states]
        if len(steps) == 1:
            return _one_cell(steps[0], inputs[0], first[0])
        by_step = list(zip(*inputs, strict=True))

        def run() -> list[Any]:
            states = first
            for xs in by_step:
                states = [step(x, h) for step, x, h in zip(steps, xs, states, strict=True)]
            return states

        return run

    return _in_turn([unroll(trial) for trial in problem.trials])


def _one_cell(step: Step, inputs: list[Any], first: Any) -> Call:
    # A single step of a small cell takes 3 to 20 us: even an empty Python loop around it would show.
    if len(inputs) == 1:
        return partial(step, inputs[0], first)

    def run() -> Any:
        state = first
        for x in inputs:
            state = step(x, state)
        return state

    return run


def training_call(problem: Problem, steps: Sequence[Step]) -> Call:
    """A call that runs the case forward, then backward through autograd, and returns the states and all gradients.

    The loss reads the state after every step, as decoders and world models do; gradients are those of all inputs, first states
    and parameters.
    """
    parameters = [p for cell in problem.cells for p in cell.parameters()]
    grad = torch.autograd.grad

    def unroll(trial: Trial) -> Call:
        leaves = [x for xs in trial.inputs for x in xs] + trial.states + parameters
        if len(steps) == problem.case.steps == 1:
            step, x, h, g = steps[0], trial.inputs[0][0], trial.states[0], trial.grads[0]

            def run_one() -> tuple[Tensor, tuple[Tensor, ...]]:
                y = step(x, h)
                return y, grad(y, leaves, g)

            return run_one
        by_step = list(zip(*trial.inputs, strict=True))
        grads = trial.grads * problem.case.steps

        def run() -> tuple[list[Tensor], tuple[Tensor, ...]]:
            states, seen = trial.states, []
            for xs in by_step:
                states = [step(x, h) for step, x, h in zip(steps, xs, states, strict=True)]
                seen += states
            return seen, grad(seen, leaves, grads)

        return run

    return _in_turn([unroll(trial) for trial in problem.trials])


def _in_turn(calls: list[Call]) -> Call:
    if len(calls) == 1:
        return calls[0]
    return lambda: [call() for call in calls]
