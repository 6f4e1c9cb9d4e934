"""Prints what the named extras of pyproject.toml require, one requirement a line: `python tools/extras.py build demo`.

pip can install a package's extras only together with the package, but ours needs some of them before it can be built.
"""

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:  # the standard library's parser came with 3.11; pip carries the same one
    from pip._vendor import tomli as tomllib


def requirements(extras: list[str], offered: dict[str, list[str]]) -> list[str]:
    """The requirements of `extras`, with an extra's mention of our own extras (`gru_ext[demo]`) resolved."""
    found = []
    for extra in extras:
        for requirement in offered[extra]:
            own = re.fullmatch(r"gru_ext\[(.+)\]", requirement)
            found += requirements(own[1].split(","), offered) if own else [requirement]
    return found


if __name__ == "__main__":
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    print("\n".join(requirements(sys.argv[1:], project["optional-dependencies"])))
