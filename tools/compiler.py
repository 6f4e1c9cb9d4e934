"""The C++ compiler that setup.py builds with, if this machine has one."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

CXX = os.environ.get("CXX", "g++")


def why_not() -> str:
    """Why the extension cannot be built here; empty if it can."""
    if os.environ.get("GRU_EXT_NO_EXT") == "1":
        return "it was installed with GRU_EXT_NO_EXT=1"
    if shutil.which(CXX) is None:
        return f"no C++ compiler ({CXX}) was found at install: install g++ and reinstall gru_ext"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "Python.h was not found at install: install Python's headers (python3-dev) and reinstall gru_ext"
    return ""


def use_cache(folder: Path) -> None:
    """Lets ccache, where this machine has it, answer in the compiler's place for what it has compiled before.

    So it does where a link of the compiler's name leads to it, in a folder that is searched first; it then looks for the
    compiler in those that follow. Sources count by their place in this folder, so that those of another clone are known.
    """
    cache = shutil.which("ccache")
    if cache is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in {"c++", CXX}:  # the first is what torch's build calls where CXX is not set
        if os.path.basename(name) == name:
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(cache)
    os.environ["PATH"] = str(folder) + os.pathsep + os.environ["PATH"]
    os.environ.setdefault("CCACHE_BASEDIR", os.getcwd())


def version() -> str:
    """What it says of itself, in one line."""
    return subprocess.run([CXX, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
