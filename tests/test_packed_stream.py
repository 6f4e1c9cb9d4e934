"""gru_ext._C.Stream: one stream in the memory of NumPy arrays and tensors, from a packed model or a .gru file."""

import threading
from array import array
from pathlib import Path

import pytest
import torch
from c_stream import layers_of
from gru_file import gru_file

import gru_ext

np = pytest.importorskip("numpy")
pytestmark = pytest.mark.compiled

STEPS, INPUTS, H, LAYERS = 20, 7, 12, 2


@pytest.fixture
def model() -> torch.nn.GRU:
    return torch.nn.GRU(INPUTS, H, num_layers=LAYERS)


@pytest.fixture
def stream(model: torch.nn.GRU) -> "gru_ext._C.Stream":
    return gru_ext._C.Stream(gru_ext.pack(model))


def inputs() -> torch.Tensor:
    return torch.randn(STEPS, INPUTS)


@pytest.mark.parametrize("weights", ["float32", "bfloat16", "int8"])
def test_has_the_bits_of_packed_steps(weights: str, model: torch.nn.GRU) -> None:
    packed = gru_ext.pack(model, weights)
    stream = gru_ext._C.Stream(packed)
    assert (stream.input_size, stream.output_size, stream.level) == (INPUTS, H, packed.packed.level())
    x, state = inputs(), torch.zeros(LAYERS, H)
    expected = []
    for row in x:
        packed.step(row, state, out=state)
        expected.append(state[-1].clone())
    y = stream.steps(x)
    assert torch.equal(y, torch.stack(expected))
    assert torch.equal(torch.frombuffer(stream.state, dtype=torch.float32), state.flatten())
    stream.reset()
    assert torch.equal(torch.stack([stream.step(row) for row in x]), y)


@pytest.mark.parametrize("source", ["str", "path", "bytes"])
def test_from_a_file(source: str, model: torch.nn.GRU, tmp_path: Path) -> None:
    file = gru_file(layers_of(model), "int8")
    path = tmp_path / "model.gru"
    path.write_bytes(file)
    x = inputs()
    expected = gru_ext._C.Stream(gru_ext.pack(model, "int8")).steps(x)
    assert torch.equal(gru_ext._C.Stream({"str": str(path), "path": path, "bytes": file}[source]).steps(x), expected)


def test_takes_and_fills_memory_of_any_kind(stream: "gru_ext._C.Stream") -> None:
    x = inputs()
    expected = stream.steps(x).numpy()
    stream.reset()
    y = stream.steps(x.numpy())
    assert isinstance(y, np.ndarray) and np.array_equal(y, expected)
    for out in (np.empty_like(expected), torch.empty(STEPS, H)):
        stream.reset()
        assert stream.steps(x, out) is out
        assert np.array_equal(np.asarray(out), expected)
    stream.reset()
    row = array("f", bytes(4 * H))
    assert stream.step(memoryview(x[0].numpy()), out=row) is row
    assert np.array_equal(np.asarray(row), expected[0])


def test_the_state_can_be_read_and_written(stream: "gru_ext._C.Stream") -> None:
    x = inputs()
    stream.steps(x[:5])
    kept = np.array(stream.state)
    after = stream.step(x[5])
    stream.state = kept
    assert torch.equal(stream.step(x[5]), after)
    view = np.asarray(stream.state)
    view[:] = kept
    assert torch.equal(stream.step(x[5]), after)
    del stream  # the view holds it
    assert np.isfinite(view).all()


def test_a_stream_in_two_threads_is_refused(model: torch.nn.GRU) -> None:
    """Steps release the GIL: another thread runs meanwhile, and is told so."""
    stream = gru_ext._C.Stream(gru_ext.pack(model))
    # Tens of milliseconds of work: the loop below begins long before its end, and ends with it.
    x = torch.zeros(200_000, INPUTS)
    thread = threading.Thread(target=stream.steps, args=(x,))
    thread.start()
    refused = 0
    while thread.is_alive():
        try:
            stream.reset()
        except RuntimeError as error:
            assert "another thread is in a step of this stream" in str(error)
            refused += 1
    thread.join()
    assert refused > 0


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda s: s.step(np.zeros(6, np.float32)), ValueError, r"expected x to be of shape \[7\], got \[6\]"),
        (lambda s: s.steps(np.zeros(7, np.float32)), ValueError, r"expected x to be of shape \[any, 7\], got \[7\]"),
        (lambda s: s.step(np.zeros(7)), ValueError, "expected x to be float32, format 'f', got format 'd'"),
        (lambda s: s.step(np.zeros(14, np.float32)[::2]), ValueError, "not C-contiguous"),
        (lambda s: s.step(torch.zeros(7).double()), ValueError, "a contiguous float32 tensor on the CPU, got Double on cpu"),
        (lambda s: s.step(torch.zeros(14)[::2]), ValueError, "got one that is not contiguous"),
        (lambda s: s.step([0.0] * 7), TypeError, "or have the buffer protocol or DLPack, got list"),
        (lambda s: s.step(torch.zeros(7), bytes(4 * H)), BufferError, "not writable"),
        (lambda s: s.step(torch.zeros(7), torch.zeros(5)), ValueError, r"expected out to be of shape \[12\], got \[5\]"),
        (lambda s: s.step(torch.zeros(7, requires_grad=True)), RuntimeError, "Stream has no gradients, but one of x"),
        (lambda s: s.step(np.asarray(s.state)[:7]), ValueError, "x lies in the same memory as the state"),
        (lambda s: s.step(torch.zeros(7), np.asarray(s.state)[12:]), ValueError, "out lies in the same memory as the state"),
        (
            lambda s: setattr(s, "state", np.zeros(3, np.float32)),
            ValueError,
            r"expected state to be of shape \[24\], got \[3\]",
        ),
        (lambda s: gru_ext._C.Stream("nowhere.gru"), FileNotFoundError, "nowhere.gru"),
        (lambda s: gru_ext._C.Stream(b"nonsense"), ValueError, "this is not a .gru file"),
        (lambda s: gru_ext._C.Stream(3), TypeError, "expected str, bytes or os.PathLike object, not int"),
    ],
)
def test_errors(call: object, error: type[Exception], text: str, stream: "gru_ext._C.Stream") -> None:
    with pytest.raises(error, match=text):
        call(stream)
