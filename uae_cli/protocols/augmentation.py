"""The augmentation protocol: fit, attack, refit on every arm, evaluate (paper §4.4, Tables 4 and 10)."""

import time
from dataclasses import replace
from typing import Any

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from uae_cli.arms import Adversarial, Arm, Extra, MatchedNoise
from uae_cli.attacks.generate import Attack, judge
from uae_cli.attacks.similarities import Similarity
from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.experiment import ORIGINAL, REPLICATE, Experiment
from uae_cli.models import TappedModel
from uae_cli.protocols.arm_results import ArmResult, AugmentationFindings
from uae_cli.protocols.base import Metrics
from uae_cli.protocols.observer import Observer
from uae_cli.protocols.workbench import Fitted, Workbench
from uae_cli.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Augment:
    """Retrain on samples made of the training samples, by arm; what is set stands in `arm`."""

    def attacks(self, experiment: Experiment) -> dict[str, Attack]:
        """See `Protocol.attacks`."""
        arms = experiment.arm.items()
        return {name: experiment.triple(arm.similarity) for name, arm in arms if isinstance(arm, Adversarial)}

    def check_settings(self, experiment: Experiment) -> None:
        """See `Protocol.check_settings`."""
        arms = experiment.arm
        for name, arm in arms.items():
            if isinstance(arm, MatchedNoise):
                _check_matched(name, arm, arms)
        if REPLICATE not in arms:
            raise ConfigError(
                "arm: replicate is missing; it is the compute-matched control without which no gain means "
                f"anything. Use arm=[{','.join([REPLICATE, *arms])}]"
            )

    def check_data(self, experiment: Experiment, data: Dataset) -> None:
        """See `Protocol.check_data`: any samples can be augmented."""

    def run(self, bench: Workbench, observer: Observer) -> AugmentationFindings:
        """See `Protocol.run`."""
        return AugmentationFindings(AugmentationRun(bench, observer).run(), bench, observer)


class AugmentationRun:
    """One run of the protocol; also what arms may ask for while they make samples.

    Args:
        bench: cached fits and attacks.
        observer: is told of every epoch and every finished arm.
    """

    def __init__(self, bench: Workbench, observer: Observer) -> None:
        self._bench, self._observer = bench, observer
        self._extras: dict[str, Extra] = {}
        self.x, self.seed = bench.data.x_train, bench.seed

    def run(self) -> list[ArmResult]:
        """Every arm's result, `original` first."""
        self._original = self._fit(ORIGINAL, self.x, self._trainer.epochs)
        self._tapped = TappedModel(self._original.model, None)
        results = [self._result(ORIGINAL, None, self._original)]
        results[0].draws.append(self._evaluated(self._original))
        for name, arm in self._bench.experiment.arm.items():
            results.append(self._run_arm(name, arm))
        return results

    def attacked(self, arm: str, similarity: Similarity) -> Extra:
        """See `Workshop.attacked`."""
        triple = self._bench.experiment.triple(similarity)
        return self._bench.attack(arm, self._original, self.x, triple)

    def extra(self, arm: str) -> Extra:
        """See `Workshop.extra`."""
        if arm not in self._extras:
            self._extras[arm] = self._make(arm, 0)
        return self._extras[arm]

    def _make(self, name: str, draw: int) -> Extra:
        arm = self._bench.experiment.arm[name]
        if isinstance(arm, MatchedNoise):
            self.extra(arm.of)  # now, so that its time is not counted as the noise's
        start = time.perf_counter()
        extra = arm.make(name, self, draw)
        if extra.seconds:  # a cached attack remembers its own time
            return extra
        return replace(extra, seconds=time.perf_counter() - start)

    @property
    def _trainer(self) -> Any:
        return self._bench.experiment.model.trainer

    def _run_arm(self, name: str, arm: Arm) -> ArmResult:
        result: ArmResult | None = None
        for draw in range(arm.draws):
            extra = self._make(name, draw) if draw else self.extra(name)
            label = name if arm.draws == 1 else f"{name} draw {draw + 1}"
            fitted = self._fit(label, torch.cat([self.x, extra.x]), self._trainer.refit_epochs)
            result = result or self._result(name, extra, fitted)
            result.draws.append(self._evaluated(fitted) | self._sample_metrics(name, extra))
        assert result is not None  # draws ≥ 1
        return result

    def _result(self, name: str, extra: Extra | None, fitted: Fitted) -> ArmResult:
        return ArmResult(arm=name, epochs=len(fitted.history.losses), extra=extra, fitted=fitted)

    def _fit(self, label: str, x: Tensor, epochs: int) -> Fitted:
        def on_epoch(epoch: int, loss: float, scalars: dict[str, float]) -> None:
            self._observer.epoch(label, epoch, loss, scalars)

        return self._bench.fit(label, x, epochs=epochs, on_epoch=on_epoch)

    def _evaluated(self, fitted: Fitted) -> Metrics:
        metrics: Metrics = {}
        for evaluation in self._bench.experiment.evaluation.values():
            metrics |= evaluation.measure(fitted.model, self._bench.subject)
        return metrics

    def _sample_metrics(self, name: str, extra: Extra) -> Metrics:
        """ASR is judged anew on the saved tensors; one that equals its original has not succeeded."""
        if extra.x is self.x:
            return {}
        criterion = self._bench.experiment.criterion
        f = judge(criterion, self._tapped, self.x, extra.x, seed=self.seed, chunk_size=self._bench.chunk_size)
        moved = (extra.x != self.x).flatten(1).any(dim=1)
        success = (f <= 0) & moved
        metrics = {
            "asr": 100 * float(success.double().mean()),
            "perturbation_l2": float((extra.x - self.x).flatten(1).norm(dim=1).mean()),
            "seconds_per_sample": extra.seconds / len(self.x),
        }
        if extra.similarity is not None and self._unit(name) == "nats" and bool(success.any()):
            metrics["mi"] = float(extra.similarity[success].mean())
        return metrics

    def _unit(self, name: str) -> str:
        return str(getattr(getattr(self._bench.experiment.arm[name], "similarity", None), "unit", ""))


def _check_matched(name: str, arm: MatchedNoise, arms: dict[str, Arm]) -> None:
    if arm.of not in arms:
        raise ConfigError(
            f"arm.{name}.of = {arm.of}: that arm doesn't run; use arm=[replicate,{arm.of},{name}]"
        )
    if not isinstance(arms[arm.of], Adversarial):
        raise ConfigError(f"arm.{name}.of = {arm.of}: not an arm of adversarial examples; use mine_uae")
