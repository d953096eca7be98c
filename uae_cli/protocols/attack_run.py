"""One run of the attack protocol: from a model to what every method made of the same samples."""

import logging
from dataclasses import dataclass

from torch import Tensor

from uae_cli.arms import Extra
from uae_cli.attacks.dataset import Attack
from uae_cli.attacks.samples import Samples
from uae_cli.evaluation.image_quality import ImageQuality, QualityJudge
from uae_cli.evaluation.mutual_information import HeldOutInformation
from uae_cli.protocols.attacked import choose_samples, plain_metrics, succeeded, warnings_of
from uae_cli.protocols.base import ORIGINAL, Measured
from uae_cli.randomness import derive_seed
from uae_cli.stages.stages import Fitted, Metrics, Workbench

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class MethodResult(Measured):
    """One method: its first draw's samples (for figures), and every draw's metrics.

    Attributes:
        extra: the first draw's samples; None for the model itself.
    """

    extra: Extra | None


class AttackRun:
    """Fits, chooses, attacks, measures.

    Args:
        bench: cached fits and attacks.
        information: how mutual information is estimated anew, or None.
        quality: of the images, or None.

    Attributes:
        samples: what was attacked; there after `run`.
    """

    samples: Samples

    def __init__(
        self,
        bench: Workbench,
        information: HeldOutInformation | None,
        quality: ImageQuality | None,
    ) -> None:
        self._bench, self._information, self._quality = bench, information, quality

    def run(self) -> list[MethodResult]:
        """The model's own line, and one for every method."""
        bench = self._bench
        self._target = self._fitted()
        metrics = bench.evaluated(self._target)
        original = MethodResult(arm=ORIGINAL, epochs=self._epochs, extra=None, draws=[metrics])
        self.samples = choose_samples(bench, self._target.model)
        for line in warnings_of(bench, self._target.model, self.samples):
            log.warning("%s", line)
        quality, model = self._quality, self._target.model
        self._judge = quality and quality.judge(model, bench.data.x_train, bench.chunk_size, bench.seed)
        return [original, *(self._method(name) for name in bench.experiment.method)]

    @property
    def _epochs(self) -> int:
        return len(self._target.history.losses)

    def _fitted(self) -> Fitted:
        bench, settings = self._bench, self._bench.experiment.model
        if settings.weights is not None:
            return bench.load(ORIGINAL, settings.weights)
        data = bench.data
        return bench.fit(ORIGINAL, data.x_train, epochs=settings.trainer.epochs, labels=data.y_train)

    def _method(self, name: str) -> MethodResult:
        experiment = self._bench.experiment
        method = experiment.method[name]
        attack = experiment.protocol.attacks(experiment)[name]
        result: MethodResult | None = None
        for draw in range(method.draws):
            seed = derive_seed(self._bench.seed, f"draw {draw}") if draw else self._bench.seed
            extra = self._attacked(name, draw, attack, seed)
            result = result or MethodResult(arm=name, epochs=self._epochs, extra=extra)
            result.draws.append(self._measured(extra, attack, seed))
        assert result is not None  # draws ≥ 1
        return result

    def _attacked(self, name: str, draw: int, attack: Attack, seed: int) -> Extra:
        label = f"{name} draw {draw + 1}" if draw else name
        samples = self.samples
        return self._bench.attack(label, self._target, samples.x, attack, samples.labels, seed, samples.index)

    def _measured(self, extra: Extra, attack: Attack, seed: int) -> Metrics:
        success = succeeded(self._bench, self._target.model, self.samples, extra, attack.criterion, seed)
        metrics = plain_metrics(self.samples, extra, success)
        if bool(success.any()):
            metrics |= self._of_successes(extra, attack, success)
        return metrics

    def _of_successes(self, extra: Extra, attack: Attack, success: Tensor) -> Metrics:
        metrics: Metrics = {}
        moved = extra.x[success]
        if extra.similarity is not None and attack.similarity.unit == "nats":
            metrics["mi"] = float(extra.similarity[success].mean())
        if self._information is not None:
            metrics["mi_reestimated"] = self._information_of(moved, success)
        if isinstance(self._judge, QualityJudge):
            metrics |= self._judge.measure(moved)
        return metrics

    def _information_of(self, moved: Tensor, success: Tensor) -> float:
        assert self._information is not None  # the caller's condition
        bench, samples = self._bench, self.samples
        with bench.bars.bar("estimate MI anew", len(moved)) as advance:
            estimates = self._information.estimate(
                self._target.model,
                samples.x[success],
                moved,
                index=samples.index[success],
                seed=bench.seed,
                batch_size=bench.chunk_size,
                on_batch=advance,
            )
        return float(estimates.mean())
