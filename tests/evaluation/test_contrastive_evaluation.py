import re
from dataclasses import replace
from functools import partial

import pytest
import torch

from uae_cli.contrastive import Views, nt_xent
from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.evaluation import ContrastiveEvaluation, EvaluationData, LinearProbe, NearestNeighbours, Watcher
from uae_cli.evaluation.representation import represent
from uae_cli.models import DenseAutoencoder, SimCLR, glorot_
from uae_cli.progress import Bars

EVALUATION = ContrastiveEvaluation(
    views=Views(scale=(0.3, 1.0), ratio=(0.75, 4 / 3), flip=0.0, strength=0.5, jitter=0.8, grey=0.0),
    temperature=0.5,
    batch_size=32,
    probe=LinearProbe(lr=0.1, momentum=0.9, batch_size=64, epochs=2),
    nearest_neighbours=NearestNeighbours(k=3),
    watch_every=4,
)


@pytest.fixture(scope="module")
def judged_on(labelled: Dataset) -> EvaluationData:
    return EvaluationData(labelled.first(100, 80), seed=3, batch_size=50, bars=Bars())


@pytest.fixture
def model() -> SimCLR:
    made = SimCLR(shape=(1, 8, 8), encoder="small_conv", hidden_dim=16, projection_dim=8)
    glorot_(made, torch.Generator().manual_seed(0))
    return made.eval()


def test_the_loss_is_the_mean_over_batches_of_samples_in_their_order(model, judged_on):
    measured = EVALUATION.measure(model, judged_on)["test_contrastive_loss"]
    x, total = judged_on.dataset.x_test, 0.0
    for start, stop in ((0, 32), (32, 64), (64, 80)):
        drawn = EVALUATION.views.draw(3, "contrastive test views", torch.arange(start, stop), 2)
        with torch.no_grad():
            z = model(EVALUATION.views.apply(x[start:stop], drawn))
        total += float(nt_xent(z, 0.5)) * (stop - start)
    assert measured == pytest.approx(total / 80, rel=1e-6)


def test_a_lone_last_sample_is_left_out(model, judged_on):
    def loss(samples: int) -> float:
        fewer = replace(judged_on, dataset=judged_on.dataset.first(100, samples))
        return EVALUATION.measure(model, fewer)["test_contrastive_loss"]

    assert loss(65) == pytest.approx(loss(64), rel=1e-6)


def test_accuracies_are_those_of_the_frozen_features(model, judged_on):
    measured = EVALUATION.measure(model, judged_on)
    features = represent(model.encoder, judged_on.dataset, batch_size=30)
    assert measured["test_accuracy"] == pytest.approx(EVALUATION.probe.accuracy(features, seed=3), abs=2)
    assert measured["knn_accuracy"] == pytest.approx(NearestNeighbours(k=3).accuracy(features), abs=2)
    assert EVALUATION.measure(model, judged_on) == measured, "the seed draws everything"
    other = EVALUATION.measure(model, replace(judged_on, seed=4))
    assert other["test_contrastive_loss"] != measured["test_contrastive_loss"]


def test_it_watches_every_so_many_epochs_and_leaves_the_model_as_it_is(model, judged_on):
    assert isinstance(EVALUATION, Watcher)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen = {epoch: EVALUATION.watch(model, judged_on, epoch) for epoch in range(1, 9)}
    assert [epoch for epoch, points in seen.items() if points] == [4, 8]
    assert 20 < seen[4]["knn_accuracy"] <= 100
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert replace(EVALUATION, watch_every=None).watch(model, judged_on, 4) == {}


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (
            partial(DenseAutoencoder, latent_dim=4),
            {},
            "evaluation = contrastive: DenseAutoencoder has no encoder",
        ),
        (
            None,
            {"nearest_neighbours": NearestNeighbours(k=101)},
            "k = 101: there are only 100 training samples",
        ),
        (None, {"batch_size": 1}, "batch_size = 1, of 80 test samples: the loss compares samples"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_any_work(model, judged_on, make, changes, message):
    judged = model if make is None else make(shape=(1, 8, 8))
    with pytest.raises(ConfigError, match=re.escape(message)):
        replace(EVALUATION, **changes).check(judged, judged_on.dataset)
    EVALUATION.check(model, judged_on.dataset)
