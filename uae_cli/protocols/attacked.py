"""Which samples a model is attacked on, and what an attack made of them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from uae_cli.arms import Extra
from uae_cli.attacks.criteria import Criterion
from uae_cli.attacks.generate import judge
from uae_cli.attacks.sanity import warnings_about
from uae_cli.errors import ConfigError
from uae_cli.evaluation.classification import predicted
from uae_cli.models import TappedModel
from uae_cli.protocols.base import Metrics
from uae_cli.protocols.workbench import Workbench
from uae_cli.randomness import generator

_TRIED = 64  # samples that a model is checked on before it is attacked


@dataclass(frozen=True)
class Samples:
    """What is attacked.

    Attributes:
        x: (n, *shape) in [0, 1].
        index: (n,) int64, their positions in the split they are from, rising.
        labels: (n,) classes; None under an unsupervised criterion.
    """

    x: Tensor
    index: Tensor
    labels: Tensor | None


def check_attack_size(wanted: int, x: Tensor, noun: str) -> None:
    """See whether there are so many samples of this noun.

    Raises:
        ConfigError: there aren't.
    """
    if wanted > len(x):
        raise ConfigError(f"data.attack_size = {wanted}: there are only {len(x)} {noun}; ask for fewer")


def choose_samples(bench: Workbench, model: nn.Module) -> Samples:
    """`data.attack_size` test samples that the model classifies correctly, drawn by seed.

    Samples already of a targeted criterion's class are passed over. Under an unsupervised criterion, the
    first training samples.

    Raises:
        ConfigError: there are too few.
    """
    data, experiment = bench.data, bench.experiment
    wanted = experiment.data.attack_size
    if not experiment.criterion.supervised:
        return Samples(data.x_train[:wanted], torch.arange(wanted), None)
    fit = _attackable(bench, model)
    if int(fit.sum()) < wanted:
        raise ConfigError(
            f"data.attack_size = {wanted}: of {len(fit)} test samples, {int(fit.sum())} are classified "
            "correctly and can be attacked; ask for so many or fewer, or train longer (model.trainer.epochs, "
            "refit_epochs)"
        )
    order = torch.randperm(len(fit), generator=generator(bench.seed, "attacked", torch.device("cpu")))
    index = order[fit[order]][:wanted].sort().values
    return Samples(data.x_test[index], index, data.y_test[index])


def _attackable(bench: Workbench, model: nn.Module) -> Tensor:
    data, criterion = bench.data, bench.experiment.criterion
    correct = predicted(model, data.x_test, batch_size=bench.chunk_size) == data.y_test
    exempt = getattr(criterion, "attackable", None)
    return correct if exempt is None else correct & exempt(data.y_test)


def succeeded(
    bench: Workbench, model: nn.Module, samples: Samples, extra: Extra, criterion: Criterion, seed: int
) -> Tensor:
    """Judged anew on the saved tensors, (n,) bool; a sample that equals its original has not succeeded."""
    f = judge(
        criterion,
        TappedModel(model, None),
        samples.x,
        extra.x,
        seed=seed,
        chunk_size=bench.chunk_size,
        labels=samples.labels,
        index=samples.index,
    )
    return (f <= 0) & (extra.x != samples.x).flatten(1).any(dim=1)


def warnings_of(bench: Workbench, model: nn.Module, samples: Samples) -> list[str]:
    """What makes an attack on this model worthless, in a line each (see `sanity`)."""
    labels = None if samples.labels is None else samples.labels[:_TRIED]
    criterion = bench.experiment.criterion
    x, index = samples.x[:_TRIED], samples.index[:_TRIED]
    return warnings_about(model, criterion, x, labels, seed=bench.seed, index=index)


def plain_metrics(samples: Samples, extra: Extra, success: Tensor) -> Metrics:
    """What is told of every attack; no time where another device took it."""
    metrics = {
        "asr": 100 * float(success.double().mean()),
        "perturbation_l2": float((extra.x - samples.x).flatten(1).norm(dim=1).mean()),
    }
    if math.isfinite(extra.seconds):
        metrics["seconds_per_sample"] = extra.seconds / len(samples.x)
    return metrics
