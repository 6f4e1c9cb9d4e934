"""gru_ext.pack: what is refused, and in which words; that there are no gradients."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

import gru_ext

pytestmark = pytest.mark.compiled

N, INPUTS, H = 11, 17, 24


def cell() -> gru_ext.GRUCell:
    return gru_ext.GRUCell(INPUTS, H)


@pytest.mark.parametrize("argument", ["x", "h", "out"])
def test_a_gradient_is_refused(argument: str) -> None:
    packed = gru_ext.pack(cell())
    tensors = {"x": torch.randn(N, INPUTS), "h": torch.randn(N, H), "out": torch.empty(N, H)}
    tensors[argument].requires_grad_()
    with pytest.raises(
        RuntimeError, match=rf"PackedGRU has no gradients, but one of {argument} is asked for: .*{argument}.detach"
    ):
        packed.step(**tensors)
    with torch.no_grad():
        y = packed.step(**tensors)
    assert torch.equal(y, packed(tensors["x"].detach(), tensors["h"].detach()))


def test_a_tangent_is_refused() -> None:
    packed = gru_ext.pack(cell())
    with pytest.raises(RuntimeError, match="PackedGRU has no gradients, but one of x"):
        torch.func.jvp(packed, (torch.randn(N, INPUTS),), (torch.randn(N, INPUTS),))


def shared(offset: int) -> tuple[Tensor, Tensor]:
    """h and an `out` that begins `offset` rows into it."""
    memory = torch.randn(N + offset, H)
    return memory[:N], memory[offset:]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (lambda x, h: (x[None], h), ValueError, "expected x to be 1D or 2D, got 3D"),
        (lambda x, h: (x[:, 1:], h), RuntimeError, r"expected x to have input_size 17 as its last size, got shape \[11, 16\]"),
        (lambda x, h: (x.double(), h), RuntimeError, "expected x to be a dense float32 tensor on the CPU, got Double"),
        (lambda x, h: (x, h.double()), RuntimeError, "expected h to be a dense float32 tensor on the CPU, got Double"),
        (lambda x, h: (x, h[1:]), RuntimeError, r"expected h of shape \[11, 24\] for x of shape \[11, 17\], got \[10, 24\]"),
        (lambda x, h: (x, h[0]), RuntimeError, r"expected h of shape \[11, 24\] for x of shape \[11, 17\], got \[24\]"),
        (lambda x, h: (x, h, h[1:]), RuntimeError, r"expected out of shape \[11, 24\]"),
        (lambda x, h: (x, h, h.half()), RuntimeError, "expected out to be a dense float32 tensor on the CPU, got Half"),
        (lambda x, h: (x, *shared(1)), RuntimeError, "single memory location"),
        (lambda x, h: (x, h, h[:1].expand(N, H)), RuntimeError, "more than one element"),
    ],
)
def test_wrong_arguments_of_a_step(arguments: object, error: type[Exception], text: str) -> None:
    packed = gru_ext.pack(cell())
    with pytest.raises(error, match=text):
        packed.step(*arguments(torch.randn(N, INPUTS), torch.randn(N, H)))


def not_finite(weights: str) -> None:
    model = cell()
    with torch.no_grad():
        model.weight_hh[1, 2] = float("inf")
    gru_ext.pack(model, weights)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: gru_ext.pack(cell(), "int4"),
            ValueError,
            "expected weights to be 'float32', 'bfloat16' or 'int8', got 'int4'",
        ),
        (lambda: gru_ext.pack(torch.nn.Linear(2, 3)), TypeError, "or a sequence of them, got torch.nn.modules.linear.Linear"),
        (lambda: gru_ext.pack([]), ValueError, "must have one layer at least, got none"),
        (lambda: gru_ext.pack(torch.nn.GRU(2, 3, bidirectional=True)), ValueError, "must have one direction"),
        (lambda: gru_ext.pack([cell(), cell()]), ValueError, "layer 1 must have the input_size 24, .* got 17"),
        (
            lambda: gru_ext.pack([cell(), gru_ext.ResetBeforeGRUCell(H, H)]),
            ValueError,
            "must all be ResetBeforeGRUCell or none",
        ),
        (
            lambda: gru_ext.pack([cell(), torch.nn.GRUCell(H, 5)]),
            ValueError,
            "to have hidden_size 24, the first one's, got 5 in layer 1",
        ),
        (partial(not_finite, "int8"), ValueError, "a weight is infinite or not a number"),
        (partial(not_finite, "bfloat16"), ValueError, "a weight is infinite or not a number"),
    ],
)
def test_what_cannot_be_packed(call: object, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_without_the_op_library_it_says_what_is_missing(tmp_path: Path) -> None:
    program = "import torch, gru_ext; gru_ext.pack(torch.nn.GRUCell(2, 3))"
    env = {**os.environ, "GRU_EXT_NO_EXT": "1", "PYTHONPATH": str(Path(gru_ext.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", program], env=env, cwd=tmp_path, capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert last == "RuntimeError: gru_ext.pack needs the compiled op library, which is not there: GRU_EXT_NO_EXT=1 is set"
