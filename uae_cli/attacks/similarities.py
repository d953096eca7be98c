"""What a solver optimises besides the criterion: S(x, x + δ) (paper §3.2)."""

from abc import ABC, abstractmethod
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from uae_cli.attacks.criteria import squared_error
from uae_cli.attacks.rows import combined, projected
from uae_cli.attacks.samples import Samples
from uae_cli.errors import ConfigError
from uae_cli.mi import DrawnMine, MineSettings, PerSampleMine, RandomProjections, count_vectors
from uae_cli.models.hooked import Response
from uae_cli.settings import STRICT, Positive

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

    def hooked_layer(self, model: nn.Module) -> str | None:
        """The layer of the attacked model it reads, if any."""
        ...

    def check(self, name: str, model: nn.Module, response: Response) -> None:
        """See whether it can be taken of such a `model`, by its `response` to some samples.

        Args:
            name: the arm's or method's, for the message.
            model: the attacked one, untrained.
            response: with the hooked layer's output.

        Raises:
            ConfigError: it can't.
        """
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


def vectors_of(similarity: Similarity, model: nn.Module, x: Tensor) -> int:
    """K that it estimates information from, of such samples x (N, *shape); 0 where it estimates none."""
    return count_vectors(similarity.sampling, model, x) if isinstance(similarity, Mine) else 0


class BoundSimilarity(Protocol):
    """A similarity that knows the clean samples; it may learn from one call to the next."""

    def __call__(self, response: Response, iteration: int) -> Tensor:
        """S (B,), differentiable in `response.x`; iteration 0 is the starting point."""
        ...


@runtime_checkable
class Resumable(Protocol):
    """A bound similarity whose state can be saved, so that an interrupted attack goes on from an iteration.

    Without it, the attack of an interrupted chunk begins again.
    """

    def state_dict(self) -> dict[str, Any]:
        """All that it has learnt so far: of numbers, lists, dicts and tensors."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, in one that is bound to the same samples anew."""
        ...


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Mine(MineSettings):
    """I_θ(x, x + δ), the per-sample mutual information estimate, in nats (paper §3.1).

    Attributes:
        goal: minimize for unsupervised examples, maximize for supervised ones.
        require_positive: keep only iterates with I > 0 (authors' program, unsupervised).
        unit: of its values.
    """

    goal: Goal
    require_positive: bool
    unit: str = "nats"

    def hooked_layer(self, model: nn.Module) -> str | None:
        """See `Similarity.hooked_layer`."""
        return self.sampling.hooked_layer(model)

    def check(self, name: str, model: nn.Module, response: Response) -> None:  # noqa: ARG002
        """See `Similarity.check`: two vectors at least, or there is nothing to shuffle."""
        if (layer := self.hooked_layer(model)) is None:
            return
        shape = () if response.features is None else tuple(response.features.shape[1:])
        if len(shape) < 2 or shape[0] < 2:
            counted = f"{shape[0]} feature map" if len(shape) > 1 else f"outputs of shape {shape}"
            if response.features is None:
                counted = "nothing: the model never calls it"
            raise ConfigError(
                f"sampling = conv: layer {layer} gives {counted}, but a mutual information needs at least 2 "
                "feature maps; use more model.network.channels, another similarity.sampling.layer, or "
                "sampling=random"
            )

    def bind(self, clean: Response, batch: Samples) -> BoundSimilarity:
        """See `Similarity.bind`."""
        sampling = self.sampling
        if isinstance(sampling, RandomProjections) and not sampling.matrices:
            return DrawnMine(self, sampling, clean, batch.index, batch.seed)
        return PerSampleMine(self, clean, batch.index, batch.seed)


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

    def hooked_layer(self, model: nn.Module) -> str | None:  # noqa: ARG002
        """See `Similarity.hooked_layer`: none."""
        return None

    def check(self, name: str, model: nn.Module, response: Response) -> None:  # noqa: B027
        """See `Similarity.check`: most take any model."""

    def bind(self, clean: Response, batch: Samples) -> BoundSimilarity:  # noqa: ARG002
        """See `Similarity.bind`."""
        return _Compared(self, clean.x.detach())


