"""What one run of a command found, in a file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import environment


@dataclass(frozen=True)
class Found:
    """Of one file: `machine` is what :func:`benchmarks.machine.describe` said."""

    name: str
    machine: Mapping[str, Any]

    @property
    def level(self) -> str:
        """That all was held to; empty: the best that the processor has."""
        return environment.level_of(self.machine["environment"])

    @property
    def memory(self) -> str:
        """What became of freed memory; empty: the C library's own rule."""
        return environment.memory_of(self.machine["environment"])

    @property
    def memory_suffix(self) -> str:
        """The same, to be added to the name of a case."""
        return f", freed memory {self.memory}" if self.memory else ""


def read(path: Path, what: str, expected: int) -> dict[str, Any]:
    """The content of a file.

    Args:
        path: of the file.
        what: it has, for the error.
        expected: its format.

    Raises:
        ValueError: the file is of another format.
    """
    content = json.loads(path.read_text())
    if content.get("format") != expected:
        raise ValueError(f"{path}: expected {what} of format {expected}, got {content.get('format')!r}")
    return content


def write(content: Any, path: Path) -> None:
    """Writes what :func:`read` reads."""
    path.write_text(json.dumps(content, indent=1) + "\n")


def to_json(found: Found, of_format: int) -> dict[str, Any]:
    """All fields but the name, which is the file's."""
    return {"format": of_format, **{name: value for name, value in asdict(found).items() if name != "name"}}
