"""Calls on arrays that stay in their places."""

from collections.abc import Callable
from typing import Any

from ..cases import Call

#: (input [N, I], state [N, H], output [N, H]), all NumPy arrays -> a call that computes the output from the other two.
Bind = Callable[[Any, Any, Any], Call]


class BoundStep:
    """A step whose library is told once where its arrays lie, as programs do that run it on buffers of their own.

    Each pair of an input and a state is bound when it first comes; what is timed is the run and the look-up of the pair. Two
    outputs of each size take turns, so that a loop never reads what it writes; an output is valid until the next call but one.
    """

    def __init__(self, bind: Bind) -> None:
        self._bind = bind
        self._outputs: dict[int, list[Any]] = {}  # by N: two of [N, H]
        # The arrays are kept with what is bound to them: an address must not be given to another one meanwhile.
        self._bound: dict[tuple[int, int], tuple[Call, Any, Any, Any]] = {}

    def __call__(self, x: Any, h: Any) -> Any:
        found = self._bound.get((id(x), id(h)))
        if found is None:
            found = self._bound[id(x), id(h)] = self._new(x, h)
        found[0]()
        return found[1]

    def _new(self, x: Any, h: Any) -> tuple[Call, Any, Any, Any]:
        if len(h) not in self._outputs:
            self._outputs[len(h)] = [h.copy() for _ in range(2)]
        first, second = self._outputs[len(h)]
        y = second if h is first else first
        return self._bind(x, h, y), y, x, h
