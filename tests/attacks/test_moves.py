"""Attacks along coefficients and towards partners: where they end, and that nothing else moved."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from uae_cli.arms import FreshAttack, MatchedNoise
from uae_cli.arms.conventional import FreshNoise
from uae_cli.attacks import (
    Attack,
    GaussianInformation,
    MinMax,
    Partners,
    Pgd,
    PrincipalComponents,
    Reconstruction,
    Samples,
    Warp,
    attack_batch,
    judge,
)
from uae_cli.attacks.memory import measure
from uae_cli.attacks.moves import InCoefficients
from uae_cli.errors import ConfigError

PCA, WARP, MIXUP = (
    PrincipalComponents(components=6, span=1.0),
    Warp(grid=3, span=2.0),
    Partners(partners=3, tries=4, most=0.5),
)
ALL = pytest.mark.parametrize("moves", [PCA, WARP, MIXUP], ids=["pca", "warp", "mixup"])


@dataclass
class Inputs:
    """Of an arm whose control is made, `found` and its ways given."""

    x: Tensor
    found: Tensor
    moves: object
    seed: int = 0

    def extra(self, _arm: str):
        return replace(self, x=self.found)


def l2(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).flatten(1).norm(dim=1)


@pytest.fixture
def attack(minmax):
    similarity = GaussianInformation(goal="minimize", dimension=1.0, floor=1e-6)
    solver = minmax(alpha=0.05, iterations=8, c_start=1e-3, delta_start=0.1)
    return Attack(Reconstruction(kappa=0.0), similarity, solver)


def attacked(attack: Attack, model, samples: Samples) -> tuple[Tensor, Tensor]:
    with attack.frozen(model) as hooked:
        found = attack_batch(attack, hooked, samples)
        f = judge(attack.criterion, hooked, samples, found.x, chunk_size=64)
    assert bool((f[found.success] <= 0).all())
    return found.x, found.success


@ALL
def test_what_is_found_fulfils_the_criterion_alone_or_in_company_and_again(moves, attack, digits, trained_ae):
    fitted = moves.fit(digits)
    attack = replace(attack, solver=fitted.solver(attack.solver))
    samples = Samples.first(digits[:60], seed=0)
    x, success = attacked(attack, trained_ae, samples)
    assert float(success.double().mean()) > 0.15
    assert 0 <= float(x.min()) <= float(x.max()) <= 1
    assert bool((l2(x, samples.x)[success] > 1e-3).all())
    assert torch.equal(x[~success], samples.x[~success])
    assert torch.equal(x, attacked(attack, trained_ae, samples)[0])
    alone, its_success = attacked(attack, trained_ae, samples.rows(torch.arange(40, 47)))
    same = its_success == success[40:47]
    assert int(same.sum()) >= 6, "rounding may decide at the criterion's edge"
    torch.testing.assert_close(alone[same], x[40:47][same], atol=1e-4, rtol=0)


def test_components_are_those_of_the_samples_and_nothing_else_moves(minmax, problem, digits):
    """From grey, nothing is clipped. A linear S ends in the corner of the box of coefficients."""
    flat = digits.flatten(1).double()
    fitted = PrincipalComponents(components=5, span=0.2).fit(flat)
    _, _, vectors = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)
    ways, slope = vectors[:5], torch.linspace(-1, 1, 64, dtype=torch.float64)
    grey = torch.full((3, 64), 0.5, dtype=torch.float64)
    solver = fitted.solver(minmax(alpha=0.5, iterations=200, step="sign"))
    found = solver.run(problem(grey, lambda x, _t: x @ slope), on_iteration=lambda _: None)
    corner = -0.1 * (ways @ slope).sign() @ ways
    torch.testing.assert_close(found.x - grey, corner.expand(3, -1), atol=1e-6, rtol=0)


def test_pgd_moves_coefficients_too(problem, digits):
    flat = digits.flatten(1).double()
    pgd = Pgd(iterations=30, epsilon=1.0, step_size=0.1, random_start=False, loss="margin", keep="last")
    solver = PrincipalComponents(components=5, span=0.2).fit(flat).solver(pgd)
    grey = torch.full((3, 64), 0.5, dtype=torch.float64)
    slope = torch.linspace(-1, 1, 64, dtype=torch.float64)
    asked = problem(grey, lambda x, _t: x.sum(1), lambda x: (x - 0.5) @ slope)
    found = solver.run(asked, on_iteration=lambda _: None)
    ways = solver.basis.ways / 0.2
    torch.testing.assert_close(found.x - grey, (-0.1 * (ways @ slope).sign() @ ways).expand(3, -1))


def test_a_warp_by_whole_pixels_is_a_shift_and_none_is_none(digits):
    bound = WARP.bind(digits)
    still = torch.zeros(len(digits), 2, 3, 3)
    assert torch.equal(bound(still.flatten(1)), digits)
    right, down = still.clone(), still.clone()
    right[:, 0], down[:, 1] = 0.5, 0.5  # of a span of 2 pixels
    columns = torch.cat([digits[..., 1:], digits[..., -1:]], dim=3)
    rows = torch.cat([digits[:, :, 1:], digits[:, :, -1:]], dim=2)
    torch.testing.assert_close(bound(right.flatten(1)), columns, atol=1e-5, rtol=0)
    torch.testing.assert_close(bound(down.flatten(1)), rows, atol=1e-5, rtol=0)


def test_a_warp_has_the_gradient_of_its_differences(digits):
    x = 0.1 + 0.8 * digits[:2].double()
    bound, generator = WARP.bind(x), torch.Generator().manual_seed(0)
    a = torch.rand(2, 18, generator=generator, dtype=torch.float64) - 0.5
    assert torch.autograd.gradcheck(bound, a.requires_grad_(), eps=1e-7, atol=1e-5)


def test_the_largest_weight_is_kept_that_fulfils_the_criterion(problem):
    """Two samples are each other's partners; f grows with the distance, and so does dissimilarity."""
    x = torch.tensor([[0.1, 0.2], [0.9, 0.8]], dtype=torch.float64)
    allowed = torch.tensor([0.3, 0.9], dtype=torch.float64)
    asked = problem(x, lambda moved, _t: -l2(moved, x), lambda moved: l2(moved, x) - allowed)
    tries = 12
    found = Partners(partners=2, tries=tries, most=0.6).fit(x).run(asked, on_iteration=lambda _: None)
    weight = l2(found.x, x) / 1.0
    assert 0.3 - 0.6 / 2 ** (tries - 1) <= float(weight[0]) <= 0.3
    assert float(weight[1]) == pytest.approx(0.6), "no more than the most"
    torch.testing.assert_close(found.x, x + weight[:, None] * (x.flip(0) - x))
    assert found.trace.f.shape == (2, 2 * tries)