class _Compared:
    """A comparison with clean samples x (B, *shape); it has nothing to save."""

    def __init__(self, comparison: Comparison, x: Tensor) -> None:
        self._comparison, self._x = comparison, x

    def __call__(self, response: Response, iteration: int) -> Tensor:  # noqa: ARG002
        return self._comparison.compare(self._x, response)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing was saved."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReconstructionError(Comparison):
    """‖x − Φ(x + δ)‖, which the L2-UAE baseline maximises under the same criterion (paper §4.4)."""

    unit: str = "L2"

    def check(self, name: str, model: nn.Module, response: Response) -> None:  # noqa: ARG002
        """See `Similarity.check`."""
        if response.output.shape != response.x.shape:
            raise ConfigError(
                f"similarity of {name}: compares reconstructions, but model.network answers samples of shape "
                f"{tuple(response.x.shape[1:])} with {tuple(response.output.shape[1:])}; leave {name} out, "
                "use another similarity, or an autoencoder as the model"
            )

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
class GaussianInformation(Comparison):
    """I(M x, M (x + δ)) = −(D/2) · ln(1 − ρ²) nats for a Gaussian M ∈ R^{D×d}, ρ the cosine of x and x + δ.

    What random sampling's MINE estimates, exact, and of the angle alone: no network, nothing random. As
    1 − ρ² → 0 it has no bound, so a floor is mixed in, I = −(D/2) · ln((1 − ρ² + floor) / (1 + floor)): at
    δ = 0 it is (D/2) · ln((1 + floor) / floor), and its gradient 0, so that a start at zero moves nothing.

    There is none of feature maps: the canonical correlations of fewer vectors than values are, whatever the
    shrinkage, nearly the same for independent vectors as for equal ones.

    Attributes:
        dimension: D; 1 is per coordinate, where the gradient has the size of MINE's.
        floor: above 0; 1e-6 makes 6.9 nats per coordinate the most.
    """

    dimension: Positive
    floor: Positive
    unit: str = "nats"

    def compare(self, x: Tensor, response: Response) -> Tensor:
        """See `Comparison.compare`; x can't need a gradient, and the second derivative is refused.

        Raises:
            ValueError: x does.
        """
        if x.requires_grad:
            raise ValueError("gaussian_mi: no gradient reaches the clean samples; detach them")
        information: Tensor = _Information.apply(x, response.x, self.dimension, self.floor)
        return information


class _Information(torch.autograd.Function):
    """`GaussianInformation`; autograd's own derivative would take as long as a small model does.

    With x' = s·x + r, r across x, ∂ρ²/∂x' = 2 ((1 − ρ²) s·x − ρ² r) / ‖x'‖².
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, moved: Tensor, dimension: float, floor: float) -> Tensor:
        share, along, across = projected(x, moved)
        length = (along + across).clamp_min_(torch.finfo(x.dtype).tiny)  # squared, as its parts are
        cosine, sine = along / length, across / length  # ρ², and 1 − ρ² without a difference that cancels
        slope = dimension / (sine + floor)
        ctx.save_for_backward(x, moved, share, slope * (sine / length) * share, -slope * (cosine / length))
        return -0.5 * dimension * torch.log((sine + floor) / (1 + floor))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[None, Tensor, None, None]:
        x, moved, share, of_x, of_rest = ctx.saved_tensors
        return None, combined(x, moved, share, upstream * of_x, upstream * of_rest), None, None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Nothing(Comparison):
    """No similarity at all: S = 0, for attacks that care about the criterion alone."""

    goal: Goal = "minimize"

    def compare(self, x: Tensor, response: Response) -> Tensor:  # noqa: ARG002
        """See `Comparison.compare`."""
        return response.x.new_zeros(len(response.x))  # without a gradient, which would be zeros to add up


def _root(squared: Tensor) -> Tensor:
    """√ with gradient 0 at 0, where a norm has none."""
    return squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt()
