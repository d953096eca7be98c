"""Where an attack's time goes: the attack's own functions, timed from outside while a block runs."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from uae_cli.machine import synchronize
from uae_cli.mi import PerSampleMine, networks, sampling
from uae_cli.models.hooked import Response, TappedModel

PARTS = ("model", "features", "mine", "bookkeeping")


class Stopwatch:
    """Seconds by part; time belongs to the part entered last."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._part, self._since = device, "", 0.0
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def switch(self, part: str) -> str:
        """Charge what follows to `part`; returns the part until now. An empty name stops the watch."""
        synchronize(self._device)
        now, before = time.perf_counter(), self._part
        if before:
            self.seconds[before] += now - self._since
        self._part, self._since = part, now
        return before

    def timed(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """`work`, charged to `part` while the watch runs."""

        def call(*arguments: Any, **options: Any) -> Any:
            if not self._part:
                return work(*arguments, **options)
            before = self.switch(part)
            try:
                return work(*arguments, **options)
            finally:
                self.switch(before)

        return call

    @property
    def running(self) -> bool:
        """Whether time is charged to any part."""
        return bool(self._part)

    def shares(self) -> dict[str, float]:
        """`share_<part>` of the total; they sum to 1."""
        total = sum(self.seconds.values())
        return {f"share_{part}": self.seconds[part] / total for part in PARTS}


@contextmanager
def watching(device: torch.device) -> Iterator[Stopwatch]:
    """Time the parts of every attack within the block."""
    watch = Stopwatch(device)
    backward = networks._KnownGradient.backward
    changes: list[tuple[Any, str, Any]] = [
        (TappedModel, "__call__", _hooked(watch, TappedModel.__call__)),
        (PerSampleMine, "__init__", watch.timed("mine", PerSampleMine.__init__)),
        (PerSampleMine, "__call__", watch.timed("mine", PerSampleMine.__call__)),
        (networks._KnownGradient, "backward", staticmethod(watch.timed("mine", backward))),
        (torch.autograd, "grad", watch.timed("model", torch.autograd.grad)),
        *(
            (sampler, "__call__", _sampled(watch, sampler.__call__))
            for sampler in (sampling._Projector, sampling._TappedFeatures)
        ),
    ]
    with _patched(changes):
        watch.switch("bookkeeping")
        yield watch
        watch.switch("")


@contextmanager
def _patched(changes: list[tuple[Any, str, Any]]) -> Iterator[None]:
    if not changes:
        yield
        return
    (owner, name, value), *rest = changes
    # A plain function in place of a method, so that it is bound like one
    with mock.patch.object(owner, name, value), _patched(rest):
        yield


def _hooked(watch: Stopwatch, work: Callable[..., Response]) -> Callable[..., Response]:
    """The model's forward pass; backward, autograd comes to its output when it is done with the samplers."""

    def call(model: TappedModel, x: Tensor) -> Response:
        response: Response = watch.timed("model", work)(model, x)
        if response.output.requires_grad:
            response.output.register_hook(lambda _: _turn(watch, "model"))
        return response

    return call


def _sampled(watch: Stopwatch, work: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A sampler; backward, its work begins where the gradient of its vectors is known."""

    def call(sampler: Any, response: Response, iteration: int) -> Tensor:
        vectors: Tensor = watch.timed("features", work)(sampler, response, iteration)
        if vectors.requires_grad:
            vectors.register_hook(lambda _: _turn(watch, "features"))
        return vectors

    return call


def _turn(watch: Stopwatch, part: str) -> None:
    if watch.running:
        watch.switch(part)