def test_of_several_partners_the_most_dissimilar_is_chosen(problem):
    x = torch.eye(40, dtype=torch.float64)
    fitted = Partners(partners=8, tries=1, most=0.5).fit(x)
    score = torch.linspace(0, 1, 40, dtype=torch.float64)
    found = fitted.run(problem(x, lambda moved, _t: moved @ score), on_iteration=lambda _: None)
    rest = found.x - found.x.diagonal().diag()
    partner = rest.argmax(1)
    assert bool(((rest > 0).sum(1) == 1).all()), "one partner, and never the sample itself"
    candidates = fitted._partners(torch.arange(40), 0, "partner", 8)
    assert torch.equal(partner, candidates.gather(1, score[candidates].argmin(1, keepdim=True))[:, 0])


@ALL
@pytest.mark.parametrize("fresh", [False, True])
def test_noise_that_goes_the_same_ways_is_as_large(moves, fresh, digits):
    """Sizes are those of another draw, so that they can be reached."""
    x, fitted = digits[:100], moves.fit(digits[:100])
    wanted = fitted.moved(x, fitted.directions(x, 5, "other"), 0.02 * torch.arange(100.0).sqrt())
    made = MatchedNoise(of="a", draws=1, same_moves=True).make("n", Inputs(x, wanted, fitted), 0).x
    if fresh:
        noise = FreshNoise(0, "n/0", "digest", 1, fitted, l2(wanted, x)[None], x)
        made, again = noise.samples(None, 1), noise.samples(None, 1)
        assert torch.equal(made, again)
    reached = torch.isclose(l2(made, x), l2(wanted, x), rtol=0.02 if fresh else 1e-3, atol=1e-6)
    assert float(reached.double().mean()) > 0.95
    assert torch.equal(made[0], x[0]), "a sample that wasn't moved got noise"
    plain = MatchedNoise(of="a", draws=1).make("n", Inputs(x, wanted, fitted), 0).x
    assert float(torch.cosine_similarity((made - x)[1:].flatten(1), (plain - x)[1:].flatten(1)).mean()) < 0.5


