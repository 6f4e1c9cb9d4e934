"""The cells that are compared on a GPU."""

import dataclasses

import torch
from torch import Tensor, nn

from ..cases import Call, Problem, Step, inference_call, training_call
from ..peers import all_peers
from ..peers.peer import Peer
from ..peers.torch_compile import PlainCell

REFERENCE, OURS, COMPILED, LAYER = "nn.GRUCell", "gru_ext.GRUCell", "torch.compile", "nn.GRU"


class ReduceOverhead(Peer):
    """The cell's equations in plain operations, compiled, and recorded as CUDA graphs by the compiler."""

    name = COMPILED
    dtypes = (torch.float32, torch.bfloat16, torch.float16)

    def start_case(self) -> None:
        torch._dynamo.reset()

    def step(self, cell: nn.GRUCell) -> Step:
        return torch.compile(PlainCell(cell), mode="reduce-overhead", fullgraph=True)


class OneStepLayer(Peer):
    """nn.GRU on sequences of one step, with weights of its own in the layout that its library wants."""

    name = LAYER
    dtypes = (torch.float32, torch.bfloat16, torch.float16)

    def step(self, cell: nn.GRUCell) -> Step:
        raise NotImplementedError("the layer has its own parameters: see build")

    def build(self, problem: Problem) -> Call:
        (cell,) = problem.cells
        layer = nn.GRU(cell.input_size, cell.hidden_size, bias=cell.bias)
        layer.to(cell.weight_ih).train(problem.case.mode.trains)
        layer.load_state_dict({f"{name}_l0": tensor for name, tensor in cell.state_dict().items()})
        layer.flatten_parameters()

        def step(x: Tensor, h: Tensor) -> Tensor:
            return layer(x.unsqueeze(0), h.unsqueeze(0))[1].squeeze(0)

        own = dataclasses.replace(problem, cells=[layer])
        return training_call(own, [step]) if problem.case.mode.trains else inference_call(own, [step])


def peers() -> dict[str, Peer]:
    """By name, the reference first."""
    cpu = all_peers()
    found = [cpu[REFERENCE], cpu[OURS], ReduceOverhead(), OneStepLayer()]
    return {peer.name: peer for peer in found}
