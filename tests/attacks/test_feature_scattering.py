"""Distances and feature scattering: against closed forms, an assignment solver, and from chunk to chunk."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment

from uae_cli.attacks import Attack, Samples, attack_batch
from uae_cli.attacks.criteria import Reconstruction
from uae_cli.attacks.feature_scattering import FeatureScattering, transport_plan
from uae_cli.attacks.memory import Need, choose_chunk, measure
from uae_cli.attacks.similarities import CosineDistance, Grouped, L2Distance, Similarity, group_of
from uae_cli.errors import ConfigError
from uae_cli.models import HookedModel, Response

CPU = torch.device("cpu")
GROUP = 4


def scattering(**changes) -> FeatureScattering:
    plain = {"goal": "maximize", "layer": "encoder", "group": GROUP, "regularization": 0.01, "iterations": 50}
    return FeatureScattering(**(plain | changes))


@pytest.fixture
def attack(minmax) -> Attack:
    solver = minmax(iterations=8, alpha=0.05, c_start=1e-3, delta_start=0.086)
    return Attack(Reconstruction(kappa=0.0), scattering(), solver)


def between(similarity: Similarity, x: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
    bound = similarity.bind(Response(x, x, None), Samples.first(x, seed=0))
    return bound(Response(moved, moved, None), 1)


def gaussian(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("similarity", [L2Distance(goal="maximize"), CosineDistance(goal="maximize")])
def test_distances_have_their_closed_forms_and_gradients(similarity):
    x, moved = gaussian(0, 5, 1, 3, 3).sigmoid(), gaussian(1, 5, 1, 3, 3).sigmoid().requires_grad_()
    a, b = x.flatten(1), moved.flatten(1)
    cosine = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
    expected = (a - b).norm(dim=1) if isinstance(similarity, L2Distance) else 1 - cosine
    torch.testing.assert_close(between(similarity, x, moved), expected)
    assert torch.autograd.gradcheck(lambda moved: between(similarity, x, moved), (moved,))


@pytest.mark.parametrize("similarity", [L2Distance(goal="maximize"), CosineDistance(goal="maximize")])
@pytest.mark.parametrize("sample", [0.0, 0.5])
def test_at_zero_their_gradients_are_zero_also_of_a_black_image(similarity, sample):
    moved = torch.full((2, 1, 3, 3), sample, requires_grad=True)
    value = between(similarity, moved.detach(), moved)
    (slope,) = torch.autograd.grad(value.sum(), moved)
    assert bool(value.isfinite().all())
    assert float(slope.abs().max()) < 1e-6


@pytest.mark.parametrize("size", [1, 2, 7, 40])
@pytest.mark.parametrize("spread", [0.1, 1.0, 4.0])
def test_the_plan_is_that_of_an_assignment_solver(size, spread):
    features = gaussian(2, size, 12)
    clean, moved = F.normalize(features, dim=1), F.normalize(features + spread * gaussian(3, size, 12), dim=1)
    cost = 1 - clean @ moved.T
    plan = transport_plan(cost, 0.002, 2000)
    rows, columns = linear_sum_assignment(cost.numpy())
    assert float((plan * cost).sum()) == pytest.approx(cost.numpy()[rows, columns].mean(), abs=2e-3)
    torch.testing.assert_close(plan.sum(0), torch.full((size,), 1 / size, dtype=plan.dtype))
    torch.testing.assert_close(plan.sum(1), plan.sum(0), rtol=0.1, atol=0)


def test_shares_average_to_the_distance_and_the_plan_counts_as_fixed():
    x, moved = gaussian(4, 6, 9), gaussian(5, 6, 9).requires_grad_()
    shares = between(scattering(group=6), x, moved)
    cost = 1 - F.normalize(x, dim=1) @ F.normalize(moved, dim=1).T
    plan = transport_plan(cost.detach(), 0.01, 50)
    torch.testing.assert_close(shares.mean(), (plan * cost).sum())
    (slope,) = torch.autograd.grad(shares.mean(), moved, retain_graph=True)
    (expected,) = torch.autograd.grad((plan * cost).sum(), moved)
    torch.testing.assert_close(slope, expected)


def test_groups_are_those_of_the_dataset_wherever_their_samples_stand():
    x, moved = gaussian(6, 10, 9), gaussian(7, 10, 9)
    whole = between(scattering(), x, moved)
    for start in (0, 4, 8):
        part = slice(start, start + GROUP)
        torch.testing.assert_close(whole[part], between(scattering(), x[part], moved[part]))
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    bound = scattering().bind(Response(x[order], x[order], None), Samples(x[order], order, 0))
    torch.testing.assert_close(bound(Response(moved[order], moved[order], None), 1), whole[order])


def test_samples_of_a_group_matter_to_each_other_and_others_do_not():
    x, moved = gaussian(8, 8, 9), gaussian(9, 8, 9)
    other = moved.clone()
    other[1] = x[0]
    changed = between(scattering(), x, moved) != between(scattering(), x, other)
    assert bool(changed[[0, 1]].all())
    assert not bool(changed[4:].any())


def test_chunks_leave_every_sample_where_it_was(attack, trained_ae, digits, result_of):
    x = digits[:18]
    whole = result_of(attack, trained_ae, x, "whole", chunk_size=20)
    assert int(whole["success"].sum()) > 2
    for size in (4, 6, 12):  # 6: one whole group
        again = result_of(attack, trained_ae, x, str(size), chunk_size=size)
        torch.testing.assert_close(again["x"], whole["x"], rtol=0, atol=1e-5)


def test_chosen_samples_are_grouped_as_they_stand(attack, trained_ae, digits):
    class Noted(FeatureScattering):
        def bind(self, clean, batch):
            known.append(batch.index.tolist())
            return super().bind(clean, batch)

    known: list[list[int]] = []
    batch = Samples(digits[:6], 10 * torch.arange(6), 0)
    noted = replace(attack, similarity=Noted(**vars(attack.similarity)))
    attack_batch(noted, HookedModel(trained_ae, "encoder"), batch)
    assert known == [[0, 1, 2, 3, 4, 5]]
    assert batch.index.tolist() == [0, 10, 20, 30, 40, 50]


def test_a_chunk_smaller_than_a_group_is_refused(attack, trained_ae, digits, result_of):
    with pytest.raises(ConfigError, match=r"chunk_size = 3: the similarity couples 4 samples"):
        result_of(attack, trained_ae, digits[:8], chunk_size=3)
    assert len(result_of(attack, trained_ae, digits[:3], chunk_size=3)["x"]) == 3


def test_memory_that_runs_out_halves_by_whole_groups(attack, trained_ae, digits, result_of, short_of_memory):
    x, short = digits[:18], short_of_memory(attack, 7)
    expected = result_of(attack, trained_ae, x, "whole", chunk_size=20)
    found = result_of(short, trained_ae, x, "halved", chunk_size=12)
    assert short.solver.sizes == [12, 4, 4, 4, 4, 2]
    torch.testing.assert_close(found["x"], expected["x"], rtol=0, atol=1e-5)
    with pytest.raises(ConfigError, match="too little memory for 4 samples that belong together"):
        result_of(short_of_memory(attack, 3), trained_ae, x, "none", chunk_size=12)


def test_chunks_are_chosen_in_whole_groups(attack, trained_ae, digits):
    assert measure(attack, trained_ae, digits[:10]).group == GROUP
    assert measure(attack, trained_ae, digits[:3]).group == 3, "a dataset smaller than a group"
    need, gib = Need([(0, 10)], group=GROUP), 2**30

    def choose(most, samples, *, exact=False):
        return choose_chunk(need, CPU, most=most, exact=exact, budget_gib=10 * samples / gib)

    assert [choose(18, 100), choose(18, 11), choose(18, 4), choose(3, 100)] == [16, 8, 4, 4]
    assert choose(6, 100, exact=True) == 4
    with pytest.raises(ConfigError, match="4 samples that belong together need"):
        choose(18, 3)
    with pytest.raises(ConfigError, match=r"chunk_size = 3: the similarity couples 4 samples"):
        choose(3, 100, exact=True)


def test_only_scattering_is_grouped(trained_ae):
    assert [group_of(one) for one in (scattering(), L2Distance(goal="maximize"))] == [GROUP, 1]
    assert isinstance(scattering(), Grouped)
    assert isinstance(scattering(), Similarity)


def test_it_reads_the_layer_it_is_told(trained_ae, digits):
    for layer in ("encoder", None):
        hooked = HookedModel(trained_ae, scattering(layer=layer).hooked_layer(trained_ae))
        clean, moved = hooked(digits[:4]), hooked(digits[:4].flip(-1))
        features = [r.output if layer is None else trained_ae.encoder(r.x) for r in (clean, moved)]
        cost = 1 - F.cosine_similarity(*(f.flatten(1)[None] if i else f.flatten(1)[:, None]
                                         for i, f in enumerate(features)), dim=2)  # fmt: skip
        shares = scattering(layer=layer).bind(clean, Samples.first(digits[:4], seed=0))(moved, 1)
        plan = transport_plan(cost, 0.01, 50)
        torch.testing.assert_close(shares, 4 * (plan * cost).sum(0), rtol=1e-3, atol=1e-5)
    with pytest.raises(ConfigError, match=r"similarity.layer = foo: the model has no such layer; it has enc"):
        scattering(layer="foo").hooked_layer(trained_ae)


@pytest.mark.parametrize("change", [{"group": 0}, {"regularization": 0.0}, {"iterations": 0}], ids=str)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        scattering(**change)


def test_a_layer_that_is_never_called_is_refused():
    idle = torch.nn.Identity()
    idle.spare = torch.nn.Linear(2, 2)
    response = HookedModel(idle, "spare")(torch.rand(2, 2))
    with pytest.raises(ConfigError, match=r"similarity.layer = spare, for arm: the model never calls"):
        scattering(layer="spare").check("arm", idle, response)
