"""A user's model as attacks see it: samples in [0, 1] go in, and one tensor comes out."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor, nn

from uae_cli.errors import ConfigError
from uae_cli.machine import is_out_of_memory
from uae_cli.models import Response
from uae_cli.text import nearest, one_line

Kind = Literal["reconstruction", "vector", "any"]
_FAR, _NEAR = 4, 1e-3  # a range that isn't [0, 1]'s, and what rounding adds to values in that
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
        kind: what is looked for in the answer: the reconstruction; a vector of each sample, (B, K); or any,
            the reconstruction if there is one, else the answer as it is (for a loss of the user's).
    """

    def __init__(
        self,
        model: Callable[[Tensor], Any],
        like: Tensor,
        *,
        output: Callable[[Any], Tensor] | str | int | None = None,
        limits: tuple[float, float] = (0, 1),
        kind: Kind = "reconstruction",
    ) -> None:
        super().__init__()
        owner = model if isinstance(model, nn.Module) else getattr(model, "__self__", None)
        self.model = owner if isinstance(owner, nn.Module) else None
        self.name = (
            type(owner).__name__ if self.model is not None else getattr(model, "__name__", "the model")
        )
        self.function = model.__call__ if isinstance(model, nn.Module) else model
        self._output, self._kind, self.reading = output, kind, f"{output} {limits}"
        self._low, self._span = limits[0], limits[1] - limits[0]
        held = [] if self.model is None else chain(self.model.parameters(), self.model.buffers())
        first = next((tensor for tensor in held if tensor.is_floating_point()), like)
        self.register_buffer("_place", torch.empty(0, device=first.device, dtype=first.dtype))
        self._place: Tensor

    def forward(self, x: Tensor) -> Any:
        """The reconstruction (B, *shape) of samples, or what `output` picks."""
        inner = x if self._span == 1 and self._low == 0 else self._low + self._span * x
        given = inner.to(self._place.dtype)
        try:
            answer = self.function(given)
        except _FAILURES as error:
            if is_out_of_memory(error):
                raise
            raise ConfigError(
                f"model: {self.name} fails on samples of shape {tuple(x.shape[1:])} ({type(error).__name__}: "
                f"{one_line(error)}); give samples of the shape it was made for"
            ) from error
        picked = self._picked(answer, given)
        if not isinstance(picked, Tensor):
            return picked
        picked = picked.float()
        scaled = picked.shape == x.shape and not (self._span == 1 and self._low == 0)
        return (picked - self._low) / self._span if scaled else picked

    @property
    def device(self) -> torch.device:
        """Where the model is; of a model on several devices, where its first parameter is."""
        return self._place.device

    @property
    def spread(self) -> bool:
        """Whether the model lies on several devices."""
        return is_spread(self)

    def check_scale(self, response: Response) -> None:
        """See whether reconstructions are on the scale that samples are given on.

        Raises:
            ConfigError: they lie in [0, 1], and the samples reach far beyond.
        """
        output: object = response.output  # of any kind, where a loss of the user's takes it
        if not isinstance(output, Tensor) or output.shape != response.x.shape or self._span < _FAR:
            return
        low, high = (self._low + self._span * float(value) for value in output.detach().aminmax())
        if low >= -_NEAR and high <= 1 + _NEAR:
            raise ConfigError(
                f"limits = ({self._low:g}, {self._low + self._span:g}): {self.name} answers with values from "
                f"{low:.2g} to {high:.2g}, as to samples in [0, 1]; scale the samples to [0, 1], as by x / "
                f"{self._low + self._span:g}, and leave out limits (--scale)"
            )

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
        vectors = self._kind == "vector"
        if vectors and isinstance(answer, Tensor):
            return answer
        found = {
            id(value): value
            for _, value in _tensors(answer)
            if value is not x and ((value.ndim == 2) if vectors else (value.shape == x.shape))
        }
        if len(found) == 1:
            return next(iter(found.values()))
        if self._kind == "any":
            return answer
        number = "several tensors" if found else "nothing"
        wanted = "shape (B, K)" if vectors else f"the samples' shape {tuple(x.shape[1:])}"
        what = "are the logits or projections" if vectors else "is the reconstruction"
        way = f"say which {what}, output=NAME"
        if not found:
            other = "output=NAME" if vectors else "loss=, a loss of your own, which takes any answer"
            way = f"give a model that answers so, or {other}"
        raise ConfigError(f"model: {self.name} answers with {number} of {wanted}: {_listed(answer)}; {way}")

    def _named(self, answer: Any, name: str | int) -> Any:
        value = None
        if isinstance(answer, Mapping):
            value = answer.get(name)
        elif isinstance(answer, tuple | list) and str(name).removeprefix("-").isdecimal():
            value = answer[int(name)] if -len(answer) <= int(name) < len(answer) else None
        elif not isinstance(answer, Tensor):  # which has attributes of its own
            value = getattr(answer, str(name), None)
        if not isinstance(value, Tensor):
            raise ConfigError(
                f"output = {name}: {self.name} answers with no tensor of this name: {_listed(answer)}"
            )
        return value


def is_spread(model: nn.Module) -> bool:
    """Whether a model lies on several devices, so that it must not be moved to one."""
    return len({tensor.device for tensor in chain(model.parameters(), model.buffers())}) > 1


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
