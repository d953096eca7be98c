"""When an attack has succeeded: f(x + δ) ≤ 0, apart from how it is found (paper §3.2)."""

from typing import Protocol, runtime_checkable

from pydantic.dataclasses import dataclass
from torch import Tensor

from uae_cli.models.tapped import Response
from uae_cli.settings import STRICT, NonNegative


@runtime_checkable
class Criterion(Protocol):
    """Settings of a criterion."""

    def against(self, clean: Response) -> "BoundCriterion":
        """The criterion for these clean samples."""
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

    kappa: NonNegative

    def against(self, clean: Response) -> BoundCriterion:
        """See `Criterion.against`."""
        return _BoundReconstruction(clean, self.kappa)


class _BoundReconstruction:
    def __init__(self, clean: Response, kappa: float) -> None:
        self._target = clean.x.detach()
        self._reference = squared_error(self._target, clean.output.detach()) - kappa

    def __call__(self, response: Response) -> Tensor:
        return squared_error(self._target, response.output) - self._reference


def squared_error(target: Tensor, output: Tensor) -> Tensor:
    """‖target − output‖² per sample, (B,)."""
    return (target - output).square().flatten(1).sum(1)
