"""What the times were taken on."""

import os
import platform
from pathlib import Path
from typing import Any

import torch

import gru_ext
from gru_ext import _library

from .environment import TELLING


def describe() -> dict[str, Any]:
    """Processor, libraries, threads and instruction set levels of this process."""
    return {
        "cpu": _cpu_model(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_level": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "gru_ext": gru_ext.__version__,
        "gru_ext_level": torch.ops.gru_ext._cpu_level() if _library.reason is None else None,
        "gru_ext_fallback": _library.reason,
        "environment": {name: os.environ[name] for name in TELLING if name in os.environ},
    }


def _cpu_model() -> str:
    record = Path("/proc/cpuinfo")
    if record.exists():
        fields: dict[str, str] = {}
        for line in record.read_text().splitlines():
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
        if "model name" in fields:
            # Virtual machines give processors of different generations the same name.
            numbers = [f"{name.split()[-1]} {fields[name]}" for name in ("cpu family", "model") if name in fields]
            return fields["model name"] + (f" ({', '.join(numbers)})" if numbers else "")
    return platform.processor() or platform.machine()
