"""Contrastive training: SimCLR (Chen et al. 2020), and CLAE on top of it (Ho and Vasconcelos 2020)."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.checkpoint import checkpoint

from uae_cli.contrastive import ViewParameters, Views, nt_xent
from uae_cli.settings import STRICT, Positive, Precision
from uae_cli.training import ranks
from uae_cli.training.objectives import Loss, Objective


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AdversarialViews:
    """CLAE: a third view of every sample, which is its first one moved to where the loss is larger.

    One step of the gradient's sign on NT-Xent between the views and themselves (their Algorithm 1). The
    network sees such views through batch normalisation of their own scale and shift, which are used for
    nothing else and dropped after training; views stay in [0, 1].

    Attributes:
        epsilon: ε > 0, the step; 0.03 in the authors' commands for CIFAR-10.
        weight: of NT-Xent between first and third views, beside that between first and second; there 1.
    """

    epsilon: Positive
    weight: Positive


class _ContrastiveLoss(Loss["ContrastiveObjective"]):
    def __init__(
        self, settings: "ContrastiveObjective", model: nn.Module, generator: torch.Generator, steps: int
    ) -> None:
        super().__init__(settings, model, generator, steps)
        self._statistics: dict[str, Tensor] = {}
        if settings.adversary is not None:
            self._copy_normalisations()

    def _copy_normalisations(self) -> None:
        """CLAE's own scales and shifts, which it learns, and statistics, which nothing reads."""
        for name, layer in self.model.named_modules():
            if isinstance(layer, _BatchNorm):
                scales = layer.named_parameters(name, recurse=False)
                self.auxiliary |= {place: nn.Parameter(own.detach().clone()) for place, own in scales}
                statistics = layer.named_buffers(name, recurse=False)
                self._statistics |= {place: own.clone() for place, own in statistics}

    def __call__(self, batch: Tensor, labels: Tensor | None) -> Tensor:  # noqa: ARG002
        views, adversary, size = self.settings.views, self.settings.adversary, len(batch)
        drawn = views.draw_from(self.generator, size, 2)
        own = (ranks.share(values.unflatten(0, (size, 2))).flatten(0, 1) for values in drawn)
        seen = views.apply(ranks.share(batch), ViewParameters(*own))
        if adversary is None:
            return self._nt_xent(self._projected(self.model, seen, size), size)
        moved = self._moved(seen[::2], adversary.epsilon, size)
        clean = self._projected(self.model, seen, size)
        other = self._projected(self._auxiliary_pass, moved, size)
        loss = self._nt_xent(clean, size)
        return loss + adversary.weight * self._nt_xent(_paired(clean[::2], other), size)

    def _moved(self, first: Tensor, epsilon: float, size: int) -> Tensor:
        x = first.clone().requires_grad_()
        z = self._projected(self._auxiliary_pass, x, size)
        (slope,) = torch.autograd.grad(self._nt_xent(_paired(z.detach(), z), size), x)
        return torch.clamp(first + epsilon * slope.sign(), 0, 1)

    def _nt_xent(self, z: Tensor, size: int) -> Tensor:
        return nt_xent(ranks.gathered(z, 2 * size), self.settings.temperature)

    def _projected(self, network: Callable[[Tensor], Tensor], images: Tensor, size: int) -> Tensor:
        def project(part: Tensor) -> Tensor:
            with torch.autocast(part.device.type, torch.bfloat16, enabled=half):
                z = network(part)
            return z.float() if half else z

        half, most = self.settings.precision == "bfloat16", self.settings.micro_batch or size
        parts = math.ceil(ranks.most(size) / most)  # as many on every rank
        return project(images) if parts == 1 else in_parts(self.model, project, images, parts)

    def _auxiliary_pass(self, images: Tensor) -> Tensor:
        z: Tensor = functional_call(self.model, {**self.auxiliary, **self._statistics}, (images,))
        return z

    def schedule(self, optimizer: torch.optim.Optimizer) -> LambdaLR:
        warmup = math.ceil(self.settings.warmup * self.steps)
        return LambdaLR(optimizer, partial(warmup_cosine, warmup=warmup, steps=self.steps))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ContrastiveObjective(Objective):
    """NT-Xent over two random views of each sample of a batch, every other sample's being negatives.

    A sample that is left alone in an epoch's last batch has no negatives, and batch normalisation would
    take its statistics for those of the data: it is left out of that epoch; the next one shuffles anew.

    Attributes:
        views: how a sample becomes views.
        temperature: τ > 0.
        warmup: share of all steps, in [0, 1), over which the learning rate rises; half a cosine follows.
        micro_batch: samples put through the network at once, at least 2, or null for a batch at once; the
            loss is that of the whole batch all the same, see `in_parts`.
        precision: of the network's passes under bfloat16; the loss is computed in float32.
        adversary: CLAE's views, or null.
    """

    makes = _ContrastiveLoss
    compares_samples: ClassVar[bool] = True
    divides_batches: ClassVar[bool] = True
    views: Views
    temperature: Positive
    warmup: Annotated[float, Field(ge=0, lt=1)]
    micro_batch: Annotated[int, Field(ge=2)] | None
    precision: Precision
    adversary: AdversarialViews | None

    @property
    def passes(self) -> int:
        """See `Objective.passes`: one a view; CLAE's third is made by another, and learnt from."""
        return 2 if self.adversary is None else 4


def _paired(first: Tensor, second: Tensor) -> Tensor:
    """(2N, P): rows 2k and 2k + 1 are row k of each."""
    return torch.stack([first, second], 1).flatten(0, 1)


def in_parts(model: nn.Module, project: Callable[[Tensor], Tensor], images: Tensor, parts: int) -> Tensor:
    """Projections of a batch too large for one pass, for a loss that compares its samples.

    Gradient caching (Gao et al. 2021, §3): the backward pass runs the network again, part by part, for the
    memory of one part, a third more time, and the loss of the whole batch. Batch normalisation then takes
    its statistics from each part (of all ranks, where there are several).

    Args:
        model: whose running statistics are to be touched once only.
        project: its pass, (n, C, H, W) → (n, P).
        images: (N, C, H, W).
        parts: how many; they are of equal size, or differ by an image.

    Returns:
        (N, P).
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _kept_buffers(model)

    split = images.tensor_split(parts)
    return torch.cat([checkpoint(project, part, use_reentrant=False, context_fn=contexts) for part in split])


@contextmanager
def _kept_buffers(model: nn.Module) -> Iterator[None]:
    before = [buffer.clone() for buffer in model.buffers()]
    try:
        yield
    finally:
        for buffer, value in zip(model.buffers(), before, strict=True):
            buffer.copy_(value)


def warmup_cosine(step: int, *, warmup: int, steps: int) -> float:
    """Factor of the learning rate: a linear rise, then half a cosine (Chen et al. 2020, §2.2).

    Made for `torch.optim.lr_scheduler.LambdaLR`.

    Args:
        step: from 0.
        warmup: steps of the rise; the last of them has factor 1.
        steps: all steps, the rise included.

    Returns:
        A factor in (0, 1] for every step before `steps`, and 0 from there on.
    """
    if step < warmup:
        return (step + 1) / warmup
    if step >= steps:
        return 0.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
