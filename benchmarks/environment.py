"""What can only be chosen before a program starts: instruction set levels, and what the C library does with freed memory."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

# The matrix products of torch's cell are MKL's, which goes by a variable of its own. That is meant for equal bits on several
# processors, and to that end it names the instructions to use: COMPATIBLE are those of every x86-64.
_OF_MKL = {"default": "COMPATIBLE", "avx2": "AVX2"}
#: Both cells at the same level.
LEVELS = {level: {"GRU_EXT_ISA": level, "ATEN_CPU_CAPABILITY": level, "MKL_CBWR": of_mkl} for level, of_mkl in _OF_MKL.items()}

# A gradient of many megabytes is new memory at every step. glibc's thresholds move while a program runs, so that in one run it
# takes that memory from the system each time, page by page, and in the next it keeps it. Once set they no longer move.
MEMORY = {
    # Blocks of up to 32 MiB, the most that every glibc lets one ask for, come from memory that is given back only when a
    # gigabyte of it is free. The largest tensors of the cases have half of that.
    "kept": {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)},
    # What they are when a program starts.
    "returned": {"MALLOC_MMAP_THRESHOLD_": str(128 << 10), "MALLOC_TRIM_THRESHOLD_": str(128 << 10)},
}

#: They change which code runs, on how many threads or on which memory, so a result is not to be read without them.
TELLING = (
    "GRU_EXT_ISA",
    "GRU_EXT_NO_EXT",
    "ATEN_CPU_CAPABILITY",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "MKL_CBWR",
    "KMP_AFFINITY",
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_MMAP_THRESHOLD_",
)


def add_arguments(parser: argparse._ActionsContainer) -> None:
    """Options `--level` and `--memory`."""
    parser.add_argument(
        "--level", choices=LEVELS, help="instruction set of torch's cell and of ours; default: the best of each"
    )
    parser.add_argument(
        "--memory",
        choices=MEMORY,
        help="whether the C library keeps what a step frees for the next one or returns it to the system, which decides the "
        "training of large cells at small batches; default: as its own rule has it",
    )


def wanted(arguments: argparse.Namespace) -> dict[str, str]:
    """The variables that the options stand for."""
    return {**LEVELS.get(arguments.level, {}), **MEMORY.get(arguments.memory, {})}


def restart_with(variables: Mapping[str, str], argv: Sequence[str], module: str = "benchmarks") -> None:
    """Starts this command anew, in this process's place, unless the variables are set already.

    Args:
        variables: of :func:`wanted`.
        argv: arguments of `python -m module`.
        module: of this command.
    """
    if any(os.environ.get(name) != value for name, value in variables.items()):
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, "-m", module, *argv], {**os.environ, **variables})


def level_of(environment: Mapping[str, str]) -> str:
    """The name under which these variables are among the levels; empty if they are not."""
    return _name_of(LEVELS, environment)


def memory_of(environment: Mapping[str, str]) -> str:
    """The same for what is done with freed memory."""
    return _name_of(MEMORY, environment)


def _name_of(known: Mapping[str, Mapping[str, str]], environment: Mapping[str, str]) -> str:
    return next((name for name, variables in known.items() if variables.items() <= environment.items()), "")
