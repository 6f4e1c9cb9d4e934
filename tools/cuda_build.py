"""Compiles and links the op library with its CUDA kernels into build/cuda, with whatever torch this is: `make cuda-build`.

A torch for the CPU has the headers that this needs, but not the libraries: empty ones stand in for them. The result can be
loaded and examined, on a machine without a GPU, and its CPU kernels run; it is never installed.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import cuda_toolkit
import torch
from setuptools import Extension
from setuptools.dist import Distribution

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "cuda"
LIBRARY = FOLDER / "gru_ext" / "lib" / "libgru_ext_ops.so"
STUBS = [FOLDER / "stubs" / f"lib{name}.so" for name in ("c10_cuda", "torch_cuda")]
CXX = os.environ.get("CXX", "g++")


def make_stubs(toolkit: cuda_toolkit.Toolkit) -> None:
    """Stand-ins for torch's libraries. The first brings the CUDA runtime, as the real one does: the kernels make themselves
    known to it as soon as their library is loaded."""
    (runtime,) = [path for lib in ("lib64", "lib") for path in (toolkit.home / lib).glob("libcudart.so.[0-9][0-9]")][:1]
    (FOLDER / "stubs").mkdir(parents=True, exist_ok=True)
    sources = (
        [ROOT / "tools" / "cuda_stubs" / "c10_cuda.cpp", runtime, f"-Wl,-rpath,{runtime.parent}"],
        ["-x", "c++", os.devnull],
    )
    for stub, source in zip(STUBS, sources, strict=True):
        soname = f"-Wl,--no-as-needed,-soname,{stub.name}"
        subprocess.run([CXX, "-std=c++17", "-shared", "-fPIC", "-o", stub, soname, *source], check=True)


def for_torch_without_cuda(ops: Extension) -> None:
    ops.library_dirs.insert(0, str(STUBS[0].parent))
    # The headers include one that torch's build makes; only Windows has anything in it.
    ops.extra_compile_args["cxx"].append("-DC10_CUDA_NO_CMAKE_CONFIGURE_FILE")
    # Some distributions have the linker ask for all functions at once; these stubs have none.
    ops.extra_link_args.append("-Wl,-z,lazy")


def take_objects_of_the_package(ops: Extension, folder: Path) -> None:
    """Leaves only the CUDA sources to compile, if the package was built here: the others are as its library has them."""
    others = [source for source in ops.sources if not source.startswith("csrc/cuda/")]
    objects = [folder / Path(source).with_suffix(".o") for source in others]
    if all(map(Path.exists, objects)):
        ops.sources = [source for source in ops.sources if source not in others]
        ops.extra_objects = list(map(str, objects))


def forget_outdated_kernels(objects: Path) -> None:
    """torch lets ninja follow what a .cu file includes only if torch itself has CUDA."""
    headers = [ROOT / "csrc" / "gates.h", *(ROOT / "csrc" / "cuda" / "kernels").glob("*.*h")]
    newest = max(header.stat().st_mtime for header in headers)
    for made in (objects / "csrc" / "cuda" / "kernels").glob("*.o"):
        if made.stat().st_mtime < newest:
            made.unlink()


def configured() -> Distribution:
    """What setup.py would build, for every GPU that we build for by default."""
    from distutils.core import run_setup  # setuptools brings its own

    os.chdir(ROOT)
    os.environ.update(GRU_EXT_CUDA="check", GRU_EXT_NO_EXT="0", TORCH_CUDA_ARCH_LIST=cuda_toolkit.ARCHITECTURES)
    return run_setup("setup.py", ["build_ext"], stop_after="commandline")


def main() -> None:
    start = time.perf_counter()
    try:
        toolkit = cuda_toolkit.find(torch.version.cuda)
    except LookupError as missing:
        sys.exit(f"gru_ext: {missing}")
    command = configured().get_command_obj("build_ext")
    command.ensure_finalized()
    ops, *_ = command.extensions
    take_objects_of_the_package(ops, Path(command.build_temp))
    if torch.version.cuda is None:
        make_stubs(toolkit)
        for_torch_without_cuda(ops)
    command.extensions, command.inplace = [ops], False
    command.build_lib, command.build_temp = str(FOLDER), str(FOLDER / "objects")
    forget_outdated_kernels(FOLDER / "objects")
    LIBRARY.unlink(missing_ok=True)
    command.run()
    if not LIBRARY.exists():
        sys.exit("gru_ext: the op library was not built")
    built = ", ".join(cuda_toolkit.architectures())
    took = time.perf_counter() - start
    print(f"gru_ext: {LIBRARY.relative_to(ROOT)} built for {built} with the nvcc in {toolkit.home} in {took:.0f} s")


if __name__ == "__main__":
    main()
