"""Projections of a batch that is too large for one pass: gradient caching (Gao et al. 2021, §3)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class Embedding:
    """What a network makes of a batch, for a loss that compares the batch's samples with each other.

    Put the loss on `z` and call its `backward`; then call `backward` or `gradient` here, once. In parts, the
    network is run without gradients first, and again, part by part, once the loss has said how `z` should
    move: the memory of one part, a third more time, and the loss of the whole batch. Batch normalisation
    then takes its statistics from each part, as it does from each card where there are several.

    Args:
        model: whose running statistics are to be touched once only.
        project: its pass, (n, C, H, W) → (n, P).
        images: (N, C, H, W); must require gradients if `gradient` is to be called.
        size: images in a part; None for all in one.

    Attributes:
        z: (N, P), a leaf.
    """

    def __init__(
        self, model: nn.Module, project: Callable[[Tensor], Tensor], images: Tensor, size: int | None
    ) -> None:
        self._model, self._project = model, project
        self._parts = images.split(size or len(images))
        self._wanted = images.requires_grad
        self._whole = self._graph(images) if len(self._parts) == 1 else None
        self.z = self._projected().detach().requires_grad_()

    def backward(self) -> None:
        """Add the loss's gradient to those of the network's parameters."""
        for _, z, gradient in self._passes():
            z.backward(gradient)

    def gradient(self) -> Tensor:
        """The loss's gradient with respect to the images, (N, C, H, W)."""
        return torch.cat([torch.autograd.grad(z, x, gradient)[0] for x, z, gradient in self._passes()])

    def _projected(self) -> Tensor:
        if self._whole is not None:
            return self._whole[1]
        with torch.no_grad():
            return torch.cat([self._project(part) for part in self._parts])

    def _passes(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Images, their projections and the loss's gradient there, part by part."""
        assert self.z.grad is not None  # the loss's backward has been called
        if self._whole is not None:
            yield *self._whole, self.z.grad
            return
        for part, gradient in zip(self._parts, self.z.grad.split(len(self._parts[0])), strict=True):
            with untracked(self._model):
                graph = self._graph(part)
            yield *graph, gradient

    def _graph(self, part: Tensor) -> tuple[Tensor, Tensor]:
        x = part.detach().requires_grad_(self._wanted)
        return x, self._project(x)


@contextmanager
def untracked(model: nn.Module) -> Iterator[None]:
    """Let batch normalisation use a batch's statistics without adding them to its running ones."""
    layers = [layer for layer in norms(model).values() if layer.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True


def norms(model: nn.Module) -> dict[str, _BatchNorm]:
    """Every layer of batch normalisation, by name."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, _BatchNorm)}
