"""The augmentation protocol: fit, attack, refit on every arm, evaluate (paper §4.4, Tables 4 and 10)."""

import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice

from pydantic.dataclasses import dataclass
from torch import Tensor

from uae_cli.arms import (
    Adversarial,
    Arm,
    Chain,
    ChangesTraining,
    Extra,
    MatchedNoise,
    Replicate,
    Transform,
    attacks_of,
    parts_of,
)
from uae_cli.attacks.contrastive import RandomCriterion
from uae_cli.attacks.criteria import Criterion
from uae_cli.attacks.generate import Attack, judge
from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.experiment import Experiment
from uae_cli.models import TappedModel
from uae_cli.protocols.arm_results import ArmResult, AugmentationFindings
from uae_cli.protocols.base import ORIGINAL, REPLICATE, Assault, Fit, Metrics, Work
from uae_cli.protocols.observer import Observer
from uae_cli.protocols.workbench import Fitted, Workbench
from uae_cli.protocols.workshop import Shop, fit, refit
from uae_cli.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Augment:
    """Retrain on samples made of the training samples, by arm; what is set stands in `arm`."""

    def attacks(self, experiment: Experiment) -> dict[str, Attack]:
        """See `ProtocolSettings.attacks`."""
        found = attacks_of(arms_of(experiment))
        return {name: experiment.triple(arm.similarity) for name, arm in found.items()}

    def check_settings(self, experiment: Experiment) -> None:
        """See `ProtocolSettings.check_settings`."""
        arms = experiment.arm
        if experiment.model.supervised or experiment.criterion.supervised:
            raise ConfigError(
                f"model = {experiment.model.name}: protocol=augmentation is for unsupervised models and "
                "criteria; use protocol=attack or protocol=robustness for classifiers"
            )
        for name, arm in arms.items():
            if isinstance(arm, MatchedNoise):
                _check_matched(name, arm, arms)
            if isinstance(arm, ChangesTraining):
                arm.objective(experiment.model.trainer.objective)
        _check_chain(experiment.augmentation.chain, arms)
        if experiment.model.weights is not None:
            raise ConfigError(
                f"model.weights = {experiment.model.weights}: protocol=augmentation trains its "
                "models; use null, or protocol=attack"
            )
        control = arms.get(REPLICATE)
        if control is not None and control != Replicate():
            raise ConfigError(
                "arm.replicate: is the control, which lists the samples once more; leave it as it is"
            )
        if control is None:
            raise ConfigError(
                "arm: replicate is missing; it is the compute-matched control without which no gain means "
                f"anything. Use arm=[{','.join([REPLICATE, *arms])}]"
            )

    def check_data(self, experiment: Experiment, data: Dataset) -> None:
        """See `ProtocolSettings.check_data`; flips and rotations want images."""
        experiment.model.trainer.check_samples(len(data.x_train))
        for arm in arms_of(experiment).values():
            _check_transforms(arm, data.x_train[:1])

    def work(self, experiment: Experiment, data: Dataset) -> Work:
        """See `ProtocolSettings.work`; chains are counted with one part for each of their steps."""
        samples, trainer = len(data.x_train), experiment.model.trainer
        arms = arms_of(experiment)
        fits = [Fit(experiment.model, samples, trainer.epochs)]
        for arm in arms.values():
            parts = len(arm.steps) if isinstance(arm, Chain) else 1
            fits += [Fit(experiment.model, (1 + parts) * samples, trainer.refit_epochs)] * arm.draws
        attacks = self.attacks(experiment).values()
        return Work(fits, [Assault(experiment.model, attack, samples) for attack in attacks])

    def run(self, bench: Workbench, observer: Observer) -> AugmentationFindings:
        """See `ProtocolSettings.run`."""
        return AugmentationFindings(AugmentationRun(bench, observer).run(), bench, observer)


def arms_of(experiment: Experiment) -> dict[str, Arm]:
    """Every arm that runs, by name: the chosen ones, their further rounds, and the chain part by part."""
    arms: dict[str, Arm] = {}
    for name, arm in experiment.arm.items():
        arms[name] = arm
        if isinstance(arm, Adversarial):
            for last in range(2, experiment.augmentation.rounds + 1):
                rounds: dict[str, Arm] = {f"round{number}": arm for number in range(1, last + 1)}
                arms[f"{name}_round{last}"] = Chain(steps=rounds)
    chain, labels, taken = experiment.augmentation.chain, list[str](), 0
    for label, members in parts_of(chain):
        labels.append(label)
        taken += len(members)
        arms["+".join(labels)] = Chain(steps=dict(islice(chain.items(), taken)))
    return arms


