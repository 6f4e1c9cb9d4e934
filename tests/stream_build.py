"""Builds the torch-free stream library and the programs of tests/cpp/stream, at most two files at a time."""

from pathlib import Path

from commands import CXX, ROOT, run, two_at_a_time

CPP = ROOT / "tests" / "cpp"
FLAGS = [flag for file in ("compile_flags.txt", "csrc/stream/compile_flags.txt") for flag in (ROOT / file).read_text().split()]
LEVELS = ["default", "avx2", "avx512", "avx512_vnni_bf16"]
WIDE_LEVELS = ["wide", "wide_dot"]  # that only tests have
PROGRAMS = ["values_test", "realtime_test", "threads_test"]


class StreamBuild:
    """The library and its tests in one folder, from the sources under one root, with one compiler and more flags."""

    def __init__(self, folder: Path, *flags: str, root: Path = ROOT, compiler: str = CXX) -> None:
        self.folder, self.root, self.compiler = folder, root, compiler
        self.include = [f"-I{root / 'csrc'}", f"-I{root / 'csrc' / 'include'}", f"-I{CPP}"]
        self.flags = ["-std=c++17", *flags, *self.include]

    def object(self, source: Path) -> Path:
        target = self.folder / f"{source.stem}.o"
        if not target.exists():
            of_library = self.root / "csrc" in source.parents
            # Optimising vectors that no instruction handles takes minutes, and the tests of them seconds.
            slow_to_compile = ["-O0", "-g0"] if source.stem.startswith("isa_wide") else []
            flags = [*(FLAGS if of_library else ["-O1", "-Wall", "-Wno-psabi"]), "-fPIC", *self.flags, *slow_to_compile]
            run(self.compiler, *flags, "-c", source, "-o", target)
        return target

    def objects(self, *sources: Path) -> list[Path]:
        return two_at_a_time(self.object, sources)

    def sources(self) -> list[Path]:
        return sorted((self.root / "csrc" / "stream").rglob("*.cpp"))

    def library(self) -> list[Path]:
        return self.objects(*self.sources())

    def archive(self) -> Path:
        archive = self.folder / "libgru_ext_stream.a"
        if not archive.exists():
            run("ar", "rcs", archive, *self.library())
        return archive

    def shared(self) -> Path:
        """The library for ctypes."""
        library = self.folder / "libgru_ext_stream.so"
        if not library.exists():
            run(self.compiler, *self.flags, "-shared", *self.library(), "-o", library)
        return library

    def program(self, name: str) -> Path:
        program = self.folder / name
        if not program.exists():
            objects = self.objects(CPP / "stream" / f"{name}.cpp", CPP / "check.cpp")
            run(self.compiler, *self.flags, *objects, self.archive(), "-pthread", "-ldl", "-o", program)
        return program

    def values_of_wide_levels(self) -> Path:
        """values_test with the levels that only tests have in the place of the real ones."""
        program = self.folder / "values_test_wide"
        if not program.exists():
            common = [path for path in self.sources() if path.name != "levels.cpp" and path.parent.name != "kernels"]
            stems = ("values_test", "levels_wide", *(f"isa_{level}" for level in WIDE_LEVELS))
            tests = [CPP / "stream" / f"{stem}.cpp" for stem in stems]
            run(self.compiler, *self.flags, *self.objects(*common, *tests, CPP / "check.cpp"), "-o", program)
        return program

    def values(self, level: str) -> Path:
        return self.values_of_wide_levels() if level in WIDE_LEVELS else self.program("values_test")

    def runs(self, level: str) -> bool:
        return run(self.values(level), "--level", GRU_EXT_ISA=level).strip() == level
