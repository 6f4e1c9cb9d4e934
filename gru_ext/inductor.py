"""Tells Inductor that the ops are to remain opaque calls.

They have decompositions, which exporters ask for (decompositions.py). Inductor calls an op that it cannot generate code for as
it is; but where the environment variable CI is set, it takes one that has a decomposition for an oversight of its own, and
refuses to compile unless the op is in this list.
"""

from torch._inductor.lowering import FALLBACK_ALLOW_LIST

from .decompositions import DECOMPOSED

FALLBACK_ALLOW_LIST.update(op.name() for op in DECOMPOSED)
