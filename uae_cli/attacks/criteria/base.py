"""What a criterion is, and the one of autoencoders: f(x + δ) ≤ 0 means success (paper §3.2)."""

from typing import ClassVar, Protocol, runtime_checkable

from pydantic.dataclasses import dataclass
from torch import Tensor

from uae_cli.attacks.samples import Samples
from uae_cli.errors import ConfigError
from uae_cli.models.hooked import Response, TappedModel
from uae_cli.settings import STRICT, NonNegative


@runtime_checkable
class Criterion(Protocol):
    """Settings of a criterion.

    Attributes:
        supervised: whether it needs the samples' labels.
    """

    supervised: ClassVar[bool]

    def bind(self, model: TappedModel, clean: Response, batch: Samples) -> "BoundCriterion":
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Reconstruction:
    """f = ‖x − Φ(x+δ)‖² − ‖x − Φ(x)‖² + κ: the model explains x from x+δ at least as well as from x.

    Squared norms, summed over a sample's values (paper §3.2; the authors' program).

    Attributes:
        kappa: κ ≥ 0, the margin; 0 in every experiment of the paper.
    """

    supervised: ClassVar[bool] = False
    kappa: NonNegative

    def bind(self, model: TappedModel, clean: Response, batch: Samples) -> BoundCriterion:  # noqa: ARG002
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


def squared_error(target: Tensor, output: Tensor) -> Tensor:
    """‖target − output‖² per sample, (B,)."""
    return (target - output).square().flatten(1).sum(1)
