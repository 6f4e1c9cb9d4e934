"""Which GPU the times were taken on, beside what benchmarks.machine says of the host."""

import shutil
import subprocess
from typing import Any

import torch

from gru_ext import _library

from .. import machine


def describe(device: torch.device) -> dict[str, Any]:
    """The host, the GPU as it was found, and whether our kernels for it are there."""
    about = {**machine.describe(), "gpu": "none", "driver": "", "cuda": torch.version.cuda, "clocks": ""}
    compiled = _library.reason is None
    about["cuda_kernels"] = compiled and torch._C._dispatch_has_kernel_for_dispatch_key("gru_ext::_cell", "CUDA")
    if device.type == "cuda":
        p = torch.cuda.get_device_properties(device)
        about["gpu"] = (
            f"{p.name}, {p.total_memory / 2**30:.0f} GiB, compute capability {p.major}.{p.minor}, "
            f"{p.multi_processor_count} multiprocessors, {p.L2_cache_size / 2**20:.0f} MiB of L2 cache"
        )
        about["driver"] = _nvidia_smi("driver_version")
        about["clocks"] = _nvidia_smi("clocks.sm,clocks.mem,clocks.max.sm,power.limit")
    return about


def _nvidia_smi(query: str) -> str:
    """What the tool answers, only asked; empty where it is missing or fails."""
    if shutil.which("nvidia-smi") is None:
        return ""
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return run.stdout.splitlines()[0].strip() if run.returncode == 0 and run.stdout.strip() else ""
