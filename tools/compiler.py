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


def version() -> str:
    """What it says of itself, in one line."""
    return subprocess.run([CXX, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
