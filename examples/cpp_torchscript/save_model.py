"""Writes what the C++ program reads: `python save_model.py MODEL.pt BATCH.pt [PACKED.pt]`."""

import sys
from typing import Optional

import torch
from torch import Tensor, nn

import gru_ext


class Classifier(nn.Module):
    """A cell that walks over T steps, and a linear layer on its last state."""

    def __init__(self, input_size: int, hidden_size: int, classes: int) -> None:
        super().__init__()
        self.cell = gru_ext.GRUCell(input_size, hidden_size)
        self.head = nn.Linear(hidden_size, classes)

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, T, I]; returns logits [N, classes]."""
        h = torch.zeros(x.size(0), self.cell.hidden_size, dtype=x.dtype, device=x.device)
        for t in range(x.size(1)):
            h = self.cell(x[:, t], h)
        return self.head(h)


def main(model_path: str, batch_path: str, packed_path: Optional[str] = None) -> None:
    torch.manual_seed(0)
    model = Classifier(input_size=8, hidden_size=33, classes=10)
    torch.jit.script(model).save(model_path)
    torch.save((torch.randn(5, 8, 8), torch.arange(5)), batch_path)
    if packed_path is not None:
        model.cell = gru_ext.pack(model.cell, "int8")
        torch.jit.script(model).save(packed_path)


if __name__ == "__main__":
    main(*sys.argv[1:])
