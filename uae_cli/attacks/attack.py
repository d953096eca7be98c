"""An attack is criterion × similarity × solver; here it is made on one batch."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import pydantic.dataclasses
import torch
from torch import Tensor, nn

from uae_cli.attacks.criteria import Criterion
from uae_cli.attacks.samples import Samples
from uae_cli.attacks.similarities import Grouped, Similarity
from uae_cli.attacks.solvers import Found, Problem, Solver
from uae_cli.models.hooked import HookedModel
from uae_cli.settings import STRICT, Count, Precision
from uae_cli.training.checkpoint import Checkpoint


@dataclass(frozen=True)
class Attack:
    """Criterion × similarity × solver: everything but the model and the samples.

    `precision` is that of the attacked model's forward and backward passes; f, S and δ stay float32.
    """

    criterion: Criterion
    similarity: Similarity
    solver: Solver
    precision: Precision = "float32"

    def frozen(self, model: nn.Module) -> AbstractContextManager[HookedModel]:
        """`model` as it is attacked, within a block; see `frozen`."""
        return frozen(model, self.similarity.hooked_layer(model), self.precision)


@pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=STRICT)
class Method:
    """One of the ways to attack that the attack protocol compares, under the experiment's criterion.

    Attributes:
        similarity: what is optimised besides the criterion.
        solver: how.
        draws: independent runs within one seed; results give their mean and spread.
    """

    similarity: Similarity
    solver: Solver
    draws: Count = 1


@contextmanager
def frozen(
    model: nn.Module, layer: str | None = None, precision: Precision = "float32"
) -> Iterator[HookedModel]:
    """The model in evaluation mode and without gradients of its parameters; afterwards as it was before."""
    training = [(module, module.training) for module in model.modules()]
    trained = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        yield HookedModel(model, layer, precision=precision)
    finally:
        for module, mode in training:
            module.training = mode
        for parameter, wanted in trained:
            parameter.requires_grad_(wanted)


def attack_batch(
    attack: Attack,
    model: HookedModel,
    batch: Samples,
    on_iteration: Callable[[int], None] = lambda _: None,
    saved: Checkpoint | None = None,
) -> Found:
    """Attack one batch; `on_iteration` is told its size after each of the solver's iterations.

    With `saved`, an attack that was interrupted goes on from the last iteration that was saved.
    """
    with torch.no_grad():
        clean = model(batch.x)
    criterion, similarity = attack.criterion.bind(model, clean, batch), attack.similarity
    # Coupled samples are neighbours among those attacked, and batches hold whole groups: places will do
    places = torch.arange(len(batch), device=batch.x.device)
    own = replace(batch, index=places) if isinstance(similarity, Grouped) else batch
    problem = Problem(
        model=model,
        batch=batch,
        criterion=criterion,
        bind_similarity=partial(similarity.bind, clean, own),
        goal=similarity.goal,
        require_positive=similarity.require_positive,
        saved=saved,
    )
    found = attack.solver.run(problem, on_iteration=lambda _: on_iteration(len(batch)))
    moved = (found.x != batch.x).flatten(1).any(dim=1)  # where δ = 0, f is 0 and nothing was found
    with torch.no_grad():
        holds = found.success & moved & (criterion(model(found.x)) <= 0)
    return found.restrict(holds, batch.x)


def judge(
    criterion: Criterion, model: HookedModel, samples: Samples, candidates: Tensor, *, chunk_size: int
) -> Tensor:
    """F of every candidate (N, *shape) against its clean sample, (N,): what success is judged by.

    The samples' index and seed must be those of the attack, where criteria draw numbers from them.
    """
    values = []
    with torch.no_grad():
        for rows in torch.arange(len(samples)).split(chunk_size):
            batch = samples.rows(rows).to(model.device)
            bound = criterion.bind(model, model(batch.x), batch)
            values.append(bound(model(candidates[rows].to(model.device))).cpu())
    return torch.cat(values)
