# %% [markdown]
# # A GRU cell, by hand
#
# Two time steps of a gated recurrent unit with 3 inputs and 4 hidden units, batch 1, no biases: small enough to follow
# every product. The random numbers are those of a published walk-through,
# [itmorn/AI.handbook, GRUCell.ipynb](https://github.com/itmorn/AI.handbook/blob/main/DL/torch/nn/Recurrent/GRUCell.ipynb).
# It prints what `torch.nn.GRUCell` returns and leaves out the hand calculation and the drawing; both are here.
#
# The equations of `torch.nn.GRUCell`, without biases (∘ multiplies unit by unit):
#
# $$r = \sigma(W_{ir}\,x + W_{hr}\,h)\qquad z = \sigma(W_{iz}\,x + W_{hz}\,h)$$
# $$n = \tanh(W_{in}\,x + r \circ (W_{hn}\,h))\qquad h' = (1 - z) \circ n + z \circ h$$

# %%
import math
from pathlib import Path

import drawing
import timing
import torch
from torch import Tensor, nn

import gru_ext
from gru_ext import _library

# %% [markdown]
# ## The numbers
#
# The order in which random numbers are drawn decides what they are. As in the published text: the seed, then **the inputs,
# then $h_0$, then the cell's weights** ($W_{ih}$ before $W_{hh}$).

# %%
torch.manual_seed(666)
T, N, I, H = 2, 1, 3, 4  # time steps, batch, inputs, hidden units  # noqa: E741
inputs = torch.randn(T, N, I)
h_0 = torch.randn(N, H)
torch_cell = nn.GRUCell(I, H, bias=False)

print("input:\n", inputs, "\n")
print("h_0:\n", h_0, "\n")
print("weight_hh:\n", torch_cell.weight_hh, "\n")
print("weight_ih:\n", torch_cell.weight_ih, "\n")

# %% [markdown]
# ## What torch answers


# %%
def run(cell: nn.Module) -> list[Tensor]:
    """The states h_1 ... h_T, each [N, H], that a cell computes from `inputs` and `h_0`."""
    states = [h_0]
    for x in inputs:
        states.append(cell(x, states[-1]))
    return states[1:]


torch_states = run(torch_cell)
for t, state in enumerate(torch_states, start=1):
    print(f"h_{t}:\n", state, "\n")

# %% [markdown]
# ## The same, by hand
#
# Each weight matrix stacks three blocks of H rows, in the order r, z, n: rows 0–3 of `weight_ih` are $W_{ir}$, rows 4–7
# are $W_{iz}$, rows 8–11 are $W_{in}$.
#
# From here on there is no torch, only Python's `+`, `*`, `exp` and `tanh` on lists of numbers. They are computed in full
# and rounded to four digits only when printed, so the last digit of a printed sum may look one off.

# %%
Vector = list[float]
W_ir, W_iz, W_in = (block.tolist() for block in torch_cell.weight_ih.chunk(3))
W_hr, W_hz, W_hn = (block.tolist() for block in torch_cell.weight_hh.chunk(3))


def signed_sum(terms: Vector) -> str:
    """The terms as one writes a sum: `0.5013 - 0.0084 + 0.1021`."""
    return f"{terms[0]:.4f}" + "".join(f" {'-' if term < 0 else '+'} {abs(term):.4f}" for term in terms[1:])


def multiply(name: str, matrix: list[Vector], vector: Vector) -> Vector:
    """Matrix times vector, one row of the matrix for each hidden unit; prints every product and every sum."""
    print(f"  {name}")
    result = []
    for unit, row in enumerate(matrix):
        products = [weight * value for weight, value in zip(row, vector, strict=True)]
        result.append(sum(products))
        factors = " + ".join(f"({weight:.4f})({value:.4f})" for weight, value in zip(row, vector, strict=True))
        print(f"    unit {unit}:  {factors}")
        print(f"          =  {signed_sum(products)}  =  {result[-1]:.4f}")
    return result


