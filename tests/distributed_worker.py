"""What each of two processes does in test_distributed.py: one training step, alone on the whole batch, together on halves."""

import copy
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from rollout import H, I, Rollout, T
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_module, distribute_tensor

import gru_ext

WORLD = 2
ROWS = 6  # of the whole batch, halved between the processes

# Of a scenario: the gradients of each parameter, or the state after each step, together and alone.
Result = list[tuple[Tensor, Tensor]]


def draw(dtype: torch.dtype = torch.float64) -> tuple[Rollout, Tensor, Tensor]:
    """The same model and whole batch in every process."""
    torch.manual_seed(1)
    model = Rollout(gru_ext.GRUCell(I, H)).to(dtype)
    return model, torch.randn(T, ROWS, I, dtype=dtype), torch.randn(ROWS, H, dtype=dtype)


def loss_of(states: Tensor) -> Tensor:
    return states.square().mean()


def alone(model: nn.Module, x: Tensor, h: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss_of(model(x, h)), list(model.parameters())))


def half(rank: int) -> slice:
    return slice(rank * ROWS // WORLD, (rank + 1) * ROWS // WORLD)


def ddp(rank: int, mesh: DeviceMesh, **options: bool) -> Result:
    model, x, h = draw()
    expected = alone(model, x, h)
    parallel = nn.parallel.DistributedDataParallel(model, **options)
    for _ in range(3):  # a static graph is learnt in the first pass and used in the others
        parallel.zero_grad()
        loss_of(parallel(x[:, half(rank)], h[half(rank)])).backward()
    return list(zip([p.grad for p in model.parameters()], expected, strict=True))


def ddp_static_graph(rank: int, mesh: DeviceMesh) -> Result:
    return ddp(rank, mesh, static_graph=True)


def fsdp(rank: int, mesh: DeviceMesh) -> Result:
    model, x, h = draw()
    expected = alone(model, x, h)
    fully_shard(model.cell, mesh=mesh)
    fully_shard(model, mesh=mesh)
    assert all(isinstance(p, DTensor) and p.to_local().shape[0] == 3 * H // WORLD for p in model.parameters())
    loss_of(model(x[:, half(rank)], h[half(rank)])).backward()
    return list(zip([p.grad.full_tensor() for p in model.parameters()], expected, strict=True))


def fsdp_bf16(rank: int, mesh: DeviceMesh) -> Result:
    """Computation in bfloat16, parameters and reduced gradients in float32; alone: the same cell in bfloat16 on each half."""
    model, x, h = draw(torch.float32)
    low = copy.deepcopy(model).bfloat16()
    halves = [alone(low, x[:, half(r)].bfloat16(), h[half(r)].bfloat16()) for r in range(WORLD)]
    expected = [torch.stack(grads).float().mean(0) for grads in zip(*halves, strict=True)]
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    states = model(x[:, half(rank)], h[half(rank)])
    assert states.dtype == torch.bfloat16
    loss_of(states).backward()
    return list(zip([p.grad.full_tensor() for p in model.parameters()], expected, strict=True))


def dtensor(mesh: DeviceMesh, rows: object, weights: object) -> Result:
    """The arguments placed as `rows`, the parameters as `weights`."""
    model, x, h = draw()
    expected = alone(model, x, h)

    def place(name: str, module: nn.Module, mesh: DeviceMesh) -> None:
        for key, parameter in list(module.named_parameters(recurse=False)):
            module.register_parameter(key, nn.Parameter(distribute_tensor(parameter.detach(), mesh, [weights])))

    model = distribute_module(model, mesh, place)
    # The backward of one step alone returns no gradient of the state: DTensor may not remember that for other steps.
    loss_of(steps(model.cell, x[:1], h, mesh, rows)[0]).backward()
    model.zero_grad()
    states = torch.stack(steps(model.cell, x, h, mesh, rows))
    assert isinstance(states, DTensor)
    loss_of(states).backward()
    return list(zip([p.grad.full_tensor() for p in model.parameters()], expected, strict=True))


def steps(cell: nn.Module, x: Tensor, h: Tensor, mesh: DeviceMesh, rows: object) -> list[Tensor]:
    states = [distribute_tensor(h, mesh, [rows])]
    for rows_of_step in x:
        states.append(cell(distribute_tensor(rows_of_step, mesh, [rows]), states[-1]))
    return states[1:]


def dtensor_rows(rank: int, mesh: DeviceMesh) -> Result:
    return dtensor(mesh, Shard(0), Replicate())


def dtensor_replicated(rank: int, mesh: DeviceMesh) -> Result:
    return dtensor(mesh, Replicate(), Replicate())


def dtensor_weights(rank: int, mesh: DeviceMesh) -> Result:
    return dtensor(mesh, Replicate(), Shard(0))


def dtensor_features(rank: int, mesh: DeviceMesh) -> Result:
    return dtensor(mesh, Shard(1), Replicate())


def dtensor_inference(rank: int, mesh: DeviceMesh) -> Result:
    """Without gradients another op runs; without biases it has fewer arguments to place."""
    _, x, h = draw()
    cell = gru_ext.GRUCell(I, H, bias=False, dtype=x.dtype)
    with torch.no_grad():
        expected = Rollout(cell)(x, h)
        states = steps(distribute_module(cell, mesh), x, h, mesh, Shard(0))
    return [(state.full_tensor(), exact) for state, exact in zip(states, expected, strict=True)]


SCENARIOS: dict[str, Callable[[int, DeviceMesh], Result]] = {
    scenario.__name__: scenario
    for scenario in (
        ddp,
        ddp_static_graph,
        fsdp,
        fsdp_bf16,
        dtensor_rows,
        dtensor_replicated,
        dtensor_weights,
        dtensor_features,
        dtensor_inference,
    )
}


def work(rank: int, folder: str) -> None:
    """Runs every scenario and leaves its result, or its traceback, in a file: one that fails does not hide the others."""
    torch.set_num_threads(1)
    rendezvous = f"file://{folder}/rendezvous"
    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=WORLD, timeout=timedelta(seconds=60))
    mesh = init_device_mesh("cpu", (WORLD,))
    results: dict[str, object] = {}
    for name, scenario in SCENARIOS.items():
        try:
            results[name] = [(together.detach(), single) for together, single in scenario(rank, mesh)]
        except Exception:
            results[name] = traceback.format_exc()
    torch.save(results, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
