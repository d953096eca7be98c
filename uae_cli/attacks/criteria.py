"""When an attack has succeeded: f(x + δ) ≤ 0, apart from how it is found (paper §3.2)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from uae_cli.attacks.rows import combined, rest_squares
from uae_cli.attacks.samples import Samples
from uae_cli.contrastive import Views, per_sample_nt_xent
from uae_cli.errors import ConfigError, SettingError
from uae_cli.models.hooked import HookedModel, Response
from uae_cli.randomness import uniform
from uae_cli.settings import STRICT, NonNegative, Positive
from uae_cli.text import one_line

ClassIndex = Annotated[int, Field(ge=0)]
VIEWS_AT_ONCE = 4096  # where no gradient is wanted, so that judging many samples takes little memory


@runtime_checkable
class Criterion(Protocol):
    """Settings of a criterion.

    Attributes:
        supervised: whether it needs the samples' labels.
    """

    supervised: ClassVar[bool]

    def bind(self, model: HookedModel, clean: Response, batch: Samples) -> "BoundCriterion":
        """The criterion for these clean samples; `clean` is the model's response to them."""
        ...

    def check(self, x: Tensor, output: Tensor) -> None:
        """See whether the model's `output` for samples `x` can be judged at all.

        Raises:
            ConfigError: it can't.
        """
        ...


class BoundCriterion(Protocol):
    """A criterion that knows the clean samples."""

    def __call__(self, response: Response) -> Tensor:
        """F (B,), differentiable in `response.x`; success means f ≤ 0."""
        ...


@runtime_checkable
class RandomCriterion(Criterion, Protocol):
    """A criterion with randomness of its own, by which the attack may have been lucky."""

    def fresh(self) -> Criterion:
        """The same with new random numbers, to judge finished samples by."""
        ...


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Reconstruction:
    """f = ‖x − Φ(x+δ)‖² − ‖x − Φ(x)‖² + κ: the model explains x from x+δ at least as well as from x.

    Squared norms, summed over a sample's values (paper §3.2; the authors' program).

    Attributes:
        kappa: κ ≥ 0, the margin; 0 in every experiment of the paper.
    """

    supervised: ClassVar[bool] = False
    kappa: NonNegative

    def bind(self, model: HookedModel, clean: Response, batch: Samples) -> BoundCriterion:  # noqa: ARG002
        """See `Criterion.bind`."""
        return _BoundReconstruction(clean, self.kappa)

    def check(self, x: Tensor, output: Tensor) -> None:
        """See `Criterion.check`."""
        if output.shape != x.shape:
            raise ConfigError(
                f"model.network: answers samples of shape {tuple(x.shape[1:])} with "
                f"{tuple(output.shape[1:])}; an autoencoder must give back the shape it takes"
            )


class _BoundReconstruction:
    def __init__(self, clean: Response, kappa: float) -> None:
        self._target = clean.x.detach()
        self._reference = squared_error(self._target, clean.output.detach()) - kappa

    def __call__(self, response: Response) -> Tensor:
        return squared_error(self._target, response.output) - self._reference


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OwnLoss:
    """f = ℓ(x, Φ(x+δ)) − ℓ(x, Φ(x)), with a loss ℓ of the user's.

    Attributes:
        loss: clean samples (B, *shape) and the model's output → one number per sample, (B,); differentiable.
    """

    supervised: ClassVar[bool] = False
    loss: Callable[[Tensor, Any], Tensor]

    def bind(self, model: HookedModel, clean: Response, batch: Samples) -> BoundCriterion:  # noqa: ARG002
        """See `Criterion.bind`."""
        target = clean.x.detach()
        reference = self.loss(target, clean.output).detach()
        return lambda response: self.loss(target, response.output) - reference

    def check(self, x: Tensor, output: Tensor) -> None:
        """See `Criterion.check`."""
        try:
            value = self.loss(x, output)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"loss: fails on samples and the model's output of them ({one_line(error)})"
            ) from error
        if not isinstance(value, Tensor) or value.shape != x.shape[:1]:
            shape = (
                f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            )
            raise ConfigError(
                f"loss: must give one number per sample, here of shape ({len(x)},), but gives {shape}; "
                "as by reduction='none' and .flatten(1).sum(1)"
            )


def squared_error(target: Tensor, output: Tensor) -> Tensor:
    """‖target − output‖² per sample, (B,), differentiable in `output`, once.

    Raises:
        ValueError: the target needs a gradient; there is none.
    """
    if target.requires_grad:
        raise ValueError("squared_error: no gradient reaches the target; detach it, or give it as the output")
    error: Tensor = _SquaredError.apply(target, output)
    return error


