import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.evaluation import EvaluationData, SelectedFeatures
from uae_cli.models import ConcreteAutoencoder, DenseAutoencoder
from uae_cli.progress import Bars

EVALUATION = SelectedFeatures(trees=50)


def choosing(features: list[int], shape: tuple[int, ...], probability: float = 0.9) -> ConcreteAutoencoder:
    """A model whose nodes choose these features, each with this probability."""
    model = ConcreteAutoencoder(shape=shape, selected=len(features), hidden=[4], dropout=0.1, output="linear")
    others = model.selector.logits.shape[1] - 1
    rows = torch.arange(len(features))
    model.selector.logits.data.zero_()
    model.selector.logits.data[rows, features] = np.log(probability / (1 - probability) * others)
    return model


def judged_on(x: Tensor, y: Tensor, seed: int = 0) -> EvaluationData:
    half = len(x) // 2
    data = Dataset(
        name="made", x_train=x[:half], y_train=y[:half], x_test=x[half:], y_test=y[half:], source="here"
    )
    return EvaluationData(data, seed, 64, Bars())


@pytest.fixture
def labelled() -> EvaluationData:
    """400 samples of 10 values, of which the fourth alone tells the class (of 3)."""
    source = torch.Generator().manual_seed(0)
    y = torch.randint(3, (400,), generator=source)
    x = torch.rand(400, 10, generator=source)
    x[:, 3] = (y + x[:, 3]) / 3
    return judged_on(x, y)


def test_the_classifier_sees_the_chosen_features_alone(labelled):
    assert EVALUATION.measure(choosing([3, 5], (10,)), labelled)["test_accuracy"] > 95
    assert EVALUATION.measure(choosing([4, 5], (10,)), labelled)["test_accuracy"] < 50


def test_the_accuracy_is_scikit_learns_and_the_seeds(labelled):
    from sklearn.ensemble import ExtraTreesClassifier

    model = choosing([1, 5, 3], (10,))
    found = [
        EVALUATION.measure(model, EvaluationData(labelled.dataset, seed, 64, Bars()))["test_accuracy"]
        for seed in (0, 0, 1, 2, 3)
    ]
    assert found[0] == found[1]
    assert len(set(found)) > 1
    trees = ExtraTreesClassifier(n_estimators=50, random_state=0)
    trees.fit(labelled.dataset.x_train[:, [1, 5, 3]], labelled.dataset.y_train)
    expected = 100 * trees.score(labelled.dataset.x_test[:, [1, 5, 3]], labelled.dataset.y_test)
    assert np.mean(found) == pytest.approx(expected, abs=4)


def test_nodes_that_agree_are_counted_once(labelled):
    assert EVALUATION.measure(choosing([3, 5, 3, 3], (10,)), labelled)["distinct_features"] == 2


def test_samples_of_one_class_have_no_accuracy():
    plain = judged_on(torch.rand(20, 10), torch.zeros(20, dtype=torch.int64))
    assert set(EVALUATION.measure(choosing([3], (10,)), plain)) == {"distinct_features"}


def test_the_list_of_a_table(labelled, tmp_path, caplog):
    models = {"original": choosing([3, 5, 3], (10,)), "replicate": choosing([0, 9], (10,), 0.6)}
    with caplog.at_level(logging.INFO):
        EVALUATION.draw(models, labelled, tmp_path, "made")
    frame = pd.read_csv(tmp_path / "selected_features.csv")
    assert list(frame.columns) == ["arm", "node", "feature", "probability", "chosen_by"]
    assert frame["arm"].tolist() == ["original"] * 3 + ["replicate"] * 2
    assert frame["node"].tolist() == [0, 1, 2, 0, 1]
    assert frame["feature"].tolist() == [3, 5, 3, 0, 9]
    assert frame["chosen_by"].tolist() == [2, 1, 2, 1, 1]
    assert frame["probability"].tolist() == pytest.approx([0.9] * 3 + [0.6] * 2)
    assert caplog.messages == ["original: only 2 distinct features of 3; chosen by several nodes: 3"]
    assert not (tmp_path / "selected_pixels.png").exists()


def test_a_tables_columns_are_named(labelled, tmp_path, caplog):
    named = replace(labelled, dataset=replace(labelled.dataset, features=tuple("abcdefghij")))
    with caplog.at_level(logging.INFO):
        EVALUATION.draw({"original": choosing([3, 5, 3], (10,))}, named, tmp_path, "made")
    assert pd.read_csv(tmp_path / "selected_features.csv")["name"].tolist() == ["d", "f", "d"]
    assert caplog.messages[0].endswith("chosen by several nodes: d")


@pytest.mark.parametrize("channels", [1, 3])
def test_the_list_and_picture_of_images(channels, tmp_path: Path):
    shape = (channels, 6, 5)
    images = judged_on(torch.full((8, *shape), 0.5), torch.arange(8) % 2)
    feature = (channels - 1) * 30 + 2 * 5 + 4
    EVALUATION.draw({"original": choosing([feature], shape)}, images, tmp_path, "made")
    [line] = pd.read_csv(tmp_path / "selected_features.csv").to_dict("records")
    assert (line["channel"], line["row"], line["column"]) == (channels - 1, 2, 4)
    with Image.open(tmp_path / "selected_pixels.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    marked = (abs(pixels - np.array([213, 94, 0])) <= 2).all(1).sum()
    assert marked == 5 * 20 * 20  # the mean and 4 training images; a pixel is 20 of the file's a side


def test_a_model_that_selects_nothing_is_refused(labelled):
    with pytest.raises(ConfigError, match="DenseAutoencoder selects no features; use model=concrete_ae"):
        EVALUATION.check(DenseAutoencoder(shape=(10,), latent_dim=2), labelled.dataset)
    EVALUATION.check(choosing([1], (10,)), labelled.dataset)
