"""What a similarity is, and the paper's own, the mutual information (paper §3.1, §3.2)."""

from typing import Literal, Protocol, runtime_checkable

from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from uae_cli.attacks.samples import Samples
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

    def bind(self, clean: Response, batch: Samples) -> "BoundSimilarity":
        """The similarity to these clean samples, untrained; `clean` is the model's response to them."""
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
        compiled: whether the networks train by the compiled CPU kernel, or by torch's operations; None takes
            what is faster there. The outcomes agree to rounding.
        reduced: whether they train in coordinates of the vectors' span, where the vectors stay the same ones;
            else on the whole vectors, which is slow and finds as much.
    """

    goal: Goal
    require_positive: bool
    sampling: Sampling
    hidden: Count
    steps: Count
    learning_rate: Positive
    unit: str = "nats"
    compiled: bool | None = None
    reduced: bool = True

    def tapped_layer(self, model: nn.Module) -> str | None:
        """See `Similarity.tapped_layer`."""
        return self.sampling.tapped_layer(model)

    def bind(self, clean: Response, batch: Samples) -> BoundSimilarity:
        """See `Similarity.bind`."""
        return PerSampleMine(
            clean,
            batch.index,
            sampler=self.sampling.bind(clean.x, batch.seed),
            marginals=self.sampling.marginals,
            hidden=self.hidden,
            steps=self.steps,
            learning_rate=self.learning_rate,
            seed=batch.seed,
            compiled=self.compiled,
            reduced=self.reduced,
        )
