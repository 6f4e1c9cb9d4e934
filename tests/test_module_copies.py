"""A cell that is copied, pickled, sent to another process, built without memory or used by several threads."""

import copy
import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.multiprocessing
from reference import gru_cell as reference_cell
from samples import cell_pair
from tolerances import assert_value
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch._subclasses.fake_utils import CrossRefFakeMode

import gru_ext


def _saved_and_loaded(cell: nn.Module) -> nn.Module:
    buffer = io.BytesIO()
    torch.save(cell, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, copy.copy, lambda cell: pickle.loads(pickle.dumps(cell)), _saved_and_loaded]
)
def test_copies(duplicate, bias: bool) -> None:
    cell = gru_ext.GRUCell(3, 4, bias=bias)
    cell(torch.randn(2, 3)).sum().backward()
    twin = duplicate(cell)
    assert type(twin) is gru_ext.GRUCell and repr(twin) == repr(cell)
    x = torch.randn(2, 3)
    assert torch.equal(twin(x), cell(x))
    shared = duplicate is copy.copy
    with torch.no_grad():
        twin.weight_ih.add_(1)
    assert torch.equal(twin(x), cell(x)) == shared


def test_a_pickled_module_is_no_weights_only_file() -> None:
    """As for any module: torch refuses to load code where only weights are allowed."""
    buffer = io.BytesIO()
    torch.save(gru_ext.GRUCell(3, 4), buffer)
    buffer.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        torch.load(buffer, weights_only=True)


def test_meta_device() -> None:
    with torch.device("meta"):
        in_context = gru_ext.GRUCell(3, 4)
    for cell in (in_context, gru_ext.GRUCell(3, 4, device="meta")):
        assert all(p.is_meta for p in cell.parameters())
        for shape in ((2, 3), (0, 3), (3,)):
            state = cell(torch.empty(shape, device="meta", requires_grad=True))
            assert state.is_meta and state.shape == (*shape[:-1], 4)
            state.sum().backward()
        assert cell.weight_hh.grad.is_meta and cell.weight_hh.grad.shape == (12, 4)


def test_meta_to_empty_to_weights() -> None:
    source = nn.GRUCell(3, 4)
    x = torch.randn(2, 3)
    cell = gru_ext.GRUCell(3, 4, device="meta").to_empty(device="cpu")
    cell.load_state_dict(source.state_dict())
    assert_value(cell(x), reference_cell(x, None, *source.parameters()))
    cell = gru_ext.GRUCell(3, 4, device="meta")
    cell.load_state_dict(source.state_dict(), assign=True)
    assert_value(cell(x), reference_cell(x, None, *source.parameters()))


def test_skip_init() -> None:
    cell = torch.nn.utils.skip_init(gru_ext.GRUCell, 3, 4, dtype=torch.float64)
    assert type(cell) is gru_ext.GRUCell and cell.weight_ih.dtype == torch.float64
    cell.reset_parameters()
    assert cell(torch.randn(2, 3, dtype=torch.float64)).isfinite().all()


def test_fake_tensors() -> None:
    with FakeTensorMode():
        cell = gru_ext.GRUCell(3, 4)
        for x, h in ((torch.randn(2, 3), torch.randn(2, 4)), (torch.randn(0, 3), None), (torch.randn(3), torch.randn(4))):
            state = cell(x.requires_grad_(), h)
            state.sum().backward()
            assert state.shape == (*x.shape[:-1], 4) and state.stride()[-1] == 1 and x.grad.shape == x.shape


def test_fake_tensors_agree_with_real_ones() -> None:
    """CrossRefFakeMode runs every op twice and raises where shape, stride, dtype or aliasing differ."""
    cell = gru_ext.GRUCell(3, 4)
    with CrossRefFakeMode():
        for x, h in ((torch.randn(2, 3), torch.randn(2, 4)), (torch.randn(2, 3), None), (torch.randn(0, 3), None)):
            cell(x, h)
        cell(torch.randn(3, 2).t(), torch.randn(2, 8)[:, ::2])


def test_conversion_by_swapping_tensors() -> None:
    """Under torch.__future__'s swap, a conversion exchanges what is inside the parameters instead of their `.data`."""
    cell = gru_ext.GRUCell(3, 4)
    parameters = list(cell.parameters())
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        cell.double()
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    assert all(one is other for one, other in zip(parameters, cell.parameters(), strict=True))
    x = torch.randn(2, 3, dtype=torch.float64)
    assert_value(cell(x), reference_cell(x, None, *parameters))


def test_threads_share_a_cell() -> None:
    _, cell = cell_pair(17, 31)
    inputs = torch.randn(32, 5, 17)

    def serve(x: Tensor) -> Tensor:
        with torch.inference_mode():
            h = None
            for _ in range(20):
                h = cell(x, h)
            return h

    expected = [serve(x) for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        for state, alone in zip(pool.map(serve, inputs), expected, strict=True):
            assert torch.equal(state, alone)


def _train_in_child(cell: nn.Module, x: Tensor, answer: Tensor) -> None:
    torch.set_num_threads(1)
    with torch.no_grad():
        answer.copy_(cell(x))
        cell.weight_hh.add_(1)  # in shared memory: the parent sees it
    cell(x).sum().backward()


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_shared_with_another_process(start: str) -> None:
    cell = gru_ext.GRUCell(3, 4).share_memory()
    assert all(p.is_shared() for p in cell.parameters())
    x, answer = torch.randn(2, 3), torch.zeros(2, 4).share_memory_()
    expected, weight = cell(x).detach(), cell.weight_hh.detach().clone()
    child = torch.multiprocessing.get_context(start).Process(target=_train_in_child, args=(cell, x, answer))
    child.start()
    child.join(120)
    assert child.exitcode == 0
    assert torch.equal(answer, expected)
    assert torch.equal(cell.weight_hh, weight + 1)