def sigmoid(name: str, from_input: Vector, from_state: Vector) -> tuple[Vector, Vector]:
    """Adds the two products and squashes the sum into (0, 1); prints and returns the sums and the gate."""
    sums = [a + b for a, b in zip(from_input, from_state, strict=True)]
    gate = [1 / (1 + math.exp(-s)) for s in sums]
    print(f"  {name} = sigmoid(W_i{name} x + W_h{name} h),  sigmoid(s) = 1 / (1 + exp(-s))")
    for unit in range(H):
        terms = signed_sum([from_input[unit], from_state[unit]])
        print(f"    unit {unit}:  {terms} = {sums[unit]:.4f},  sigmoid({sums[unit]:.4f}) = {gate[unit]:.4f}")
    return sums, gate


def candidate(from_input: Vector, r: Vector, from_state: Vector) -> tuple[Vector, Vector, Vector]:
    """The proposed state; r says how much of the old one it sees. Prints and returns r ∘ (W_hn h), the sums and n."""
    seen = [a * b for a, b in zip(r, from_state, strict=True)]
    sums = [a + b for a, b in zip(from_input, seen, strict=True)]
    n = [math.tanh(s) for s in sums]
    print("  n = tanh(W_in x + r ∘ (W_hn h))")
    for unit in range(H):
        product = f"({r[unit]:.4f})({from_state[unit]:.4f})"
        terms = signed_sum([from_input[unit], seen[unit]])
        print(f"    unit {unit}:  {from_input[unit]:.4f} + {product} = {terms} = {sums[unit]:.4f},", end="  ")
        print(f"tanh({sums[unit]:.4f}) = {n[unit]:.4f}")
    return seen, sums, n


def blend(z: Vector, n: Vector, h: Vector) -> tuple[Vector, Vector, Vector]:
    """The new state, z parts old and 1 - z parts candidate. Prints and returns (1 - z) ∘ n, z ∘ h and their sum."""
    new = [(1 - a) * b for a, b in zip(z, n, strict=True)]
    old = [a * b for a, b in zip(z, h, strict=True)]
    state = [a + b for a, b in zip(new, old, strict=True)]
    print("  h' = (1 - z) ∘ n + z ∘ h")
    for unit in range(H):
        products = f"(1 - {z[unit]:.4f})({n[unit]:.4f}) + ({z[unit]:.4f})({h[unit]:.4f})"
        print(f"    unit {unit}:  {products} = {signed_sum([new[unit], old[unit]])} = {state[unit]:.4f}")
    return new, old, state


def step_by_hand(x: Vector, h: Vector) -> dict[str, Vector]:
    """One step of the cell; returns the numbers on every wire of the drawing below, by name."""
    wires = {"x": x, "h": h}
    print("\nReset gate: how much of the old state may the candidate see?")
    wires["W_ir x"], wires["W_hr h"] = multiply("W_ir x", W_ir, x), multiply("W_hr h", W_hr, h)
    wires["sum r"], wires["r"] = sigmoid("r", wires["W_ir x"], wires["W_hr h"])
    print("\nUpdate gate: how much of the old state stays?")
    wires["W_iz x"], wires["W_hz h"] = multiply("W_iz x", W_iz, x), multiply("W_hz h", W_hz, h)
    wires["sum z"], wires["z"] = sigmoid("z", wires["W_iz x"], wires["W_hz h"])
    print("\nCandidate: what would the new state be?")
    wires["W_in x"], wires["W_hn h"] = multiply("W_in x", W_in, x), multiply("W_hn h", W_hn, h)
    wires["seen"], wires["sum n"], wires["n"] = candidate(wires["W_in x"], wires["r"], wires["W_hn h"])
    print("\nNew state: a blend of the candidate and the old state")
    wires["new"], wires["old"], wires["h'"] = blend(wires["z"], wires["n"], h)
    wires["1 - z"] = [1 - value for value in wires["z"]]
    return wires


