"""Times of single kernels, on numbers that come from device memory and on numbers that lie in the cache."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Optional

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from ..cases import Call
from ..runner import Quartiles, quartiles
from .shapes import DTYPES

_CALLS = 30
_SETS_PER_CACHE = 4  # copies of the operands fill the cache so many times: each is gone when its turn comes again
_MOST_SETS = 64


@dataclass(frozen=True)
class KernelTime:
    """Device time of one call, all kernels of a kind added up; `bytes` is what they have to move, 0 where not counted."""

    what: str
    who: str
    sizes: str
    operands: str  # where they are: "memory" or "cache"
    microseconds: Quartiles
    kernels: int  # per call
    bytes: int = 0


def device_events(calls: Sequence[Call]) -> list[tuple[str, float]]:
    """Name and microseconds of every kernel that the calls run, in the order in which they start. Empty where the profiler
    records none."""
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        for call in calls:
            call()
        torch.cuda.synchronize()
    events = [event for event in seen.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    events = [event for event in events if not event.name.startswith(("Memcpy", "Memset", "Activity Buffer"))]
    events.sort(key=lambda event: event.time_range.start)
    return [(event.name, event.time_range.elapsed_us()) for event in events]


def _per_call(calls: Sequence[Call], pattern: str) -> Optional[tuple[Quartiles, int]]:
    """Of the kernels whose names match: their time per call, and their number."""
    for call in calls:
        call()
    chosen = [us for name, us in device_events(calls) if re.search(pattern, name)]
    if not chosen or len(chosen) % len(calls):
        return None
    each = len(chosen) // len(calls)
    return quartiles([sum(chosen[k : k + each]) for k in range(0, len(chosen), each)]), each


@dataclass(frozen=True)
class _Sizes:
    n: int
    h: int
    number: str
    bias: bool = True

    def __str__(self) -> str:
        return f"{self.number} N={self.n} I=H={self.h}" + ("" if self.bias else " no bias")

    def random(self, *shape: int) -> Tensor:
        return (torch.rand(shape, device="cuda") - 0.5).to(DTYPES[self.number])

    def numbers(self, count: int) -> int:
        return count * DTYPES[self.number].itemsize


Operands = tuple[Tensor, ...]


def _on_sets(make: Callable[[], Operands], run: Callable[..., object], operands: str) -> list[Call]:
    """Calls on one set of operands again and again, or on so many in turn that none is still in the cache."""
    sets = [make()]
    if operands == "memory":
        size = sum(t.nbytes for t in sets[0])
        cache = torch.cuda.get_device_properties().L2_cache_size
        sets += [make() for _ in range(min(_MOST_SETS, -(-_SETS_PER_CACHE * cache // size)))]
    return [partial(run, *sets[k % len(sets)]) for k in range(max(_CALLS, len(sets)))]


@dataclass(frozen=True)
class _Probe:
    what: str
    who: str
    make: Callable[[_Sizes], Operands]
    run: Callable[..., object]
    pattern: str
    bytes: Callable[[_Sizes], int] = lambda sizes: 0


def _step(s: _Sizes) -> Operands:
    """input, state, weights, biases."""
    n, h = s.n, s.h
    biases = (s.random(3 * h), s.random(3 * h)) if s.bias else ()
    return (s.random(n, h), s.random(n, h), s.random(3 * h, h) / h**0.5, s.random(3 * h, h) / h**0.5, *biases)


def _products(s: _Sizes) -> Operands:
    """Both products, the state, the biases: what torch's fused kernel takes."""
    n, h = s.n, s.h
    return (s.random(n, 3 * h), s.random(n, 3 * h), s.random(n, h), s.random(3 * h), s.random(3 * h))


def _kept(s: _Sizes) -> Operands:
    """Gradient, what is kept (within the range of gates), input, state, weights."""
    return (s.random(s.n, s.h), s.random(s.n, 4 * s.h) + 0.5, *_step(s)[:4])


def _workspace(s: _Sizes) -> Operands:
    """Gradient and torch's workspace."""
    return (s.random(s.n, s.h), s.random(s.n, 5 * s.h) + 0.5)


