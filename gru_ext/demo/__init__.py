"""The demo, `python -m gru_ext.demo`: a digit classifier around torch.nn.GRUCell and around gru_ext.GRUCell, side by side."""
