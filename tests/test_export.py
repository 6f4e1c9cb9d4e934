"""torch.export and what is built on it: one program for every batch size, saved, loaded, decomposed, compiled ahead of time."""

import io
import os
import shutil
from pathlib import Path

import pytest
import torch
from rollout import H, I, N, Rollout, T, assert_like_torch, rollout_pair
from samples import cell_pair
from torch import Tensor, nn
from torch._decomp import get_decompositions
from torch._higher_order_ops.scan import scan
from torch.export import Dim, ExportedProgram, default_decompositions, export

BATCHES = [0, 1, 2, N, 33]
needs_compiler = pytest.mark.skipif(not shutil.which(os.environ.get("CXX", "g++")), reason="needs a C++ compiler")


def targets(program: ExportedProgram) -> list[str]:
    return [str(node.target) for node in program.graph.nodes if node.op == "call_function"]


def export_cell(cell: nn.GRUCell, strict: bool = False) -> ExportedProgram:
    """For any batch size: the same symbol in both arguments."""
    n = Dim("n")
    return export(cell, (torch.randn(N, I), torch.randn(N, H)), dynamic_shapes=({0: n}, {0: n}), strict=strict)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_every_batch_size(strict: bool, bias: bool) -> None:
    """Also 0 and 1, although neither was the size at export."""
    theirs, ours = cell_pair(I, H, bias=bias)
    module = export_cell(ours, strict).module()
    for n in BATCHES:
        assert_like_torch(module, module, theirs, torch.randn(n, I), torch.randn(n, H))


@pytest.mark.parametrize("strict", [False, True])
def test_without_state(strict: bool) -> None:
    theirs, ours = cell_pair(I, H)
    program = export(ours, (torch.randn(N, I),), dynamic_shapes=({0: Dim("n")},), strict=strict)
    for n in BATCHES:
        assert_like_torch(program.module(), ours, theirs, torch.randn(n, I), grads=False)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("shape", [(I,), (1, I), (0, I)])
def test_sizes_that_compilers_treat_as_constants(strict: bool, shape: tuple[int, ...]) -> None:
    theirs, ours = cell_pair(I, H)
    x, h = torch.randn(shape), torch.randn(*shape[:-1], H)
    for args in ((x, h), (x,)):
        module = export(ours, args, strict=strict).module()
        assert_like_torch(module, ours, theirs, *args, grads=False)


@pytest.mark.compiled
def test_the_op_survives() -> None:
    """The program holds the public op; the inference program, torch's usual decompositions applied, the inner one."""
    _, ours = rollout_pair()
    program = export(ours, (torch.randn(T, N, I),))
    assert targets(program).count("gru_ext.gru_cell.default") == T
    assert targets(program.run_decompositions()).count("gru_ext._cell.default") == T


def test_decomposed_by_default() -> None:
    theirs, ours = cell_pair(I, H)
    module = export_cell(ours).run_decompositions().module()
    for n in BATCHES:
        assert_like_torch(module, ours, theirs, torch.randn(n, I), torch.randn(n, H), grads=False)


@pytest.mark.compiled
def test_decomposed_to_torch_ops_for_backends_that_know_no_others() -> None:
    theirs, ours = cell_pair(I, H)
    table = default_decompositions()
    table.update(get_decompositions([torch.ops.gru_ext._cell]))
    program = export_cell(ours).run_decompositions(table)
    assert all(name.startswith("aten.") for name in targets(program))
    for n in BATCHES:
        assert_like_torch(program.module(), ours, theirs, torch.randn(n, I), torch.randn(n, H), grads=False)


def test_saved_and_loaded() -> None:
    theirs, ours = rollout_pair()
    n = Dim("n")
    program = export(ours, (torch.randn(T, N, I), torch.randn(N, H)), dynamic_shapes=({1: n}, {0: n}))
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    module = torch.export.load(file).module()
    assert list(module.state_dict()) == list(ours.state_dict())
    for n in BATCHES:
        assert_like_torch(module, module, theirs, torch.randn(T, n, I), torch.randn(n, H), steps=T)


@needs_compiler
def test_ahead_of_time_compiled_package(tmp_path: Path) -> None:
    theirs, ours = cell_pair(I, H)
    with torch.no_grad():
        program = export_cell(ours.eval())
        # The wrapper's C++ is compiled for speed of compilation: it only calls the op.
        options = {"aot_inductor.compile_wrapper_opt_level": "O0", "aot_inductor.precompile_headers": False}
        path = str(tmp_path / "cell.pt2")
        package = torch._inductor.aoti_compile_and_package(program, package_path=path, inductor_configs=options)
    run = torch._inductor.aoti_load_package(package)
    for n in BATCHES:
        assert_like_torch(run, ours, theirs, torch.randn(n, I), torch.randn(n, H), grads=False)


class Scan(nn.Module):
    """`Rollout` with torch's scan: the step is traced once for any number of steps."""

    def __init__(self, cell: nn.GRUCell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, input: Tensor, hx: Tensor) -> Tensor:
        def step(h: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            h = self.cell(x, h)
            return h, h.clone()

        return scan(step, hx, input)[1]


@pytest.mark.parametrize("how", ["eager", "compiled", "exported"])
def test_scan(how: str) -> None:
    theirs, ours = cell_pair(I, H)
    module = Scan(ours)
    args = (torch.randn(T, N, I), torch.randn(N, H))
    run = {
        "eager": lambda: module,
        "compiled": lambda: torch.compile(module, backend="aot_eager", fullgraph=True),
        "exported": lambda: export(module, args).module(),
    }[how]()
    assert_like_torch(run, ours, Rollout(theirs), *args, steps=T, grads=how != "exported")
