"""PGD against an independent implementation on the same model, start and steps."""

import math
import warnings
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from uae_cli.attacks import Attack, Samples
from uae_cli.attacks.criteria import BoundMisclassification, Misclassification, Reconstruction
from uae_cli.attacks.similarities import Nothing
from uae_cli.attacks.solvers.base import Problem, uniform_start
from uae_cli.attacks.solvers.pgd import Pgd
from uae_cli.errors import ConfigError
from uae_cli.models import HookedModel

PLAIN = {
    "epsilon": 0.2,
    "iterations": 12,
    "step_size": 0.03,
    "random_start": True,
    "loss": "cross_entropy",
    "keep": "last",
}


def pgd(**changes) -> Pgd:
    return Pgd(**(PLAIN | changes))


def problem_of(model, batch: Samples, criterion) -> Problem:
    hooked = HookedModel(model, None)
    clean = hooked(batch.x)
    return Problem(
        model=hooked,
        batch=batch,
        criterion=criterion.bind(hooked, clean, batch),
        bind_similarity=lambda: Nothing().bind(clean, batch),
        goal="minimize",
        require_positive=False,
    )


@pytest.fixture
def batch(digits: Tensor, digit_labels: Tensor) -> Samples:
    return Samples(digits[:40], torch.arange(40), 0, digit_labels[:40])


@pytest.mark.parametrize("target", [None, "random"])
@pytest.mark.parametrize(("step_size", "foolbox_step"), [(0.03, 0.03), (None, 2.5 * 0.2 / 12)])
def test_it_walks_as_foolbox_does(trained_classifier, batch, target, step_size, foolbox_step):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that foolbox imports
        foolbox = pytest.importorskip("foolbox")
    criterion = Misclassification(kappa=0.0, target=target)
    problem = problem_of(trained_classifier, batch, criterion)
    start = uniform_start(batch, 0.2, 0.2)

    class Started(foolbox.attacks.LinfPGD):
        def get_random_start(self, x0, epsilon):
            import eagerpy

            return eagerpy.astensor(start)

    theirs = Started(abs_stepsize=foolbox_step, steps=12, random_start=True)
    model = foolbox.PyTorchModel(trained_classifier, bounds=(0, 1), device="cpu")
    if target is None:
        aim = foolbox.criteria.Misclassification(batch.labels)
    else:
        aim = foolbox.criteria.TargetedMisclassification(problem.criterion.targets)
    expected = theirs.run(model, batch.x, aim, epsilon=0.2)
    # The same loss under a criterion that always holds, so that every last iterate is answered
    always = BoundMisclassification(batch.labels, problem.criterion.targets, kappa=-1e9)
    found = pgd(step_size=step_size).run(replace(problem, criterion=always))
    torch.testing.assert_close(found.x, expected, rtol=0, atol=1e-6)


def test_it_fools_a_plain_classifier(trained_classifier, batch, digit_labels):
    found = pgd(epsilon=0.3, iterations=40, step_size=None).run(
        problem_of(trained_classifier, batch, Misclassification(kappa=0.0, target=None))
    )
    predicted = trained_classifier(found.x).argmax(1)
    assert bool((predicted[found.success] != digit_labels[:40][found.success]).all())
    assert float(found.success.double().mean()) > 0.7
    assert torch.equal(found.x[~found.success], batch.x[~found.success])
    assert found.trace.f.shape == (40, 40)


@pytest.mark.parametrize("keep", ["last", "best"])
@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_it_stays_in_the_ball_and_the_box(trained_classifier, batch, keep, loss):
    solver = pgd(epsilon=0.1, keep=keep, loss=loss)
    found = solver.run(problem_of(trained_classifier, batch, Misclassification(kappa=0.0, target=None)))
    assert float((found.x - batch.x).abs().max()) <= 0.1 + 1e-6
    assert float(found.x.min()) >= 0
    assert float(found.x.max()) <= 1


def test_the_best_iterate_succeeds_wherever_any_does(trained_classifier, batch):
    problem = problem_of(trained_classifier, batch, Misclassification(kappa=0.0, target=None))
    best = pgd(keep="best", epsilon=0.1).run(problem)
    assert torch.equal(best.success, (best.trace.f <= 0).any(dim=1))
    last = pgd(keep="last", epsilon=0.1).run(problem)
    assert torch.equal(last.success, last.trace.f[:, -1] <= 0)


def test_one_sample_is_attacked_as_it_is_among_others(trained_classifier, batch):
    criterion = Misclassification(kappa=0.0, target="random")
    whole = pgd(epsilon=0.3).run(problem_of(trained_classifier, batch, criterion))
    alone = Samples(batch.x[7:8], batch.index[7:8], 0, batch.labels[7:8])
    found = pgd(epsilon=0.3).run(problem_of(trained_classifier, alone, criterion))
    torch.testing.assert_close(found.x, whole.x[7:8])


def test_autoencoders_have_a_margin_and_no_cross_entropy(trained_ae, digits, result_of):
    with pytest.raises(ConfigError, match=r"attack.loss = cross_entropy: .* use margin"):
        result_of(Attack(Reconstruction(kappa=0.0), Nothing(), pgd()), trained_ae, digits[:8])
    attack = Attack(Reconstruction(kappa=0.0), Nothing(), pgd(loss="margin", epsilon=0.05, keep="best"))
    result = result_of(attack, trained_ae, digits[:8])
    assert float(result["success"].double().mean()) > 0.5
    assert math.isclose(float(result["similarity"][result["success"]].abs().max()), 0)


def test_the_saved_tensor_is_what_succeeded(trained_classifier, digits, digit_labels, result_of):
    attack = Attack(Misclassification(kappa=0.0, target=None), Nothing(), pgd(epsilon=0.3))
    result = result_of(attack, trained_classifier, digits[:40], labels=digit_labels[:40])
    wrong = trained_classifier(result["x"]).argmax(1) != digit_labels[:40]
    correct_before = trained_classifier(digits[:40]).argmax(1) == digit_labels[:40]
    assert torch.equal(result["success"][correct_before], wrong[correct_before])