class AugmentationRun:
    """One run of the protocol.

    Args:
        bench: cached fits and attacks.
        observer: is told of every epoch and every finished arm.
    """

    def __init__(self, bench: Workbench, observer: Observer) -> None:
        self._bench, self._observer = bench, observer
        self._arms = arms_of(bench.experiment)
        self._extras: dict[str, Extra] = {}
        self._results: dict[str, ArmResult] = {}
        self._x = bench.data.x_train

    def run(self) -> list[ArmResult]:
        """Every arm's result, `original` first."""
        epochs = self._bench.experiment.model.trainer.epochs
        original = fit(self._bench, self._observer, ORIGINAL, self._x, epochs)
        self._original = original.model
        self._shop = Shop(self._bench, self._observer, original, self._extra)
        self._results[ORIGINAL] = ArmResult(
            arm=ORIGINAL, epochs=len(original.history.losses), extra=None, fitted=original
        )
        self._results[ORIGINAL].draws.append(self._evaluated(original))
        for name, arm in self._arms.items():
            self._run_arm(name, arm)
        return list(self._results.values())

    def _extra(self, name: str) -> Extra:
        """The first draw of an arm, made once."""
        if name not in self._extras:
            self._extras[name] = self._make(name, self._arms[name], 0)
        return self._extras[name]

    def _make(self, name: str, arm: Arm, draw: int) -> Extra:
        if isinstance(arm, MatchedNoise):
            self._extra(arm.of)  # now, so that its time is not counted as the noise's
        start = time.perf_counter()
        extra = arm.make(name, self._shop, draw)
        if extra.seconds:  # a cached attack remembers its own time
            return extra
        return replace(extra, seconds=time.perf_counter() - start)

    def _run_arm(self, name: str, arm: Arm) -> None:
        for draw in range(arm.draws):
            first = draw == 0 and name in self._arms
            extra = self._extra(name) if first else self._make(name, arm, draw)
            control = REPLICATE if isinstance(arm, Replicate) else self._control(extra)
            label = name if arm.draws == 1 else f"{name} draw {draw + 1}"
            change = arm if isinstance(arm, ChangesTraining) else None
            fitted = refit(self._bench, self._observer, label, extra.x, change)
            if name not in self._results:
                epochs = len(fitted.history.losses)
                self._results[name] = ArmResult(
                    arm=name, epochs=epochs, control=control, extra=extra, fitted=fitted
                )
            self._results[name].draws.append(self._evaluated(fitted) | self._sample_metrics(extra))

    def _control(self, extra: Extra) -> str:
        """The arm that lists the samples as often as this one has samples; run where it hasn't been."""
        copies = len(extra.x) // len(self._x)
        name = REPLICATE if copies == 1 else f"{REPLICATE}_x{copies + 1}"
        if name not in self._arms and name not in self._results:
            self._run_arm(name, Replicate(copies=copies))
        return name

    def _evaluated(self, fitted: Fitted) -> Metrics:
        metrics: Metrics = {}
        for evaluation in self._bench.experiment.evaluation.values():
            metrics |= evaluation.measure(fitted.model, self._bench.subject)
        return metrics

    def _sample_metrics(self, extra: Extra) -> Metrics:
        """Of the last part of an arm's samples; replicates have none."""
        last = extra.parts[-1] if extra.parts else extra
        if last.x is self._x or len(last.x) != len(self._x):
            return {}
        criterion = self._bench.experiment.criterion
        success = self._success(last, criterion)
        metrics = {
            "asr": 100 * float(success.double().mean()),
            "perturbation_l2": float((last.x - self._x).flatten(1).norm(dim=1).mean()),
            "seconds_per_sample": extra.seconds / len(self._x),
        }
        if isinstance(criterion, RandomCriterion):
            metrics["asr_fresh"] = 100 * float(self._success(last, criterion.fresh()).double().mean())
        if last.similarity is not None and last.unit == "nats" and bool(success.any()):
            metrics["mi"] = float(last.similarity[success].mean())
        return metrics

    def _success(self, extra: Extra, criterion: Criterion) -> Tensor:
        """Judged anew on the saved tensors, (N,); one that equals its original has not succeeded."""
        f = judge(
            criterion,
            TappedModel(extra.target or self._original, None),
            self._x,
            extra.x,
            seed=self._bench.seed,
            chunk_size=self._bench.chunk_size,
        )
        return (f <= 0) & (extra.x != self._x).flatten(1).any(dim=1)


def _check_chain(steps: Mapping[str, Arm], arms: Mapping[str, Arm]) -> None:
    for name, arm in steps.items():
        if isinstance(arm, MatchedNoise):
            _check_matched(name, arm, arms)
        if isinstance(arm, ChangesTraining):
            raise ConfigError(
                f"augmentation.chain.{name}: changes the training, and makes no samples that another step "
                f"could build on; use it as an arm, arm=[replicate,{name}]"
            )


def _check_transforms(arm: Arm, x: Tensor) -> None:
    if isinstance(arm, Chain):
        for step in arm.steps.values():
            _check_transforms(step, x)
    elif isinstance(arm, Transform):
        arm.apply(x, 0, "check")


def _check_matched(name: str, arm: MatchedNoise, arms: Mapping[str, Arm]) -> None:
    if arm.of not in arms:
        raise ConfigError(
            f"arm.{name}.of = {arm.of}: that arm doesn't run; use arm=[replicate,{arm.of},{name}]"
        )
    if not isinstance(arms[arm.of], Adversarial):
        raise ConfigError(f"arm.{name}.of = {arm.of}: not an arm of adversarial examples; use mine_uae")
