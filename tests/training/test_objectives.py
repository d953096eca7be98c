import math
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from uae_cli.training import AdversarialObjective, ReconstructionObjective, Sparsity

sgd = partial(torch.optim.SGD, lr=0.1)


@pytest.mark.parametrize(("loss", "function"), [("mse", F.mse_loss), ("bce", F.binary_cross_entropy)])
def test_a_step_descends_the_named_loss(loss, function, network, updater, digits):
    model, reference = network("dense"), network("dense")
    reported = updater(ReconstructionObjective(loss=loss, optimizer=sgd), model).step(digits[:16], None)
    expected = function(reference(digits[:16]), digits[:16])
    expected.backward()
    assert float(reported) == float(expected.detach())
    assert not reported.requires_grad
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs - 0.1 * theirs.grad)


# KL(0.1 ‖ 0.5) = 0.1 ln 0.2 + 0.9 ln 1.8 = 0.368064; KL(0.1 ‖ 0.2) = 0.1 ln 0.5 + 0.9 ln 1.125 = 0.036690
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ([[0.1, 0.1], [0.1, 0.1]], 0.0),
        ([[0.5, 0.5], [0.5, 0.5]], 0.368064),
        ([[0.0, 0.2], [0.2, 0.2]], 0.036690 / 2),  # mean activations 0.1 and 0.2: the mean comes first
        ([[0.9, 0.1], [0.1, 0.9]], 0.368064),
    ],
)
def test_the_sparsity_penalty_by_hand(code, expected):
    penalty = Sparsity(target=0.1, weight=3.0).penalty(torch.tensor(code).mean(0))
    assert float(penalty) == pytest.approx(3 * expected, abs=1e-5)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_the_penalty_of_dead_and_saturated_units_is_finite(value):
    code = torch.full((4, 3), value, requires_grad=True)
    penalty = Sparsity(target=0.1, weight=1.0).penalty(code.mean(0))
    penalty.backward()
    assert math.isfinite(float(penalty.detach()))
    assert bool(code.grad.isfinite().all())


@pytest.mark.parametrize(
    "change", [{"target": 0.0}, {"target": 1.0}, {"target": 1.5}, {"weight": -1.0}], ids=str
)
def test_sparsity_settings_out_of_range_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        Sparsity(**({"target": 0.1, "weight": 1.0} | change))


def test_sparsity_pushes_the_mean_activation_to_its_target(trainer, network, fit, digits):
    def mean_activation(weight: float) -> float:
        model = network("sparse")
        objective = ReconstructionObjective(
            loss="mse",
            optimizer=partial(torch.optim.Adam, lr=5e-3),
            sparsity=Sparsity(target=0.1, weight=weight),
        )
        fit(trainer(objective=objective), model, digits, 25)
        return float(model.encoder(digits).detach().mean())

    assert abs(mean_activation(3.0) - 0.1) < 0.03 < abs(mean_activation(0.0) - 0.1)


@pytest.fixture
def adversarial(network):
    return network("adversarial")


def test_the_adversarial_objective_needs_a_discriminator(network, updater):
    with pytest.raises(TypeError, match="DenseAutoencoder has no discriminator"):
        updater(AdversarialObjective(optimizer=sgd), network("dense"))


def test_the_adversarial_step_is_three_updates_in_turn(adversarial, network, updater, digits):
    """Makhzani's three phases, written out with plain gradient descent."""
    batch, theirs = digits[:16], network("adversarial")
    reported = updater(AdversarialObjective(optimizer=sgd), adversarial, seed=4).step(batch, None)

    def descend(loss, *modules):
        parameters = [p for module in modules for p in module.parameters()]
        for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.data -= 0.1 * slope

    def log_odds(code):
        return torch.sigmoid(theirs.discriminator(code))

    error = (theirs(batch) - batch).square().mean()
    descend(error, theirs.encoder, theirs.decoder)
    prior = torch.randn(16, 4, generator=torch.Generator().manual_seed(4))
    code = theirs.encoder(batch).detach()
    descend(-(log_odds(prior).log().mean() + (1 - log_odds(code)).log().mean()), theirs.discriminator)
    descend(-log_odds(theirs.encoder(batch)).log().mean(), theirs.encoder)

    assert float(reported) == pytest.approx(float(error.detach()))
    for ours, expected in zip(adversarial.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(ours, expected)


def test_the_prior_is_drawn_from_the_given_generator(network, updater, digits):
    def discriminator(seed: int):
        model = network("adversarial")
        updater(AdversarialObjective(optimizer=sgd), model, seed).step(digits[:16], None)
        return model.discriminator[0].weight.detach()

    assert torch.equal(discriminator(1), discriminator(1))
    assert not torch.equal(discriminator(1), discriminator(2))
