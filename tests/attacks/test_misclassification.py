"""Misclassification on logits small enough to judge by eye."""

import pytest
import torch

from uae_cli.attacks import Samples
from uae_cli.attacks.criteria import Misclassification
from uae_cli.errors import ConfigError
from uae_cli.models import Response

LOGITS = torch.tensor([[3.0, 1.0, -2.0], [0.5, 0.0, 2.0]])
LABELS = torch.tensor([0, 2])


def response(logits: torch.Tensor) -> Response:
    return Response(torch.zeros(len(logits), 1), logits, None)


def bound(labels=LABELS, logits=LOGITS, index=None, seed=0, **settings):
    index = torch.arange(len(logits)) if index is None else index
    batch = Samples(torch.zeros(len(logits), 1), index, seed, labels)
    criterion = Misclassification(**({"kappa": 0.0, "target": None} | settings))
    return criterion.bind(None, response(logits), batch)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [2.0, 1.5]),  # 3 − 1; 2 − 0.5
        ({"kappa": 4.0}, [6.0, 5.5]),
        ({"target": 1}, [2.0, 2.0]),  # max(3, −2) − 1; max(0.5, 2) − 0
        ({"target": 1, "kappa": 0.5}, [2.5, 2.5]),
        ({"target": "least_likely"}, [5.0, 2.0]),  # towards class 2; towards class 1
    ],
)
def test_f_by_hand(settings, expected):
    assert bound(**settings)(response(LOGITS)).tolist() == expected


def test_f_is_zero_where_classes_draw_level_and_negative_beyond():
    untargeted, targeted = bound(), bound(target=1)
    level, beyond = torch.tensor([[1.0, 1.0, 0.0]] * 2), torch.tensor([[0.0, 2.0, 1.0]] * 2)
    assert untargeted(response(level))[0] == targeted(response(level))[0] == 0
    assert untargeted(response(beyond)).tolist() == [-2.0, -1.0]
    assert targeted(response(beyond)).tolist() == [-1.0, -1.0]


def test_f_pulls_on_the_class_and_its_strongest_rival_alone():
    logits = LOGITS.clone().requires_grad_()
    bound()(response(logits)).sum().backward()
    assert logits.grad.tolist() == [[1.0, -1.0, 0.0], [-1.0, 0.0, 1.0]]


def test_cross_entropy_falls_as_the_attack_succeeds():
    worse, better = torch.tensor([[5.0, 0.0, 0.0]]), torch.tensor([[0.0, 5.0, 0.0]])
    for settings in ({}, {"target": 1}):
        criterion = bound(LABELS[:1], worse, **settings)
        assert criterion.cross_entropy(response(better)) < criterion.cross_entropy(response(worse))


def test_random_targets_are_every_other_class_alike_and_each_samples_own():
    labels = torch.arange(5).repeat(400)
    logits = torch.zeros(2000, 5)
    targets = bound(labels, logits, target="random").targets
    assert not bool((targets == labels).any())
    counts = torch.stack([(targets == c).sum() for c in range(5)])
    assert bool(((counts - 400).abs() < 80).all())
    some = torch.tensor([1700, 3])
    assert bound(labels[some], logits[some], index=some, target="random").targets.tolist() == [
        int(targets[1700]),
        int(targets[3]),
    ]
    assert not torch.equal(bound(labels, logits, target="random", seed=1).targets, targets)


def test_the_least_likely_class_is_never_the_samples_own():
    logits = torch.tensor([[-9.0, 1.0, 2.0]])
    assert bound(torch.tensor([0]), logits, target="least_likely").targets.tolist() == [1]


def test_samples_of_the_target_class_are_not_attackable_and_refused():
    criterion = Misclassification(kappa=0.0, target=2)
    assert criterion.attackable(LABELS).tolist() == [True, False]
    with pytest.raises(ConfigError, match=r"criterion.target = 2: is the class of a sample"):
        bound(target=2)
    with pytest.raises(ConfigError, match="needs the samples' classes"):
        bound(labels=None)


@pytest.mark.parametrize(
    ("target", "output", "message"),
    [
        (12, torch.zeros(2, 10), r"criterion.target = 12: the model knows 10 classes; choose 0 to 9"),
        (None, torch.zeros(2, 1), r"two or more classes.*\(1,\)"),
        (None, torch.zeros(2, 1, 8, 8), r"two or more classes.*\(1, 8, 8\)"),
    ],
)
def test_what_cannot_be_judged_is_refused(target, output, message):
    with pytest.raises(ConfigError, match=message):
        Misclassification(kappa=0.0, target=target).check(torch.zeros(2, 1, 8, 8), output)


@pytest.mark.parametrize("change", [{"kappa": -1.0}, {"target": -1}, {"target": "nearest"}], ids=str)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        Misclassification(**({"kappa": 0.0, "target": None} | change))
