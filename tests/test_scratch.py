"""What a thread keeps of its scratch memory (csrc/cpu/scratch.h): no step's numbers depend on the steps before it."""

import threading

import torch
from torch import Tensor

import gru_ext

# Batch, inputs, units. The gates' gradients of a step, 24 N H bytes for up to 512 rows, are little, more than the 8 MiB that
# are kept, nearly as much, and little again.
SIZES = [(3, 4, 5), (512, 8, 800), (512, 8, 640), (64, 30, 40), (3, 4, 5)]


def step(size: tuple[int, int, int]) -> tuple[Tensor, ...]:
    n, inputs, units = size
    generator = torch.Generator().manual_seed(n + units)
    cell = gru_ext.GRUCell(inputs, units)
    with torch.no_grad():
        for p in cell.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) / units**0.5)
    x, h, grad = (torch.randn(n, k, generator=generator) for k in (inputs, units, units))
    leaves = [x.requires_grad_(), h.requires_grad_(), *cell.parameters()]
    y = cell(x, h)
    return y, *torch.autograd.grad(y, leaves, grad)


def in_a_new_thread(size: tuple[int, int, int]) -> tuple[Tensor, ...]:
    results: list[tuple[Tensor, ...]] = []
    thread = threading.Thread(target=lambda: results.append(step(size)))
    thread.start()
    thread.join()
    return results[0]


def test_a_step_does_not_depend_on_what_its_thread_has_kept() -> None:
    for size in SIZES:
        for kept, anew in zip(step(size), in_a_new_thread(size), strict=True):
            assert torch.equal(kept, anew), size


def test_threads_have_memory_of_their_own() -> None:
    expected = [step(size) for size in SIZES]
    wrong: list[tuple[int, int, int]] = []

    def work() -> None:
        for _ in range(3):
            for size, results in zip(SIZES, expected, strict=True):
                if not all(map(torch.equal, step(size), results)):
                    wrong.append(size)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
