"""Saves a GRU of two layers with random weights, and random inputs: `python save_model.py MODEL.gru INPUTS.txt [WEIGHTS]`."""

import sys

import torch

import gru_ext

INPUTS, UNITS, STEPS = 3, 4, 5


def main() -> None:
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    torch.manual_seed(0)
    gru_ext.save_stream(torch.nn.GRU(INPUTS, UNITS, num_layers=2), sys.argv[1], *sys.argv[3:])
    with open(sys.argv[2], "w") as file:
        for row in torch.randn(STEPS, INPUTS).tolist():
            print(*row, file=file)


if __name__ == "__main__":
    main()
