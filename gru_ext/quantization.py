"""Makes ``torch.ao.quantization.quantize_dynamic`` treat our cell as it treats torch's.

Its default set of classes is fixed inside the function, so name ours: ``quantize_dynamic(model, {gru_ext.GRUCell})``.
"""

import copy

import torch
from torch.ao.nn.quantized import dynamic
from torch.ao.quantization.quantization_mappings import DEFAULT_DYNAMIC_QUANT_MODULE_MAPPINGS

from .cell import GRUCell


class QuantizedGRUCell(dynamic.GRUCell):
    """A door to ``torch.ao.nn.quantized.dynamic.GRUCell``, which takes torch's own cell only, by exact type."""

    @classmethod
    def from_float(cls, mod: GRUCell, use_precomputed_fake_quant: bool = False) -> dynamic.GRUCell:
        """Quantizes a cell as torch quantizes its own.

        Args:
            mod: the cell; has a ``qconfig`` whose weights are qint8 or float16, float32 parameters ``[3H, I]``, ``[3H, H]``,
                ``[3H]``, ``[3H]``.
            use_precomputed_fake_quant: handed on.

        Returns:
            torch's dynamically quantized cell: float32 in and out, two dimensions.

        Raises:
            AssertionError: the cell has no bias, no qconfig, or parametrizations.
        """
        if type(mod) is GRUCell:
            mod = copy.copy(mod)
            mod.__class__ = torch.nn.GRUCell
        return dynamic.GRUCell.from_float(mod, use_precomputed_fake_quant)


DEFAULT_DYNAMIC_QUANT_MODULE_MAPPINGS[GRUCell] = QuantizedGRUCell
