"""Which samples a model is attacked on, and what an attack made of them."""

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from uae_cli.arms import Extra
from uae_cli.attacks.criteria.reconstruction import Criterion
from uae_cli.attacks.dataset import judge
from uae_cli.attacks.model_checks import warnings_about
from uae_cli.attacks.samples import Samples
from uae_cli.errors import ConfigError
from uae_cli.evaluation.classification import predicted
from uae_cli.models import TappedModel
from uae_cli.randomness import generator
from uae_cli.stages.stages import Metrics, Workbench

_TRIED = 64  # samples that a model is checked on before it is attacked


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
        return Samples.first(data.x_train[:wanted], seed=bench.seed)
    fit = _attackable(bench, model)
    if int(fit.sum()) < wanted:
        raise ConfigError(
            f"data.attack_size = {wanted}: of {len(fit)} test samples, {int(fit.sum())} are classified "
            "correctly and can be attacked; ask for so many or fewer, or train longer (model.trainer.epochs, "
            "refit_epochs)"
        )
    order = torch.randperm(len(fit), generator=generator(bench.seed, "attacked", torch.device("cpu")))
    index = order[fit[order]][:wanted].sort().values
    return Samples(data.x_test[index], index, bench.seed, data.y_test[index])


def _attackable(bench: Workbench, model: nn.Module) -> Tensor:
    data, criterion = bench.data, bench.experiment.criterion
    correct = predicted(model, data.x_test, batch_size=bench.chunk_size) == data.y_test
    exempt = getattr(criterion, "attackable", None)
    return correct if exempt is None else correct & exempt(data.y_test)


def succeeded(
    bench: Workbench, model: nn.Module, samples: Samples, extra: Extra, criterion: Criterion, seed: int
) -> Tensor:
    """Judged anew on the saved tensors, (n,) bool; a sample that equals its original has not succeeded."""
    own = replace(samples, seed=seed)
    f = judge(criterion, TappedModel(model, None), own, extra.x, chunk_size=bench.chunk_size)
    return (f <= 0) & (extra.x != samples.x).flatten(1).any(dim=1)


def warnings_of(bench: Workbench, model: nn.Module, samples: Samples) -> list[str]:
    """What makes an attack on this model worthless, in a line each (see `sanity`)."""
    tried = samples.rows(torch.arange(min(_TRIED, len(samples))))
    return warnings_about(model, bench.experiment.criterion, tried)


def plain_metrics(samples: Samples, extra: Extra, success: Tensor) -> Metrics:
    """What is told of every attack; no time where another device took it."""
    metrics = {
        "asr": 100 * float(success.double().mean()),
        "perturbation_l2": float((extra.x - samples.x).flatten(1).norm(dim=1).mean()),
    }
    if math.isfinite(extra.seconds):
        metrics["seconds_per_sample"] = extra.seconds / len(samples.x)
    return metrics
