"""Puts off what registers with parts of torch that `import torch` does not load, until a program loads them."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Optional


def after_import(module: str, follower: str) -> None:
    """Imports `follower` as soon as `module` is loaded: now if it is, else right after its first import.

    To load, say, `torch.distributed.tensor` for its sake would make every program start half as slowly again as torch does.
    """
    if module in sys.modules:
        import_module(follower)
    else:
        sys.meta_path.insert(0, _Finder(module, follower))


class _Finder(MetaPathFinder):
    """Finds one module where the other finders find it, and adds to its execution the import of its follower."""

    def __init__(self, module: str, follower: str) -> None:
        self.module, self.follower = module, follower

    def find_spec(
        self, fullname: str, path: Optional[Sequence[str]], target: Optional[ModuleType] = None
    ) -> Optional[ModuleSpec]:
        if fullname != self.module:
            return None
        others = (finder.find_spec(fullname, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((found for found in others if found is not None), None)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        # Not before execution: to find a module is not yet to import it.
        def exec_module(module: ModuleType) -> None:
            execute(module)
            sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]
            import_module(self.follower)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
