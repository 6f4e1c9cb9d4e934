"""How far weights of 16 and of 8 bits lead a trained model away, over a thousand steps, next to int8 of torch and LiteRT."""

import sys
import warnings
from pathlib import Path

import pytest
import torch
from c_stream import CStream, layers_of
from commands import ROOT, needs_compiler
from gru_file import gru_file
from stream_build import StreamBuild

# For a bare `pytest`, as in test_benchmarks.py.
sys.path.append(str(ROOT))

from benchmarks.peers import Peer  # noqa: E402
from benchmarks.peers.lite_rt import LiteRtInt8  # noqa: E402

pytestmark = needs_compiler

STEPS, INPUTS, HIDDEN = 1000, 16, 64
BOUNDS = {"float32": 1e-5, "bfloat16": 1e-2, "int8": 2e-2}  # what the project promises of the two small types


def frames(streams: int, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tones that come and go, sampled INPUTS numbers a step, with noise and without: [steps, streams, INPUTS] each."""
    t = torch.arange(steps * INPUTS).view(steps, 1, INPUTS)
    pitch, fade = 0.05 + 0.4 * torch.rand(1, streams, 1), 0.001 + 0.002 * torch.rand(1, streams, 1)
    clean = torch.sin(pitch * t) * torch.sin(fade * t)
    return clean + 0.5 * torch.randn_like(clean), clean


@pytest.fixture(scope="module")
def trained() -> torch.nn.GRU:
    """A small denoiser."""
    torch.manual_seed(0)
    gru, out = torch.nn.GRU(INPUTS, HIDDEN), torch.nn.Linear(HIDDEN, INPUTS)
    optimizer = torch.optim.Adam([*gru.parameters(), *out.parameters()], lr=1e-2)
    losses = []
    for _ in range(150):
        noisy, clean = frames(32, 64)
        loss = (out(gru(noisy)[0]) - clean).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])  # it has learned something, so its weights are not those of the start
    return gru


def relative_error(y: torch.Tensor, expected: torch.Tensor) -> float:
    return ((y.double() - expected).norm() / expected.norm()).item()


def steps_of(peer: Peer, gru: torch.nn.GRU, x: torch.Tensor) -> torch.Tensor:
    """All states [T, H] of a peer's cell with the weights of the only layer, for x [T, 1, I]."""
    cell = torch.nn.GRUCell(gru.input_size, gru.hidden_size)
    cell.load_state_dict({name.removesuffix("_l0"): weight for name, weight in gru.state_dict().items()})
    step, states = peer.step(cell), [torch.zeros(1, gru.hidden_size)]
    with torch.no_grad():
        for row in x:
            states.append(peer.to_torch(step(peer.adopt(row), peer.adopt(states[-1]))).clone())
    return torch.cat(states[1:])


def test_small_weights_of_a_trained_model(trained: torch.nn.GRU, stream_build: StreamBuild, tmp_path: Path) -> None:
    noisy, _ = frames(1, STEPS)
    with torch.no_grad():
        expected = trained.double()(noisy.double())[0].squeeze(1)
        trained.float()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.ao is deprecated, and says so
            # It replaces what is inside of a module.
            quantized = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(trained), {torch.nn.GRU}, torch.qint8)[0]
        assert type(quantized) is not torch.nn.GRU
        theirs = quantized(noisy)[0].squeeze(1)
    errors = {"torch.ao": relative_error(theirs, expected)}
    lite_rt = LiteRtInt8()
    if lite_rt.why_unavailable() is None:
        errors["LiteRT"] = relative_error(steps_of(lite_rt, trained, noisy), expected)
    for weights, bound in BOUNDS.items():
        path = tmp_path / f"{weights}.gru"
        path.write_bytes(gru_file(layers_of(trained), weights))
        y = CStream(stream_build.shared(), path).steps(noisy.squeeze(1).contiguous(), torch.zeros(HIDDEN), HIDDEN)
        errors[weights] = relative_error(y, expected)
        assert errors[weights] <= bound, errors
    print({name: f"{error:.1e}" for name, error in errors.items()})  # for docs/stream.md: pytest -s
    assert all(errors["int8"] < errors[name] for name in ("torch.ao", "LiteRT") if name in errors), errors
