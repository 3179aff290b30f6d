"""Import diffusers without what it would only offer, for a command that has to answer at once.

diffusers 0.42 imports transformers, accelerate, SciPy's statistics and PyTorch's compiler with every network:
half of the time that `meddiff classify` took to start. None of it takes part in evaluating a network. While
diffusers is imported here, these seem not to be installed, and decorators of the compiler leave functions as
they are; afterwards everything can be imported as usual. Only for processes that do nothing else with
diffusers: it remembers what seemed not to be there.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

log = logging.getLogger("meddiff")

_ABSENT = ("transformers", "accelerate", "peft", "torchvision", "scipy")
_COMPILER, _COMPILED_ATTENTION = "torch._dynamo", "torch.nn.attention.flex_attention"
# What our UNet and DiT, and the attention in them, are imported from.
_WANTED = ("diffusers.models.attention_dispatch", "diffusers.models.unets.unet_2d_condition")
_KINDS = ("unet", "dit")  # Stable Diffusion needs transformers


def import_diffusers(kind: str) -> None:
    """Import what a kind of model needs of diffusers, unless diffusers is there already.

    Where a version of diffusers cannot be imported so, it is left as if that had not been tried.
    """
    if kind not in _KINDS or {"diffusers", _COMPILER} & sys.modules.keys():
        return
    import torch  # noqa: F401  (first, with its compiler as it is)

    try:
        with _few_libraries():
            for name in _WANTED:
                importlib.import_module(name)
    except (ImportError, RuntimeError, AttributeError, TypeError) as error:
        log.debug("diffusers is imported with all that it offers: %s", error)
        for name in [name for name in sys.modules if name.partition(".")[0] == "diffusers"]:
            del sys.modules[name]


@contextmanager
def _few_libraries() -> Iterator[None]:
    compiler, attention = ModuleType(_COMPILER), ModuleType(_COMPILED_ATTENTION)
    compiler.allow_in_graph = compiler.disable = _as_it_is  # type: ignore[attr-defined]
    attention.__getattr__ = _empty_class  # type: ignore[method-assign]
    # None: Python finds no module of this name.
    instead = {**dict.fromkeys(_ABSENT), _COMPILER: compiler, _COMPILED_ATTENTION: attention}
    before = {name: sys.modules[name] for name in instead if name in sys.modules}
    look_up = importlib.metadata.packages_distributions
    # It reads every installed package, for names that no network asks for.
    importlib.metadata.packages_distributions = dict
    sys.modules.update(instead)
    try:
        yield
    finally:
        importlib.metadata.packages_distributions = look_up
        for name in instead:
            del sys.modules[name]
        sys.modules.update(before)


def _empty_class(name: str) -> type:
    """What a module that is left out has of every name, for type hints."""
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (), {})


def _as_it_is(function: Callable[..., Any] | None = None, *options: Any, **named: Any) -> Callable[..., Any]:
    """What decorators of the compiler return, with or without options."""
    return (lambda decorated: decorated) if function is None else function
