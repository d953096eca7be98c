"""What chosen features are worth: a classifier on them alone (Balın et al. 2019, §4; our paper, Table 6)."""

import logging
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from uae_cli import figures
from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.evaluation.base import EvaluationData
from uae_cli.models import ConcreteAutoencoder
from uae_cli.randomness import derive_seed
from uae_cli.settings import STRICT, Count

log = logging.getLogger(__name__)

_SHOWN = 9  # images beside the mean
_MARK = (0.835, 0.369, 0.0)  # of a chosen pixel; told from any grey with any colour vision
_SKLEARN_SEEDS = 2**32


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SelectedFeatures:
    """Extremely randomised trees on the K features that a concrete autoencoder chose.

    They learn from the original training samples and their labels, which the autoencoder never saw. The
    metrics: `test_accuracy` in percent (none where all samples share one class) and `distinct_features`,
    at most K, for nodes may choose the same one.

    Attributes:
        trees: in the forest.
    """

    trees: Count

    def check(self, model: nn.Module, data: Dataset) -> None:  # noqa: ARG002
        """See `Evaluation.check`."""
        if not isinstance(model, ConcreteAutoencoder):
            raise ConfigError(
                f"evaluation = selected_features: {type(model).__name__} selects no features; use "
                "model=concrete_ae, or leave it out with evaluation=[reconstruction]"
            )

    def measure(self, model: nn.Module, data: EvaluationData) -> dict[str, float]:
        """See `Evaluation.measure`."""
        chosen = _chosen(model)
        metrics = {"distinct_features": float(len(chosen.unique()))}
        if len(data.dataset.y_train.unique()) > 1:
            metrics["test_accuracy"] = self._accuracy(chosen, data)
        return metrics

    def draw(self, models: Mapping[str, nn.Module], data: EvaluationData, folder: Path, title: str) -> None:
        """See `Evaluation.draw`: `selected_features.csv` and, of images, `selected_pixels.png`.

        The table has a line per arm and node: feature (its number in the flattened sample, from 0), name
        (where a table's columns have names), the node's probability of it, how many nodes chose it, and for
        images channel, row and column.
        """
        shape, names = data.dataset.shape, data.dataset.features
        frames = {arm: _selection(model, shape, names) for arm, model in models.items()}
        table = pd.concat(frames, names=["arm"]).reset_index(level="arm").reset_index(drop=True)
        table.to_csv(folder / "selected_features.csv", index=False)
        for arm, frame in frames.items():
            _tell_duplicates(arm, frame)
        _draw_pixels(folder / "selected_pixels.png", models, data.dataset.x_train, title)

    def _accuracy(self, chosen: Tensor, data: EvaluationData) -> float:
        from sklearn.ensemble import ExtraTreesClassifier

        dataset = data.dataset
        seed = derive_seed(data.seed, "extra trees") % _SKLEARN_SEEDS
        trees = ExtraTreesClassifier(n_estimators=self.trees, random_state=seed, n_jobs=1)
        trees.fit(_columns(dataset.x_train, chosen), dataset.y_train.numpy())
        return 100 * float(trees.score(_columns(dataset.x_test, chosen), dataset.y_test.numpy()))


def _chosen(model: nn.Module) -> Tensor:
    assert isinstance(model, ConcreteAutoencoder)  # what `check` is for
    return model.selector.choice().cpu()


def _columns(x: Tensor, chosen: Tensor) -> object:
    return x.flatten(1)[:, chosen].numpy()


def _selection(model: nn.Module, shape: tuple[int, ...], names: tuple[str, ...]) -> pd.DataFrame:
    """One line per node, in the nodes' order."""
    chosen = _chosen(model)
    assert isinstance(model, ConcreteAutoencoder)
    frame = pd.DataFrame(
        {
            "node": range(len(chosen)),
            "feature": chosen.numpy(),
            "probability": model.selector.maxima().cpu().numpy(),
        }
    )
    frame["chosen_by"] = frame["feature"].map(frame["feature"].value_counts())
    if names:
        frame.insert(2, "name", [names[feature] for feature in chosen.tolist()])
    if len(shape) == 3:
        places = torch.unravel_index(chosen, shape)
        frame = frame.assign(
            **dict(zip(("channel", "row", "column"), (p.numpy() for p in places), strict=True))
        )
    return frame


def _tell_duplicates(arm: str, frame: pd.DataFrame) -> None:
    distinct = frame["feature"].nunique()
    if distinct < len(frame):
        column = "name" if "name" in frame else "feature"
        twice = sorted(frame.loc[frame["chosen_by"] > 1, column].unique().tolist())
        log.info(
            "%s: only %d distinct features of %d; chosen by several nodes: %s",
            arm,
            distinct,
            len(frame),
            ", ".join(map(str, twice)),
        )


def _draw_pixels(path: Path, models: Mapping[str, nn.Module], x: Tensor, title: str) -> None:
    """The mean and some training images; below, per arm, the same with the chosen pixels marked."""
    if x.ndim != 4:
        return
    images = torch.cat([x.mean(0, keepdim=True), x[:_SHOWN]])
    grey = images.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    rows = {"samples\n(first: mean)": grey}
    for arm, model in models.items():
        chosen = torch.zeros(x[0].numel(), dtype=torch.bool)
        chosen[_chosen(model)] = True
        pixels = chosen.view(x.shape[1:]).any(0)
        rows[arm] = torch.where(pixels, torch.tensor(_MARK)[:, None, None], grey)
    figures.image_rows(path, rows, f"{title}: selected pixels")
