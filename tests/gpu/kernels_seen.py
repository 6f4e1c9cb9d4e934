"""Which kernels a call runs, as PyTorch's profiler sees them."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch.profiler import ProfilerActivity, profile


def _recorded(call: Callable[[], object]) -> list[str]:
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        call()
        torch.cuda.synchronize()
    on_device = [event for event in seen.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    return [event.name for event in on_device if not event.name.startswith(("Memcpy", "Memset", "Activity Buffer"))]


@cache
def _sees_kernels() -> bool:
    probe = torch.ones(16, device="cuda")
    return bool(_recorded(lambda: probe.mul(2)))


def kernels_of(call: Callable[[], object]) -> list[str]:
    """The names of the kernels that the call launches, in no particular order; copies and fills of memory are left out.

    Skips the test where the profiler records no kernels: it then cannot say that there were none.
    """
    if not _sees_kernels():
        pytest.skip("PyTorch's profiler records no kernels here")
    return _recorded(call)
