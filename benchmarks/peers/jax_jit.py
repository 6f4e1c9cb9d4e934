"""JAX: the cell as a jitted function, in training its jitted vector-Jacobian product; weights are arguments of both."""

import os
from typing import Any

import torch
from torch import Tensor, nn

from ..cases import Call, Problem, Step, Trial, inference_call
from .parameters import four
from .peer import Peer, register


@register
class JaxJit(Peer):
    name = "jax"
    default = False
    dtypes = (torch.float32,)
    packages = ("jax",)

    def version(self) -> str:
        return f"jax {_jax().__version__}"

    def step(self, cell: nn.GRUCell) -> Step:
        jitted, parameters = _jax().jit(_cell), _arrays(four(cell))
        return lambda x, h: jitted(x, h, *parameters)

    def adopt(self, tensor: Tensor) -> Any:
        return _jax().numpy.asarray(tensor.detach().numpy())

    def to_torch(self, array: Any) -> Tensor:
        return torch.from_dlpack(array)

    def build(self, problem: Problem) -> Call:
        if not problem.case.mode.trains:
            return inference_call(problem, [self.step(cell) for cell in problem.cells], self.adopt)
        calls = [_training_call(problem, trial) for trial in problem.trials]
        return calls[0] if len(calls) == 1 else lambda: [call() for call in calls]

    def arrange(self, problem: Problem, result: Any) -> Any:
        if not problem.case.mode.trains:
            return result
        results = [result] if len(problem.trials) == 1 else result
        # Step by step the states of all cells, then the gradients, those of the inputs cell by cell.
        return [
            [[states[t] for t in range(problem.case.steps) for states in seen], [list(g) for g in of_inputs], *of_others]
            for seen, (of_inputs, *of_others) in results
        ]


def _jax() -> Any:
    """The module, on as many threads as torch has. That number is read once, when the first array is made."""
    os.environ["NPROC"] = str(torch.get_num_threads())
    import jax

    jax.config.update("jax_platforms", "cpu")
    # Else a call returns before it has computed, and computes on a further thread.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    return jax


def _arrays(tensors: list[Tensor]) -> list[Any]:
    return [_jax().numpy.asarray(tensor.detach().numpy()) for tensor in tensors]


def _cell(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
    import jax

    def product(a: Any, w: Any) -> Any:
        # a @ w.T would transpose the weights at every call, which takes ten times as long at N = 1.
        return jax.lax.dot_general(a, w, (((1,), (1,)), ((), ())))

    i_r, i_z, i_n = jax.numpy.split(product(x, w_ih) + b_ih, 3, axis=1)
    h_r, h_z, h_n = jax.numpy.split(product(h, w_hh) + b_hh, 3, axis=1)
    r, z = jax.nn.sigmoid(i_r + h_r), jax.nn.sigmoid(i_z + h_z)
    n = jax.numpy.tanh(i_n + r * h_n)
    return n + z * (h - n)


def _training_call(problem: Problem, trial: Trial) -> Call:
    """One jitted function for all steps and their backward pass; each cell's loop is a scan, as in JAX's programs."""
    jax = _jax()

    def states(inputs: list[Any], first: list[Any], parameters: list[list[Any]]) -> list[Any]:
        return [_scan(xs, h, ps) for xs, h, ps in zip(inputs, first, parameters, strict=True)]

    @jax.jit
    def run(inputs: list[Any], first: list[Any], parameters: list[list[Any]], grads: list[Any]) -> Any:
        seen, backward = jax.vjp(states, inputs, first, parameters)
        return seen, backward([jax.numpy.broadcast_to(g, ys.shape) for g, ys in zip(grads, seen, strict=True)])

    arguments = (
        _arrays([torch.stack(xs) for xs in trial.inputs]),
        _arrays(trial.states),
        [_arrays(list(cell.parameters())) for cell in problem.cells],
        _arrays(trial.grads),
    )
    return lambda: run(*arguments)


def _scan(inputs: Any, state: Any, parameters: list[Any]) -> Any:
    """The states [T, N, H] after each step on inputs [T, N, I]."""
    import jax

    biases = parameters[2:] or [0.0, 0.0]

    def step(h: Any, x: Any) -> tuple[Any, Any]:
        y = _cell(x, h, *parameters[:2], *biases)
        return y, y

    if len(inputs) == 1:
        return step(state, inputs[0])[0][None]
    return jax.lax.scan(step, state, inputs)[1]
