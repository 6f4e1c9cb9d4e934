"""Dynamic quantization takes our cell as it takes torch's: the quantized modules are equal."""

import copy
import io
from collections.abc import Iterator

import pytest
import torch
from samples import cell_pair
from torch import Tensor, nn
from torch.ao.nn.quantized.dynamic import GRUCell as QuantizedGRUCell
from torch.ao.quantization import quantize_dynamic

import gru_ext

N, I, H = 5, 7, 17  # noqa: E741 (the project's names)
pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning"),
]
# float16 weights exist in FBGEMM only, which the x86 engine uses too.
CASES = [
    (engine, dtype)
    for engine in torch.backends.quantized.supported_engines
    if engine != "none"
    for dtype in (torch.qint8, torch.float16)
    if dtype is torch.qint8 or engine in ("x86", "fbgemm")
]


@pytest.fixture(autouse=True)
def restore_engine() -> Iterator[None]:
    before = torch.backends.quantized.engine
    yield
    torch.backends.quantized.engine = before


class Model(nn.Module):
    def __init__(self, cell: nn.GRUCell) -> None:
        super().__init__()
        self.cell, self.head = cell, nn.Linear(H, 3)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return self.head(self.cell(x, self.cell(x, h)))


def model_pair() -> tuple[Model, Model]:
    theirs, ours = (Model(cell).eval() for cell in cell_pair(I, H))
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


@pytest.mark.parametrize("engine, dtype", CASES)
def test_equals_torchs_quantized_cell(engine: str, dtype: torch.dtype) -> None:
    torch.backends.quantized.engine = engine
    theirs, ours = model_pair()
    x, h = torch.randn(N, I), torch.randn(N, H)
    exact = ours(x, h)
    expected = quantize_dynamic(theirs, {nn.GRUCell, nn.Linear}, dtype=dtype)
    quantized = quantize_dynamic(ours, {gru_ext.GRUCell, nn.Linear}, dtype=dtype)
    assert type(quantized.cell) is QuantizedGRUCell and repr(quantized) == repr(expected)
    assert type(ours.cell) is gru_ext.GRUCell and torch.equal(ours(x, h), exact), "the float model was changed"
    state = quantized(x, h)
    assert torch.equal(state, expected(x, h))
    assert torch.equal(quantized.cell(x), expected.cell(x))
    assert torch.equal(quantized.cell(x[:0]), expected.cell(x[:0]))
    assert not torch.equal(state, exact)


def test_in_place_and_with_hooks() -> None:
    _, ours = model_pair()
    seen = []
    ours.cell.register_forward_hook(lambda module, args, output: seen.append(type(module)))
    quantize_dynamic(ours, {gru_ext.GRUCell}, inplace=True)
    ours(torch.randn(N, I), torch.randn(N, H))
    assert seen == [QuantizedGRUCell] * 2


def test_within_patch_the_default_classes_do() -> None:
    """quantize_dynamic names torch.nn.GRUCell when asked for no class in particular."""
    with gru_ext.patch():
        model = nn.Sequential(nn.GRUCell(I, H))
        quantized = quantize_dynamic(model)
    assert type(model[0]) is gru_ext.GRUCell
    assert type(quantized[0]) is QuantizedGRUCell


def test_copied_scripted_and_saved() -> None:
    _, ours = model_pair()
    quantized = quantize_dynamic(ours, {gru_ext.GRUCell})
    x, h = torch.randn(N, I), torch.randn(N, H)
    expected = quantized(x, h)
    assert torch.equal(copy.deepcopy(quantized)(x, h), expected)
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(quantized), file)
    file.seek(0)
    assert torch.equal(torch.jit.load(file)(x, h), expected)


@pytest.mark.parametrize("fault", ["no bias", "parametrized", "no qconfig"])
def test_refused_as_torch_refuses_it(fault: str) -> None:
    messages = []
    for cell in cell_pair(I, H, bias=fault != "no bias"):
        if fault == "parametrized":
            nn.utils.parametrizations.weight_norm(cell, "weight_hh")
        with pytest.raises(AssertionError) as error:
            if fault == "no qconfig":
                mapping = torch.ao.quantization.get_default_dynamic_quant_module_mappings()
                mapping[type(cell)].from_float(cell)
            else:
                quantize_dynamic(nn.Sequential(cell), {nn.GRUCell, gru_ext.GRUCell})
        messages.append(str(error.value))
    assert messages[0] == messages[1]
