"""CUDA graphs: a step is captured once and replayed on new numbers. Whatever waited for the device would end the capture."""

import pytest
import torch
from on_device import random_sample, torch_cell
from reference import gru_cell as reference_cell
from samples import REAL_DTYPES, Sample, cell_pair
from torch import Tensor

import gru_ext

pytestmark = pytest.mark.cuda_only

SIZES = [(1, 64, 64), (8, 37, 53), (40, 64, 64), (40, 37, 53), (5, 0, 16)]
# Without rows only the gradients of the weights, zeros, are work: a graph of an inference step would be empty.
CASES = [(sizes, trains) for sizes in SIZES for trains in (False, True)] + [((0, 7, 16), True)]


def _step(sample: Sample, grad: Tensor, trains: bool) -> list[Tensor]:
    if not trains:
        with torch.no_grad():
            return [gru_ext.gru_cell(*sample.args)]
    state = gru_ext.gru_cell(*sample.args)
    return [state, *torch.autograd.grad(state, list(sample.leaves.values()), grad)]


def _refill(sample: Sample, grad: Tensor) -> None:
    """New numbers at the same addresses."""
    with torch.no_grad():
        for tensor in (*sample.leaves.values(), grad):
            tensor.copy_(torch.rand_like(tensor) - 0.5)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("sizes, trains", CASES)
def test_replay_on_other_numbers(sizes: tuple[int, int, int], dtype: torch.dtype, trains: bool, device: torch.device) -> None:
    sample = random_sample(device, *sizes, dtype, requires_grad=trains)
    grad = torch.randn(sizes[0], sizes[2]).to(device, dtype)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            _step(sample, grad, trains)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = _step(sample, grad, trains)
    for _ in range(3):
        _refill(sample, grad)
        with torch.no_grad():
            for result in captured:
                result.fill_(float("nan"))
        graph.replay()
        # The matrix library may add in another order on a stream that captures: sums of up to 64 rounded terms.
        leeway = 16 * torch.finfo(dtype).eps
        for got, want in zip(captured, _step(sample, grad, trains), strict=True):
            torch.testing.assert_close(got, want, rtol=leeway, atol=leeway)


def test_a_sequence_in_one_graph(device: torch.device) -> None:
    """Sixteen steps, each on the state of the one before, against double precision."""
    cell = gru_ext.GRUCell(32, 64, device=device)
    xs, h0 = torch.randn(16, 4, 32, device=device), torch.zeros(4, 64, device=device)

    def sequence() -> Tensor:
        h = h0
        with torch.no_grad():
            for x in xs:
                h = cell(x, h)
        return h

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        sequence()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        last = sequence()
    for _ in range(2):
        xs.normal_()
        graph.replay()
        exact = h0.double()
        for x in xs:
            exact = reference_cell(x, exact, *cell.parameters())
        torch.testing.assert_close(last.double(), exact.detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("n", [5, 40])
def test_make_graphed_callables(n: int, device: torch.device) -> None:
    """Forward and backward as two graphs behind an ordinary module: it trains as torch's cell does."""
    theirs, ours = cell_pair(16, 32, device=device)
    sample = (torch.randn(n, 16, device=device, requires_grad=True), torch.randn(n, 32, device=device, requires_grad=True))
    graphed = torch.cuda.make_graphed_callables(ours, sample)
    optimizers = [torch.optim.SGD(cell.parameters(), lr=0.1) for cell in (theirs, ours)]
    for _ in range(4):
        x, h = torch.randn(n, 16, device=device, requires_grad=True), torch.rand(n, 32, device=device, requires_grad=True)
        grads = []
        for cell, optimizer in zip((theirs, graphed), optimizers, strict=True):
            optimizer.zero_grad()
            x.grad = h.grad = None
            cell(x, h).square().mean().backward()
            grads.append((x.grad.clone(), h.grad.clone()))
            optimizer.step()
        for got, want in zip(grads[1], grads[0], strict=True):
            torch.testing.assert_close(got, want)
    for got, want in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(got, want)


def test_a_whole_training_step(device: torch.device) -> None:
    """Loss, backward into .grad and the optimizer's update in one graph, as in PyTorch's documentation."""
    theirs, ours = cell_pair(16, 32, device=device)
    data, targets = torch.randn(12, 20, 16, device=device), torch.rand(12, 20, 32, device=device)

    def loop(cell: torch.nn.GRUCell, graphed: bool) -> list[float]:
        x, y = data[0].clone(), targets[0].clone()
        optimizer = torch.optim.SGD(cell.parameters(), lr=0.5)

        def step() -> Tensor:
            optimizer.zero_grad(set_to_none=True)
            loss = (cell(x) - y).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        if graphed:
            optimizer.zero_grad(set_to_none=True)
            with torch.cuda.graph(graph):
                loss = step()
        losses = []
        for k in range(1, len(data)):
            x.copy_(data[k])
            y.copy_(targets[k])
            if graphed:
                graph.replay()
            else:
                loss = step()
            losses.append(loss.item())
        return losses

    torch.testing.assert_close(loop(ours, graphed=True), loop(theirs, graphed=False), rtol=1e-4, atol=0)


def test_two_graphs_share_a_pool(device: torch.device) -> None:
    """Graphs of one pool reuse each other's memory; what each computes is right as long as they run in turn."""
    sample = random_sample(device, 4, 64, 64, torch.float32)
    large = random_sample(device, 64, 64, 64, torch.float32)
    for one in (sample, large):
        gru_ext.gru_cell(*one.args)
    first, second = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(first):
        small_state = gru_ext.gru_cell(*sample.args)
    with torch.no_grad(), torch.cuda.graph(second, pool=first.pool()):
        large_state = gru_ext.gru_cell(*large.args)
    for _ in range(2):
        first.replay()
        second.replay()
        for got, one in ((small_state, sample), (large_state, large)):
            torch.testing.assert_close(got, torch_cell(*one.args))
