"""StreamingGRU: values beside torch.nn.GRU, states of single streams, gradients, copies, refusals."""

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from samples import cell_pair
from tolerances import assert_grad, assert_value
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import gru_ext

T, N, I, H = 6, 3, 5, 4  # noqa: E741 (the project's names)


def run(stream: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.stack([stream(x_t) for x_t in x])


def sources() -> dict[str, Callable[[nn.GRU], object]]:
    """What a stream is made of, each from the weights of a torch.nn.GRU of two layers."""

    def cells(gru: nn.GRU, kind: type[nn.GRUCell]) -> list[nn.GRUCell]:
        made = [kind(I, H, gru.bias), kind(H, H, gru.bias)]
        for layer, cell in enumerate(made):
            cell.load_state_dict({name: getattr(gru, f"{name}_l{layer}") for name in cell.state_dict()})
        return made

    return {
        "GRU": lambda gru: gru,
        "torch's cells": lambda gru: cells(gru, nn.GRUCell),
        "our cells": lambda gru: tuple(cells(gru, gru_ext.GRUCell)),
        "ModuleList": lambda gru: nn.ModuleList(cells(gru, gru_ext.GRUCell)),
        "Sequential of streams": lambda gru: nn.Sequential(*map(gru_ext.StreamingGRU, cells(gru, nn.GRUCell))),
        "stream": lambda gru: gru_ext.StreamingGRU(gru),
        "stack": lambda gru: gru_ext.convert.from_torch(gru),
    }


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("source", sources())
def test_like_torch_gru(source: str, bias: bool) -> None:
    gru = nn.GRU(I, H, num_layers=2, bias=bias)
    stream = gru_ext.StreamingGRU(sources()[source](gru), batch_size=N)
    x = torch.randn(T, N, I)
    expected, h_n = copy.deepcopy(gru).double()(x.double())
    assert_value(run(stream, x), expected, steps=2 * T)
    assert_value(stream.hidden_state, h_n, steps=2 * T)
    stream.reset()
    assert torch.equal(stream.hidden_state, torch.zeros(2, N, H))
    assert_value(run(stream, x), expected, steps=2 * T)


def test_one_dimension_is_one_stream() -> None:
    _, cell = cell_pair(I, H)
    stream, batch = gru_ext.StreamingGRU(cell), gru_ext.StreamingGRU(cell)
    x = torch.randn(T, I)
    assert run(stream, x).shape == (T, H)
    assert torch.equal(stream.hidden_state[0], run(batch, x.unsqueeze(1))[-1])


def test_reset_before() -> None:
    cell = gru_ext.ResetBeforeGRUCell(I, H)
    stream = gru_ext.StreamingGRU(cell, batch_size=N)
    x, h = torch.randn(T, N, I), torch.zeros(N, H)
    for x_t, y in zip(x, run(stream, x), strict=True):
        h = cell(x_t, h)
        assert torch.equal(y, h)


def test_parameters_are_the_models() -> None:
    gru = nn.GRU(I, H, num_layers=2)
    stream = gru_ext.StreamingGRU(gru)
    assert [id(p) for p in stream.parameters()] == [id(p) for p in gru.parameters()]
    cell = nn.GRUCell(I, H)
    assert [id(p) for p in gru_ext.StreamingGRU(cell).parameters()] == [id(p) for p in cell.parameters()]
    ours = gru_ext.GRUCell(I, H)
    assert gru_ext.StreamingGRU([ours]).cells[0] is ours


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.uint8, torch.float32])
def test_masked_reset(dtype: torch.dtype) -> None:
    stream = gru_ext.StreamingGRU(nn.GRU(I, H, num_layers=2), batch_size=N)
    run(stream, torch.randn(T, N, I))
    stream.hidden_state[:, 1] = float("nan")  # a stream that broke begins anew too
    before = stream.hidden_state.clone()
    stream.reset(torch.tensor([0, 1, 0]).to(dtype))
    assert torch.equal(stream.hidden_state[:, 1], torch.zeros(2, H))
    assert torch.equal(stream.hidden_state[:, ::2], before[:, ::2])
    stream.reset(mask=torch.zeros(N, dtype=dtype))
    assert torch.equal(stream.hidden_state[:, ::2], before[:, ::2])


def test_state_keeps_its_place_in_memory() -> None:
    """So that whoever holds it, a CUDA graph say, sees every step."""
    stream = gru_ext.StreamingGRU(nn.GRUCell(I, H), batch_size=N)
    state = stream.hidden_state
    y = stream(torch.randn(N, I))
    assert stream.hidden_state is state and torch.equal(state[0], y)
    y_before = y.detach().clone()
    stream.reset(torch.ones(N))
    stream.reset()
    assert stream.hidden_state is state and not state.any()
    assert torch.equal(y, y_before)


