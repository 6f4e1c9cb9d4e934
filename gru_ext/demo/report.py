"""What the demo found, said once: on the terminal at once, and in one HTML file at the end."""

import base64
import html
import textwrap
from collections.abc import Sequence
from pathlib import Path

_COLUMNS = 100  # of text on the terminal
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }}
img {{ width: 100%; border: 1px solid #ddd; margin-top: .5rem }}
table {{ border-collapse: collapse; margin: 1rem 0 }}
th, td {{ padding: .3rem 1.2rem .3rem 0; text-align: right; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums }}
th:first-child, td:first-child {{ text-align: left }}
</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""


class Report:
    """Sentences, tables and pictures in the order in which they come up; on the terminal an empty line follows each."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._body: list[str] = []
        print(f"{title}\n", flush=True)

    def heading(self, text: str) -> None:
        """Opens a new part."""
        self._body.append(f"<h2>{html.escape(text)}</h2>")
        print(f"{text}\n{'=' * len(text)}\n", flush=True)

    def say(self, text: str) -> None:
        """A sentence or two."""
        self._body.append(f"<p>{html.escape(text)}</p>")
        print(f"{textwrap.fill(text, _COLUMNS)}\n", flush=True)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table; the first column is aligned left, the others right. Every row is as long as the header."""
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        for first, *others in (header, ["-" * width for width in widths], *rows):
            cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
            print("  ".join(["", first.ljust(widths[0]), *cells]), flush=True)
        print()
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
        lines = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
        self._body.append(f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>")

    def picture(self, path: Path, caption: str) -> None:
        """A PNG that was written before; the HTML file contains it, so it can be sent alone."""
        data = base64.b64encode(path.read_bytes()).decode()
        self._body.append(f'<p>{html.escape(caption)}</p><img alt="{html.escape(caption)}" src="data:image/png;base64,{data}">')
        print(f"{path}: {caption}\n", flush=True)

    def write(self, path: Path) -> None:
        """Writes the HTML file."""
        path.write_text(_PAGE.format(title=html.escape(self._title), body="\n".join(self._body)), encoding="utf-8")
        print(f"Everything in one page: {path}", flush=True)
