"""Feature scattering: how far a group of samples is from itself, perturbed (Zhang and Wang 2019)."""

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from uae_cli.attacks.samples import Samples
from uae_cli.attacks.similarities import BoundSimilarity, Goal
from uae_cli.errors import ConfigError
from uae_cli.models.hooked import Response
from uae_cli.settings import STRICT, Count, Positive


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FeatureScattering:
    """The optimal-transport distance of clean and perturbed features, which is maximised (Table 13).

    Moving one unit of feature i to feature j costs 1 − cos; every sample holds as much mass as any other.
    A sample's share is what its own perturbed feature costs, S_j = B·Σ_i T_ij C_ij from 0 to 2, and the
    mean over the B samples is the distance. The plan T counts as fixed in the gradient, as in the
    program of Zhang and Wang. Their features are the network's logits, which an autoencoder hasn't;
    here they are its code, or whatever `layer` names. The paper of the UAEs doesn't tell its choice.

    By its definition samples matter to each other. They are coupled in fixed groups of neighbours in
    the dataset, so that the outcome still depends on no chunk: `group` takes the place of their batch.

    Attributes:
        goal: maximize, in the paper.
        layer: submodule whose output, flattened, is the feature; null for the model's output.
        group: samples coupled, at the most.
        regularization: of the entropic plan, in units of the cost.
        iterations: Sinkhorn iterations, always as many: a stopping rule would look at other groups.
        require_positive: whether an iterate with S ≤ 0 is refused.
    """

    goal: Goal
    layer: str | None
    group: Count
    regularization: Positive
    iterations: Count
    require_positive: bool = False
    unit: str = "1 − cos"

    def hooked_layer(self, model: nn.Module) -> str | None:
        """See `Similarity.hooked_layer`.

        Raises:
            ConfigError: the model has no such layer.
        """
        names = [name for name, _ in model.named_modules() if name]
        if self.layer is not None and self.layer not in names:
            raise ConfigError(
                f"similarity.layer = {self.layer}: the model has no such layer; it has {', '.join(names)}, "
                "and null takes its output"
            )
        return self.layer

    def check(self, name: str, model: nn.Module, response: Response) -> None:  # noqa: ARG002
        """See `Similarity.check`."""
        if self.layer is not None and response.features is None:
            raise ConfigError(
                f"similarity.layer = {self.layer}, for {name}: the model never calls this layer; choose one "
                "that it does, and null takes its output"
            )

    def bind(self, clean: Response, batch: Samples) -> BoundSimilarity:
        """See `Similarity.bind`; samples of one group may stand anywhere in the batch.

        Groups that aren't whole are coupled as far as they are there.
        """
        features, numbers = _directions(clean), batch.index // self.group
        groups = [torch.nonzero(numbers == number)[:, 0] for number in numbers.unique()]

        def distance(response: Response, iteration: int) -> Tensor:  # noqa: ARG001
            moved, shares = _directions(response), []
            for members in groups:
                cost = 1 - features[members] @ moved[members].T
                plan = transport_plan(cost.detach(), self.regularization, self.iterations)
                shares.append((plan * cost).sum(0) * len(members))
            return torch.cat(shares)[torch.cat(groups).argsort()]

        return distance


def transport_plan(cost: Tensor, regularization: float, iterations: int) -> Tensor:
    """The entropic optimal-transport plan between equal masses, by Sinkhorn's iterations (Cuturi 2013).

    In the log domain, where a small regularisation doesn't underflow. Columns sum to 1/B exactly, rows
    as nearly as the iterations bring them.

    Args:
        cost: (B, B), C_ij of moving one unit of mass from i to j.
        regularization: ε > 0; towards 0 the plan is the unregularised one.
        iterations: how many.

    Returns:
        (B, B), ≥ 0, summing to 1.
    """
    size = len(cost)
    scores = -cost / regularization
    rows, columns = cost.new_zeros(size, 1), cost.new_zeros(1, size)
    for _ in range(iterations):
        rows = -torch.logsumexp(scores + columns, dim=1, keepdim=True)
        columns = -torch.logsumexp(scores + rows, dim=0, keepdim=True)
    plan: Tensor = (scores + rows + columns).exp() / size
    return plan


def _directions(response: Response) -> Tensor:
    features = response.output if response.features is None else response.features
    return F.normalize(features.flatten(1), dim=1)