def test_new_batch_size() -> None:
    stream = gru_ext.StreamingGRU(nn.GRUCell(I, H).double(), batch_size=N)
    run(stream, torch.randn(1, N, I).double())
    stream.reset(batch_size=0)
    assert run(stream, torch.randn(1, 0, I).double()).shape == (1, 0, H)
    stream.reset(batch_size=7)
    assert torch.equal(stream.hidden_state, torch.zeros(1, 7, H).double())
    assert run(stream, torch.randn(1, 7, I).double()).shape == (1, 7, H)


def test_inference_mode_and_back() -> None:
    stream = gru_ext.StreamingGRU(nn.GRUCell(I, H))
    with torch.inference_mode():
        stream.reset(batch_size=N)
        stream(torch.randn(N, I))
    stream(torch.randn(N, I)).sum().backward()
    stream.reset()


def test_gradients_stay_within_a_step() -> None:
    theirs, cell = cell_pair(I, H)
    theirs = theirs.double()
    stream = gru_ext.StreamingGRU(cell, batch_size=N)
    x = [torch.randn(N, I, requires_grad=True) for _ in range(3)]
    exact = [x_t.detach().double().requires_grad_() for x_t in x]
    # All steps are taken before the first backward: none may have overwritten what another needs.
    outputs = [stream(x_t) for x_t in x]
    assert not stream.hidden_state.requires_grad
    h, expected = torch.zeros(N, H, dtype=torch.float64), []
    for x_t in exact:
        expected.append(theirs(x_t, h))
        h = expected[-1].detach()
    actual_grads = torch.autograd.grad(sum(y.sum() for y in outputs), [*x, *cell.parameters()])
    expected_grads = torch.autograd.grad(sum(y.sum() for y in expected), [*exact, *theirs.parameters()])
    for actual, wanted in zip(actual_grads, expected_grads, strict=True):
        assert_grad(actual, wanted, steps=3)


def _saved_and_loaded(stream: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(stream, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s)), _saved_and_loaded])
def test_copies_go_on_where_the_original_is(duplicate: Callable[[nn.Module], nn.Module]) -> None:
    stream = gru_ext.StreamingGRU(nn.GRU(I, H, num_layers=2), batch_size=N)
    stream(torch.randn(N, I))  # with gradients: a state with a graph could not be copied
    twin = duplicate(stream)
    x = torch.randn(2, N, I)
    first = run(stream, x)
    assert torch.equal(run(twin, x), first)  # the steps of one were none of the other
    with torch.no_grad():
        twin.cells[0].weight_ih.add_(1)
    assert not torch.equal(run(twin, x), run(stream, x))


def test_state_dict_fits_any_number_of_streams() -> None:
    one = gru_ext.StreamingGRU(nn.GRU(I, H, num_layers=2))
    many = gru_ext.StreamingGRU(nn.GRU(I, H, num_layers=2), batch_size=N)
    run(one, torch.randn(1, 1, I))
    before = one.hidden_state.clone()
    assert sorted(one.state_dict()) == sorted(name for name, _ in one.named_parameters())
    many.load_state_dict(one.state_dict())
    one.load_state_dict(many.state_dict())
    assert torch.equal(one.hidden_state, before)
    x = torch.randn(1, N, I)
    one.reset(batch_size=N)
    assert torch.equal(run(one, x), run(many, x))


def test_moves_with_the_weights() -> None:
    stream = gru_ext.StreamingGRU(nn.GRUCell(I, H), batch_size=N).double()
    assert run(stream, torch.randn(1, N, I).double()).dtype == stream.hidden_state.dtype == torch.float64
    assert gru_ext.StreamingGRU(nn.GRUCell(I, H, device="meta")).hidden_state.is_meta
    assert gru_ext.StreamingGRU(nn.GRUCell(I, H, dtype=torch.bfloat16)).hidden_state.dtype == torch.bfloat16


def test_hidden_sizes_that_differ_are_chained() -> None:
    cells = [gru_ext.GRUCell(I, H), gru_ext.GRUCell(H, 2)]
    with pytest.raises(ValueError, match=r"got 2 in layer 1: chain several StreamingGRU in torch.nn.Sequential"):
        gru_ext.StreamingGRU(cells)
    chain = nn.Sequential(*(gru_ext.StreamingGRU(cell, batch_size=N) for cell in cells))
    x, h, y = torch.randn(T, N, I), torch.zeros(N, H), torch.zeros(N, 2)
    for x_t, out in zip(x, run(chain, x), strict=True):
        h = cells[0](x_t, h)
        y = cells[1](h, y)
        assert torch.equal(out, y)


