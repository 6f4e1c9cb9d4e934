"""gru_ext's short ways into its op library and its stream library (csrc/python)."""

from os import PathLike
from typing import Any, TypeVar

from torch import ScriptObject, Tensor
from torch.nn import Module

from .packed import PackedGRU

_Floats = TypeVar("_Floats")

def gru_cell(
    input: Tensor, hx: Tensor | None, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None, /
) -> Tensor:
    """The op, or NotImplemented where only ``torch.ops`` will do: subclasses, proxies, function modes, ``torch.jit.trace``."""

def cell_forward(cell: Module, input: Tensor, hx: Tensor | None, /) -> Tensor:
    """`gru_cell` with the weights in ``cell._parameters``; NotImplemented also where one of them is not there."""

def cell_call(cell: Module, args: tuple[Any, ...], kwargs: dict[str, Any], /) -> Tensor:
    """What ``torch.nn.Module.__call__`` does with these arguments where it would do nothing but call ``GRUCell.forward``.

    NotImplemented where there are hooks, keywords or another ``forward``, and where `cell_forward` is.
    """

def cell_class(cell_class: type[Module], /) -> None:
    """The class whose ``forward`` `cell_call` stands for."""

def packed_step(packed: ScriptObject, x: Tensor, h: Tensor | None, out: Tensor | None, /) -> Tensor:
    """The op `packed_step`, with `out` its overload of that name, or NotImplemented where only ``torch.ops`` will do."""

class Stream:
    """One stream of a packed model: S numbers of state, zeros at first, and steps of I inputs and H outputs.

    Numbers are float32 in C order on the CPU, in a tensor, a NumPy array or what has the buffer protocol or DLPack; nothing is
    copied. Steps release the GIL. Models are shared by any number of streams; a stream is for one thread at a time.

    Args:
        source: what `gru_ext.pack` returned, the path of a .gru file, or its bytes.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is not a .gru file or is damaged; in steps, a shape, dtype, order or overlap that does not fit.
        BufferError: `out` is read-only.
        TypeError: an argument lends no memory.
        RuntimeError: another thread is in a step of this stream, or x requires grad.
    """

    def __init__(self, source: PackedGRU | ScriptObject | str | PathLike[str] | bytes) -> None: ...
    def step(self, x: Any, out: _Floats = ...) -> _Floats:
        """x [I] -> [H], in `out` or, where it is None, in fresh memory: a tensor where x is one, else a NumPy array."""

    def steps(self, x: Any, out: _Floats = ...) -> _Floats:
        """x [T, I] -> [T, H], the same bits as T steps, and quicker."""

    def reset(self) -> None:
        """Back to a state of zeros."""

    @property
    def state(self) -> memoryview:
        """[S], the states of the layers one after the other: the memory itself, to read and to write between steps."""

    @state.setter
    def state(self, h: Any) -> None:
        """Copies h, S numbers of any shape."""

    @property
    def input_size(self) -> int: ...
    @property
    def output_size(self) -> int: ...
    @property
    def level(self) -> str:
        """The instruction set that the weights were packed for."""
