"""Builds gru_ext/lib (the op library and the stream library) and the module gru_ext._C. Everything else is in pyproject.toml.

GRU_EXT_NO_EXT=1 builds nothing: the package then runs on torch's own cell. So it does, after one sentence, without a compiler.
GRU_EXT_CUDA=0 leaves out the CUDA kernels, 1 demands them: tools/cuda_toolkit.py.
"""

import json
import os
import platform
import sys
from functools import partial
from glob import glob
from pathlib import Path

from setuptools import setup

try:
    import torch
    from torch.utils.cpp_extension import CppExtension
except ImportError as error:
    sys.exit(f"gru_ext builds against the torch you run: install torch >= 2.11 first, then use --no-build-isolation ({error})")

sys.path.insert(0, str(Path(__file__).resolve().parent / "tools"))
import compiler  # noqa: E402
import cuda_toolkit  # noqa: E402
import stream_library  # noqa: E402


def extensions(cuda: cuda_toolkit.Plan) -> list:
    sources = sorted(glob("csrc/ops/*.cpp") + glob("csrc/cpu/**/*.cpp", recursive=True))
    build = {
        "include_dirs": [os.path.abspath("csrc"), os.path.abspath("csrc/include")],
        "extra_compile_args": Path("compile_flags.txt").read_text().split() + ["-g0"],  # debug information triples the time
    }
    # Without the limited API, torch's build would link the op library to Python, and a C++ program could not load it.
    # The soname keeps the place where the library was built out of programs that link it.
    link = ["-fopenmp", "-Wl,-soname,libgru_ext_ops.so"]
    extension = partial(cuda_toolkit.extension, cuda.toolkit) if cuda.toolkit else CppExtension
    ops = extension("gru_ext.lib.libgru_ext_ops", sources, py_limited_api=True, extra_link_args=link, **build)
    return [ops, CppExtension("gru_ext._C", sorted(glob("csrc/python/*.cpp")), **build)]


class BuildGruExt(stream_library.BuildWithStream):
    """torch's build, which keeps its object files, names the op library plainly and writes down what was built."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.build_temp = os.path.abspath(f"build/torch{torch.__version__}-py{platform.python_version()}")
        # ccache, which torch's build uses where it is, knows a source by its place in this folder: that of another clone too.
        os.environ.setdefault("CCACHE_BASEDIR", os.getcwd())

    def get_ext_filename(self, name: str) -> str:
        file = Path(super().get_ext_filename(name))
        return str(file.with_name("libgru_ext_ops.so")) if name.endswith("libgru_ext_ops") else str(file)

    def run(self) -> None:
        package = Path("." if self.inplace else self.build_lib, "gru_ext")
        (package / "lib").mkdir(parents=True, exist_ok=True)
        reason = compiler.why_not()
        if reason:
            self.extensions = []
            print(f"gru_ext: nothing is compiled, torch's own GRU cell will do the work: {reason}", file=sys.stderr)
            record = {"reason": reason}
        else:
            CUDA.announce()
            super().run()
            record = dict(version=self.distribution.get_version(), torch=torch.__version__, cuda=None)
            record.update(compiler=compiler.version())
            if CUDA.toolkit:
                record.update(cuda=torch.version.cuda, architectures=cuda_toolkit.architectures())
        (package / "build.json").write_text(json.dumps(record) + "\n")


CUDA = cuda_toolkit.plan()
setup(ext_modules=extensions(CUDA), cmdclass={"build_ext": BuildGruExt})
