"""What arms may ask for while they make samples, on the cached stages of a run."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from uae_cli.arms import Extra
from uae_cli.attacks.similarities.similarities import Similarity
from uae_cli.stages.stages import Fitted, Workbench


class Shop:
    """See `Workshop`.

    Args:
        bench: cached fits and attacks.
        target: the current model, which is attacked.
        extra: makes the first draw of another arm.
    """

    def __init__(self, bench: Workbench, target: Fitted, extra: Callable[[str], Extra]) -> None:
        self._bench, self._target = bench, target
        self.extra = extra
        self.x, self.seed = bench.data.x_train, bench.seed

    def attacked(self, label: str, similarity: Similarity) -> Extra:
        """See `Workshop.attacked`."""
        triple = self._bench.experiment.triple(similarity)
        found = self._bench.attack(label, self._target, self.x, triple)
        return replace(found, target=self._target.model, unit=similarity.unit)

    def retrained(self, label: str, extra: Tensor) -> "Shop":
        """See `Workshop.retrained`."""
        return Shop(self._bench, self._bench.refit(label, extra), self.extra)
