"""How long a step of the torch-free stream library takes, beside torch.nn.GRUCell: `python -m benchmarks.stream`."""
