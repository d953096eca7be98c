"""The augmentation protocol: fit, attack, refit on every arm, evaluate (paper §4.4, Tables 4 and 10)."""

import time
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from uae_cli.arms import Arm, Extra, MatchedNoise
from uae_cli.attacks.generate import judge
from uae_cli.attacks.similarities import Similarity
from uae_cli.evaluation.reconstruction import mean_squared_error
from uae_cli.experiment import ORIGINAL
from uae_cli.models import TappedModel
from uae_cli.protocols.observer import Observer
from uae_cli.protocols.workbench import Fitted, Workbench

Metrics = dict[str, float]


@dataclass
class ArmResult:
    """One arm: the first draw's samples and model (for figures), and every draw's metrics.

    Attributes:
        name: of the arm.
        epochs: the model was trained for; early stopping may end below the setting.
        extra: the first draw's extra samples; None for `original`.
        fitted: the first draw's model.
        draws: metrics of each draw.
    """

    name: str
    epochs: int
    extra: Extra | None
    fitted: Fitted
    draws: list[Metrics] = field(default_factory=list)


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
        results = [ArmResult(ORIGINAL, len(self._original.losses), None, self._original)]
        results[0].draws.append(self._errors(self._original))
        for name, arm in self._bench.experiment.arm.items():
            results.append(self._run_arm(name, arm))
        return results

    def attacked(self, arm: str, similarity: Similarity) -> Extra:
        """See `Workshop.attacked`."""
        return self._bench.attack(arm, self._original, self.x, similarity)

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
            if result is None:
                result = ArmResult(name, len(fitted.losses), extra, fitted)
            result.draws.append(self._errors(fitted) | self._sample_metrics(name, extra))
        assert result is not None  # draws ≥ 1
        return result

    def _fit(self, label: str, x: Tensor, epochs: int) -> Fitted:
        return self._bench.fit(
            label, x, epochs=epochs, on_epoch=lambda epoch, loss: self._observer.epoch(label, epoch, loss)
        )

    def _errors(self, fitted: Fitted) -> Metrics:
        samples = {"test_mse": self._bench.data.x_test, "train_mse": self.x}
        batch = 4 * self._bench.chunk_size
        with self._bench.bars.bar("evaluate", sum(map(len, samples.values()))) as advance:
            return {
                name: mean_squared_error(fitted.model, x, batch_size=batch, on_batch=advance)
                for name, x in samples.items()
            }

    def _sample_metrics(self, name: str, extra: Extra) -> Metrics:
        """ASR is judged anew on the saved tensors; one that equals its original has not succeeded."""
        if extra.x is self.x:
            return {}
        criterion = self._bench.experiment.criterion
        f = judge(criterion, self._tapped, self.x, extra.x, self._bench.chunk_size)
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
