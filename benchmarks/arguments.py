"""Options that several commands have."""

import argparse
import re
from pathlib import Path


def regex(text: str) -> str:
    """The type of an option that is a regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a regular expression: {error}") from None
    return text


def file_to_write(text: str) -> Path:
    """The type of an option that names a file: one in no folder is an error before anything is measured."""
    folder = Path(text).absolute().parent
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {folder}")
    return Path(text)


def add_json(parser: argparse._ActionsContainer, help: str) -> None:
    """Option `--json`."""
    parser.add_argument("--json", type=file_to_write, metavar="FILE", help=help)
