"""The numeric self-check of a conversion: one step by the source's equations beside one of what was made from it."""

from collections.abc import Callable
from typing import Optional

import torch
from torch import Tensor

from ..stack import GRUStack, GRUWeights

# The states after one step [N, H] of all layers, from x [N, I] and the states before [N, H], in float64.
Step = Callable[[Tensor, list[Tensor]], list[Tensor]]

_ROWS = 4


def check_agreement(stack: GRUStack, source: Step, name: str) -> None:
    """Raises unless `stack` computes what `source` does, in float64, where the two differ by rounding alone.

    Each layer gets the source's own output of the layer below, so that no difference grows from layer to layer. x and h are
    drawn from (-1, 1), from a generator of its own.

    Allowed is what sums in another order can differ by: a pre-activation of K = I + H + 2 terms, whose sizes add up to S at
    most, is off by K epsilons of S; r passes its own error on with a factor of S, the other gates with one below 1.

    Args:
        stack: what the conversion made.
        source: the source's equations.
        name: of the converter, for the error.

    Raises:
        ValueError: a weight is not finite: such a layer agrees with many others.
        RuntimeError: they differ; the text has the difference and what rounding allows.
    """
    for i, layer in enumerate(stack.layers):
        for weight, tensor in layer.items():
            if not tensor.isfinite().all():
                raise ValueError(f"{name}: layer {i}: {weight} must be finite")
    generator = torch.Generator().manual_seed(0)

    def drawn(columns: int) -> Tensor:
        return torch.rand(_ROWS, columns, generator=generator, dtype=torch.float64) * 2 - 1

    x, before = drawn(stack.layers[0].input_size), [drawn(layer.hidden_size) for layer in stack.layers]
    with torch.no_grad():
        expected = source(x, before)
        for i, (layer, cell, h, h_new) in enumerate(zip(stack.layers, stack.cells(), before, expected, strict=True)):
            difference = (cell.to("cpu", torch.float64)(x, h) - h_new).abs().max().item()
            allowed = _rounding(layer)
            if not difference <= allowed:  # so that NaN is no agreement
                raise RuntimeError(
                    f"{name}: layer {i} differs from its source by {difference:.1e} after one step; "
                    f"rounding explains {allowed:.1e}. The order of the gates or the place of the reset gate is another"
                )
            x = h_new


def _rounding(layer: GRUWeights) -> float:
    rows = [tensor.detach().to("cpu", torch.float64).abs().reshape(3 * layer.hidden_size, -1) for _, tensor in layer.items()]
    size = torch.cat(rows, dim=1).sum(dim=1).max().item()
    terms = layer.input_size + layer.hidden_size + 2
    return terms * torch.finfo(torch.float64).eps * (1 + size) ** 2


def zrh_step(
    kernel: Tensor, recurrent_kernel: Tensor, b_input: Optional[Tensor], b_recurrent: Optional[Tensor], reset_after: bool
) -> Callable[[Tensor, Tensor], Tensor]:
    """One step as Keras, ONNX and RTNeural have it: gates in the order z, r, h, inputs times weights.

    Args:
        kernel: ``[I, 3H]``.
        recurrent_kernel: ``[H, 3H]``.
        b_input: ``[3H]`` or None.
        b_recurrent: ``[3H]`` or None; its last third is inside the product with r where `reset_after`.
        reset_after: whether r acts on the product of the state (True) or on the state.

    Returns:
        A function of x ``[N, I]`` and h ``[N, H]``, in float64.
    """
    hidden_size = recurrent_kernel.size(0)

    def gates(tensor: Optional[Tensor]) -> tuple[Tensor, ...]:
        whole = torch.zeros(3 * hidden_size) if tensor is None else tensor.detach()
        return whole.to("cpu", torch.float64).split(hidden_size, dim=-1)

    (w_z, w_r, w_h), (u_z, u_r, u_h) = gates(kernel), gates(recurrent_kernel)
    (b_z, b_r, b_h), (c_z, c_r, c_h) = gates(b_input), gates(b_recurrent)

    def step(x: Tensor, h: Tensor) -> Tensor:
        z = torch.sigmoid(x @ w_z + b_z + h @ u_z + c_z)
        r = torch.sigmoid(x @ w_r + b_r + h @ u_r + c_r)
        inner = r * (h @ u_h + c_h) if reset_after else (r * h) @ u_h + c_h
        return z * h + (1 - z) * torch.tanh(x @ w_h + b_h + inner)

    return step


def zrh_to_rzn(tensor: Tensor) -> Tensor:
    """Rows ``[3H, ...]`` in the order z, r, h put into torch's order r, z, n; also the other way round."""
    z, r, n = tensor.chunk(3)
    return torch.cat([r, z, n])
