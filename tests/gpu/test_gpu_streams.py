"""Streams and devices: work goes to the current stream of the tensors' device, and nothing waits for it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from on_device import random_sample, results
from reference import gru_cell as reference_cell
from samples import Sample
from tolerances import assert_grad, assert_value
from torch import Tensor

import gru_ext

pytestmark = pytest.mark.cuda_only

SIZES = [(5, 64, 64), (5, 37, 53), (40, 64, 64), (40, 37, 53)]
CYCLES = 400_000_000  # 200 ms at 2 GHz: work that did not wait is long done by then


def _check(actual: list[Tensor], sample: Sample, grad: Tensor) -> None:
    exact = results(reference_cell, sample.copy(torch.float64, requires_grad=True), grad.double())
    assert_value(actual[0], exact[0])
    for one, other in zip(actual[1:], exact[1:], strict=True):
        assert_grad(one, other, steps=2)


@pytest.mark.parametrize("sizes", SIZES)
def test_a_side_stream_whose_producer_is_late(sizes: tuple[int, int, int], device: torch.device) -> None:
    """A kernel on another stream than the current one would read what is there before the producer has written: NaN."""
    source = random_sample(device, *sizes, torch.float32)
    grad = torch.randn(sizes[0], sizes[2], device=device)
    late = source.copy(torch.float32, requires_grad=True)
    late_grad = torch.full_like(grad, float("nan"))
    with torch.no_grad():
        for tensor in late.leaves.values():
            tensor.fill_(float("nan"))
    results(gru_ext.gru_cell, source.copy(torch.float32, requires_grad=True), grad)  # libraries are initialised
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(CYCLES)
        with torch.no_grad():
            for tensor, right in zip(late.leaves.values(), source.leaves.values(), strict=True):
                tensor.copy_(right)
            late_grad.copy_(grad)
        actual = results(gru_ext.gru_cell, late, late_grad)
    assert not stream.query(), "the host waited for the device"
    stream.synchronize()
    _check(actual, source, grad)


def test_two_streams_at_once(device: torch.device) -> None:
    """They share no scratch memory: each gets its own numbers."""
    samples = [random_sample(device, n, 64, 64, torch.float32, requires_grad=True) for n in (5, 40)]
    grads = [torch.randn(n, 64, device=device) for n in (5, 40)]
    expected = [results(gru_ext.gru_cell, sample, grad) for sample, grad in zip(samples, grads, strict=True)]
    streams = [torch.cuda.Stream() for _ in samples]
    torch.cuda.synchronize()
    seen = []
    for _ in range(20):
        for stream, sample, grad in zip(streams, samples, grads, strict=True):
            with torch.cuda.stream(stream):
                seen.append(results(gru_ext.gru_cell, sample, grad))
    torch.cuda.synchronize()
    for k, actual in enumerate(seen):
        for one, other in zip(actual, expected[k % 2], strict=True):
            # Streams have workspaces of their own, with which the matrix library may add in another order.
            torch.testing.assert_close(one, other)


def test_threads_with_their_own_streams(device: torch.device) -> None:
    sample = random_sample(device, 5, 64, 64, torch.float32)
    expected = gru_ext.gru_cell(*sample.args)
    found: list[bool] = []

    def work() -> None:
        with torch.inference_mode(), torch.cuda.stream(torch.cuda.Stream()):
            found.extend(torch.equal(gru_ext.gru_cell(*sample.args), expected) for _ in range(20))

    torch.cuda.synchronize()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 80


@contextmanager
def _waiting_is_an_error() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("sizes", [*SIZES, (0, 7, 16), (5, 0, 16)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_waits_for_the_device(sizes: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> None:
    sample = random_sample(device, *sizes, dtype, requires_grad=True)
    grad = torch.randn(sizes[0], sizes[2]).to(device, dtype)
    results(gru_ext.gru_cell, sample, grad)
    with _waiting_is_an_error():
        results(gru_ext.gru_cell, sample, grad)
        with torch.no_grad():
            gru_ext.gru_cell(*sample.args)


def test_waiting_would_be_noticed(device: torch.device) -> None:
    x = torch.ones(1, device=device)
    with _waiting_is_an_error(), pytest.raises(RuntimeError, match="synchroniz"):
        x.item()


@pytest.mark.parametrize("sizes", SIZES)
def test_the_device_of_the_tensors_not_the_current_one(sizes: tuple[int, int, int]) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices")
    other = torch.device("cuda", 1)
    source = random_sample(other, *sizes, torch.float32, requires_grad=True)
    grad = torch.randn(sizes[0], sizes[2], device=other)
    assert torch.cuda.current_device() == 0
    actual = results(gru_ext.gru_cell, source, grad)
    assert torch.cuda.current_device() == 0 and all(t.device == other for t in actual)
    _check(actual, source, grad)
