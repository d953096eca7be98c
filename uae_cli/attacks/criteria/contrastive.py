"""When an attack on a contrastive model has succeeded (paper §4.6; settings of the authors' program)."""

from dataclasses import replace
from typing import Annotated, ClassVar, Protocol, runtime_checkable

import torch
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from uae_cli.attacks.criteria.base import BoundCriterion, Criterion
from uae_cli.attacks.samples import Samples
from uae_cli.contrastive import Views, per_sample_nt_xent
from uae_cli.errors import ConfigError
from uae_cli.models.hooked import Response, TappedModel
from uae_cli.settings import STRICT, NonNegative, Positive

VIEWS_AT_ONCE = 4096  # where no gradient is wanted, so that judging many samples takes little memory


@runtime_checkable
class RandomCriterion(Criterion, Protocol):
    """A criterion with randomness of its own, by which the attack may have been lucky."""

    def fresh(self) -> Criterion:
        """The same with new random numbers, to judge finished samples by."""
        ...


def _has_negatives(copies: int) -> int:
    if copies < 2:
        raise ValueError("must be at least 2: the two views of one copy have no negatives, and loss 0")
    return copies


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Contrastive:
    """f = ℓ(x+δ) − ℓ(x) + κ, with ℓ SimCLR's loss of one sample: NT-Xent over the views of its own copies.

    Views depend on (seed, a sample's index) alone and stay the same throughout an attack, which is then
    no attack on a moving target.

    Attributes:
        views: how a copy becomes two views.
        copies: of a sample, at least 2; 50 in the authors' program, that is 100 views.
        temperature: τ > 0.
        same_views: whether x+δ is seen in the views of x; else in others, and f = 0 no longer at δ = 0.
        kappa: κ ≥ 0, the margin; 0 in every experiment of the paper.
        draw: number of the draw of views; those of different draws are independent.
    """

    supervised: ClassVar[bool] = False
    views: Views
    copies: Annotated[int, AfterValidator(_has_negatives)]
    temperature: Positive
    same_views: bool
    kappa: NonNegative
    draw: Annotated[int, Field(ge=0)]

    def bind(self, model: TappedModel, clean: Response, batch: Samples) -> BoundCriterion:  # noqa: ARG002
        """See `Criterion.bind`."""
        return _BoundContrastive(self, model, batch)

    def check(self, x: Tensor, output: Tensor) -> None:
        """See `Criterion.check`."""
        if x.ndim != 4 or output.ndim != 2:
            raise ConfigError(
                f"criterion = contrastive: needs images (C, H, W) and a model that makes a vector of each; "
                f"this one answers samples of shape {tuple(x.shape[1:])} with {tuple(output.shape[1:])}; "
                "use model=simclr on images"
            )

    def fresh(self) -> "Contrastive":
        """See `RandomCriterion.fresh`."""
        return replace(self, draw=self.draw + 1)


class _BoundContrastive:
    def __init__(self, settings: Contrastive, model: TappedModel, batch: Samples) -> None:
        self._settings, self._model, self._batch = settings, model, batch
        stream = f"contrastive views {settings.draw}"
        with torch.no_grad():
            self._reference = self._loss(batch.x, stream) - settings.kappa
        self._stream = stream if settings.same_views else f"{stream} of the perturbed"

    def __call__(self, response: Response) -> Tensor:
        return self._loss(response.x, self._stream) - self._reference

    def _loss(self, x: Tensor, stream: str) -> Tensor:
        """ℓ of each sample, (B,)."""
        size = len(x)
        if not (torch.is_grad_enabled() and x.requires_grad):
            size = max(1, VIEWS_AT_ONCE // (2 * self._settings.copies))
        parts = zip(x.split(size), self._batch.index.split(size), strict=True)
        return torch.cat([self._part(samples, index, stream) for samples, index in parts])

    def _part(self, x: Tensor, index: Tensor, stream: str) -> Tensor:
        count, views = 2 * self._settings.copies, self._settings.views
        seen = views.apply(x, views.draw(self._batch.seed, stream, index, count))
        projections = self._model(seen).output.unflatten(0, (len(x), count))
        return per_sample_nt_xent(projections, self._settings.temperature)
