"""A user's model as attacks see it: samples in [0, 1] go in, and one tensor comes out."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from uae_cli.errors import ConfigError
from uae_cli.machine import is_out_of_memory
from uae_cli.text import nearest, one_line

_DEEPEST = 3  # of answers within answers
_FAILURES = (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError, NotImplementedError)


class Target(nn.Module):
    """Any module or callable, with its answer's reconstruction picked.

    Attributes:
        model: the module that it is or belongs to; None for a function, of which nothing is known.
        name: what messages call it.
        function: is called with samples.
        reading: how answers are read, as text.

    Args:
        model: called with (B, *shape) samples, in its own type of floats, on its own device.
        like: (n, *shape) samples; where the model has no parameters, it is taken to be on their device.
        output: picks the reconstruction (or logits) from the answer; a name or position in it; or None, for
            the one tensor in it that has the samples' shape.
        limits: what 0 and 1 are for the model; samples go in and reconstructions come out on that scale.
        whole: whether an answer in which no reconstruction is found is handed on as it is (to a loss of the
            user's).
    """

    def __init__(
        self,
        model: Callable[[Tensor], Any],
        like: Tensor,
        *,
        output: Callable[[Any], Tensor] | str | int | None = None,
        limits: tuple[float, float] = (0, 1),
        whole: bool = False,
    ) -> None:
        super().__init__()
        owner = model if isinstance(model, nn.Module) else getattr(model, "__self__", None)
        self.model = owner if isinstance(owner, nn.Module) else None
        self.name = (
            type(owner).__name__ if self.model is not None else getattr(model, "__name__", "the model")
        )
        self.function = model.__call__ if isinstance(model, nn.Module) else model
        self._output, self._whole, self.reading = output, whole, f"{output} {limits}"
        self._low, self._span = limits[0], limits[1] - limits[0]
        held = [] if self.model is None else chain(self.model.parameters(), self.model.buffers())
        first = next((tensor for tensor in held if tensor.is_floating_point()), like)
        self.register_buffer("_place", torch.empty(0, device=first.device, dtype=first.dtype))
        self._place: Tensor

    def forward(self, x: Tensor) -> Any:
        """The reconstruction (B, *shape) of samples, or what `output` picks."""
        inner = x if self._span == 1 and self._low == 0 else self._low + self._span * x
        try:
            answer = self.function(inner.to(self._place.dtype))
        except _FAILURES as error:
            if is_out_of_memory(error):
                raise
            raise ConfigError(
                f"model: {self.name} fails on samples of shape {tuple(x.shape[1:])} ({type(error).__name__}: "
                f"{one_line(error)}); give samples of the shape it was made for"
            ) from error
        picked = self._picked(answer, inner)
        if not isinstance(picked, Tensor):
            return picked
        picked = picked.float()
        scaled = picked.shape == x.shape and not (self._span == 1 and self._low == 0)
        return (picked - self._low) / self._span if scaled else picked

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self._place.device

    def layer(self, name: str) -> str:
        """The name, in this module, of a layer that the user's model calls `name`.

        Raises:
            ConfigError: it has no such layer.
        """
        names = [] if self.model is None else [name for name, _ in self.model.named_modules() if name]
        if name not in names:
            raise ConfigError(f"layer = {name}: {self.name} has no such layer; {nearest(name, names)}")
        return f"model.{name}"

    def _picked(self, answer: Any, x: Tensor) -> Any:
        if callable(self._output):
            return self._output(answer)
        if self._output is not None:
            return self._named(answer, self._output)
        found = {
            id(value): value for _, value in _tensors(answer) if value.shape == x.shape and value is not x
        }
        if len(found) == 1:
            return next(iter(found.values()))
        if self._whole:
            return answer
        number = "several tensors" if found else "nothing"
        raise ConfigError(
            f"model: {self.name} answers with {number} of the samples' shape {tuple(x.shape[1:])}: "
            f"{_listed(answer)}; say which is the reconstruction, output=NAME"
        )

    def _named(self, answer: Any, name: str | int) -> Any:
        if isinstance(answer, tuple | list) and str(name).lstrip("-").isdecimal() and int(name) < len(answer):
            return answer[int(name)]
        value = answer.get(name) if isinstance(answer, Mapping) else getattr(answer, str(name), None)
        if not isinstance(value, Tensor):
            raise ConfigError(
                f"output = {name}: {self.name} answers with no tensor of this name: {_listed(answer)}"
            )
        return value


def _tensors(answer: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Every tensor in an answer, with its place: in tuples, dicts, dataclasses, and those in each other."""
    if isinstance(answer, Tensor):
        yield place or "the answer", answer
    elif depth < _DEEPEST:
        if isinstance(answer, Mapping):
            parts: list[tuple[str, Any]] = [(f"{place}[{name!r}]", value) for name, value in answer.items()]
        elif isinstance(answer, tuple | list):
            parts = [(f"{place}[{number}]", value) for number, value in enumerate(answer)]
        else:
            parts = [(f"{place}.{name}", value) for name, value in getattr(answer, "__dict__", {}).items()]
        for where, value in parts:
            yield from _tensors(value, where, depth + 1)


def _listed(answer: Any) -> str:
    seen = [f"{place} {tuple(value.shape[1:])}" for place, value in _tensors(answer)]
    return ", ".join(seen) or f"a {type(answer).__name__} without tensors"
