"""Adversarial arms: unsupervised examples, chains of arms that build on each other, and adversarial views."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import field, replace
from itertools import groupby
from typing import Annotated, Literal, Protocol, runtime_checkable

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from uae_cli.arms.base import Arm, ArmInputs, ExtraSamples, Transform
from uae_cli.attacks import Attack, FittedMoves, Moves, Samples, Similarity, attack_batch
from uae_cli.errors import ConfigError
from uae_cli.randomness import derive_seed
from uae_cli.settings import STRICT, Count
from uae_cli.training import AdversarialViews, ContrastiveObjective, Objective


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Adversarial:
    """Unsupervised adversarial examples of the current model (paper §4.4).

    Attributes:
        similarity: what the solver optimises beside the criterion.
        moves: the ways that samples may go; None: every value by itself.
        fresh: whether they are made anew during the training. From δ = 0 (attack.delta_start=zero) a
            similarity without random numbers would find the same ones again.
        target: of the rounds after the first: the original model, or the current one in training.
        every: epochs between two rounds.
        iterations: of the solver in every round, the first included; None: the solver's own.
    """

    similarity: Similarity
    moves: Moves | None = None
    fresh: bool = False
    target: Literal["original", "current"] = "original"
    every: Count = 1
    iterations: Count | None = None
    draws: Literal[1] = 1

    def make(self, name: str, inputs: ArmInputs, draw: int) -> ExtraSamples:  # noqa: ARG002
        """See `Arm.make`; what is told of an attack is of the first round."""
        moves = self.fitted_moves(inputs.x)
        found = replace(inputs.attacked(name, self.similarity, self.iterations, moves), moves=moves)
        if not self.fresh:
            return found
        current = self.target == "current"
        renewal = inputs.renewed(self.similarity, self.iterations, moves, self.every, current)
        return replace(found, renewal=renewal)

    def fitted_moves(self, x: Tensor) -> FittedMoves | None:
        """The ways that training samples x (N, *shape) may go; None: any."""
        return None if self.moves is None else self.moves.fit(x)


@plain_dataclass(frozen=True)
class FreshAttack:
    """Every sample attacked anew, each round from a start of its own; see `Renewal`.

    Attributes:
        attack: what is done.
        every: epochs between two rounds.
        seed: the experiment's.
        target_key: identifies the target; empty for the model in training.
        x: (N, *shape) the training samples.
        target: the attacked model; None: the one in training.
        chunk_size: samples attacked at once, whole groups of coupled ones; it changes nothing but rounding.
    """

    attack: Attack
    every: int
    seed: int
    target_key: str
    x: Tensor = field(repr=False)
    target: nn.Module | None = field(repr=False)
    chunk_size: int = field(repr=False)

    @property
    def passes(self) -> int:
        """See `Renewal.passes`."""
        return len(self.x) * self.attack.solver.total_iterations

    def samples(self, model: nn.Module, epoch: int) -> Tensor:
        """See `Renewal.samples`."""
        samples = Samples.first(self.x, seed=derive_seed(self.seed, f"fresh/{epoch}"))
        with self.attack.frozen(self.target or model) as attacked:
            batches = (
                samples.rows(rows).to(attacked.device)
                for rows in torch.arange(len(samples)).split(self.chunk_size)
            )
            return torch.cat([attack_batch(self.attack, attacked, batch).x.cpu() for batch in batches])


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Chain:
    """Several arms together (paper §4.4, Table 5; §6.15).

    Transforms that follow each other are done to one and the same sample; every other step makes samples
    of its own. An attack is made on the model retrained on the samples and all that came before it.

    Attributes:
        steps: arms by name, in their order.
        draws: how often the whole chain is drawn anew.
    """

    steps: Annotated[dict[str, Arm], Field(min_length=1)]
    draws: Count = 1

    def make(self, name: str, inputs: ArmInputs, draw: int) -> ExtraSamples:
        """See `Arm.make`; what is told of an attack is of the last one."""
        parts: list[ExtraSamples] = []
        done: list[str] = []
        for label, arms in parts_of(self.steps):
            current = inputs.retrained("+".join(done), _samples(parts)) if parts else inputs
            done.append(label)
            place = f"{name}/{label} draw {draw + 1}" if draw else f"{name}/{label}"
            parts.append(_made(arms, place, current, draw))
        if len(parts) == 1:
            return parts[0]
        attack = next((part for part in reversed(parts) if part.success is not None), parts[-1])
        return replace(
            attack,
            x=_samples(parts),
            seconds=sum(part.seconds for part in parts),
            passes=sum(part.passes for part in parts),
            parts=tuple(parts),
        )


@runtime_checkable
class ChangesTraining(Protocol):
    """An arm whose model is retrained for another objective; a cached fit is known by its settings."""

    def objective(self, plain: Objective) -> Objective:
        """What the model is trained for instead of `plain`.

        Raises:
            ConfigError: that objective can't be changed so.
        """
        ...


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ContrastiveAdversary:
    """CLAE (Ho and Vasconcelos 2020): trained on the replicated samples and their adversarial views.

    It takes as many steps as `replicate`, each about twice as long.

    Attributes:
        adversary: what makes the views.
    """

    adversary: AdversarialViews
    draws: Literal[1] = 1

    def make(self, name: str, inputs: ArmInputs, draw: int) -> ExtraSamples:  # noqa: ARG002
        """See `Arm.make`: the samples themselves."""
        return ExtraSamples(inputs.x)

    def objective(self, plain: Objective) -> Objective:
        """See `ChangesTraining.objective`."""
        if not isinstance(plain, ContrastiveObjective):
            raise ConfigError(
                f"arm = clae: adversarial views belong to a contrastive loss, not to {type(plain).__name__}; "
                "use model=simclr, or leave the arm out"
            )
        return replace(plain, adversary=self.adversary)


def parts_of(steps: Mapping[str, Arm]) -> Iterator[tuple[str, list[Arm]]]:
    """Label and arms of every part of a chain: transforms that follow each other, or one other arm."""
    numbered = list(enumerate(steps.items()))
    for _, group in groupby(numbered, lambda n: -1 if isinstance(n[1][1], Transform) else n[0]):
        members = [step for _, step in group]
        yield "_".join(name for name, _ in members), [arm for _, arm in members]


def attacks_of(arms: Mapping[str, Arm]) -> dict[str, Adversarial]:
    """Every arm that attacks, also within chains, by its place."""
    found: dict[str, Adversarial] = {}
    for name, arm in arms.items():
        if isinstance(arm, Adversarial):
            found[name] = arm
        elif isinstance(arm, Chain):
            found |= {f"{name}/{step}": attack for step, attack in attacks_of(arm.steps).items()}
    return found


def _made(arms: list[Arm], name: str, inputs: ArmInputs, draw: int) -> ExtraSamples:
    first = arms[0]
    if not isinstance(first, Transform):
        return first.make(name, inputs, draw)
    x, start = inputs.x, time.perf_counter()
    # By the part's own name, so that chains which begin alike share the model fitted on their beginning
    stream = name.partition("/")[2]
    for position, arm in enumerate(arms):
        assert isinstance(arm, Transform)  # as `parts_of` groups them
        x = arm.apply(x, inputs.seed, f"{stream}/{position}/{draw}")
    return ExtraSamples(x, seconds=time.perf_counter() - start)


def _samples(parts: list[ExtraSamples]) -> Tensor:
    return torch.cat([part.x for part in parts])
