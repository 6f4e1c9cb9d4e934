"""The arguments that values, gradients and opcheck are tested on: sizes, absent arguments and memory layouts."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Optional

import torch
from torch import Tensor, nn

import gru_ext

REAL_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
COMPLEX_DTYPES = (torch.complex64, torch.complex128)
DTYPES = REAL_DTYPES + COMPLEX_DTYPES
ARGUMENTS = ("input", "hx", "w_ih", "w_hh", "b_ih", "b_hh")


@dataclass(frozen=True)
class Sample:
    """The six arguments of `gru_cell`, some of which may be None or the same tensor."""

    name: str
    args: tuple[Tensor, Optional[Tensor], Tensor, Tensor, Optional[Tensor], Optional[Tensor]]

    @property
    def leaves(self) -> dict[str, Tensor]:
        """The distinct tensors among the arguments, by the name of the first argument that holds each."""
        distinct: dict[int, tuple[str, Tensor]] = {}
        for name, tensor in zip(ARGUMENTS, self.args, strict=True):
            if tensor is not None:
                distinct.setdefault(id(tensor), (name, tensor))
        return dict(distinct.values())

    @property
    def is_2d(self) -> bool:
        """Whether the inner ops, which know neither 1-D arguments nor an absent state, take it."""
        return self.args[0].dim() == 2 and self.args[1] is not None

    def copy(self, dtype: torch.dtype, requires_grad: bool = False) -> "Sample":
        """Contiguous copies in `dtype`; what was one tensor stays one."""
        made = {id(t): t.detach().to(dtype, copy=True).contiguous().resolve_conj().resolve_neg() for t in self.leaves.values()}
        for tensor in made.values():
            tensor.requires_grad_(requires_grad)
        return replace(self, args=tuple(None if t is None else made[id(t)] for t in self.args))


Layout = Callable[[Tensor], Tensor]


def _transposed(t: Tensor) -> Tensor:
    return t.t().contiguous().t()


def _columns(t: Tensor) -> Tensor:
    """Every second element of each row."""
    return torch.stack((t, torch.full_like(t, float("nan"))), dim=-1).flatten(-2)[..., ::2]


def _rows(t: Tensor) -> Tensor:
    """Every second row."""
    return torch.stack((t, torch.full_like(t, float("nan"))), dim=1).flatten(0, 1)[::2]


def _window(t: Tensor) -> Tensor:
    """The middle of a wider, taller matrix: its storage starts elsewhere and its rows are apart."""
    whole = t.new_full([size + 3 for size in t.shape], float("nan"))
    window = whole[tuple(slice(1, 1 + size) for size in t.shape)]
    window.copy_(t)
    return window


def _offset(t: Tensor) -> Tensor:
    """Contiguous, but not at the start of its storage and not aligned to more than one element."""
    whole = t.new_full([t.numel() + 1], float("nan"))
    whole[1:].copy_(t.flatten())
    return whole[1:].view_as(t)


def _one_row(t: Tensor) -> Tensor:
    return t[:1].expand_as(t)


def _one_number(t: Tensor) -> Tensor:
    return t.flatten()[0].expand_as(t)


def _negative(t: Tensor) -> Tensor:
    return torch._neg_view(-t)


def _conjugate(t: Tensor) -> Tensor:
    return t.conj().resolve_conj().conj()


@dataclass(frozen=True)
class _Spec:
    """A sample before it has a dtype."""

    name: str
    sizes: tuple[int, int, int]  # N, I, H
    absent: tuple[str, ...] = ()
    layouts: tuple[tuple[str, Layout], ...] = ()
    tied: tuple[tuple[str, str], ...] = ()
    unbatched: bool = False
    complex_only: bool = False


# Odd and even, below and above the widths of vectors and register tiles, on both sides of where a batch counts as large (12), a
# contraction is cut in blocks (256), and nothing at all.
_SIZES = [
    (3, 10, 20),
    (1, 3, 4),
    (1, 1, 1),
    (1, 64, 64),
    (50, 64, 64),
    (50, 20, 37),
    (1, 7, 17),
    (5, 7, 17),
    (4, 19, 37),
    (33, 17, 100),
    (2, 129, 65),
    (65, 8, 8),
    (2, 33, 18),
    (11, 9, 21),
    (12, 9, 21),
    (13, 9, 21),
    (300, 5, 7),
    (0, 10, 20),
    (3, 0, 20),
    (3, 10, 0),
    (3, 0, 0),
    (0, 0, 0),
]
_SMALL = (5, 7, 17)
_SQUARE = (6, 17, 17)
_STRIDED: list[tuple[str, Layout]] = [
    ("transposed", _transposed),
    ("columns", _columns),
    ("rows", _rows),
    ("window", _window),
    ("offset", _offset),
    ("one_row", _one_row),
    ("one_number", _one_number),
    ("negative", _negative),
]


def _specs() -> list[_Spec]:
    specs = [_Spec(f"N{n}_I{i}_H{h}", (n, i, h)) for n, i, h in _SIZES]
    for absent in (("hx",), ("b_ih",), ("b_hh",), ("b_ih", "b_hh"), ("hx", "b_ih", "b_hh")):
        specs.append(_Spec("no_" + "_".join(absent), _SMALL, absent=absent))
    specs.append(_Spec("N0_no_hx", (0, 7, 17), absent=("hx",)))
    for absent in ((), ("hx",), ("b_ih", "b_hh")):
        specs.append(_Spec("1d" + "".join("_no_" + name for name in absent), (1, 7, 17), absent=absent, unbatched=True))
    specs.append(_Spec("1d_H0", (1, 7, 0), unbatched=True))
    for name, layout in _STRIDED:
        for argument in ("input", "hx", "w_ih", "w_hh"):
            specs.append(_Spec(f"{argument}_{name}", _SMALL, layouts=((argument, layout),)))
    for name, layout in (("columns", _columns), ("offset", _offset), ("one_number", _one_number), ("negative", _negative)):
        specs.append(_Spec(f"biases_{name}", _SMALL, layouts=(("b_ih", layout), ("b_hh", layout))))
    specs.append(_Spec("all_transposed", _SMALL, layouts=tuple((name, _transposed) for name in ARGUMENTS[:4])))
    for argument in ARGUMENTS:
        specs.append(_Spec(f"{argument}_conjugate", _SMALL, layouts=((argument, _conjugate),), complex_only=True))
    specs.append(_Spec("1d_columns", (1, 7, 17), layouts=(("input", _columns), ("hx", _columns)), unbatched=True))
    specs.append(_Spec("input_is_hx", _SQUARE, tied=(("hx", "input"),)))
    specs.append(_Spec("w_ih_is_w_hh", _SQUARE, tied=(("w_hh", "w_ih"),)))
    specs.append(_Spec("b_ih_is_b_hh", _SMALL, tied=(("b_hh", "b_ih"),)))
    return specs


_SPECS = {spec.name: spec for spec in _specs()}


def _draw(spec: _Spec, dtype: torch.dtype) -> dict[str, Tensor]:
    """Numbers as a model has them: inputs of unit size, states in (-1, 1), weights and biases as torch initialises them.

    Complex weights are half as large: the poles of the complex tanh, where no accuracy can be asked for, stay away.
    """
    wide = torch.complex128 if dtype.is_complex else torch.float64
    generator = torch.Generator().manual_seed(zlib.crc32(spec.name.encode()))

    def uniform(*shape: int) -> Tensor:
        return (torch.rand(shape, dtype=wide, generator=generator) * 2 - (1 + 1j if dtype.is_complex else 1)).to(dtype)

    n, i, h = spec.sizes
    bound = (h**-0.5 if h else 0.0) * (0.5 if dtype.is_complex else 1.0)
    drawn = {
        "input": torch.randn(n, i, dtype=wide, generator=generator).to(dtype),
        "hx": uniform(n, h),
        "w_ih": uniform(3 * h, i) * bound,
        "w_hh": uniform(3 * h, h) * bound,
        "b_ih": uniform(3 * h) * bound,
        "b_hh": uniform(3 * h) * bound,
    }
    if spec.unbatched:
        drawn["input"], drawn["hx"] = drawn["input"][0], drawn["hx"][0]
    return drawn


def _build(spec: _Spec, dtype: torch.dtype, requires_grad: bool) -> Sample:
    tensors: dict[str, Optional[Tensor]] = dict(_draw(spec, dtype))
    for name, layout in spec.layouts:
        tensors[name] = layout(tensors[name])
    for name, tensor in tensors.items():
        tensors[name] = tensor.detach().requires_grad_(requires_grad)
    for name in spec.absent:
        tensors[name] = None
    for name, of in spec.tied:
        tensors[name] = tensors[of]
    return Sample(spec.name, tuple(tensors[name] for name in ARGUMENTS))


def sample_names(dtype: torch.dtype) -> list[str]:
    """Of the samples that exist for a dtype."""
    return [name for name, spec in _SPECS.items() if dtype.is_complex or not spec.complex_only]


def sample_input(name: str, dtype: torch.dtype, requires_grad: bool = False) -> Sample:
    """One sample by its name. The numbers depend on nothing but the name, so every dtype sees the same ones, rounded."""
    return _build(_SPECS[name], dtype, requires_grad)


def sample_inputs(dtype: torch.dtype, requires_grad: bool = False) -> list[Sample]:
    """All samples of a dtype. What a layout skips over in memory is NaN: reading it shows."""
    return [sample_input(name, dtype, requires_grad) for name in sample_names(dtype)]


def sample_grid(dtypes: tuple[torch.dtype, ...] = DTYPES) -> list[tuple[str, torch.dtype]]:
    """Every (name, dtype), to parametrize a test with."""
    return [(name, dtype) for dtype in dtypes for name in sample_names(dtype)]


def cell_pair(input_size: int, hidden_size: int, **options) -> tuple[nn.GRUCell, gru_ext.GRUCell]:
    """torch's cell and ours with equal weights, each its own."""
    theirs = nn.GRUCell(input_size, hidden_size, **options)
    ours = gru_ext.GRUCell(input_size, hidden_size, **options)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours
