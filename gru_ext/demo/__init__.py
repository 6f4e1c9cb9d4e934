"""The demo: `python -m gru_ext.demo`."""
