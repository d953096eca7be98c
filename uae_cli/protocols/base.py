"""What a protocol is, and what it finds: which samples are attacked, and what an attack made of them."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from uae_cli.arms import ExtraSamples
from uae_cli.attacks import Criterion, Samples, judge
from uae_cli.attacks.model_checks import warnings_about
from uae_cli.errors import ConfigError
from uae_cli.evaluation.outputs import predicted
from uae_cli.experiment.schema import ProtocolSettings
from uae_cli.models import HookedModel
from uae_cli.randomness import generator
from uae_cli.stages import Fitted, Metrics, Stages, TensorBoard

log = logging.getLogger(__name__)

ORIGINAL = "original"
REPLICATE = "replicate"
SHOWN = 10  # samples in a figure
_TRIED = 64  # samples that a model is checked on before it is attacked


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a result: a model's own, or what was made of its samples.

    Attributes:
        arm: its name.
        fitted: the model, of the first draw.
        control: the arm that its gains against `replicate` are measured by.
        draws: metrics of each repetition within the run (names of `uae_cli.results.columns.METRICS`).
    """

    arm: str
    fitted: Fitted
    control: str = REPLICATE
    draws: list[Metrics] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """The model was trained for; early stopping may end below the setting."""
        return len(self.fitted.history.losses)

    @property
    def training_passes(self) -> int:
        """Forward and backward passes of one sample that the model's own training took."""
        return self.fitted.history.passes

    @property
    def attack_passes(self) -> int:
        """Those that making its samples took."""
        return 0


@dataclass(frozen=True, kw_only=True)
class SampleLine(Line):
    """The line of an arm of the augmentation, or of a method of attack.

    Attributes:
        samples: clean ones.
        extra: what was made of them, in the first draw.
    """

    samples: Samples
    extra: ExtraSamples

    @property
    def attack_passes(self) -> int:
        """See `Line.attack_passes`; of the first draw, with all rounds made during its training."""
        renewal = self.extra.renewal
        again = 0 if renewal is None else renewal.passes * self.fitted.history.renewals
        return self.extra.passes + again


@dataclass(frozen=True)
class Result:
    """What a protocol found.

    Attributes:
        lines: of the table, in their order.
        draw: puts figures under a title into a folder that exists, and what goes with them on TensorBoard.
    """

    lines: Sequence[Line]
    draw: Callable[[Path, str, TensorBoard], None]


@runtime_checkable
class Runnable(ProtocolSettings, Protocol):
    """Settings of a protocol that can be carried out; `conf/protocol/` names them.

    One that has a class attribute `reads`, a set of sections of the config, is told apart by it: an override
    in a section that only other protocols read is refused.
    """

    def run(self, stages: Stages) -> Result:
        """Do it."""
        ...


def check_attack_size(wanted: int, x: Tensor, noun: str) -> None:
    """See whether there are so many samples of this noun.

    Raises:
        ConfigError: there aren't.
    """
    if wanted > len(x):
        raise ConfigError(f"data.attack_size = {wanted}: there are only {len(x)} {noun}; ask for fewer")


def choose_samples(stages: Stages, model: nn.Module, prefix: str = "") -> Samples:
    """`data.attack_size` test samples that the model classifies correctly, drawn by seed.

    Samples already of a targeted criterion's class are passed over. Under an unsupervised criterion, the
    first training samples. What makes an attack on this model worthless is logged, after the prefix.

    Raises:
        ConfigError: there are too few.
    """
    experiment = stages.experiment
    if experiment.criterion.supervised:
        samples = _classified(stages, model)
    else:
        samples = Samples.first(stages.data.x_train[: experiment.data.attack_size], seed=stages.seed)
    tried = samples.rows(torch.arange(min(_TRIED, len(samples))))
    for line in warnings_about(model, experiment.criterion, tried):
        log.warning("%s%s", prefix, line)
    return samples


def _classified(stages: Stages, model: nn.Module) -> Samples:
    data, wanted = stages.data, stages.experiment.data.attack_size
    fit = predicted(model, data.x_test, batch_size=stages.chunk_size) == data.y_test
    exempt = getattr(stages.experiment.criterion, "attackable", None)
    fit = fit if exempt is None else fit & exempt(data.y_test)
    if int(fit.sum()) < wanted:
        raise ConfigError(
            f"data.attack_size = {wanted}: of {len(fit)} test samples, {int(fit.sum())} are classified "
            "correctly and can be attacked; ask for so many or fewer, or train longer (model.trainer.epochs, "
            "refit_epochs)"
        )
    order = torch.randperm(len(fit), generator=generator(stages.seed, "attacked", torch.device("cpu")))
    index = order[fit[order]][:wanted].sort().values
    return Samples(data.x_test[index], index, stages.seed, data.y_test[index])


def succeeded(
    model: nn.Module, samples: Samples, extra: ExtraSamples, criterion: Criterion, chunk_size: int
) -> Tensor:
    """Judged anew on the saved tensors, (n,) bool; a sample that equals its original has not succeeded."""
    f = judge(criterion, HookedModel(model, None), samples, extra.x, chunk_size=chunk_size)
    return (f <= 0) & (extra.x != samples.x).flatten(1).any(dim=1)


def plain_metrics(samples: Samples, extra: ExtraSamples, success: Tensor) -> Metrics:
    """What is told of every attack; no time where another device took it."""
    metrics = {
        "asr": 100 * float(success.double().mean()),
        "perturbation_l2": float((extra.x - samples.x).flatten(1).norm(dim=1).mean()),
    }
    if math.isfinite(extra.seconds):
        metrics["seconds_per_sample"] = extra.seconds / len(samples)
    return metrics


def information(extra: ExtraSamples, success: Tensor) -> Metrics:
    """The attack's own mean value over the successes (n,) bool, if there are any and it is of information.

    It is no estimate of it: see `evaluation.mutual_information`.
    """
    if extra.similarity is None or extra.unit != "nats" or not bool(success.any()):
        return {}
    metrics = {"in_attack_value": float(extra.similarity[success].mean())}
    return metrics | ({"in_attack_ln_k": math.log(extra.vectors)} if extra.vectors else {})


def what_similarity_did(extra: ExtraSamples, x: Tensor, without: ExtraSamples | None) -> str:
    """How much of an attack's outcome is its similarity's doing, in a line; empty where nothing succeeded.

    Args:
        extra: the attack's samples.
        x: (N, *shape) clean ones.
        without: what the same attack made without any similarity, where it was made.
    """
    success = extra.success
    if success is None or extra.similarity is None or not bool(success.any()):
        return ""
    first = (extra.trace["f"][success] <= 0).int().argmax(1, keepdim=True)
    of_first = extra.trace["similarity"][success].gather(1, first)[:, 0]
    later = float((of_first != extra.similarity[success]).double().mean())
    told = f"for {100 * later:.0f} % of the successes a later iterate than the first success was kept"
    both = success if without is None or without.success is None else success & without.success
    if without is None or not bool(both.any()):
        return told
    apart, moved = ((extra.x - other)[both].flatten(1).norm(dim=1).mean() for other in (without.x, x))
    return f"{told}; made without a similarity, they are {100 * float(apart / moved):.0f} % of ‖δ‖ away"
