"""Builds the torch-free stream library for setup.py: the package ships it, and links it into its own libraries."""

import os
import shutil
from glob import glob
from pathlib import Path

from setuptools import Extension
from torch.utils.cpp_extension import BuildExtension

NAME = "libgru_ext_stream.a"


class BuildWithStream(BuildExtension):
    """torch's build, with the stream library in every extension and in gru_ext/lib."""

    archive: Path | None = None

    def build_extension(self, extension: Extension) -> None:
        self.archive = self.archive or self.build_stream()
        extension.extra_objects.append(str(self.archive))
        # Hidden there, so that a program may link another version of it beside.
        extension.extra_link_args.append(f"-Wl,--exclude-libs,{NAME}")
        super().build_extension(extension)

    def build_stream(self) -> Path:
        """From the sources and with the flags that CMake has too."""
        files = ("compile_flags.txt", "csrc/stream/compile_flags.txt")
        flags = [flag for file in files for flag in Path(file).read_text().split()]
        objects = self.compiler.compile(
            sorted(glob("csrc/stream/**/*.cpp", recursive=True)),
            output_dir=self.build_temp,
            include_dirs=[os.path.abspath("csrc"), os.path.abspath("csrc/include")],
            extra_postargs=[*flags, "-std=c++17", "-g0"],
        )
        archive = Path(self.build_temp, NAME)
        archive.unlink(missing_ok=True)  # ar would keep what is in it, also of sources that are no more
        self.compiler.create_static_lib(objects, NAME.removeprefix("lib").removesuffix(".a"), output_dir=self.build_temp)
        return archive

    def run(self) -> None:
        super().run()
        shutil.copy(self.archive, Path("." if self.inplace else self.build_lib, "gru_ext", "lib"))
