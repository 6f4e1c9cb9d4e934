"""Times gru_ext.GRUCell against torch.nn.GRUCell and other GRU cells, interleaved: `python -m benchmarks`."""
