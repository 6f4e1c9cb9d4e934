"""Mixed precision on the CPU: dtypes, values and gradients of torch's own cell, for every mix of dtypes."""

import itertools
from typing import Optional

import pytest
import torch
from samples import cell_pair
from torch import Tensor, nn

N, I, H = 5, 7, 17  # noqa: E741 (the project's names)
LOW = (torch.bfloat16, torch.float16)
DTYPES = (torch.float32, *LOW)


def run(
    cell: nn.GRUCell, precision: torch.dtype, x: Tensor, hx: Optional[Tensor]
) -> tuple[Tensor, list[Tensor], list[torch.dtype]]:
    """The state under autocast, and the gradients for input, hx and the parameters."""
    leaves = [t.clone().requires_grad_() for t in (x, hx) if t is not None]
    with torch.autocast("cpu", dtype=precision):
        state = cell(*leaves)
    leaves += cell.parameters()
    cotangent = torch.linspace(-1, 1, state.numel()).view_as(state).to(state.dtype)
    grads = torch.autograd.grad(state, leaves, cotangent)
    return state, list(grads), [leaf.dtype for leaf in leaves]


def assert_same(actual: Tensor, expected: Tensor) -> None:
    """To the last bit: under autocast both cells run the same products and, in the same order, the same roundings."""
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("x_dtype, hx_dtype", list(itertools.product(DTYPES, (*DTYPES, None))))
def test_like_torch(precision: torch.dtype, x_dtype: torch.dtype, hx_dtype: Optional[torch.dtype], bias: bool) -> None:
    x = torch.randn(N, I).to(x_dtype)
    hx = None if hx_dtype is None else torch.randn(N, H).to(hx_dtype)
    theirs, ours = cell_pair(I, H, bias=bias)
    state, grads, _ = run(theirs, precision, x, hx)
    our_state, our_grads, leaf_dtypes = run(ours, precision, x, hx)
    assert_same(our_state, state)
    assert [grad.dtype for grad in our_grads] == leaf_dtypes
    for got, want in zip(our_grads, grads, strict=True):
        assert_same(got, want)


@pytest.mark.parametrize("precision", LOW)
def test_dtype_of_the_state(precision: torch.dtype) -> None:
    """Written out: a low state stays low, a float32 one stays float32, the two low dtypes together make float32."""
    other = next(dtype for dtype in LOW if dtype != precision)
    _, ours = cell_pair(I, H)
    f32 = torch.float32
    table = [
        (f32, f32, f32),
        (f32, None, f32),
        (precision, precision, precision),
        (precision, None, precision),
        (precision, f32, f32),
        (f32, precision, precision),
        (other, other, f32),
    ]
    with torch.autocast("cpu", dtype=precision):
        for x_dtype, hx_dtype, expected in table:
            hx = None if hx_dtype is None else torch.randn(N, H, dtype=hx_dtype)
            state = ours(torch.randn(N, I, dtype=x_dtype), hx)
            assert state.dtype == expected, (x_dtype, hx_dtype)
            assert ours(torch.randn(I, dtype=x_dtype), None if hx is None else hx[0]).dtype == expected


@pytest.mark.parametrize(
    "x_dtype, hx_dtype", [(torch.float64, None), (torch.float32, torch.float64), (torch.float64, torch.float64)]
)
def test_float64_is_refused_as_torch_refuses_it(x_dtype: torch.dtype, hx_dtype: Optional[torch.dtype]) -> None:
    messages = []
    for cell in cell_pair(I, H):
        with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(RuntimeError) as error:
            cell(torch.randn(N, I, dtype=x_dtype), None if hx_dtype is None else torch.randn(N, H, dtype=hx_dtype))
        messages.append(str(error.value).splitlines()[0])
    assert messages[0] == messages[1]


@pytest.mark.parametrize("shape", [(0, I), (I,), (1, I)])
def test_forms_of_the_arguments(shape: tuple[int, ...]) -> None:
    x, hx = torch.randn(shape), torch.randn(*shape[:-1], H)
    theirs, ours = cell_pair(I, H)
    state, grads, _ = run(theirs, torch.bfloat16, x, hx)
    our_state, our_grads, _ = run(ours, torch.bfloat16, x, hx)
    for got, want in zip([our_state, *our_grads], [state, *grads], strict=True):
        assert_same(got, want)


def test_low_precision_parameters() -> None:
    theirs, ours = cell_pair(I, H, dtype=torch.bfloat16)
    x = torch.randn(N, I)
    state, grads, _ = run(theirs, torch.bfloat16, x, None)
    our_state, our_grads, dtypes = run(ours, torch.bfloat16, x, None)
    assert_same(our_state, state)
    assert [grad.dtype for grad in our_grads] == dtypes
    for got, want in zip(our_grads, grads, strict=True):
        assert_same(got, want)


def test_loop_in_which_the_state_changes_dtype() -> None:
    """The first step of a rollout without a state starts from zeros of the input's dtype."""
    states = []
    x = torch.randn(6, N, I, dtype=torch.bfloat16)
    for cell in cell_pair(I, H):
        h = None
        with torch.autocast("cpu", dtype=torch.bfloat16):
            for t in range(6):
                h = cell(x[t] if t < 3 else x[t].float(), h if t != 4 else h.float())
        states.append(h)
    assert_same(states[1], states[0])


def test_switched_off_inside_and_left_again() -> None:
    theirs, ours = cell_pair(I, H)
    x = torch.randn(N, I)
    plain = ours(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = ours(x)
        with torch.autocast("cpu", enabled=False):
            assert torch.equal(ours(x), plain)
    assert torch.equal(ours(x), plain)
    assert not torch.equal(low, plain)


def test_weights_changed_between_steps_are_seen() -> None:
    """Autocast caches the low-precision weights until it is left; an optimizer step between two contexts must count."""
    _, ours = cell_pair(I, H)
    x = torch.randn(N, I)
    states = []
    for _ in range(2):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            states.append(ours(x))
        with torch.no_grad():
            ours.weight_ih.mul_(2)
    assert not torch.equal(*states)


def test_scaled_gradients() -> None:
    """With GradScaler, as a float16 training loop has it: the unscaled gradients are torch's."""
    grads = []
    x = torch.randn(N, I)
    for cell in cell_pair(I, H):
        optimizer = torch.optim.SGD(cell.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        with torch.autocast("cpu", dtype=torch.float16):
            loss = cell(x).square().mean()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        grads.append([parameter.grad.clone() for parameter in cell.parameters()])
        scaler.step(optimizer)
        scaler.update()
    for want, got in zip(*grads, strict=True):
        assert_same(got, want)
