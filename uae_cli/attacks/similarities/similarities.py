"""What a solver optimises besides the criterion: S(x, x + δ) (paper §3.2)."""

from abc import ABC, abstractmethod
from typing import Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from uae_cli.attacks.criteria.reconstruction import squared_error
from uae_cli.mi import PerSampleMine, Sampling
from uae_cli.models.hooked import Response
from uae_cli.settings import STRICT, Count, Positive

Goal = Literal["minimize", "maximize"]


@runtime_checkable
class Similarity(Protocol):
    """Settings of a similarity.

    Attributes:
        goal: whether solvers minimise or maximise it.
        require_positive: whether an iterate with S ≤ 0 is refused.
        unit: of its values, for reports.
    """

    goal: Goal
    require_positive: bool
    unit: str

    def tapped_layer(self, model: nn.Module) -> str | None:
        """The layer of the attacked model it reads, if any."""
        ...

    def begin(self, clean: Response, index: Tensor, seed: int) -> "BoundSimilarity":
        """The similarity to these clean samples; `index` (B,) is their position in the dataset."""
        ...


@runtime_checkable
class Grouped(Protocol):
    """A similarity that couples samples: always the same ones, so that chunks still don't matter.

    Attributes:
        group: samples `n·group` to `(n+1)·group − 1` of the dataset belong together; chunks hold whole
            groups, but for the dataset's last one.
    """

    group: int


def group_of(similarity: Similarity) -> int:
    """How many samples it couples; 1 where every sample is on its own."""
    return similarity.group if isinstance(similarity, Grouped) else 1


class BoundSimilarity(Protocol):
    """A similarity that knows the clean samples; it may learn from one call to the next."""

    def __call__(self, response: Response, iteration: int) -> Tensor:
        """S (B,), differentiable in `response.x`; iteration 0 is the starting point."""
        ...


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Mine:
    """I_θ(x, x + δ), the per-sample mutual information estimate, in nats (paper §3.1).

    Attributes:
        goal: minimize for unsupervised examples, maximize for supervised ones.
        require_positive: keep only iterates with I > 0 (authors' program, unsupervised).
        sampling: how one sample becomes K vectors.
        hidden: H, width of the statistics network.
        steps: Adam steps per attack iteration.
        learning_rate: Adam's.
    """

    goal: Goal
    require_positive: bool
    sampling: Sampling
    hidden: Count
    steps: Count
    learning_rate: Positive
    unit: str = "nats"

    def tapped_layer(self, model: nn.Module) -> str | None:
        """See `Similarity.tapped_layer`."""
        return self.sampling.tapped_layer(model)

    def begin(self, clean: Response, index: Tensor, seed: int) -> BoundSimilarity:
        """See `Similarity.begin`."""
        return PerSampleMine(
            clean,
            index,
            sampler=self.sampling.bind(clean.x, seed),
            marginals=self.sampling.marginals,
            hidden=self.hidden,
            steps=self.steps,
            learning_rate=self.learning_rate,
            seed=seed,
        )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Comparison(ABC):
    """A similarity that learns nothing: a fixed function of the clean sample and the model's response.

    Attributes:
        goal: whether solvers minimise or maximise it.
        require_positive: whether an iterate with S ≤ 0 is refused.
        unit: of its values, for reports.
    """

    goal: Goal
    require_positive: bool = False
    unit: str = ""

    @abstractmethod
    def compare(self, x: Tensor, response: Response) -> Tensor:
        """S (B,) of clean samples x (B, *shape) and what the model makes of the perturbed ones."""

    def tapped_layer(self, model: nn.Module) -> str | None:  # noqa: ARG002
        """See `Similarity.tapped_layer`: none."""
        return None

    def begin(self, clean: Response, index: Tensor, seed: int) -> BoundSimilarity:  # noqa: ARG002
        """See `Similarity.begin`."""
        x = clean.x.detach()
        return lambda response, iteration: self.compare(x, response)  # noqa: ARG005


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReconstructionError(Comparison):
    """‖x − Φ(x + δ)‖, which the L2-UAE baseline maximises under the same criterion (paper §4.4)."""

    unit: str = "L2"

    def compare(self, x: Tensor, response: Response) -> Tensor:
        """See `Comparison.compare`."""
        return _root(squared_error(x, response.output))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class L2Distance(Comparison):
    """‖δ‖₂, in units of the [0, 1] range, which is maximised (paper §6.14, Table 13).

    At δ = 0 it has no direction, and its gradient counts as 0: a start at zero moves nothing.
    """

    unit: str = "L2"

    def compare(self, x: Tensor, response: Response) -> Tensor:
        """See `Comparison.compare`."""
        return _root(squared_error(x, response.x))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CosineDistance(Comparison):
    """1 − cos(x, x + δ) over a sample's values, from 0 to 1 in the box; maximised (paper §6.14, Table 13).

    At δ = 0 it is smallest, and its gradient 0: a start at zero moves nothing.
    """

    unit: str = "1 − cos"

    def compare(self, x: Tensor, response: Response) -> Tensor:
        """See `Comparison.compare`."""
        return 1 - F.cosine_similarity(x.flatten(1), response.x.flatten(1), dim=1)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Nothing(Comparison):
    """No similarity at all: S = 0, for attacks that care about the criterion alone."""

    goal: Goal = "minimize"

    def compare(self, x: Tensor, response: Response) -> Tensor:  # noqa: ARG002
        """See `Comparison.compare`."""
        return 0 * response.x.flatten(1).sum(1)


def _root(squared: Tensor) -> Tensor:
    """√ with gradient 0 at 0, where a norm has none."""
    return squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt()
