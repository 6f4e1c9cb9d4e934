"""Writes by_hand.ipynb from by_hand.py, which is the only source of both: `python make_notebook.py`."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

FOLDER = Path(__file__).resolve().parent
SOURCE, NOTEBOOK = FOLDER / "by_hand.py", FOLDER / "by_hand.ipynb"


def convert(source: str) -> NotebookNode:
    """Turns a script in the percent format into a notebook without outputs.

    A line `# %%` opens a code cell and `# %% [markdown]` a text cell, whose lines are comments. Cells are numbered instead of
    getting random ids, so equal scripts give equal notebooks.

    Raises:
        ValueError: the script does not start with a cell, or a line of a text cell is not a comment.
    """
    cells: list[NotebookNode] = []
    for number, block in enumerate(f"\n{source}".split("\n# %%")):
        kind, _, body = block.partition("\n")
        if number == 0:
            if block.strip():
                raise ValueError("the script must start with a cell: `# %%` or `# %% [markdown]`")
        elif kind.strip() == "[markdown]":
            cells.append(new_markdown_cell(_uncomment(body), id=f"cell-{number:02d}"))
        else:
            cells.append(new_code_cell(body.strip("\n"), id=f"cell-{number:02d}"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def _uncomment(body: str) -> str:
    lines = body.strip("\n").split("\n")
    for line in lines:
        if line != "#" and not line.startswith("# "):
            raise ValueError(f"a line of a text cell must start with `# `: {line!r}")
    return "\n".join(line[2:] for line in lines)


def text(notebook: NotebookNode) -> str:
    """The notebook as it is stored."""
    return nbformat.writes(notebook) + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(text(convert(SOURCE.read_text(encoding="utf-8"))), encoding="utf-8")
    print(f"wrote {NOTEBOOK.name}")
