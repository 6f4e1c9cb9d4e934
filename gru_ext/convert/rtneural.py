"""To RTNeural's JSON."""

from typing import Any

import torch
from torch import Tensor

from ..layers import stack_of
from ..stack import GRUStack
from .agreement import Step, check_agreement, zrh_step, zrh_to_rzn


def to_rtneural(model: Any) -> dict[str, Any]:
    """A model as RTNeural reads it: ``json.dump`` of the result is a file for ``RTNeural::json_parser::parseJson``.

    RTNeural's GRU has the layout of Keras (gates z, r, h; inputs times weights; two biases) and the reset gate after the
    product. Its other reader, ``torch_helpers::loadGRU``, takes the ``state_dict`` of a one-layer ``torch.nn.GRU`` and silently
    reads only the first layer of more; here every layer is an entry of its own.

    Args:
        model: what :func:`gru_ext.save_stream` takes; with the reset gate after the product.

    Returns:
        A dict of plain values: ``in_shape`` ``[None, None, I]``, and ``layers``, bottom first, each with ``type`` "gru",
        ``activation`` "", ``shape`` ``[None, None, H]`` and ``weights``: kernel ``[I, 3H]``, recurrent kernel ``[H, 3H]`` and
        bias ``[2, 3H]``, zeros where there is none.

    Raises:
        TypeError, ValueError: the model has no such layers, or has its reset gate before the product, which RTNeural cannot,
            or a weight is not finite.
        RuntimeError: the self-check failed.
    """
    stack = stack_of(model)
    if stack.reset_before:
        raise ValueError("RTNeural has no GRU whose reset gate acts before the product (reset_before=True)")
    description = {"in_shape": [None, None, stack.layers[0].input_size], "layers": _layers(stack)}
    check_agreement(stack, _step_of(description), "to_rtneural")
    return description


def _layers(stack: GRUStack) -> list[dict[str, Any]]:
    layers = []
    for layer in stack.layers:
        none = torch.zeros(3 * layer.hidden_size, dtype=layer.w_hh.dtype)
        biases = [none if bias is None else bias for bias in (layer.b_ih, layer.b_hh)]
        weights = [
            zrh_to_rzn(layer.w_ih).t().tolist(),
            zrh_to_rzn(layer.w_hh).t().tolist(),
            [zrh_to_rzn(bias).tolist() for bias in biases],
        ]
        layers.append({"type": "gru", "activation": "", "shape": [None, None, layer.hidden_size], "weights": weights})
    return layers


def _step_of(description: dict[str, Any]) -> Step:
    """RTNeural's equations on the numbers of the description."""
    steps = []
    for layer in description["layers"]:
        kernel, recurrent, bias = (torch.tensor(numbers, dtype=torch.float64) for numbers in layer["weights"])
        steps.append(zrh_step(kernel, recurrent, bias[0], bias[1], reset_after=True))

    def step(x: Tensor, before: list[Tensor]) -> list[Tensor]:
        after = []
        for one, h in zip(steps, before, strict=True):
            x = one(x, h)
            after.append(x)
        return after

    return step
