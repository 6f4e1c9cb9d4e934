"""PyTorch's own samples for nn.GRUCell (torch/testing/_internal/common_modules.py), with our class in its place."""

import copy
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch
from tolerances import TOLERANCES
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

import gru_ext


@pytest.fixture(scope="module")
def common_modules() -> Iterator[ModuleType]:
    """Importing it freezes torch's backend flags for the whole process; they are released again."""
    backends, flag = torch.backends, "__allow_nonbracketed_mutation_flag"
    before = getattr(backends, flag)
    import torch.testing._internal.common_modules as common_modules

    setattr(backends, flag, before)
    yield common_modules


@pytest.fixture
def module_info(common_modules: ModuleType):
    (info,) = [info for info in common_modules.module_db if info.module_cls is nn.GRUCell]
    return info


def _samples(module_info, dtype: torch.dtype, requires_grad: bool, training: bool) -> list:
    samples = list(
        module_info.module_inputs_func(module_info, device="cpu", dtype=dtype, requires_grad=requires_grad, training=training)
    )
    assert samples
    return samples


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
def test_forward(module_info, common_modules, dtype: torch.dtype, training: bool) -> None:
    """As test_modules.py's test_forward: against the sample's own reference, and against torch's class."""
    for sample in _samples(module_info, dtype, False, training):
        construct, call = sample.constructor_input, sample.forward_input
        cells = [cls(*construct.args, **construct.kwargs, dtype=dtype).train(training) for cls in (nn.GRUCell, gru_ext.GRUCell)]
        cells[1].load_state_dict(cells[0].state_dict())
        expected, actual = (cell(*call.args, **call.kwargs) for cell in cells)
        torch.testing.assert_close(actual, expected)
        if sample.reference_fn is not None:
            torch.testing.assert_close(sample.reference_fn(cells[1], *call.args, **call.kwargs), actual)


def test_errors(module_info) -> None:
    """As test_modules.py's test_errors: type and text of every mistake PyTorch tests for."""
    errors = list(
        module_info.module_error_inputs_func(module_info, device="cpu", dtype=torch.float32, requires_grad=False, training=True)
    )
    assert len(errors) >= 6
    for error in errors:
        construct, call = error.module_error_input.constructor_input, error.module_error_input.forward_input
        cell = gru_ext.GRUCell(*construct.args, **construct.kwargs, dtype=torch.float32)
        with pytest.raises(error.error_type, match=error.error_regex):
            cell(*call.args, **call.kwargs)


def test_gradients(module_info) -> None:
    """As test_modules.py's test_grad and test_gradgrad."""
    for sample in _samples(module_info, torch.float64, True, True):
        cell = gru_ext.GRUCell(*sample.constructor_input.args, **sample.constructor_input.kwargs, dtype=torch.float64)
        names = list(dict(cell.named_parameters()))

        def call(*tensors, cell=cell, names=names):
            inputs, parameters = tensors[: -len(names)], dict(zip(names, tensors[-len(names) :], strict=True))
            return torch.func.functional_call(cell, parameters, inputs)

        leaves = (*sample.forward_input.args, *cell.parameters())
        assert gradcheck(call, leaves, fast_mode=True, check_forward_ad=True)
        assert gradgradcheck(call, leaves, fast_mode=True, check_fwd_over_rev=True)


def test_non_contiguous_tensors(module_info) -> None:
    """As test_modules.py's test: every other element of a larger tensor gives what its dense copy gives."""
    for sample in _samples(module_info, torch.float32, True, True):
        cell = gru_ext.GRUCell(*sample.constructor_input.args, **sample.constructor_input.kwargs)
        dense = [t.detach().clone().requires_grad_() for t in sample.forward_input.args]
        sparse = [torch.repeat_interleave(t.detach(), 2, dim=-1)[..., ::2].requires_grad_() for t in dense]
        assert not any(t.is_contiguous() for t in sparse)
        results = [cell(*tensors) for tensors in (dense, sparse)]
        torch.testing.assert_close(*results, rtol=0, atol=TOLERANCES[torch.float32].value * torch.finfo(torch.float32).eps)
        for one, other in zip(
            *(torch.autograd.grad(r.sum(), t) for r, t in zip(results, (dense, sparse), strict=True)), strict=True
        ):
            torch.testing.assert_close(one, other)


def test_factory_arguments_printing_and_copies(module_info) -> None:
    """As test_modules.py's test_factory_kwargs, test_repr, test_pickle and test_to."""
    for sample in _samples(module_info, torch.float32, False, True):
        construct, call = sample.constructor_input, sample.forward_input
        for device, dtype in (("cpu", torch.float64), ("meta", torch.float32)):
            cell = gru_ext.GRUCell(*construct.args, **construct.kwargs, device=device, dtype=dtype)
            assert all(p.dtype == dtype and p.device.type == device for p in cell.parameters())
        theirs, ours = (cls(*construct.args, **construct.kwargs) for cls in (nn.GRUCell, gru_ext.GRUCell))
        assert repr(theirs) == repr(ours) and str(theirs) == str(ours)
        expected = ours(*call.args, **call.kwargs)
        assert torch.equal(copy.deepcopy(ours)(*call.args, **call.kwargs), expected)
        returned = ours.to("meta").to_empty(device="cpu")
        assert [p.shape for p in returned.parameters()] == [p.shape for p in theirs.parameters()]
