"""pip install for the Makefile: shows what is going on, line by line, and says in one sentence what went wrong.

python tools/install.py ARGUMENTS OF PIP INSTALL
"""

import re
import subprocess
import sys
import threading
import time
from pathlib import Path

# What of pip's output is progress: downloads, the compiler's steps, and what our own setup.py says.
PROGRESS = (
    (re.compile(r"^\s*(?:Downloading|Using cached) (\S+\.whl)(?:\.metadata)? ?(\(.*MB\))?$"), "    {0} {1}"),
    (re.compile(r"^\s*\[(\d+/\d+)\].* -c (?:\S*/)?(csrc/\S+)"), "    [{0}] {1}"),
    (re.compile(r"^\s*(gru_ext: .*)"), "    {0}"),
)

# What pip writes when it fails for a known reason, and what to do about it.
CURES = (
    (
        r"after connection broken by",
        "pip could not reach a package index: connect to the network, or name an index or a folder of wheels of yours in "
        "PIP_INDEX_URL or PIP_FIND_LINKS, and run make again",
    ),
    (r"error: (GRU_EXT_CUDA.*)", "{0}"),
    (r"No space left on device", "the disk is full: torch and the tools need about 2 GB, a torch with CUDA about 8 GB"),
    (
        r"(?:No matching distribution found for|Cannot install) (torch==[\w.+]*\w)",
        "there is no {0} for this Python and machine: name another with make TORCH=... or make PYTHON=...",
    ),
)

QUIET_SECONDS = 15
LOG = Path(sys.prefix) / "install.log"


def shown(line: str) -> str:
    """The line of progress that a line of pip's output is worth; empty if none."""
    for pattern, form in PROGRESS:
        if match := pattern.match(line):
            return form.format(*(group or "" for group in match.groups())).rstrip()
    return ""


def explanation(output: str) -> str:
    """One sentence on why pip failed; where the reason is not one of those known here, after the errors that it reported."""
    for pattern, sentence in CURES:
        if match := re.search(pattern, output):
            return sentence.format(*match.groups())
    errors = [line for line in output.splitlines() if re.search(r"\berror\b", line, re.IGNORECASE)]
    return "\n".join(["pip failed:", *errors[:10], f"All that it said is in {LOG}."])


def run(arguments: list[str]) -> int:
    """Runs pip install; returns its exit status."""
    command = [sys.executable, "-m", "pip", "install", "--verbose", "--disable-pip-version-check", "--no-input", *arguments]
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    start = last = time.monotonic()
    done = threading.Event()

    def reassure() -> None:
        nonlocal last
        while not done.wait(1):
            if time.monotonic() - last > QUIET_SECONDS:
                last = time.monotonic()
                print(f"    still at it after {last - start:.0f} s", flush=True)

    threading.Thread(target=reassure, daemon=True).start()
    with LOG.open("w") as log:
        for line in pip.stdout:
            log.write(line)
            if progress := shown(line):
                last = time.monotonic()
                print(progress, flush=True)
    status = pip.wait()
    done.set()
    if status != 0:
        print(f"gru_ext: {explanation(LOG.read_text())}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
