"""gru_ext.pack: values, shapes, threads, that the weights are copies."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch

import gru_ext

pytestmark = pytest.mark.compiled

WEIGHTS = ("float32", "bfloat16", "int8")
# As in test_stream.py: the error of one step, from float32 sums, from weights rounded to 8 bits of mantissa, and from weights
# off by 1/254 of the largest of their row.
TOLERANCES = {"float32": 1e-6, "bfloat16": 2**-9 * 4, "int8": 4 / 254}

NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
N, INPUTS, H = 11, 17, 24  # no multiples of a vector; more rows than the kernel takes at once


def cell(bias: bool = True) -> gru_ext.GRUCell:
    return gru_ext.GRUCell(INPUTS, H, bias=bias)


def reset_before(inputs: int = INPUTS) -> gru_ext.ResetBeforeGRUCell:
    return gru_ext.ResetBeforeGRUCell(inputs, H)


def stack(layers: int = 2) -> torch.nn.GRU:
    return torch.nn.GRU(INPUTS, H, num_layers=layers)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_cell_gives_the_numbers_of_the_cell(weights: str, bias: bool) -> None:
    model = cell(bias)
    packed = gru_ext.pack(model, weights)
    x, h = torch.randn(N, INPUTS), torch.randn(N, H)
    with torch.no_grad():
        torch.testing.assert_close(packed(x, h), model(x, h), rtol=0, atol=TOLERANCES[weights])
        torch.testing.assert_close(packed(x), model(x), rtol=0, atol=TOLERANCES[weights])
        assert torch.equal(packed(x[3], h[3]), packed(x, h)[3])
        assert torch.equal(packed(x[3]), packed(x)[3])


@pytest.mark.parametrize("bias", [(True, False), (False, True)])
def test_one_bias_may_be_missing(bias: tuple[bool, bool]) -> None:
    model = cell()
    for name, there in zip(("bias_ih", "bias_hh"), bias, strict=True):
        if not there:
            setattr(model, name, None)
    x, h = torch.randn(N, INPUTS), torch.randn(N, H)
    with torch.no_grad():
        torch.testing.assert_close(gru_ext.pack(model)(x, h), model(x, h), rtol=0, atol=TOLERANCES["float32"])


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_stack_gives_the_states_of_nn_gru(weights: str, layers: int) -> None:
    model = stack(layers)
    packed = gru_ext.pack(model, weights)
    x, h = torch.randn(N, INPUTS), torch.randn(layers, N, H)
    with torch.no_grad():
        output, expected = model(x[None], h)
    states = packed(x, h)
    torch.testing.assert_close(states, expected, rtol=0, atol=TOLERANCES[weights])
    torch.testing.assert_close(states[-1], output[0], rtol=0, atol=TOLERANCES[weights])
    assert torch.equal(packed(x[3], h[:, 3]), states[:, 3])
    assert torch.equal(packed(x), packed(x, torch.zeros_like(h)))


@pytest.mark.parametrize("container", [list, torch.nn.ModuleList, lambda cells: torch.nn.Sequential(*cells)])
def test_cells_are_a_stack(container: object) -> None:
    cells = [cell(), gru_ext.GRUCell(H, H)]
    x, h = torch.randn(N, INPUTS), torch.randn(2, N, H)
    with torch.no_grad():
        below = cells[0](x, h[0])
        expected = torch.stack([below, cells[1](below, h[1])])
    torch.testing.assert_close(gru_ext.pack(container(cells))(x, h), expected, rtol=0, atol=TOLERANCES["float32"])


@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_reset_gate_before_the_product(weights: str) -> None:
    cells = [reset_before(), reset_before(H)]
    x, h = torch.randn(N, INPUTS), torch.randn(2, N, H)
    with torch.no_grad():
        below = cells[0](x, h[0])
        expected = torch.stack([below, cells[1](below, h[1])])
    assert_close = partial(torch.testing.assert_close, rtol=0, atol=TOLERANCES[weights])
    assert_close(gru_ext.pack(cells, weights)(x, h), expected)
    assert_close(gru_ext.pack(cells[0], weights)(x, h[0]), expected[0])


def test_streams_and_plain_weights_are_stacks() -> None:
    model = stack()
    stream = gru_ext.StreamingGRU(model, batch_size=N)
    weights = gru_ext.GRUStack(
        tuple(gru_ext.GRUWeights(*(getattr(model, f"{name}_l{i}") for name in NAMES)) for i in range(model.num_layers))
    )
    x, h = torch.randn(N, INPUTS), torch.randn(2, N, H)
    expected = gru_ext.pack(model)(x, h)
    for other in (stream, weights, [model]):
        assert torch.equal(gru_ext.pack(other)(x, h), expected)


@pytest.mark.parametrize("model", [cell, stack])
@pytest.mark.parametrize("form", ["fresh", "h", "every other column", "rows apart"])
def test_out_takes_the_next_state(form: str, model: object) -> None:
    packed = gru_ext.pack(model())
    x = torch.randn(N, INPUTS)
    h = torch.randn_like(packed(x))
    expected = packed(x, h)
    out = {
        "fresh": torch.empty(h.shape),
        "h": h,
        "every other column": torch.empty(*h.shape[:-1], 2 * H)[..., ::2],
        "rows apart": torch.empty(*h.shape[:-1], 2 * H)[..., H:],
    }[form]
    version = out._version
    assert packed.step(x, h, out=out) is out
    assert torch.equal(out, expected)
    assert out._version == version + 1  # else autograd would not notice that a saved tensor was written to


def test_inputs_with_strides() -> None:
    packed = gru_ext.pack(cell())
    x, h = torch.randn(N, INPUTS), torch.randn(N, H)
    expected = packed(x, h)
    wide = torch.randn(N, 3 * INPUTS)
    wide[:, INPUTS : 2 * INPUTS] = x
    assert torch.equal(packed(wide[:, INPUTS : 2 * INPUTS], h), expected)
    assert torch.equal(packed(x.t().contiguous().t(), h.t().contiguous().t()), expected)
    assert torch.equal(packed(torch._neg_view(-x), torch._neg_view(-h)), expected)
    row = x[:1].expand(N, INPUTS)
    assert torch.equal(packed(row, h), packed(row.contiguous(), h))
    assert packed(x[:0], h[:0]).shape == (0, H)


def test_the_short_way_from_python_is_taken() -> None:
    packed = gru_ext.pack(cell())
    x = torch.randn(N, INPUTS)
    assert torch.equal(gru_ext._C.packed_step(packed.packed, x, None, None), packed(x))
    assert gru_ext._C.packed_step(object(), x, None, None) is NotImplemented
    assert gru_ext._C.packed_step(packed.packed, object(), None, None) is NotImplemented


def test_weights_are_copies() -> None:
    model = cell()
    packed = gru_ext.pack(model)
    x = torch.randn(N, INPUTS)
    before = packed(x)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(packed(x), before)
    assert list(packed.parameters()) == [] and packed.state_dict() == {}


def test_other_dtypes_are_packed_from_float32() -> None:
    model = torch.nn.GRUCell(INPUTS, H).double()
    x = torch.randn(N, INPUTS)
    assert torch.equal(gru_ext.pack(model)(x), gru_ext.pack(model.float())(x))


def test_threads_share_a_packed_cell() -> None:
    packed = gru_ext.pack(stack(), "int8")
    inputs = [torch.randn(1 + i % 5, INPUTS) for i in range(8)]
    expected = [packed(x) for x in inputs]

    def often(i: int) -> bool:
        return all(torch.equal(packed(inputs[i]), expected[i]) for _ in range(200))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(often, range(8)))


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_large_batch_has_the_bits_of_its_rows(weights: str) -> None:
    """Above the work at which it is divided among threads."""
    packed = gru_ext.pack(torch.nn.GRUCell(128, 128), weights)
    x, h = torch.randn(203, 128), torch.randn(203, 128)
    together = packed(x, h)
    for n in (0, 7, 8, 100, 202):
        assert torch.equal(packed(x[n], h[n]), together[n])
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert torch.equal(packed(x, h), together)
    finally:
        torch.set_num_threads(threads)


ALLOCATIONS = """
import torch, gru_ext
from torch.profiler import ProfilerActivity, profile
packed, x, h = gru_ext.pack(gru_ext.GRUCell(64, 64)), torch.randn(4, 64), torch.randn(4, 64)
packed.step(x, h, out=h)
for out in (h, None):
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        for _ in range(10):
            packed.step(x, h, out)
    print(any(event.self_cpu_memory_usage > 0 for event in record.events()))
"""


def test_a_step_into_out_allocates_no_tensor() -> None:
    """As torch's profiler counts: none with `out`, and some without, so that it does count."""
    done = subprocess.run([sys.executable, "-c", ALLOCATIONS], env=os.environ, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"], done.stdout + done.stderr
