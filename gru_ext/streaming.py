"""A GRU that keeps its own state from one call to the next."""

from typing import Any, Optional

import torch
from torch import Tensor, nn

from .layers import cells_of
from .stack import Cell


class StreamingGRU(nn.Module):
    """GRU layers that keep their state, one step a call: for policies, agents, audio.

    The state is the buffer ``hidden_state``; each call overwrites it in place. So a program that loads the scripted or exported
    module calls ``forward(x)`` and ``reset()`` and has no state to hand around.

    **Sharing.** The cells hold the very parameters of ``model``: training either trains both. ``copy.deepcopy`` first for
    weights of its own.

    **Gradients.** The state is data: it carries no graph from one call to the next. A gradient reaches the input and the
    weights of its own step and ends at the state that the step began with: truncated backpropagation of one step. To train
    through time, train the cells or ``torch.nn.GRU``. ``train()`` and ``eval()`` change nothing. Call it under
    ``torch.no_grad()`` or ``torch.inference_mode()`` where no gradient is wanted: with gradients each step copies the state
    that it starts from.

    **Copies and files.** ``copy.deepcopy`` and pickle take the state along: the copy goes on where the original is.
    ``state_dict`` holds the weights alone, because a checkpoint should fit any number of streams. ``torch.jit.save`` and
    ``torch.export.save`` store the state as it is then: call ``reset()`` first. ONNX has no state between calls: exporting to
    it is a RuntimeError.

    Args:
        model: what :func:`gru_ext.save_stream` takes too: a :class:`gru_ext.GRUCell`, ``torch.nn.GRUCell``, ``torch.nn.GRU`` of
            one direction, :class:`gru_ext.ResetBeforeGRUCell`, :class:`gru_ext.GRUStack`, or a sequence of them.
        batch_size: N, the number of streams.

    Shape:
        - x: ``[N, I]``, or ``[I]`` where N is 1
        - returns: ``[N, H]`` or ``[H]``, the new state of the last layer, in memory of its own
        - hidden_state: ``[num_layers, N, H]``, as that of ``torch.nn.GRU``

    Raises:
        TypeError: the model is nothing that has such layers.
        ValueError: in the constructor, the model's layers do not fit on each other or have hidden sizes that differ (chain
            several of these modules in ``torch.nn.Sequential`` then); in ``forward``, x has another number of rows than there
            are streams; in ``reset``, the mask has another shape or the batch_size is negative.

    Example::

        >>> policy = gru_ext.StreamingGRU(torch.nn.GRU(48, 256), batch_size=4096)
        >>> with torch.inference_mode():
        ...     y = policy(observations)
        ...     policy.reset(dones)
    """

    hidden_state: Tensor

    def __init__(self, model: Any, batch_size: int = 1) -> None:
        super().__init__()
        cells = cells_of(model)
        _check_layers(cells)
        self.cells = nn.ModuleList(cells)
        self.input_size: int = cells[0].input_size
        self.hidden_size: int = cells[0].hidden_size
        self.num_layers: int = len(cells)
        weight = cells[0].weight_hh
        state = torch.zeros(self.num_layers, _checked(batch_size), self.hidden_size, dtype=weight.dtype, device=weight.device)
        self.register_buffer("hidden_state", state, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not torch.jit.is_scripting():
            _refuse_onnx()
        if x.dim() not in (1, 2):
            raise ValueError(f"StreamingGRU: expected x to be [N, {self.input_size}] or [{self.input_size}], got {x.dim()}D")
        state = self.hidden_state
        rows = x if x.dim() == 2 else x.unsqueeze(0)
        if rows.size(0) != state.size(1):
            raise ValueError(
                f"StreamingGRU: x has {rows.size(0)} rows, hidden_state holds {state.size(1)} streams: "
                f"call reset(batch_size={rows.size(0)}) to begin that many"
            )
        recording = torch.is_grad_enabled()
        # A step keeps the state that it began with for its backward, and hidden_state is about to be overwritten.
        before = (state.clone() if recording else state).unbind(0)
        y = rows
        states: list[Tensor] = []
        for i, cell in enumerate(self.cells):
            y = cell(y, before[i])
            states.append(y)
        # After all layers: where one fails, no state has changed.
        if recording:
            state.copy_(torch.stack(states).detach())
        else:
            for h, new in zip(before, states):  # noqa: B905 (TorchScript's zip has no `strict`)
                h.copy_(new)
        return y if x.dim() == 2 else y.squeeze(0)

    @torch.jit.export
    def reset(self, mask: Optional[Tensor] = None, batch_size: Optional[int] = None) -> None:
        """Sets states to zero.

        Args:
            mask: ``[N]``, of any real dtype: the streams where it is not zero begin anew (`dones`); all of them where None.
            batch_size: the number of streams from now on, all at their beginning; as before where None. It makes a new
                ``hidden_state``, the other uses work in place.
        """
        if batch_size is not None:
            if mask is not None:
                raise ValueError("StreamingGRU.reset: give mask or batch_size, not both: a new batch begins at zero")
            self.hidden_state = _zeros_like(self.hidden_state, _checked(batch_size))
        elif mask is not None:
            if mask.dim() != 1 or mask.size(0) != self.hidden_state.size(1):
                raise ValueError(f"StreamingGRU.reset: mask must be [{self.hidden_state.size(1)}], got {mask.shape}")
            self.hidden_state.masked_fill_((mask != 0).view(1, -1, 1), 0.0)
        else:
            self.hidden_state.zero_()

    def extra_repr(self) -> str:
        return f"batch_size={self.hidden_state.size(1)}"


@cells_of.register
def _(model: StreamingGRU) -> list[Cell]:
    return list(model.cells)


def _refuse_onnx() -> None:
    """Both ONNX exporters would write zeros for the state, and the file would forget it between calls without a word."""
    if (torch.compiler.is_exporting() or torch.jit.is_tracing()) and exporting_to_onnx():
        raise RuntimeError(
            "StreamingGRU: ONNX keeps no state between calls: export torch.nn.GRU, or a module of cells that takes the "
            "state as an argument and returns it"
        )


def exporting_to_onnx() -> bool:
    """Dynamo calls it instead of looking into it (dynamo.py): the newer exporter falls back on Dynamo where it is refused."""
    return torch.onnx.is_in_onnx_export()


def _check_layers(cells: list[Cell]) -> None:
    if not cells:
        raise ValueError("StreamingGRU: model must have one layer at least, got none")
    hidden_size = cells[0].hidden_size
    for i, cell in enumerate(cells):
        if cell.hidden_size != hidden_size:
            raise ValueError(
                f"StreamingGRU: all layers must have the hidden_size {hidden_size} of the first, because hidden_state is "
                f"[num_layers, N, H], got {cell.hidden_size} in layer {i}: chain several StreamingGRU in torch.nn.Sequential"
            )
        if i > 0 and cell.input_size != hidden_size:
            raise ValueError(
                f"StreamingGRU: layer {i} must have the input_size {hidden_size}, the hidden_size of the layer below, "
                f"got {cell.input_size}"
            )


def _checked(batch_size: int) -> int:
    if batch_size < 0:
        raise ValueError(f"StreamingGRU: batch_size must be 0 or more, got {batch_size}")
    return batch_size


def _zeros_like(state: Tensor, batch_size: int) -> Tensor:
    """A state for so many streams."""
    shape = [state.size(0), batch_size, state.size(2)]
    if torch.jit.is_scripting():
        return state.new_zeros(shape)
    # A buffer that was born in inference mode could not be written to outside of it.
    with torch.inference_mode(False):
        return state.new_zeros(shape)
