from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from uae_cli.models import CarliniWagnerNet
from uae_cli.training import Adversary, ClassificationObjective, MadryObjective, TradesObjective

adam = partial(torch.optim.Adam, lr=3e-3)
ADVERSARY = Adversary(epsilon=0.08, step_size=0.03, iterations=4)
OBJECTIVES = {
    "plain": ClassificationObjective(optimizer=adam),
    "madry": MadryObjective(optimizer=adam, adversary=ADVERSARY),
    "trades": TradesObjective(optimizer=adam, adversary=ADVERSARY, beta=2.0),
}


def network(dropout: float = 0.5) -> CarliniWagnerNet:
    torch.manual_seed(0)
    return CarliniWagnerNet(
        shape=(1, 8, 8), classes=10, channels=[8, 16], hidden=[32, 32], dropout=dropout, padding="same"
    )


@pytest.fixture
def fitted(trainer, fit, digits, digit_labels):
    """Train a network for eight epochs on the digits."""

    def make(name: str, model: CarliniWagnerNet) -> CarliniWagnerNet:
        fit(trainer(objective=OBJECTIVES[name], batch_size=20), model, digits, 8, labels=digit_labels)
        return model

    return make


def test_a_step_descends_the_cross_entropy(updater, digits, digit_labels):
    model, reference = network(0.0), network(0.0)
    plain = ClassificationObjective(optimizer=partial(torch.optim.SGD, lr=0.1))
    reported = updater(plain, model).step(digits[:16], digit_labels[:16])
    expected = F.cross_entropy(reference(digits[:16]), digit_labels[:16])
    expected.backward()
    assert float(reported) == pytest.approx(float(expected.detach()))
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs - 0.1 * theirs.grad)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_randomness_is_the_fits_own(name, updater, digits, digit_labels):
    """Dropout and starts come from the fit's generator, and leave torch's own alone."""
    losses = []
    for seed in (0, 0, 1):
        training = updater(OBJECTIVES[name], network(), seed)
        torch.manual_seed(len(losses))
        before = torch.get_rng_state()
        losses.append(float(training.step(digits[:16], digit_labels[:16])))
        assert torch.equal(torch.get_rng_state(), before)
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_it_learns(name, fitted, digits: Tensor, digit_labels: Tensor):
    model = fitted(name, network(0.1))
    accuracy = float((model(digits).argmax(1) == digit_labels).double().mean())
    assert accuracy > 0.6


@pytest.mark.parametrize("training", [True, False])
def test_the_adversary_raises_the_loss_within_its_ball_and_leaves_the_mode(
    trained_classifier, digits, digit_labels, training
):
    x, labels = digits[:40], digit_labels[:40]
    model = trained_classifier.train(training)

    def loss(logits: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, reduction="sum")

    moved = ADVERSARY.perturb(model, x, x, loss)
    assert model.training is training
    assert float((moved - x).abs().max()) <= 0.08 + 1e-6
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1
    model.eval().requires_grad_(False)
    assert float(loss(model(moved))) > 2 * float(loss(model(x)))
    assert not moved.requires_grad


def test_trades_without_a_weight_is_plain_training(updater, digits, digit_labels):
    models = [network(0.0), network(0.0)]
    trades = TradesObjective(optimizer=adam, adversary=ADVERSARY, beta=0.0)
    losses = [
        float(updater(objective, model).step(digits[:16], digit_labels[:16]))
        for objective, model in zip((trades, OBJECTIVES["plain"]), models, strict=True)
    ]
    assert losses[0] == pytest.approx(losses[1])


def test_adversarial_training_makes_robust(fitted, digits, digit_labels):
    """Against the same PGD, the adversarially trained network errs less than the plainly trained one."""
    errors = {}
    for name in ("plain", "madry"):
        model = fitted(name, network(0.0))
        attack = Adversary(epsilon=0.08, step_size=0.02, iterations=8)
        moved = attack.perturb(model, digits, digits, lambda z: F.cross_entropy(z, digit_labels))
        errors[name] = float((model(moved).argmax(1) != digit_labels).double().mean())
    assert errors["madry"] < 0.7 * errors["plain"]
