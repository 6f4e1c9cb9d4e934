"""Samples on a device, and how near a result has to be to double precision there: as near as torch's own cell is."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Optional

import torch
from reference import gru_cell as reference_cell
from samples import Sample, sample_input
from tolerances import TOLERANCES, error_in_eps
from torch import Tensor

import gru_ext

Step = Callable[..., Tensor]

LOW = (torch.bfloat16, torch.float16)


def moved(t: Tensor, device: torch.device) -> Tensor:
    """The tensor on another device, laid out as it is here: strides, offset, and what lies between its elements."""
    plain = t.detach()
    if plain.is_conj():
        return moved(plain.conj(), device).conj()
    if plain.is_neg():
        return torch._neg_view(moved(torch._neg_view(plain), device))
    elements = plain.untyped_storage().nbytes() // plain.element_size()
    whole = torch.as_strided(plain, (elements,), (1,), 0)
    return torch.as_strided(whole.to(device, copy=True), plain.shape, plain.stride(), plain.storage_offset())


def sample_on(device: torch.device, name: str, dtype: torch.dtype, requires_grad: bool = False) -> Sample:
    """A sample of tests/samples.py; what was one tensor stays one."""
    sample = sample_input(name, dtype)
    made = {id(t): moved(t, device).requires_grad_(requires_grad) for t in sample.leaves.values()}
    return replace(sample, args=tuple(None if t is None else made[id(t)] for t in sample.args))


def random_sample(
    device: torch.device, n: int, i: int, h: int, dtype: torch.dtype, requires_grad: bool = False, bias: bool = True
) -> Sample:
    """Numbers as a trained model has them, at any sizes; drawn on the CPU, so the same ones on every device."""
    bound = max(i, h, 1) ** -0.5

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, dtype=torch.float64) * 2 - 1

    drawn = [torch.randn(n, i, dtype=torch.float64), uniform(n, h), uniform(3 * h, i) * bound, uniform(3 * h, h) * bound]
    drawn += [uniform(3 * h) * bound, uniform(3 * h) * bound]
    args = [t.to(device, dtype).requires_grad_(requires_grad) for t in drawn]
    return Sample(f"N{n}_I{i}_H{h}", tuple(args) if bias else (*args[:4], None, None))


def torch_cell(
    input: Tensor, hx: Optional[Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Optional[Tensor], b_hh: Optional[Tensor]
) -> Tensor:
    """nn.GRUCell as a function. Its kernel takes both biases or none, so a single one gets zeros beside it."""
    if (b_ih is None) != (b_hh is None):
        b_ih, b_hh = (w_ih.new_zeros(w_ih.shape[0]) if b is None else b for b in (b_ih, b_hh))
    x = input if input.dim() == 2 else input.unsqueeze(0)
    h = x.new_zeros(x.shape[0], w_hh.shape[1]) if hx is None else hx.view(x.shape[0], -1)
    state = torch.gru_cell(x, h, w_ih, w_hh, b_ih, b_hh)
    return state if input.dim() == 2 else state.squeeze(0)


def torch_computes(sample: Sample) -> bool:
    """Whether torch's cell has a kernel for it: its CUDA one takes no complex numbers, and not every size of zero."""
    return not sample.args[0].is_complex() and all(t.numel() for t in sample.leaves.values())


def value_and_grads(step: Step, args: Sequence[Optional[Tensor]], leaves: Sequence[Tensor], grad: Tensor) -> list[Tensor]:
    """The state, and the gradients of the leaves for a gradient of the state."""
    state = step(*args)
    return [state.detach(), *torch.autograd.grad(state, list(leaves), grad.to(state.dtype))]


def results(step: Step, sample: Sample, grad: Optional[Tensor]) -> list[Tensor]:
    """The state, and with a gradient of it those of all distinct arguments."""
    if grad is None:
        return [step(*sample.args)]
    return value_and_grads(step, sample.args, list(sample.leaves.values()), grad)


def assert_accurate(actual: Tensor, exact: Tensor, torchs: Optional[Tensor], what: str, factor: float = 1) -> None:
    """As near to `exact` as torch's result, or within the tolerance of the dtype.

    Of 16-bit numbers the products are rounded to the dtype before the gates see them, by torch's cell and by ours for larger
    batches, so there is no bound in epsilons that holds for all weights; but there is torch's error on the same numbers. One
    epsilon more, because two results that are each rounded once differ by as much.

    Args:
        actual: our result.
        exact: in double precision, on the same device.
        torchs: that of torch's cell for the same numbers, or None where it has none.
        what: for the message.
        factor: on the tolerance of the dtype, for sums that are longer than those of the samples.
    """
    kind = "value" if what == "state" else "grad"
    limit = 0.0 if actual.dtype in LOW and torchs is not None else factor * getattr(TOLERANCES[actual.dtype], kind)
    if torchs is not None:
        limit = max(limit, 1.1 * error_in_eps(torchs, exact) + 1)
    elif actual.dtype in LOW:
        limit = max(limit, 2)  # the rounded products, where there is no result of torch's to compare with
    error = error_in_eps(actual, exact)
    assert error <= limit, f"{what}: {error:.2f} epsilons of {actual.dtype} off, allowed {limit:.2f}"


def check(sample: Sample, grad: Optional[Tensor] = None, factor: float = 1) -> None:
    """Our state for a sample, and with `grad` all gradients, against double precision and torch's cell."""
    dtype = sample.args[0].dtype
    wide = torch.complex128 if dtype.is_complex else torch.float64
    actual = results(gru_ext.gru_cell, sample, grad)
    wants_grad = grad is not None
    exact = results(reference_cell, sample.copy(wide, wants_grad), None if grad is None else grad.to(wide))
    torchs: Sequence[Optional[Tensor]] = [None] * len(actual)
    if torch_computes(sample):
        torchs = results(torch_cell, sample.copy(dtype, wants_grad), grad)
    names = ["state", *(f"gradient of {name}" for name in sample.leaves)]
    for name, one, other, theirs in zip(names[: len(actual)], actual, exact, torchs, strict=True):
        assert one.dtype == dtype and one.device == sample.args[0].device, f"{name}: {one.dtype} on {one.device}"
        assert_accurate(one, other, theirs, name, factor)
