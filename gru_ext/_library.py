"""Finds and loads the op library, or says in one sentence why there is none."""

import json
import os
import warnings
from pathlib import Path
from typing import Any, Optional

import torch

_PACKAGE = Path(__file__).resolve().parent
_OPS = _PACKAGE / "lib" / "libgru_ext_ops.so"


def build_info() -> dict[str, Any]:
    """What setup.py wrote down when it built this package: torch, CUDA, compiler; `reason` if nothing was compiled."""
    record = _PACKAGE / "build.json"
    if record.exists():
        return json.loads(record.read_text())
    return {"reason": "the extension was not built: install the package with `pip install --no-build-isolation .`"}


def library_path() -> Path:
    """The op library, a shared object without Python in it: `dlopen` or link it before loading a TorchScript model.

    Raises:
        RuntimeError: if this installation has no compiled extension.
    """
    if reason is not None:
        raise RuntimeError(f"gru_ext has no compiled op library: {reason}")
    return _OPS


def cmake_prefix_path() -> Path:
    """The folder to add to `CMAKE_PREFIX_PATH` so that `find_package(gru_ext COMPONENTS ops)` finds this installation."""
    return _PACKAGE / "share" / "cmake"


def _running_instead(info: dict[str, Any]) -> Optional[tuple[str, str]]:
    """What the library was built for and what is running, if they differ in torch's minor or in CUDA's major version."""
    built, running = info["torch"], torch.__version__
    if built.split(".")[:2] != running.split(".")[:2]:
        return built, running
    cuda = info.get("cuda")
    if cuda and cuda.split(".")[0] != (torch.version.cuda or "").split(".")[0]:
        with_cuda = f"{running} with CUDA {torch.version.cuda}" if torch.version.cuda else f"{running} without CUDA"
        return f"{built} with CUDA {cuda}", with_cuda
    return None


def _load() -> Optional[str]:
    """Loads the op library; returns why not if there is none to load.

    Raises:
        ImportError: if the library was built for another torch or another CUDA: its C++ symbols would not resolve.
    """
    if os.environ.get("GRU_EXT_NO_EXT") == "1":
        return "GRU_EXT_NO_EXT=1 is set"
    info = build_info()
    if "reason" in info:
        return info["reason"]
    if mismatch := _running_instead(info):
        built, running = mismatch
        raise ImportError(
            f"gru_ext was built for torch {built} but torch {running} is running: reinstall it with "
            "`pip install --no-build-isolation --force-reinstall --no-deps gru_ext` (or the folder of its sources)"
        )
    torch.ops.load_library(str(_OPS))
    return None


_warned = False


def warn_once() -> None:
    """Says at the first use of a fallback that torch's own cell does the work, and why."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(f"gru_ext runs on torch's own GRU cell: {reason}", RuntimeWarning, stacklevel=3)


#: None when the compiled ops are loaded, else the reason why torch's own cell is used instead.
reason: Optional[str] = _load()