def test_noise_of_components_stays_among_them(digits):
    fitted, grey = PCA.fit(digits), torch.full_like(digits, 0.5)
    moved = fitted.moved(grey, fitted.directions(grey, 0, "n"), torch.full((len(grey),), 0.1))
    delta, ways = (moved - grey).flatten(1), fitted.ways
    torch.testing.assert_close(delta @ ways.T @ ways, delta, atol=1e-5, rtol=0)


@ALL
def test_made_anew_they_differ_by_epoch_alone(moves, attack, digits, trained_ae):
    x = digits[:30]
    attack = replace(attack, solver=moves.fit(x).solver(attack.solver))
    renewal = FreshAttack(attack, 1, 0, "key", x, trained_ae, 16)
    first, again, later = (renewal.samples(trained_ae, epoch) for epoch in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, later)


@ALL
def test_what_identifies_them_are_settings_and_no_samples(moves, attack, digits):
    solver = moves.fit(digits).solver(attack.solver)
    assert "tensor" not in repr(solver)
    assert repr(moves) in repr(solver)


@ALL
def test_a_samples_memory_is_its_own(moves, attack, digits, trained_ae):
    """Whatever is computed once for all samples was computed before."""
    attack = replace(attack, solver=moves.fit(digits).solver(attack.solver))
    need = measure(attack, trained_ae, digits)
    assert max(each for _, each in need.lines) > 0
    assert need.samples_in(2**30) > 100


def test_passes_are_the_solvers_or_all_tries(attack, digits):
    assert isinstance(attack.solver, MinMax)
    assert InCoefficients(attack.solver, WARP).total_iterations == 8
    assert MIXUP.fit(digits).solver(attack.solver).total_iterations == 12


@pytest.mark.parametrize(
    ("moves", "x", "told"),
    [
        (WARP, torch.rand(5, 20), r"arm = a: a warp needs images \(C, H, W\).*\(20,\)"),
        (WARP, torch.rand(5, 1, 1, 20), r"arm = a: a warp needs images.*2 or more pixels"),
        (PCA, torch.rand(5, 20), "arm.a.moves.components = 6: 5 samples of 20 values.*use 5 or fewer"),
        (PCA, torch.rand(50, 4), "arm.a.moves.components = 6: 50 samples of 4 values.*use 4 or fewer"),
        (MIXUP, torch.rand(1, 20), "arm = a: mixes a sample with others, but there is no other"),
    ],
)
def test_samples_that_cannot_move_so_are_refused(moves, x, told):
    with pytest.raises(ConfigError, match=told):
        moves.check("a", x)
    moves.check("a", torch.rand(7, 1, 8, 8))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (PrincipalComponents, {"components": 0, "span": 1.0}),
        (PrincipalComponents, {"components": 3, "span": 0.0}),
        (Warp, {"grid": 1, "span": 1.0}),
        (Partners, {"partners": 1, "tries": 1, "most": 1.5}),
    ],
)
def test_settings_out_of_range_are_refused(kind, settings):
    with pytest.raises(ValueError, match="validation error"):
        kind(**settings)
