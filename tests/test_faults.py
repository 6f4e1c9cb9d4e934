"""Mistakes that slow proofs plant still have a place in the sources: code moves, and nobody runs those proofs every day."""

import cuda_faults
import kernel_faults
import pytest
import stream_faults
from commands import ROOT, place_of

CSRC = ROOT / "csrc"
PLACES = {
    "cuda": [(CSRC / "cuda" / "kernels", name, text) for (name, _), text, *_ in cuda_faults.FAULTS.values()],
    "kernels": [(CSRC, name, text) for name, text, *_ in kernel_faults.FAULTS.values()],
    "stream": [(CSRC, name, text) for name, text, *_ in stream_faults.FAULTS.values()],
}


@pytest.mark.parametrize("faults", PLACES)
def test_every_fault_can_be_planted(faults: str) -> None:
    for root, name, text in PLACES[faults]:
        if text:
            assert place_of(root, name, text)
