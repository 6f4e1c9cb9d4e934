"""From Keras: its documented equations in numpy, always; Keras itself, where it is installed."""

import importlib.util
import os
from types import SimpleNamespace

import pytest
import torch

import gru_ext
from gru_ext.convert import from_keras

np = pytest.importorskip("numpy", reason="needs numpy")

I, H = 3, 4  # noqa: E741 (the project's names)
N, T = 2, 6


def keras_step(x, h, kernel, recurrent_kernel, bias, reset_after: bool):
    """keras.layers.GRUCell in float64, gate by gate, from its documentation: z, r, h; `reset_after` has two biases."""
    size = len(recurrent_kernel)
    of_gate = [slice(gate * size, (gate + 1) * size) for gate in range(3)]
    if bias is None:
        b_input, b_recurrent = np.zeros(3 * size), np.zeros(3 * size)
    else:
        b_input, b_recurrent = bias if reset_after else (bias, np.zeros(3 * size))

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    def from_x(gate):
        return x @ kernel[:, of_gate[gate]] + b_input[of_gate[gate]]

    def from_h(state, gate):
        return state @ recurrent_kernel[:, of_gate[gate]] + b_recurrent[of_gate[gate]]

    z = sigmoid(from_x(0) + from_h(h, 0))
    r = sigmoid(from_x(1) + from_h(h, 1))
    candidate = np.tanh(from_x(2) + (r * from_h(h, 2) if reset_after else from_h(r * h, 2)))
    return z * h + (1 - z) * candidate


def weights(reset_after: bool, use_bias: bool = True) -> list:
    generator = np.random.default_rng(0)
    shapes = [(I, 3 * H), (H, 3 * H), (2, 3 * H) if reset_after else (3 * H,)]
    return [generator.uniform(-1, 1, shape).astype("float32") for shape in shapes[: 2 + use_bias]]


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("reset_after", [True, False])
def test_like_the_documented_equations(reset_after: bool, use_bias: bool) -> None:
    arrays = weights(reset_after, use_bias)
    stack = from_keras(arrays, reset_after=None if use_bias else reset_after)
    assert stack.reset_before is not reset_after
    (cell,) = stack.cells()
    assert type(cell) is (gru_ext.GRUCell if reset_after else gru_ext.ResetBeforeGRUCell)
    assert cell.weight_ih.dtype == torch.float32
    cell = cell.double()
    x, h = np.random.default_rng(1).normal(size=(T, N, I)), np.zeros((N, H))
    state = torch.zeros(N, H, dtype=torch.float64)
    exact = [*(array.astype("float64") for array in arrays), None][:3]
    for x_t in x:
        h = keras_step(x_t, h, *exact, reset_after)
        state = cell(torch.from_numpy(x_t), state)
        # Sums of nine terms below 3, T steps: a few hundred roundings, were they of one sign.
        np.testing.assert_allclose(state.detach().numpy(), h, rtol=0, atol=300 * np.finfo("float64").eps)


def layer(cell_only: bool = False, **options) -> SimpleNamespace:
    """What from_keras looks at in a layer."""
    activations = {name: SimpleNamespace(__name__=options.pop(name, usual)) for name, usual in _USUAL.items()}
    cell = SimpleNamespace(reset_after=options.pop("reset_after", True), **activations)
    cell.get_weights = lambda: options.get("weights", weights(cell.reset_after))
    return cell if cell_only else SimpleNamespace(cell=cell, go_backwards=options.pop("go_backwards", False))


_USUAL = {"activation": "tanh", "recurrent_activation": "sigmoid"}


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("cell_only", [True, False])
def test_layer_object(cell_only: bool, reset_after: bool) -> None:
    found, expected = from_keras(layer(cell_only, reset_after=reset_after)), from_keras(weights(reset_after))
    assert found.reset_before == expected.reset_before
    for ours, theirs in zip(found.layers[0].items(), expected.layers[0].items(), strict=True):
        assert ours[0] == theirs[0] and torch.equal(ours[1], theirs[1])


