"""`python -m gru_ext.demo`: see `--help`."""

import argparse
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

_NEEDED = {"sklearn": "scikit-learn", "matplotlib": "matplotlib"}


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Runs the demo.

    Args:
        arguments: those of the command line where None.

    Returns:
        0 if all came out as it must, 1 if a package is missing or a result is wrong.
    """
    missing = [package for module, package in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        print(f"The demo needs {' and '.join(missing)}: pip install 'gru_ext[demo]'", file=sys.stderr)
        return 1
    from . import run  # needs what was just looked for

    parser = argparse.ArgumentParser(
        prog="python -m gru_ext.demo",
        description="Trains a classifier of handwritten digits around torch.nn.GRUCell and the same around gru_ext.GRUCell, "
        "side by side; compares them; saves, loads and runs the result in C++; draws what happens. Takes less than a minute.",
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="where the files go (default: demo)")
    parser.add_argument("--epochs", type=int, default=run.EPOCHS, help="default: %(default)s")
    parser.add_argument("--skip", nargs="+", choices=("speed", "cpp"), default=(), help="leave out the slower steps")
    chosen = parser.parse_args(arguments)
    if chosen.epochs < 1:
        parser.error("--epochs must be at least 1")
    # The report says it in its own words.
    warnings.filterwarnings("ignore", message="gru_ext runs on torch's own GRU cell")
    problems = run.run(chosen.out, chosen.epochs, chosen.skip)
    for problem in problems:
        print(f"FAILED: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