def test_a_step_that_fails_changes_no_state() -> None:
    stream = gru_ext.StreamingGRU([gru_ext.GRUCell(I, H), gru_ext.GRUCell(H, H)], batch_size=N)
    run(stream, torch.randn(1, N, I))
    before = stream.hidden_state.clone()
    stream.cells[1].weight_ih = nn.Parameter(torch.zeros(3 * H, H + 1))
    with pytest.raises(RuntimeError):
        stream(torch.randn(N, I))
    assert torch.equal(stream.hidden_state, before)


def test_wrong_arguments() -> None:
    stream = gru_ext.StreamingGRU(nn.GRUCell(I, H), batch_size=N)
    for call, text in [
        (lambda: stream(torch.zeros(2, I)), r"x has 2 rows, hidden_state holds 3 streams: call reset\(batch_size=2\)"),
        (lambda: stream(torch.zeros(I)), r"x has 1 rows, hidden_state holds 3 streams"),
        (lambda: stream(torch.zeros(1, N, I)), r"expected x to be \[N, 5\] or \[5\], got 3D"),
        (lambda: stream.reset(torch.zeros(2)), r"mask must be \[3\], got .*2"),
        (lambda: stream.reset(torch.zeros(N, 1)), r"mask must be \[3\], got .*3, 1"),
        (lambda: stream.reset(torch.zeros(N), batch_size=2), r"give mask or batch_size, not both"),
        (lambda: stream.reset(batch_size=-1), r"batch_size must be 0 or more, got -1"),
        (lambda: gru_ext.StreamingGRU(nn.GRUCell(I, H), batch_size=-2), r"batch_size must be 0 or more, got -2"),
    ]:
        with pytest.raises(ValueError, match=text):
            call()
    with pytest.raises(RuntimeError):
        stream(torch.zeros(N, I + 1))


class _OtherForward(gru_ext.GRUCell):
    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return super().forward(input, hx).relu()


class _OtherGRU(nn.GRU):
    def forward(self, *args: Tensor) -> Tensor:
        return super().forward(*args)[0]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: nn.GRU(I, H, bidirectional=True), ValueError, "one direction, got bidirectional=True"),
        (lambda: nn.LSTM(I, H), TypeError, "got torch.nn.modules.rnn.LSTM"),
        (lambda: nn.LSTMCell(I, H), TypeError, "got torch.nn.modules.rnn.LSTMCell"),
        (lambda: None, TypeError, "got builtins.NoneType"),
        (lambda: [], ValueError, "one layer at least, got none"),
        (lambda: _OtherForward(I, H), TypeError, "_OtherForward has a forward of its own"),
        (lambda: _OtherGRU(I, H), TypeError, "_OtherGRU has a forward of its own"),
        (lambda: [nn.GRUCell(I, H), nn.GRUCell(I, H)], ValueError, "layer 1 must have the input_size 4.*, got 5"),
        (
            lambda: parametrizations.weight_norm(nn.GRUCell(I, H), "weight_ih"),
            ValueError,
            "weight_ih and weight_hh must be param",
        ),
        (lambda: parametrizations.weight_norm(nn.GRU(I, H), "weight_hh_l0"), ValueError, "weight_hh_l0 must be parameters of"),
    ],
)
def test_refused(make: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        gru_ext.StreamingGRU(make())


def test_projection_is_refused() -> None:
    gru = nn.GRU(I, H)
    gru.proj_size = 2  # torch's constructor refuses it for a GRU, its attribute is there
    with pytest.raises(ValueError, match="proj_size=0, got 2"):
        gru_ext.StreamingGRU(gru)


def test_our_cell_may_be_parametrized() -> None:
    cell = parametrizations.weight_norm(gru_ext.GRUCell(I, H), "weight_ih")
    assert torch.equal(run(gru_ext.StreamingGRU(cell, batch_size=N), (x := torch.randn(1, N, I)))[0], cell(x[0]).detach())


def test_within_patch() -> None:
    theirs = nn.GRUCell(I, H)
    with gru_ext.patch():
        assert type(gru_ext.StreamingGRU(theirs).cells[0]) is gru_ext.GRUCell
        gru_ext.StreamingGRU(nn.GRUCell(I, H))
