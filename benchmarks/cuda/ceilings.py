"""What the device can do at most, measured: bytes and operations per second, and what it costs to start a kernel."""

import time
from dataclasses import dataclass

import torch

from .shapes import Shape
from .timing import captured, device_microseconds

_GIB = 2**30


@dataclass(frozen=True)
class Ceilings:
    """Bytes are counted both read and written; operations are multiplications and additions of a product of matrices."""

    bytes_per_us: float  # from and to device memory
    cached_bytes_per_us: float  # of a few MB, which stay in the L2 cache
    cache: int  # bytes of the L2 cache
    operations_per_us: dict[str, float]  # by short name of the dtype
    launch_us: float  # host time of a call that runs one tiny kernel
    node_us: float  # of a tiny kernel among others in a CUDA graph

    def floor_us(self, shape: Shape) -> float:
        """No implementation is faster, but for what several calls may share in the cache."""
        rate = self.cached_bytes_per_us if shape.bytes <= self.cache / 2 else self.bytes_per_us
        return max(shape.bytes / rate, shape.operations / self.operations_per_us[shape.number])


def _copied_bytes_per_us(size: int, copies: int) -> float:
    source = torch.randn(size // 4, device="cuda")
    target = torch.empty_like(source)
    run = captured([lambda: target.copy_(source)] * copies)
    return 2 * size / device_microseconds(run, per=copies, samples=10).median


def _operations_per_us(size: int, dtype: torch.dtype) -> float:
    # Random numbers: on zeros a GPU draws less power and runs faster than it ever will.
    a, b = (torch.randn(size, size, device="cuda").to(dtype) for _ in range(2))
    return 2 * size**3 / device_microseconds(lambda: a @ b, samples=10).median


def _launch_us(calls: int = 2000) -> float:
    number = torch.zeros(1, device="cuda")
    best = float("inf")
    for _ in range(3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            number.add_(1)
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 1e6 * best / calls


def measure() -> Ceilings:
    """A few seconds of the current CUDA device."""
    number = torch.zeros(1, device="cuda")
    nodes = 200
    with torch.no_grad():
        return Ceilings(
            bytes_per_us=_copied_bytes_per_us(_GIB, 4),
            cached_bytes_per_us=_copied_bytes_per_us(8 * 2**20, 50),
            cache=torch.cuda.get_device_properties().L2_cache_size,
            operations_per_us={
                "f32": _operations_per_us(4096, torch.float32),
                "bf16": _operations_per_us(8192, torch.bfloat16),
                "f16": _operations_per_us(8192, torch.float16),
            },
            launch_us=_launch_us(),
            node_us=device_microseconds(captured([lambda: number.add_(1)] * nodes), per=nodes).median,
        )
