"""Packed models copied, saved, loaded elsewhere, scripted, traced, compiled and exported: always the same bits."""

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import gru_ext

pytestmark = pytest.mark.compiled

WEIGHTS = ("float32", "bfloat16", "int8")


class Model(torch.nn.Module):
    """A packed stack between other operators."""

    def __init__(self, weights: str) -> None:
        super().__init__()
        self.gru = gru_ext.pack(torch.nn.GRU(5, 8, num_layers=2), weights)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return self.gru.step(2 * x, h) + 1


@pytest.fixture(params=WEIGHTS)
def model(request: pytest.FixtureRequest) -> Model:
    return Model(request.param)


X, STATE = torch.randn(3, 5), torch.randn(2, 3, 8)


def through_a_file(model: Model, path: Path) -> Model:
    torch.save(model, path)
    return torch.load(path, weights_only=False)  # a module is code


def scripted(model: Model, path: Path) -> torch.jit.ScriptModule:
    torch.jit.script(model).save(path)
    return torch.jit.load(path)


def exported(strict: bool, model: Model, path: Path) -> torch.nn.Module:
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (X, STATE), dynamic_shapes=({0: batch}, {1: batch}), strict=strict)
    torch.export.save(program, path)
    loaded = torch.export.load(path).module()
    assert loaded(X[:2], STATE[:, :2]).shape == (2, 2, 8)
    return loaded


WAYS: dict[str, Callable[[Model, Path], Callable[[Tensor, Tensor], Tensor]]] = {
    "deepcopy": lambda model, path: copy.deepcopy(model),
    "pickle": lambda model, path: pickle.loads(pickle.dumps(model)),
    "torch.save": through_a_file,
    "script": scripted,
    "freeze": lambda model, path: torch.jit.freeze(torch.jit.script(model.eval())),
    "trace": lambda model, path: torch.jit.trace(model, (X, STATE)),
    "export": lambda model, path: exported(False, model, path),
    "strict export": lambda model, path: exported(True, model, path),
    "compile": lambda model, path: torch.compile(model),
}


@pytest.mark.parametrize("way", WAYS)
def test_same_bits(way: str, model: Model, tmp_path: Path) -> None:
    torch._dynamo.reset()
    assert torch.equal(WAYS[way](model, tmp_path / "model.pt2")(X, STATE), model(X, STATE))


@pytest.mark.parametrize("check", ["test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic"])
def test_opcheck(check: str) -> None:
    """All but the check of the schema, which compares the arguments before and after, and cannot compare torchbind objects."""
    packed = gru_ext.pack(torch.nn.GRU(5, 8, num_layers=2)).packed
    torch.library.opcheck(torch.ops.gru_ext.packed_step.default, (packed, X, STATE), test_utils=check)


def test_compile_says_why_there_are_two_graphs() -> None:
    torch._dynamo.reset()
    with pytest.raises(Exception, match="runs between two graphs"):
        torch.compile(Model("int8"), fullgraph=True)(X, STATE)


def test_scripted_step_has_out() -> None:
    packed = gru_ext.pack(torch.nn.GRUCell(5, 8))
    out = torch.empty(3, 8)
    torch.jit.script(packed).step(X, None, out)
    assert torch.equal(out, packed(X))


LOAD = """
import sys, torch
if sys.argv[1] == "script":
    torch.ops.load_library(sys.argv[4])
    model = torch.jit.load(sys.argv[2])
else:
    import gru_ext
    model = torch.load(sys.argv[2], weights_only=False)
x, h = torch.load(sys.argv[3])
torch.save(model(x, h), sys.argv[3])
print("gru_ext" in sys.modules, model.packed.level())
"""


@pytest.mark.parametrize("kind", ["script", "torch.save"])
def test_another_process_packs_for_its_own_level(kind: str, tmp_path: Path) -> None:
    """As another machine would: the file holds float32 weights, not what was packed here."""
    packed = gru_ext.pack(torch.nn.GRU(5, 8, num_layers=2), "int8")
    file, tensors = tmp_path / "model.pt", tmp_path / "tensors.pt"
    torch.jit.script(packed).save(file) if kind == "script" else torch.save(packed, file)
    torch.save((X, STATE), tensors)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, kind, file, tensors, gru_ext.library_path()],
        env={**os.environ, "GRU_EXT_ISA": "default", "PYTHONPATH": str(Path(gru_ext.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [str(kind != "script"), "default"], done.stderr
    # The integer sums have the same bits at each level; sigmoid, tanh and the scaling may round otherwise.
    torch.testing.assert_close(torch.load(tensors), packed(X, STATE), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_aot_inductor(model: Model, tmp_path: Path) -> None:
    program = torch.export.export(model, (X, STATE))
    path = torch._inductor.aoti_compile_and_package(program, package_path=str(tmp_path / "model.pt2"))
    assert torch.equal(torch._inductor.aoti_load_package(path)(X, STATE), model(X, STATE))


def test_damaged_states_are_refused() -> None:
    weights = [torch.randn(24, 5), torch.randn(24, 8), torch.empty(0), torch.empty(0)]
    for arguments in (
        ("float32", False, False, []),
        ("float32", False, False, weights[:3]),
        ("float32", False, False, weights + weights),
        ("float32", False, False, [weights[0][1:], *weights[1:]]),
        ("float32", False, False, [weights[0], weights[1][:, 1:], *weights[2:]]),
        ("float32", False, False, [*weights[:3], torch.randn(3)]),
        ("float64", False, False, weights),
    ):
        with pytest.raises(ValueError, match="gru_ext.pack: expected"):
            torch.classes.gru_ext.PackedGRU(*arguments)
