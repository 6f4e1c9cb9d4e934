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


def add_json(parser: argparse._ActionsContainer, help: str) -> None:
    """Option `--json`."""
    parser.add_argument("--json", type=Path, metavar="FILE", help=help)


def check_json(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Ends with an error where `--json` names a file in no folder: before anything is measured."""
    if arguments.json is not None and not arguments.json.absolute().parent.is_dir():
        parser.error(f"--json: there is no folder {arguments.json.absolute().parent}")
