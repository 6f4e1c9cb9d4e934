"""From a GRU node of an ONNX model. The onnx package is imported when it is needed."""

import os
from typing import Any, Optional, Union

import torch
from torch import Tensor

from ..stack import GRUStack, GRUWeights
from .agreement import check_agreement, zrh_step, zrh_to_rzn


def from_onnx(model: Union[str, "os.PathLike[str]", Any], node: Optional[str] = None) -> GRUStack:
    """The weights of one GRU node of an ONNX model: gates from z, r, h to r, z, n.

    The equations are those of the operator (https://onnx.ai/onnx/operators/onnx__GRU.html) in one direction with its default
    activations, layout 0 and no clipping. With ``linear_before_reset=0``, the default, the result can be no ``GRUCell``: it
    says ``reset_before=True``, and its ``cells()`` are :class:`gru_ext.ResetBeforeGRUCell`. ``sequence_lens`` and ``initial_h``
    are arguments of a call and left out.

    Args:
        model: an ``onnx.ModelProto`` or the path of one.
        node: the name of the GRU node, or of its first output that has a name; may be None where the graph has one GRU node.

    Returns:
        One layer.

    Raises:
        ImportError: the onnx package is missing.
        ValueError: the graph has no such node, or several and none was named; an attribute has another value than said above; a
            weight is not a constant of the graph, has another shape or is not finite.
        RuntimeError: the self-check failed.
    """
    import onnx

    graph = (model if isinstance(model, onnx.ModelProto) else onnx.load(model)).graph
    chosen = _node(graph, node)
    name = _names(chosen)[0]
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in chosen.attribute}
    _check_attributes(attributes, name)
    constants = _constants(graph)
    inputs = dict(zip(("X", "W", "R", "B"), chosen.input, strict=False))

    def weight(role: str) -> Tensor:
        if inputs[role] not in constants:
            raise ValueError(
                f"{name}: {role} must be a constant of the graph, got {inputs[role]!r}, which is computed or an input"
            )
        return torch.tensor(onnx.numpy_helper.to_array(constants[inputs[role]]))

    w, r = weight("W"), weight("R")
    b = weight("B") if inputs.get("B") else None
    _check_shapes(w, r, b, attributes.get("hidden_size"), name)
    b_input, b_recurrent = (None, None) if b is None else b[0].chunk(2)
    ordered = [None if t is None else zrh_to_rzn(t) for t in (w[0], r[0], b_input, b_recurrent)]
    reset_after = attributes.get("linear_before_reset", 0) != 0
    stack = GRUStack((GRUWeights(*ordered),), reset_before=not reset_after)
    step = zrh_step(w[0].t(), r[0].t(), b_input, b_recurrent, reset_after)
    check_agreement(stack, lambda x, before: [step(x, before[0])], f"from_onnx: {name}")
    return stack


def _names(node: Any) -> list[str]:
    """By what a node may be called: its own name is optional in ONNX, that of an output is not."""
    return [name for name in (node.name, *node.output) if name]


def _node(graph: Any, name: Optional[str]) -> Any:
    nodes = [node for node in graph.node if node.op_type == "GRU" and node.domain in ("", "ai.onnx")]
    there = ", ".join(_names(node)[0] for node in nodes) or "none"
    if name is None and len(nodes) == 1:
        return nodes[0]
    if name is None:
        raise ValueError(f"node must name one GRU node, unless the graph has exactly one; it has: {there}")
    found = [node for node in nodes if name in _names(node)]
    if len(found) != 1:
        raise ValueError(f"node must be the name of one GRU node, got {name!r}; the graph has: {there}")
    return found[0]


def _check_attributes(attributes: dict[str, Any], name: str) -> None:
    direction = attributes.get("direction", b"forward").decode()
    if direction != "forward":
        raise ValueError(f"{name}: direction must be forward, got {direction}: a stream does not know what comes later")
    activations = [activation.decode() for activation in attributes.get("activations", [])]
    if [activation.lower() for activation in activations] not in ([], ["sigmoid", "tanh"]):
        raise ValueError(f"{name}: activations must be Sigmoid, Tanh, got {', '.join(activations)}")
    for attribute in ("clip", "activation_alpha", "activation_beta"):
        if attribute in attributes:
            raise ValueError(f"{name}: {attribute} must be absent, got {attributes[attribute]}")
    if attributes.get("layout", 0) != 0:
        raise ValueError(f"{name}: layout must be 0, got {attributes['layout']}")


def _constants(graph: Any) -> dict[str, Any]:
    """Tensors by name: the initializers that no caller can override, and the values of Constant nodes."""
    overridable = {value.name for value in graph.input}
    found = {tensor.name: tensor for tensor in graph.initializer if tensor.name not in overridable}
    for node in graph.node:
        if node.op_type == "Constant":
            found.update((node.output[0], attribute.t) for attribute in node.attribute if attribute.name == "value")
    return found


def _check_shapes(w: Tensor, r: Tensor, b: Optional[Tensor], hidden_size: Optional[int], name: str) -> None:
    h = r.size(-1) if hidden_size is None else hidden_size
    if list(r.shape) != [1, 3 * h, h]:
        raise ValueError(f"{name}: R must be [1, 3H, H] with H = {h}, got {list(r.shape)}")
    if w.dim() != 3 or list(w.shape[:2]) != [1, 3 * h]:
        raise ValueError(f"{name}: W must be [1, 3H, I] with 3H = {3 * h}, got {list(w.shape)}")
    if b is not None and list(b.shape) != [1, 6 * h]:
        raise ValueError(f"{name}: B must be [1, 6H] with 6H = {6 * h}, got {list(b.shape)}")
