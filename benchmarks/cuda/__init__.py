"""Times gru_ext.GRUCell on a GPU against torch.nn.GRUCell, a compiled cell and torch.nn.GRU: `python -m benchmarks.cuda`."""
