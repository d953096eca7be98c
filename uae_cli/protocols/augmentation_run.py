"""One run of the augmentation protocol: from a model to one retrained on every arm's samples."""

import time
from dataclasses import replace
from itertools import islice

from torch import Tensor

from uae_cli.arms import Adversarial, Arm, Chain, ChangesTraining, Extra, MatchedNoise, Replicate, parts_of
from uae_cli.attacks.criteria.contrastive import RandomCriterion
from uae_cli.attacks.criteria.reconstruction import Criterion
from uae_cli.attacks.samples import Samples
from uae_cli.experiment.schema import Experiment, ModelSettings
from uae_cli.protocols.arm_results import ArmResult
from uae_cli.protocols.attacked import plain_metrics, succeeded
from uae_cli.protocols.base import ORIGINAL, REPLICATE
from uae_cli.protocols.workshop import Shop
from uae_cli.stages.stages import Metrics, Workbench


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
    """

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._arms = arms_of(bench.experiment)
        self._extras: dict[str, Extra] = {}
        self._results: dict[str, ArmResult] = {}
        self._x = bench.data.x_train
        self._samples = Samples.first(self._x, seed=bench.seed)

    def run(self) -> list[ArmResult]:
        """Every arm's result, `original` first."""
        epochs = self._bench.experiment.model.trainer.epochs
        original = self._bench.fit(ORIGINAL, self._x, epochs=epochs)
        self._original = original.model
        self._shop = Shop(self._bench, original, self._extra)
        self._results[ORIGINAL] = ArmResult(
            arm=ORIGINAL, epochs=len(original.history.losses), extra=None, fitted=original
        )
        self._results[ORIGINAL].draws.append(self._bench.evaluated(original))
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
        if extra.seconds:  # a cached attack remembers its own time, or that it has none to tell: NaN
            return extra
        return replace(extra, seconds=time.perf_counter() - start)

    def _run_arm(self, name: str, arm: Arm) -> None:
        for draw in range(arm.draws):
            first = draw == 0 and name in self._arms
            extra = self._extra(name) if first else self._make(name, arm, draw)
            control = REPLICATE if isinstance(arm, Replicate) else self._control(extra)
            label = name if arm.draws == 1 else f"{name} draw {draw + 1}"
            fitted = self._bench.refit(label, extra.x, self._settings(arm))
            if name not in self._results:
                epochs = len(fitted.history.losses)
                self._results[name] = ArmResult(
                    arm=name, epochs=epochs, control=control, extra=extra, fitted=fitted
                )
            self._results[name].draws.append(self._bench.evaluated(fitted) | self._sample_metrics(extra))

    def _control(self, extra: Extra) -> str:
        """The arm that lists the samples as often as this one has samples; run where it hasn't been."""
        copies = len(extra.x) // len(self._x)
        name = REPLICATE if copies == 1 else f"{REPLICATE}_x{copies + 1}"
        if name not in self._arms and name not in self._results:
            self._run_arm(name, Replicate(copies=copies))
        return name

    def _settings(self, arm: Arm) -> ModelSettings:
        """Of the model, trained for what the arm changes the objective to, if it does."""
        model = self._bench.experiment.model
        if not isinstance(arm, ChangesTraining):
            return model
        trainer = model.trainer
        return replace(model, trainer=replace(trainer, objective=arm.objective(trainer.objective)))

    def _sample_metrics(self, extra: Extra) -> Metrics:
        """Of the last part of an arm's samples; replicates have none."""
        last = extra.parts[-1] if extra.parts else extra
        if last.x is self._x or len(last.x) != len(self._x):
            return {}
        criterion = self._bench.experiment.criterion
        success = self._success(last, criterion)
        metrics = plain_metrics(self._samples, replace(last, seconds=extra.seconds), success)
        if isinstance(criterion, RandomCriterion):
            metrics["asr_fresh"] = 100 * float(self._success(last, criterion.fresh()).double().mean())
        if last.similarity is not None and last.unit == "nats" and bool(success.any()):
            metrics["mi"] = float(last.similarity[success].mean())
        return metrics

    def _success(self, extra: Extra, criterion: Criterion) -> Tensor:
        model = extra.target or self._original
        return succeeded(self._bench, model, self._samples, extra, criterion, self._bench.seed)
