"""StreamingGRU as programs load it: TorchScript, torch.export, compiled, and the shape of a robot's policy."""

import copy
import io
import traceback
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import gru_ext

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning"),
    # Of torch's own annotation of a module's constants.
    pytest.mark.filterwarnings("ignore:The TorchScript type system doesn't support instance-level annotations:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning"),
]

T, N, I, H = 4, 3, 5, 4  # noqa: E741 (the project's names)

MODELS = {
    "cell": lambda: gru_ext.GRUCell(I, H),
    "torch's cell without bias": lambda: nn.GRUCell(I, H, bias=False),
    "two layers": lambda: nn.GRU(I, H, num_layers=2),
    "reset before": lambda: gru_ext.ResetBeforeGRUCell(I, H),
    "one bias": lambda: gru_ext.GRUStack(
        (gru_ext.GRUWeights(torch.randn(3 * H, I), torch.randn(3 * H, H), torch.randn(3 * H)),)
    ),
    "reset before, one bias": lambda: gru_ext.GRUStack(
        (gru_ext.GRUWeights(torch.randn(3 * H, I), torch.randn(3 * H, H), torch.randn(3 * H)),), reset_before=True
    ),
}


def run(stream: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.stack([stream(x_t) for x_t in x])


def saved_and_loaded(module: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    file = io.BytesIO()
    torch.jit.save(module, file)
    file.seek(0)
    return torch.jit.load(file)


@pytest.mark.parametrize("model", MODELS)
def test_scripted(model: str) -> None:
    stream = gru_ext.StreamingGRU(MODELS[model](), batch_size=N)
    loaded = saved_and_loaded(torch.jit.script(stream))
    x, more = torch.randn(T, N, I), torch.randn(1, 2, I)
    mask = torch.tensor([True, False, True])
    for _ in range(3):  # the profiling executor specialises after the first runs
        assert torch.equal(run(loaded, x), run(stream, x))
        loaded.reset(mask)
        stream.reset(mask)
        assert torch.equal(loaded.hidden_state, stream.hidden_state)
        assert torch.equal(run(loaded, x), run(stream, x))
        loaded.reset()
        stream.reset()
    with pytest.raises(torch.jit.Error, match=r"x has 2 rows, hidden_state holds 3 streams: call reset\(batch_size=2\)"):
        loaded(more[0])
    loaded.reset(None, 2)
    stream.reset(None, 2)
    assert torch.equal(run(loaded, more), run(stream, more))
    assert torch.equal(loaded(x[0, :2]), stream(x[0, :2]))  # with gradients


def test_saved_state_is_that_of_the_moment() -> None:
    stream = gru_ext.StreamingGRU(nn.GRUCell(I, H), batch_size=N)
    run(stream, torch.randn(T, N, I))
    assert torch.equal(saved_and_loaded(torch.jit.script(stream)).hidden_state, stream.hidden_state)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("model", ["cell", "two layers", "reset before"])
def test_exported_state_is_a_mutated_buffer(model: str, strict: bool) -> None:
    stream = gru_ext.StreamingGRU(MODELS[model](), batch_size=N)
    program = torch.export.export(stream, (torch.randn(N, I),), strict=strict)
    assert list(program.graph_signature.buffers) == ["hidden_state"]
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    functional = program.run_decompositions({})
    assert list(functional.graph_signature.buffers_to_mutate.values()) == ["hidden_state"]
    x = torch.randn(T, N, I)
    expected = run(stream, x)
    for module in (program.module(), functional.module(), torch.export.load(file).module()):
        module.hidden_state.zero_()  # in this process the program shares the buffer with the module that it was made from
        assert torch.equal(run(module, x), expected)


def test_compiled_without_a_graph_break() -> None:
    stream = gru_ext.StreamingGRU(nn.GRU(I, H, num_layers=2), batch_size=N)
    compiled = torch.compile(copy.deepcopy(stream), backend="aot_eager", fullgraph=True)
    x = torch.randn(T, N, I)
    assert torch.equal(run(compiled, x), run(stream, x))
    assert torch.equal(compiled(x[0]), stream(x[0]))  # with gradients


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's exporters
@pytest.mark.parametrize("dynamo", [True, False])
def test_onnx_is_refused(dynamo: bool, tmp_path: Path) -> None:
    """It would forget the state without a word."""
    pytest.importorskip("onnxscript", reason="needs the onnxscript package")
    stream = gru_ext.StreamingGRU(nn.GRUCell(I, H), batch_size=N).eval()
    with pytest.raises(Exception) as caught:  # noqa: B017 (the newer exporter wraps the error in one of its own)
        torch.onnx.export(stream, (torch.randn(N, I),), tmp_path / "stream.onnx", dynamo=dynamo, verbose=False)
    reasons = "".join(traceback.format_exception(caught.value))
    assert "ONNX keeps no state between calls" in reasons
    assert not (tmp_path / "stream.onnx").exists()


class TheirPolicy(nn.Module):
    """As rsl_rl exports a policy: the state is a buffer, `reset` an exported method."""

    def __init__(self, normalizer: nn.Module, rnn: nn.GRU, mlp: nn.Module) -> None:
        super().__init__()
        self.normalizer, self.rnn, self.mlp = normalizer, rnn, mlp
        self.register_buffer("hidden_state", torch.zeros(rnn.num_layers, 1, rnn.hidden_size))

    def forward(self, x: Tensor) -> Tensor:
        x, h = self.rnn(self.normalizer(x).unsqueeze(0), self.hidden_state)
        self.hidden_state[:] = h
        return self.mlp(x.squeeze(0))

    @torch.jit.export
    def reset(self) -> None:
        self.hidden_state[:] = 0.0


class OurPolicy(nn.Module):
    def __init__(self, normalizer: nn.Module, rnn: nn.GRU, mlp: nn.Module) -> None:
        super().__init__()
        self.normalizer, self.rnn, self.mlp = normalizer, gru_ext.StreamingGRU(rnn), mlp

    def forward(self, x: Tensor) -> Tensor:
        return self.mlp(self.rnn(self.normalizer(x)))

    @torch.jit.export
    def reset(self) -> None:
        self.rnn.reset()


def test_in_the_place_of_a_robots_policy() -> None:
    parts = nn.LayerNorm(I), nn.GRU(I, H, num_layers=2), nn.Linear(H, 2)
    theirs, ours = (saved_and_loaded(torch.jit.script(kind(*parts).eval())) for kind in (TheirPolicy, OurPolicy))
    # 2 T steps of 2 layers and a product, each a few epsilons off (tests/tolerances.py) of numbers below 2.
    near = {"rtol": 0, "atol": 2 * T * 3 * 5 * 2 * torch.finfo(torch.float32).eps}
    for _ in range(2):
        x = torch.randn(2 * T, 1, I)
        torch.testing.assert_close(run(ours, x), run(theirs, x), **near)
        torch.testing.assert_close(ours.rnn.hidden_state, theirs.hidden_state, **near)
        ours.reset()
        theirs.reset()
        assert not ours.rnn.hidden_state.any()
