"""What is installed here and whether it works: `python -m gru_ext.info`, or with `--json`. Paste it into bug reports."""

import argparse
import json
import sys
from typing import Any, Optional

import torch

from . import __version__, _library
from .selftest import self_test


def info() -> dict[str, Any]:
    """Describes this installation and tests it.

    Returns:
        A dict of plain values, fit for JSON:

        - ``version``: of gru_ext
        - ``torch``, ``cuda``: dicts of ``built`` (what gru_ext was compiled for) and ``running``; None where there is none;
          for CUDA also ``architectures``: sm_90 stands for machine code, compute_90 for PTX, which later GPUs can run
        - ``isa``: dict of ``chosen``, the instruction-set level whose kernels run, and ``built``, all that this library
          contains and this machine can run; None and [] without a compiled library
        - ``ops``: the operators registered with PyTorch
        - ``compiler``: its name and version, or None
        - ``fallback``: why torch's own cell does the work, or None if the compiled kernels do
        - ``self_test``: what :func:`gru_ext.selftest.self_test` returns
    """
    build = _library.build_info()
    compiled = _library.reason is None
    return {
        "version": __version__,
        "torch": {"built": build.get("torch"), "running": torch.__version__},
        "cuda": {
            "built": build.get("cuda"),
            "running": torch.version.cuda,
            "architectures": build.get("architectures", []),
        },
        "isa": {
            "chosen": torch.ops.gru_ext._cpu_level() if compiled else None,
            "built": torch.ops.gru_ext._cpu_levels() if compiled else [],
        },
        "ops": sorted({name.split(".")[0] for name in torch._C._dispatch_get_all_op_names() if name.startswith("gru_ext::")}),
        "compiler": build.get("compiler"),
        "fallback": _library.reason,
        "self_test": self_test(),
    }


def _lines(report: dict[str, Any]) -> list[str]:
    """The report for people, one line a topic."""

    def built_and_running(versions: dict[str, Any]) -> str:
        built = f"built for {versions['built']}" if versions["built"] else "not built"
        if architectures := versions.get("architectures"):
            built += f" ({', '.join(architectures)})"
        return f"{built}, running {versions['running'] or 'none'}"

    test = report["self_test"]
    verdict = "PASS" if test["passed"] else "FAIL"
    devices = " and ".join(test["devices"])
    allowed = f"{test['largest_difference']:.1e} (allowed: {test['allowed']:.1e})"
    rows = {
        "gru_ext": report["version"],
        "torch": built_and_running(report["torch"]),
        "CUDA": built_and_running(report["cuda"]),
        "ISA": f"{report['isa']['chosen'] or 'none'} chosen; built: {', '.join(report['isa']['built']) or 'none'}",
        "ops": ", ".join(report["ops"]) or "none",
        "compiler": report["compiler"] or "none",
        "kernels": f"torch's own GRU cell, because {report['fallback']}" if report["fallback"] else "compiled",
        "self-test": f"{verdict}: values and gradients on {devices} differ from torch.nn.GRUCell's by at most {allowed}",
    }
    return [f"{name:<10} {value}" for name, value in rows.items()]


def main(arguments: Optional[list[str]] = None) -> int:
    """Prints the report; returns 1, the exit status, if the self-test fails."""
    parser = argparse.ArgumentParser(prog="python -m gru_ext.info", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    as_json = parser.parse_args(arguments).json
    report = info()
    print(json.dumps(report, indent=2) if as_json else "\n".join(_lines(report)))
    return 0 if report["self_test"]["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