class _SquaredError(torch.autograd.Function):
    """Autograd's own derivative makes twice the passes over the values, which a small model feels."""

    @staticmethod
    def forward(ctx: Any, target: Tensor, output: Tensor) -> Tensor:
        whole = target.new_ones(len(target))
        ctx.save_for_backward(target, output, whole)
        return rest_squares(target, output, whole)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[None, Tensor]:
        target, output, whole = ctx.saved_tensors
        return None, combined(target, output, whole, torch.zeros_like(whole), 2 * upstream)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Misclassification:
    """Untargeted: f = M(x+δ)_y − max_{j≠y} M(x+δ)_j + κ; targeted: max_{j≠t} M(x+δ)_j − M(x+δ)_t + κ.

    M are the logits, y the sample's class (Carlini and Wagner 2017; paper §3.2).

    Attributes:
        kappa: κ ≥ 0, the gap by which the wrong class must lead.
        target: t for every sample, whose own class it must not be; random, one of the other classes drawn
            from (seed, index); least_likely, the one with the smallest logit of the clean sample; or null.
    """

    supervised: ClassVar[bool] = True
    kappa: NonNegative
    target: ClassIndex | Literal["random", "least_likely"] | None

    def bind(self, model: HookedModel, clean: Response, batch: Samples) -> "BoundMisclassification":  # noqa: ARG002
        """See `Criterion.bind`.

        Raises:
            ConfigError: there are no labels, or a sample's class is the target.
        """
        if batch.labels is None:
            raise ConfigError(
                "criterion = misclassification: needs the samples' classes; use protocol=attack"
            )
        if not bool(self.attackable(batch.labels).all()):
            raise SettingError(
                "criterion.target", str(self.target), "is the class of a sample; leave out those samples"
            )
        return BoundMisclassification(batch.labels, self._targets(clean.output, batch), self.kappa)

    def attackable(self, labels: Tensor) -> Tensor:
        """Which samples (N,) can be attacked: those that aren't of the target class already."""
        if isinstance(self.target, int):
            return labels != self.target
        return torch.ones_like(labels, dtype=torch.bool)

    def check(self, x: Tensor, output: Tensor) -> None:
        """See `Criterion.check`."""
        if output.ndim != 2 or len(output) != len(x) or output.shape[1] < 2:
            raise ConfigError(
                f"criterion = misclassification: needs a logit for each of two or more classes, but "
                f"model.network answers a sample with shape {tuple(output.shape[1:])}; use a classifier, as "
                "model=mnist_cnn"
            )
        classes = output.shape[1]
        if isinstance(self.target, int) and self.target >= classes:
            raise SettingError(
                "criterion.target",
                str(self.target),
                f"the model knows {classes} classes; choose 0 to {classes - 1}",
            )

    def _targets(self, logits: Tensor, batch: Samples) -> Tensor | None:
        labels = batch.labels
        assert labels is not None  # the caller's condition
        if self.target is None:
            return None
        if isinstance(self.target, int):
            return torch.full_like(labels, self.target)
        if self.target == "least_likely":
            return _without(logits, labels, torch.inf).argmin(1)
        numbers = uniform(batch.seed, "target", batch.index, 1, torch.float64)[:, 0]
        others = (numbers * (logits.shape[1] - 1)).long()
        return others + (others >= labels).long()


class BoundMisclassification:
    """F of some samples, and the loss of attacks that don't descend f.

    Args:
        labels: (B,) int64, the samples' classes y.
        targets: (B,) int64 classes t, none of them the sample's own; None for an untargeted attack.
        kappa: κ.
    """

    def __init__(self, labels: Tensor, targets: Tensor | None, kappa: float) -> None:
        self._labels, self.targets, self._kappa = labels, targets, kappa

    def __call__(self, response: Response) -> Tensor:
        """See `BoundCriterion.__call__`."""
        if self.targets is None:
            return _lead(response.output, self._labels) + self._kappa
        return self._kappa - _lead(response.output, self.targets)

    def cross_entropy(self, response: Response) -> Tensor:
        """What falls (B,) as the attack succeeds: minus the loss of y, or the loss of the target."""
        if self.targets is None:
            return -F.cross_entropy(response.output, self._labels, reduction="none")
        return F.cross_entropy(response.output, self.targets, reduction="none")


def _lead(logits: Tensor, classes: Tensor) -> Tensor:
    """By how much each sample's class (B,) leads before the best of the others."""
    return logits.gather(1, classes[:, None])[:, 0] - _without(logits, classes, -torch.inf).amax(1)


def _without(logits: Tensor, classes: Tensor, value: float) -> Tensor:
    return logits.scatter(1, classes[:, None], value)


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

    def bind(self, model: HookedModel, clean: Response, batch: Samples) -> BoundCriterion:  # noqa: ARG002
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
    def __init__(self, settings: Contrastive, model: HookedModel, batch: Samples) -> None:
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
