"""Every choice of arguments that ask for a gradient, on any device."""

import itertools
from collections.abc import Sequence
from typing import Optional

import torch
from samples import ARGUMENTS
from torch import Tensor

import gru_ext


def assert_each_choice_of_gradients(given: Sequence[Optional[Tensor]], grad: Tensor) -> None:
    """Each choice gives the gradients that it asks for, the same as when all are asked for, and no others.

    Args:
        given: the arguments of `gru_ext.gru_cell`, those that are not None requiring gradients.
        grad: of the next state.
    """
    present = [name for name, t in zip(ARGUMENTS, given, strict=True) if t is not None]
    state = gru_ext.gru_cell(*given)
    everything = dict(zip(present, torch.autograd.grad(state, [t for t in given if t is not None], grad), strict=True))
    for wanted in itertools.product([False, True], repeat=len(present)):
        args = [None if t is None else t.detach() for t in given]
        chosen = [argument for argument, choice in zip(present, wanted, strict=True) if choice]
        for argument in chosen:
            args[ARGUMENTS.index(argument)].requires_grad_()
        state = gru_ext.gru_cell(*args)
        assert state.requires_grad == bool(chosen)
        if chosen:
            state.backward(grad)
        for argument, value in zip(ARGUMENTS, args, strict=True):
            if argument in chosen:
                torch.testing.assert_close(value.grad, everything[argument])
            else:
                assert value is None or value.grad is None
