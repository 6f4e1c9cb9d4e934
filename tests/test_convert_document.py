"""The code in docs/converting.md runs as it stands, from top to bottom."""

import importlib.util
import os
import re
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[1] / "docs" / "converting.md"


@pytest.mark.filterwarnings("ignore")  # of torch's exporters: their words are not under test here
@pytest.mark.skipif(importlib.util.find_spec("onnx") is None, reason="needs the onnx package")
def test_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if "KERAS_BACKEND" not in os.environ:
        monkeypatch.setenv("KERAS_BACKEND", "torch")
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, object] = {}
    for block in blocks:
        if "import keras" not in block or importlib.util.find_spec("keras") is not None:
            exec(compile(block, str(DOCUMENT), "exec"), names)
    assert {"policy.pt", "gru.gru", "gru.json"} <= {path.name for path in tmp_path.iterdir()}