@pytest.mark.parametrize(
    ("source", "reset_after", "error", "text"),
    [
        (
            lambda: layer(recurrent_activation="hard_sigmoid"),
            None,
            ValueError,
            "recurrent_activation must be sigmoid, got hard_",
        ),
        (lambda: layer(activation="relu"), None, ValueError, "activation must be tanh, got relu"),
        (lambda: layer(go_backwards=True), None, ValueError, "go_backwards must be False"),
        (lambda: layer(weights=[]), None, ValueError, "got 0 arrays: is the layer built"),
        (lambda: layer(), False, ValueError, "reset_after=False contradicts the layer"),
        (lambda: layer(weights=weights(False)), None, ValueError, r"reset_after=True contradicts a bias of shape \[12\]"),
        (lambda: weights(True), False, ValueError, r"reset_after=False contradicts a bias of shape \[2, 12\]"),
        (lambda: weights(True, use_bias=False), None, ValueError, "reset_after must be given"),
        (lambda: [w.T for w in weights(True)], None, ValueError, r"recurrent_kernel must be \[H, 3H\], got \[12, 4\]"),
        (lambda: [np.zeros((I, 9)), np.zeros((H, 12))], True, ValueError, r"kernel must be \[I, 3H\] with 3H = 12.*\[3, 9\]"),
        (lambda: [*weights(True, False), np.zeros((1, 12))], None, ValueError, r"bias must be .*got \[1, 12\]"),
        (lambda: object(), None, TypeError, "source must be a Keras GRU or GRUCell or its weights, got object"),
    ],
)
def test_refused(source, reset_after, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        from_keras(source(), reset_after)


@pytest.mark.parametrize("number", [np.inf, np.nan])
def test_weights_that_are_not_finite(number: float) -> None:
    arrays = weights(True)
    arrays[0][1, 2] = number
    with pytest.raises(ValueError, match="from_keras: layer 0: w_ih must be finite"):
        from_keras(arrays)


@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="needs the keras package")
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("as_cell", [True, False])
def test_like_keras(as_cell: bool, reset_after: bool, use_bias: bool) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    options = {"reset_after": reset_after, "use_bias": use_bias, "bias_initializer": "random_normal", "seed": 0}
    x = np.random.default_rng(1).normal(size=(N, T, I)).astype("float32")
    if as_cell:
        source = keras.layers.GRUCell(H, **options)
        expected = keras.ops.convert_to_numpy(keras.layers.RNN(source, return_sequences=True)(x))
    else:
        source = keras.layers.GRU(H, return_sequences=True, **options)
        expected = keras.ops.convert_to_numpy(source(x))
    stream = gru_ext.StreamingGRU(from_keras(source), batch_size=N)
    with torch.no_grad():
        found = torch.stack([stream(torch.from_numpy(x[:, t])) for t in range(T)], dim=1)
    # Two float32 computations of T steps, a few epsilons each (tests/tolerances.py).
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=2 * T * 5 * np.finfo("float32").eps)


@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="needs the keras package")
def test_keras_layers_that_are_refused() -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    x = np.zeros((N, T, I), dtype="float32")
    for options, text in [
        ({"recurrent_activation": "hard_sigmoid"}, "got hard_sigmoid"),
        ({"activation": None}, "activation must be tanh, got linear"),
        ({"go_backwards": True}, "go_backwards"),
    ]:
        source = keras.layers.GRU(H, **options)
        source(x)
        with pytest.raises(ValueError, match=text):
            from_keras(source)
    with pytest.raises(ValueError, match="is the layer built"):
        from_keras(keras.layers.GRU(H))
    for other in (keras.layers.LSTM(H), keras.layers.Bidirectional(keras.layers.GRU(H))):
        other(x)
        with pytest.raises(TypeError, match="source must be a Keras GRU"):
            from_keras(other)
