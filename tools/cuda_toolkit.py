"""With what the CUDA kernels are built, if they are: for setup.py and tools/cuda_build.py.

GRU_EXT_CUDA=0 leaves them out and 1 demands them; unset, they are built where torch has CUDA and there is an nvcc that fits it.
TORCH_CUDA_ARCH_LIST says for which GPUs.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import torch
from setuptools import Extension
from torch.utils import cpp_extension

OLDEST = (12, 8)  # the first that knows every GPU from Ampere to Blackwell

# What is built where TORCH_CUDA_ARCH_LIST is unset and no GPU is seen. CMakeLists.txt reads this line too.
ARCHITECTURES = "8.0;9.0+PTX"

# A toolkit as PyPI has it; all of one version, because each name alone brings the newest of the others.
PYPI = ("nvidia-cuda-nvcc", "nvidia-cuda-crt", "nvidia-nvvm", "nvidia-cuda-cccl", "nvidia-cuda-runtime")

NVCC_FLAGS = ["-O3", "--threads", "2"]  # threads: as many architectures of a file at once


@dataclass(frozen=True)
class Toolkit:
    home: Path  # the folder that has bin/nvcc
    version: tuple[int, int]


def _homes() -> Iterator[Path]:
    """Where a toolkit may be, best first. Who names one in CUDA_HOME means that one."""
    if named := os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH"):
        yield Path(named)
        return
    if nvcc := shutil.which("nvcc"):
        # The nvcc on PATH may be a link or a script that lies elsewhere than the toolkit; nvcc itself knows better.
        command = [nvcc, "--dryrun", "-x", "cu", "-c", os.devnull, "-o", os.devnull]
        steps = subprocess.run(command, capture_output=True, text=True).stderr
        if here := re.search(r"^#\$ _HERE_=(.+)$", steps, re.MULTILINE):
            yield Path(here[1]).parent
    yield from sorted(Path(sysconfig.get_path("purelib"), "nvidia").glob("cu[0-9]*"), reverse=True)  # from PyPI
    yield Path("/usr/local/cuda")


def _version(home: Path) -> tuple[int, int] | None:
    try:
        said = subprocess.run([home / "bin" / "nvcc", "--version"], capture_output=True, text=True).stdout
    except OSError:
        return None
    release = re.search(r"release (\d+)\.(\d+)", said)
    return (int(release[1]), int(release[2])) if release else None


def find(torch_cuda: str | None) -> Toolkit:
    """The first toolkit that can build for a torch with this version of CUDA, or for none in particular.

    Raises:
        LookupError: there is none; one sentence on what there is, what is needed, and how to get it.
    """
    major = int(torch_cuda.split(".")[0]) if torch_cuda else None
    unfit = ""
    for home in _homes():
        version = _version(home)
        if version is not None and version >= OLDEST and major in (None, version[0]):
            return Toolkit(home, version)
        if version is not None and not unfit:
            unfit = f"the one in {home} is {version[0]}.{version[1]}"
    named = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    needed = f"{OLDEST[0]}.{OLDEST[1]} or newer" + (f", of CUDA {major} as torch is" if major else "")
    unfit = unfit or ("there is none" + (f" in {named}" if named else ""))
    cure = "install NVIDIA's CUDA toolkit and name its folder in CUDA_HOME"
    if major != 12:  # for 12, PyPI has everything but nvcc itself
        cure += ", or `pip install " + " ".join(f"'{name}=={torch_cuda or '13.0'}.*'" for name in PYPI) + "`"
    raise LookupError(f"the CUDA kernels need an nvcc {needed}, but {unfit}: {cure}")


@dataclass(frozen=True)
class Plan:
    """What setup.py does about the CUDA kernels: builds them with a toolkit, or says one sentence, or, told to, fails."""

    toolkit: Toolkit | None = None
    sentence: str = ""
    must: bool = False

    def announce(self) -> None:
        if self.must and self.sentence:
            sys.exit(f"error: {self.sentence}")
        if self.sentence:
            print(f"gru_ext: {self.sentence}", file=sys.stderr)


def plan() -> Plan:
    """What GRU_EXT_CUDA asks for and this machine has. `check`, of tools/cuda_build.py: 1, but any torch will do."""
    asked = os.environ.get("GRU_EXT_CUDA", "")
    if asked not in ("", "0", "1", "check"):
        return Plan(sentence=f"GRU_EXT_CUDA is '{asked}': 1 demands the CUDA kernels, 0 leaves them out", must=True)
    if asked == "0" or (asked == "" and torch.version.cuda is None):
        return Plan()
    if asked == "1" and torch.version.cuda is None:
        reason = f"GRU_EXT_CUDA=1 demands the CUDA kernels, but torch {torch.__version__} has no CUDA: install one that has"
        return Plan(sentence=reason, must=True)
    try:
        return Plan(find(torch.version.cuda))
    except LookupError as missing:
        if asked:
            return Plan(sentence=f"GRU_EXT_CUDA={asked} demands the CUDA kernels: {missing}", must=True)
        return Plan(sentence=f"CUDA tensors will run on PyTorch's own operators: {missing}; then reinstall gru_ext")


def extension(toolkit: Toolkit, name: str, sources: list[str], extra_compile_args: list[str], **build: Any) -> Extension:
    """torch's CppExtension with the CUDA sources: a CUDAExtension made with this toolkit."""
    cpp_extension.CUDA_HOME = str(toolkit.home)  # torch looks in fewer places, and in none where it has no CUDA itself
    if not os.environ.get("TORCH_CUDA_ARCH_LIST") and not torch.cuda.is_available():
        os.environ["TORCH_CUDA_ARCH_LIST"] = ARCHITECTURES
    sources = [*sources, *sorted(glob("csrc/cuda/**/*.cpp", recursive=True) + glob("csrc/cuda/**/*.cu", recursive=True))]
    flags = {"cxx": extra_compile_args, "nvcc": NVCC_FLAGS}
    made = cpp_extension.CUDAExtension(name, sources, extra_compile_args=flags, **build)
    # The CUDA runtime comes with torch's libraries, which know where theirs is. Were it asked for here too, a program without
    # Python would have to be told; and PyPI's toolkit has no libcudart.so to link.
    made.libraries.remove("cudart")
    return made


def architectures() -> list[str]:
    """What the kernels are compiled for, in nvcc's words: sm_90 is machine code, compute_90 is PTX, for later GPUs."""
    built = re.findall(r"\bcode=(\w+)", " ".join(cpp_extension._get_cuda_arch_flags()))
    return sorted(built, key=lambda name: (name.startswith("compute"), int(re.findall(r"\d+", name)[0])))
