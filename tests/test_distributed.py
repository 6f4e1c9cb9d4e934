"""Two processes over gloo on this machine: their common result is that of one process with the whole batch."""

from pathlib import Path

import pytest
import torch
from distributed_worker import SCENARIOS, WORLD, Result, work

pytestmark = pytest.mark.skipif(
    not (torch.distributed.is_available() and torch.distributed.is_gloo_available()), reason="this torch has no gloo"
)
# FSDP under a bfloat16 policy sums what each process rounded to bfloat16; all else is float64.
EPS = {"fsdp_bf16": torch.finfo(torch.bfloat16).eps}
# torch's own cell cannot do this: it writes in place into a partial sum.
BEYOND_TORCH = {"dtensor_features"}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Result]]:
    """Of each process. All scenarios run in one pair of processes: starting them takes longer than the scenarios."""
    folder = tmp_path_factory.mktemp("processes")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GLOO_SOCKET_IFNAME", "lo")
        torch.multiprocessing.spawn(work, args=(str(folder),), nprocs=WORLD)
    return [torch.load(Path(folder) / f"{rank}.pt") for rank in range(WORLD)]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.compiled] if name in BEYOND_TORCH else []) for name in SCENARIOS]
)
def test_equal_to_one_process(name: str, results: list[dict[str, Result]]) -> None:
    eps = EPS.get(name, 1e-12)
    for rank in range(WORLD):
        result = results[rank][name]
        assert not isinstance(result, str), f"process {rank}: {result}"
        assert len(result) == 4  # parameters, or steps
        for together, alone in result:
            assert alone.abs().max() > 0
            torch.testing.assert_close(together, alone, rtol=0, atol=eps * alone.abs().max().item())
