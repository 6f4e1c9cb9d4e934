"""Registrations with parts of torch that are loaded late: importing gru_ext does not load them, and misses none of them."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from gru_ext._on_import import after_import

LATE = {
    "torch._dynamo": "gru_ext.dynamo",
    "torch._inductor.lowering": "gru_ext.inductor",
    "torch.onnx": "gru_ext.onnx",
    "torch.distributed.tensor": "gru_ext.sharding",
    "torch.ao.quantization": "gru_ext.quantization",
}


def loaded_after(statements: str) -> set[str]:
    """Which modules a fresh interpreter has loaded after these statements."""
    program = f"{statements}\nimport sys; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_importing_the_package_loads_little() -> None:
    """Each of these takes longer to load than all of the package."""
    ours = loaded_after("import torch, gru_ext") - loaded_after("import torch")
    assert "gru_ext" in ours
    heavy = {
        "torch.onnx",
        "onnx",
        "torch.distributed.tensor",
        "torch._dynamo",
        "torch._inductor",
        "sympy",
        "sklearn",
        "matplotlib",
    }
    assert not ours & heavy


@pytest.mark.compiled
@pytest.mark.parametrize("theirs", LATE)
def test_in_either_order(theirs: str) -> None:
    assert LATE[theirs] in loaded_after(f"import gru_ext, {theirs}")
    assert LATE[theirs] in loaded_after(f"import {theirs}, gru_ext")


@pytest.fixture
def late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a package, `<name>`, that no one has imported, with a module `<name>.follower`."""
    name = f"late_{tmp_path.name}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("steps = ['module']\n")
    (tmp_path / name / "follower.py").write_text(f"from {name} import steps\nsteps.append('follower')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    for module in (name, f"{name}.follower"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return name


def test_follows_the_first_import(late: str) -> None:
    finders = list(sys.meta_path)
    after_import(late, f"{late}.follower")
    assert f"{late}.follower" not in sys.modules
    assert importlib.import_module(late).steps == ["module", "follower"]
    assert sys.meta_path == finders
    assert importlib.reload(sys.modules[late]).steps == ["module"]


def test_looking_for_the_module_is_not_importing_it(late: str) -> None:
    after_import(late, f"{late}.follower")
    assert importlib.util.find_spec(late) is not None
    assert late not in sys.modules and f"{late}.follower" not in sys.modules
    assert importlib.import_module(late).steps == ["module", "follower"]


def test_follows_at_once_if_the_module_is_loaded(late: str) -> None:
    module = importlib.import_module(late)
    after_import(late, f"{late}.follower")
    assert module.steps == ["module", "follower"]


def test_a_missing_module_is_still_missing() -> None:
    finders = list(sys.meta_path)
    after_import("gru_ext_no_such_module", "gru_ext.cell")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("gru_ext_no_such_module")
    sys.meta_path[:] = finders
