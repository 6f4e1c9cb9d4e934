"""The cells that are compared. Each file of this folder registers one or more; adding a peer adds a file and edits no other."""

import importlib
import pkgutil

from .peer import Peer, registered

#: The name of the peer that all ratios refer to.
REFERENCE = "nn.GRUCell"


def all_peers() -> dict[str, Peer]:
    """Every peer by name, the reference first, then gru_ext, then the others in alphabetical order."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    first = (REFERENCE, "gru_ext.GRUCell")
    names = sorted(registered, key=lambda name: (first.index(name) if name in first else len(first), name))
    return {name: registered[name]() for name in names}


__all__ = ["REFERENCE", "Peer", "all_peers"]