def _outer(s: _Sizes) -> Operands:
    return (s.random(s.n, 3 * s.h), s.random(s.n, 3 * s.h), s.random(s.n, s.h), s.random(s.n, s.h))


def _biases(args: Operands) -> tuple[Optional[Tensor], Optional[Tensor]]:
    return args if args else (None, None)  # type: ignore[return-value]


_ops, _aten = torch.ops.gru_ext, torch.ops.aten
_ANY, _GATES_BACKWARD = ".", "gates_backward|sum_slabs"


def _forward(save: bool) -> Callable[..., object]:
    return lambda x, h, w, v, *b: _ops._cell_forward(x, h, w, v, *_biases(b), save)


def _backward(*wanted: int) -> Callable[..., object]:
    return lambda *args: _ops._cell_backward(*args, [place in wanted for place in range(6)])


_GATES = [
    _Probe("gates", "ours", _step, _forward(False), "gates_forward", lambda s: s.numbers(8 * s.n * s.h)),
    _Probe("gates, kept", "ours", _step, _forward(True), "gates_forward", lambda s: s.numbers(12 * s.n * s.h)),
    _Probe("gates, kept", "torch", _products, lambda *a: _aten._thnn_fused_gru_cell(*a), _ANY),
]
_GRADIENTS = [
    _Probe("gates backward", "ours", _kept, _backward(0, 1, 2, 3), "gates_backward", lambda s: s.numbers(13 * s.n * s.h)),
    _Probe("gates backward", "torch", _workspace, lambda g, w: _aten._thnn_fused_gru_cell_backward(g, w, False), _ANY),
]
_BIAS_GRADIENTS = [
    _Probe("gates backward, biases", "ours", _kept, _backward(*range(6)), _GATES_BACKWARD, _GRADIENTS[0].bytes),
    _Probe("gates backward, biases", "torch", _workspace, lambda g, w: _aten._thnn_fused_gru_cell_backward(g, w, True), _ANY),
]
_SMALL = [
    _Probe("small step", "ours", _step, _forward(False), _ANY, lambda s: s.numbers(6 * s.h * (s.h + 1) + 3 * s.n * s.h)),
    _Probe("small step", "torch", _step, lambda x, h, w, v, *b: torch.gru_cell(x, h, w, v, *_biases(b)), _ANY),
]
_OUTER = [
    _Probe("weights' gradients", "ours", _kept, _backward(2, 3), "small_batch_weights", lambda s: s.numbers(6 * s.h * s.h)),
    _Probe("weights' gradients", "two mm", _outer, lambda a, b, x, h: (a.t() @ x, b.t() @ h), _ANY),
]

# The sizes of the target, and those that FlagGems' issue 5813 has times of torch's kernel for.
_PLAN: list[tuple[list[_Probe], list[_Sizes]]] = [
    (_GATES, [_Sizes(1024, 2048, "bf16"), _Sizes(1024, 2048, "f32"), _Sizes(4096, 256, "bf16")]),
    (
        _BIAS_GRADIENTS,
        [_Sizes(1024, 2048, "bf16"), _Sizes(1024, 2048, "f32"), _Sizes(256, 1024, "bf16"), _Sizes(64, 256, "bf16")],
    ),
    (_GRADIENTS, [_Sizes(512, 1024, "bf16", bias=False)]),
    (_SMALL, [_Sizes(n, h, number) for n in (1, 8) for h in (256, 1024, 2048) for number in ("f32", "bf16")]),
    (_OUTER, [_Sizes(n, h, number) for n in (1, 8) for h in (256, 1024) for number in ("f32", "bf16")]),
]


def measure() -> list[KernelTime]:
    """All kernels at their sizes; nothing where the profiler records no kernels."""
    found = []
    with torch.inference_mode():
        for probes, all_sizes in _PLAN:
            for sizes in all_sizes:
                for operands in ("memory", "cache"):
                    for probe in probes:
                        calls = _on_sets(partial(probe.make, sizes), probe.run, operands)
                        taken = _per_call(calls, probe.pattern)
                        if taken is not None:
                            size = probe.bytes(sizes)
                            found.append(KernelTime(probe.what, probe.who, str(sizes), operands, *taken, size))
    return found
