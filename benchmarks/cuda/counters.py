"""`python -m benchmarks.cuda.counters FILE`: a table of what Nsight Compute read, from its CSV (`ncu --csv --page raw`)."""

import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path

_METRICS = {
    "us": "gpu__time_duration.sum",
    "MB of device memory": "dram__bytes.sum",
    "% of its peak": "dram__throughput.avg.pct_of_peak_sustained_elapsed",
    "% of warps": "sm__warps_active.avg.pct_of_peak_sustained_active",
    "registers": "launch__registers_per_thread",
}
# ncu chooses the unit of each file by itself and names it in the line below the head.
_UNITS = {"ns": 1e-3, "us": 1.0, "usecond": 1.0, "nsecond": 1e-3, "ms": 1e3, "msecond": 1e3}
_UNITS |= {"byte": 1e-6, "Kbyte": 1e-3, "Mbyte": 1.0, "Gbyte": 1e3}


def _rows(text: str) -> Iterator[list[str]]:
    # Lines of ncu itself, which begin with ==, stand between those of the table.
    head, units, *lines = csv.reader([line for line in text.splitlines() if line.startswith('"')])
    at = {name: head.index(metric) for name, metric in _METRICS.items() if metric in head}
    yield ["kernel", "grid", *at]
    for line in lines:
        kernel = re.sub(
            r"^void |\(anonymous namespace\)::|<unnamed>::|gru_ext::cuda::|\(.*", "", line[head.index("Kernel Name")]
        )
        numbers = [float(line[k].replace(",", "")) * _UNITS.get(units[k], 1.0) for k in at.values()]
        yield [kernel, line[head.index("Grid Size")], *(f"{number:.4g}" for number in numbers)]


def main(file: str) -> None:
    """Prints the table, or that there is none."""
    try:
        rows = list(_rows(Path(file).read_text()))
    except ValueError:
        print(f"{file} holds no table of ncu's")
        return
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)))


if __name__ == "__main__":
    main(sys.argv[1])
