"""The torch-free stream library: values, promises for real-time threads, its C interface, files, what its objects contain."""

import os
import platform
import re
from pathlib import Path

import pytest
import torch
from c_stream import CStream, layers_of
from commands import ROOT, needs, needs_compiler, run
from gru_file import Layer, gru_file
from stream_build import CPP, LEVELS, WIDE_LEVELS, StreamBuild

CC = os.environ.get("CC", "gcc")

pytestmark = needs_compiler


@pytest.mark.parametrize("level", LEVELS + WIDE_LEVELS)
def test_steps_give_the_numbers_of_the_equations(level: str, stream_build: StreamBuild) -> None:
    if not stream_build.runs(level):
        pytest.skip(f"this processor does not run {level}")
    output = run(stream_build.values(level), GRU_EXT_ISA=level)
    assert output.count(": ok\n") == 16, output  # five kinds of checks of three types of weights, one of int8


def test_100000_steps_allocate_nothing_and_call_nothing(stream_build: StreamBuild) -> None:
    output = run(stream_build.program("realtime_test"))
    assert output.count(" 0 allocations") == 6, output
    if "not checked" in output:
        pytest.skip("there are no allocations; system calls are not checked, because seccomp is not to be had here")
    assert output.count("system calls: none") == 6, output


def test_threads_share_a_model(stream_build: StreamBuild) -> None:
    assert run(stream_build.program("threads_test")).count("equal") == 3


@needs(CC, "a C compiler")
def test_c_interface(stream_build: StreamBuild, tmp_path: Path) -> None:
    """Compiled as C and linked by the C compiler, so without the C++ library."""
    program = tmp_path / "c_test"
    strict = ["-std=c11", "-pedantic", "-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Werror"]
    run(CC, *strict, *stream_build.include, CPP / "stream" / "c_test.c", stream_build.archive(), "-lm", "-o", program)
    assert run(program, tmp_path) == ""


def test_the_library_is_small(stream_build: StreamBuild) -> None:
    assert stream_build.archive().stat().st_size < 200_000


def test_unknown_level_is_refused(stream_build: StreamBuild) -> None:
    output = run(stream_build.program("values_test"), "--level", GRU_EXT_ISA="nonsense", status=1)
    assert "GRU_EXT_ISA must be default, avx2, avx512, avx512_vnni_bf16 or amx_bf16" in output


@needs("nm")
def test_kernel_objects_share_no_function(stream_build: StreamBuild) -> None:
    """A function that several objects have, the linker could take from the one for the newest processor."""
    objects = [stream_build.object(path) for path in stream_build.sources() if path.parent.name == "kernels"]
    assert len(objects) == len(LEVELS)
    for path in objects:
        symbols = [line.split() for line in run("nm", "-P", "-C", path).splitlines()]
        assert not [name for name, kind, *_ in symbols if kind in "VWuvw"]
        # No data but the table of constants, and nothing of the C or C++ library but what compilers call by themselves.
        assert not [name for name, kind, *_ in symbols if kind in "bBdC"], path.name
        foreign = {parts[0] for parts in symbols if parts[1] == "U"} - {"_GLOBAL_OFFSET_TABLE_"}
        assert foreign <= {"memcpy", "memset", "memmove"}, path.name


@needs("objdump")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="x86-64 has levels whose instructions are told apart by their names")
def test_only_the_kernels_need_a_newer_processor(stream_build: StreamBuild) -> None:
    avx = re.compile(r"\tv[a-z0-9]+ .*%[xyz]mm")
    for source in stream_build.sources():
        listing = run("objdump", "-d", "--no-show-raw-insn", stream_build.object(source))
        newer = source.parent.name == "kernels" and source.stem != "isa_default"
        assert bool(avx.search(listing)) == newer, source.name
    for level, instruction in (("avx512_vnni_bf16", "vpdpbusd"), ("avx512_vnni_bf16", "vdpbf16ps"), ("avx2", "vpmaddwd")):
        source = ROOT / "csrc" / "stream" / "kernels" / f"isa_{level}.cpp"
        assert instruction in run("objdump", "-d", "--no-show-raw-insn", stream_build.object(source))


# Errors of h after many steps do not add up: h' forgets h by the factor z. What remains is about the error of one step: that of
# float32 sums; of each weight, relatively, 2^-9; of each weight 1/254 of the largest of its row. Weights of nn.GRU are at most
# 1 / sqrt(H), inputs and states about 1: a sum of 40 such products is off by about as much as one weight is.
TOLERANCES = {"float32": 1e-6, "bfloat16": 2**-9 * 4, "int8": 4 / 254}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("weights", TOLERANCES)
def test_a_file_from_python_gives_the_numbers_of_torch(
    weights: str, bias: bool, stream_build: StreamBuild, tmp_path: Path
) -> None:
    gru = torch.nn.GRU(17, 24, num_layers=2, bias=bias)
    path = tmp_path / "model.gru"
    path.write_bytes(gru_file(layers_of(gru), weights))
    x = torch.randn(50, 17)
    state = torch.zeros(48)
    y = CStream(stream_build.shared(), path).steps(x, state, 24)
    with torch.no_grad():
        expected, last = gru(x)
    torch.testing.assert_close(y, expected, rtol=0, atol=TOLERANCES[weights])
    torch.testing.assert_close(state.view(2, 24), last, rtol=0, atol=TOLERANCES[weights])


def test_a_damaged_file_is_refused_with_a_sentence(stream_build: StreamBuild, tmp_path: Path) -> None:
    whole = gru_file([Layer(2, 1, [0.5] * 6, [0.5] * 3)])
    path = tmp_path / "model.gru"
    for damaged, sentence in (
        (b"", "not a .gru file"),
        (whole[:-1], "truncated"),
        (whole.replace(b"\r\n", b"\n"), "not a .gru file"),
        (whole[:60] + b"\1" + whole[61:], "checksum"),
        (whole[:8] + b"\2" + whole[9:], "version"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=sentence):
            CStream(stream_build.shared(), path)
