"""What a peer has to offer."""

import importlib.util
from abc import ABC, abstractmethod
from typing import Any, Optional

import torch
from torch import Tensor, nn

from ..cases import Call, Problem, Step, inference_call, training_call

registered: dict[str, type["Peer"]] = {}


def register(peer: type["Peer"]) -> type["Peer"]:
    """Class decorator: makes a peer known under its name."""
    registered[peer.name] = peer
    return peer


class Peer(ABC):
    """An implementation of the GRU cell. A subclass needs a name and :meth:`step`."""

    #: As it stands in tables and after `--peers`.
    name: str
    #: Measured when `--peers` is not given.
    default = True
    #: Whether autograd differentiates it.
    trains = True
    dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.bfloat16)
    #: Whether it rearranges the weights once, outside what is timed; later changes of them then do not reach it.
    packs = False
    #: Where its arithmetic is coarser than the dtype: the distance of neighbouring numbers, as a share of the largest. Its
    #: results are judged by that instead of the dtype's epsilon, and targets leave it out.
    spacing: Optional[float] = None
    #: Python modules that it needs.
    packages: tuple[str, ...] = ()

    def why_unavailable(self) -> Optional[str]:
        """What is missing to run this peer here, or None."""
        missing = [name for name in self.packages if importlib.util.find_spec(name) is None]
        return f"not installed: {' and '.join(missing)}" if missing else None

    def version(self) -> str:
        """Of the library that does the work."""
        return f"torch {torch.__version__}"

    def start_case(self) -> None:  # noqa: B027 - most peers keep nothing from case to case
        """Called before any peer builds its part of a case: the place to drop caches of the case before."""

    @abstractmethod
    def step(self, cell: nn.GRUCell) -> Step:
        """This peer's version of a cell.

        Args:
            cell: torch's cell, in eval or training mode, of which this one must use the parameters; they do not change.

        Returns:
            (input [N, I], state [N, H]) -> state [N, H], on what :meth:`adopt` makes of tensors. N may differ between calls.
        """

    def adopt(self, tensor: Tensor) -> Any:
        """The peer's own kind of array for a tensor; not timed."""
        return tensor

    def to_torch(self, array: Any) -> Tensor:
        """The inverse of :meth:`adopt`, for the comparison of results; not timed."""
        return array

    def arrange(self, problem: Problem, result: Any) -> Any:
        """What a call of :meth:`build` returned, nested as the calls of :mod:`benchmarks.cases` return it; not timed."""
        return result

    def why_not(self, problem: Problem) -> Optional[str]:
        """Why this peer cannot run a case, or None."""
        if problem.case.mode.trains and not self.trains:
            return "inference only"
        if problem.dtype not in self.dtypes:
            return f"no {str(problem.dtype).removeprefix('torch.')}"
        return None

    def build(self, problem: Problem) -> Call:
        """The call that is timed. Peers with a derivative of their own or a loop of their own override this."""
        steps = [self.step(cell) for cell in problem.cells]
        if problem.case.mode.trains:
            return training_call(problem, steps)
        return inference_call(problem, steps, self.adopt)


class NumpyPeer(Peer):
    """A peer that takes NumPy's arrays, in float32, and has no derivative."""

    trains = False
    dtypes = (torch.float32,)

    def adopt(self, tensor: Tensor) -> Any:
        return tensor.numpy()

    def to_torch(self, array: Any) -> Tensor:
        return torch.from_numpy(array)
