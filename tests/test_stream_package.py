"""The stream library as other projects find it: CMake's find_package and pkg-config, without libtorch."""

import re
import shutil
from pathlib import Path

import pytest
from commands import ROOT, run
from stream_build import CPP

import gru_ext
from examples import CMAKE_ENV, needs_cmake_and

pytestmark = needs_cmake_and("gcc", "g++")

USER = """
cmake_minimum_required(VERSION 3.22)
project(app LANGUAGES C)
find_package(gru_ext REQUIRED COMPONENTS stream)
add_executable(app {source})
target_link_libraries(app PRIVATE gru_ext::stream)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `cmake --install` put it. No libtorch is named anywhere."""
    folder = tmp_path_factory.mktemp("cmake")
    run("cmake", "-S", ROOT, "-B", folder / "build", "-DGRU_EXT_OPS=OFF", **CMAKE_ENV)
    run("cmake", "--build", folder / "build", **CMAKE_ENV)
    run("cmake", "--install", folder / "build", "--prefix", folder / "installed", **CMAKE_ENV)
    return folder / "installed"


@pytest.mark.parametrize("layout", ["installed", pytest.param("python package", marks=pytest.mark.compiled)])
def test_a_c_program_finds_it_by_cmake(layout: str, installed: Path, tmp_path: Path) -> None:
    prefix = installed if layout == "installed" else gru_ext.cmake_prefix_path()
    (tmp_path / "CMakeLists.txt").write_text(USER.format(source=CPP / "stream" / "c_test.c"))
    output = run("cmake", "-S", tmp_path, "-B", tmp_path / "app", f"-DCMAKE_PREFIX_PATH={prefix}", **CMAKE_ENV)
    assert "torch" not in output.lower()
    run("cmake", "--build", tmp_path / "app", **CMAKE_ENV)
    assert run(tmp_path / "app" / "app", tmp_path) == ""


@pytest.mark.skipif(shutil.which("pkg-config") is None, reason="needs pkg-config")
def test_pkg_config_finds_it(installed: Path, tmp_path: Path) -> None:
    found = {"PKG_CONFIG_PATH": str(installed / "lib" / "pkgconfig")}
    flags = run("pkg-config", "--cflags", "--libs", "gru_ext-stream", **found).split()
    run("gcc", CPP / "stream" / "c_test.c", *flags, "-o", tmp_path / "app")
    assert run(tmp_path / "app", tmp_path) == ""
    assert run("pkg-config", "--modversion", "gru_ext-stream", **found).strip() == gru_ext.__version__


def test_says_what_is_missing(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "gru_ext" / "share", tmp_path / "share")
    (tmp_path / "CMakeLists.txt").write_text(USER.format(source="main.c"))
    output = run("cmake", f"-DCMAKE_PREFIX_PATH={tmp_path}", "-S", tmp_path, "-B", tmp_path / "app", status=1, **CMAKE_ENV)
    assert re.search(r"this gru_ext has no compiled stream\s+library", output), output