# %% [markdown]
# ### Step 1: from $x_1$ and $h_0$ to $h_1$

# %%
print("Step 1 by hand")
step_1 = step_by_hand(inputs[0, 0].tolist(), h_0[0].tolist())

# %% [markdown]
# ### Step 2: from $x_2$ and $h_1$ to $h_2$
#
# The same cell and the same weights; the only thing that came over from step 1 is $h_1$.

# %%
print("\nStep 2 by hand")
step_2 = step_by_hand(inputs[1, 0].tolist(), step_1["h'"])

# %% [markdown]
# ### Compared
#
# Python's numbers have 53 significant bits, the cells' only 24. No number here exceeds 4, so rounding one of them is an error
# of at most 2⁻²³, and fewer than 20 such errors add up in a step: all three agree in every digit that torch prints.

# %%
allowed = 20 * 2**-23 * T
own_cell = gru_ext.GRUCell(I, H, bias=False)
own_cell.load_state_dict(torch_cell.state_dict())
if _library.reason is not None:
    print(f"Note: gru_ext runs on torch's own cell here: {_library.reason}\n")

own_states = run(own_cell)
for t, wires in enumerate((step_1, step_2), start=1):
    by_hand = torch.tensor([wires["h'"]])
    print(f"h_{t}  by hand          {by_hand}")
    for name, state in (("torch.nn.GRUCell", torch_states[t - 1]), ("gru_ext.GRUCell ", own_states[t - 1])):
        difference = (state.detach().double() - torch.tensor([wires["h'"]], dtype=torch.float64)).abs().max().item()
        print(f"     {name} {state.detach()}  largest difference from by hand {difference:.1e}")
        if difference > allowed:
            raise AssertionError(f"h_{t} of {name} differs from the hand calculation by {difference:.1e} > {allowed:.1e}")

# %% [markdown]
# ## The cell, drawn
#
# Follow the wires from left to right: every box of numbers is one of the vectors computed above, for one step.

# %%
for t, wires in enumerate((step_1, step_2), start=1):
    for path in drawing.save(drawing.draw(wires, t), Path.cwd(), f"gru_cell_step{t}"):
        print(f"drawn: {path.name}")

# %% [markdown]
# ![The cell in step 1](gru_cell_step1.svg)
# ![The cell in step 2](gru_cell_step2.svg)
#
# ## Beside an LSTM cell
#
# $$\text{LSTM:}\quad c' = f \circ c + i \circ g,\quad h' = o \circ \tanh(c')\qquad\qquad
# \text{GRU:}\quad h' = z \circ h + (1 - z) \circ n$$
#
# | LSTMCell | GRUCell |
# |---|---|
# | forget gate f and input gate i, independent of each other | one update gate z: keep z, write 1 − z |
# | cell state c and hidden state h, both passed on | one state h |
# | output gate o between c and h | none: the state is the output |
# | the candidate g always sees all of h | the reset gate r decides how much of h the candidate n sees |
#
# That makes three blocks of weights instead of four. The merged gates in numbers, on step 1's input (and $c_0 = h_0$):

# %%
lstm = nn.LSTMCell(I, H, bias=False)
i, f, g, o = (inputs[0] @ lstm.weight_ih.T + h_0 @ lstm.weight_hh.T).detach().sigmoid().chunk(4, dim=1)
z = torch.tensor([step_1["z"]])
print("LSTM  f + i       =", f + i, " each unit chooses how much to keep and how much to write")
print("GRU   z + (1 - z) =", z + (1 - z), " what is written replaces what is not kept")

# %% [markdown]
# Parameters and time at equal sizes, measured here and now. The cells take turns, so that a busy moment of the machine hits
# all of them; a number is the median over the rounds.

# %%
print(f"float32, no biases, {torch.get_num_threads()} thread(s), median times in microseconds")
for batch, input_size, hidden_size in ((N, I, H), (32, 128, 128)):
    timing.compare(batch, input_size, hidden_size)
