"""The cells that are compared. Each file of this folder registers one or more; adding a peer adds a file and edits no other."""

import importlib
import pkgutil
from collections.abc import Mapping

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


def chosen(known: Mapping[str, Peer], names: str) -> tuple[list[Peer], dict[str, str]]:
    """The peers of these names, joined by commas or "all", that can run here, and the reasons of those that cannot.

    Raises:
        ValueError: there is no peer of such a name.
    """
    wanted = set(known) if names == "all" else {name.strip() for name in names.split(",")}
    unknown = sorted(wanted - set(known))
    if unknown:
        raise ValueError(f"no peer is called {', '.join(unknown)}; known: {', '.join(known)}")
    reasons = {name: peer.why_unavailable() for name, peer in known.items() if name in wanted}
    return [known[name] for name, reason in reasons.items() if reason is None], {
        name: reason for name, reason in reasons.items() if reason is not None
    }


__all__ = ["REFERENCE", "Peer", "all_peers", "chosen"]
