import re

import pytest
import torch
from torch import Tensor, nn

from uae_cli.attacks import Attack, Contrastive, RandomCriterion, Samples, judge
from uae_cli.attacks.criteria import Reconstruction
from uae_cli.attacks.similarities import Mine
from uae_cli.contrastive import Views, nt_xent
from uae_cli.errors import ConfigError
from uae_cli.mi import FeatureMaps
from uae_cli.models import HookedModel, SimCLR, glorot_

SETTINGS = {
    "views": Views(scale=(0.3, 1.0), ratio=(0.75, 4 / 3), flip=0.0, strength=0.5, jitter=0.8, grey=0.0),
    "copies": 3,
    "temperature": 0.5,
    "same_views": True,
    "kappa": 0.0,
    "draw": 0,
}


def criterion(**changes) -> Contrastive:
    return Contrastive(**(SETTINGS | changes))


@pytest.fixture(scope="module")
def x(digits: Tensor) -> Tensor:
    return digits[:12]


@pytest.fixture(scope="module")
def moved(x: Tensor) -> Tensor:
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    return (x + 0.2 * noise).clamp(0, 1)


@pytest.fixture
def model(digits: Tensor) -> nn.Module:
    """Statistics of batch normalisation that are those of the data."""
    network = SimCLR(shape=(1, 8, 8), encoder="small_conv", hidden_dim=16, projection_dim=8)
    glorot_(network, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for batch in digits.split(100):
            network(batch)
    return network.eval()


def f(
    settings: Contrastive, model: nn.Module, x: Tensor, moved: Tensor, index: Tensor | None = None
) -> Tensor:
    index = torch.arange(len(x)) if index is None else index
    hooked = HookedModel(model, None)
    bound = settings.bind(hooked, hooked(x), Samples(x, index, seed=0))
    return bound(hooked(moved))


def test_f_is_the_change_of_each_samples_own_loss_over_its_own_views(model, x, moved):
    """By hand: one sample at a time, through the training's loss."""
    settings = criterion(kappa=0.25)
    values = f(settings, model, x, moved)
    for row in range(len(x)):
        index = torch.tensor([row])
        drawn = settings.views.draw(0, "contrastive views 0", index, 6)
        after, before = (
            nt_xent(model(settings.views.apply(sample[index], drawn)), 0.5) for sample in (moved, x)
        )
        assert float(values[row]) == pytest.approx(float(after - before) + 0.25, abs=1e-5)


def test_nothing_changes_where_nothing_moves_unless_the_views_do(model, x):
    assert f(criterion(), model, x, x).tolist() == [0.0] * len(x)
    assert float(f(criterion(same_views=False), model, x, x).abs().min()) > 0


@pytest.mark.parametrize("same_views", [True, False])
def test_a_sample_is_judged_alike_in_any_batch(model, x, moved, same_views):
    model, x, moved, settings = model.double(), x.double(), moved.double(), criterion(same_views=same_views)
    whole = f(settings, model, x, moved)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(2))
    for rows in order.split(5):
        torch.testing.assert_close(f(settings, model, x[rows], moved[rows], rows), whole[rows])


def test_judging_in_parts_changes_nothing(model, x, moved, monkeypatch):
    whole = f(criterion(), model, x, moved)
    sizes = []
    monkeypatch.setattr("uae_cli.attacks.criteria.VIEWS_AT_ONCE", 13)
    model.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    torch.testing.assert_close(f(criterion(), model, x, moved), whole)
    plain, views = [len(x)], [2 * 6] * 6  # two samples of six views at once
    assert sizes == [*plain, *views] * 2


def test_draws_are_independent_and_repeat_themselves(model, x, moved):
    settings = criterion()
    assert isinstance(settings, RandomCriterion)
    assert not isinstance(Reconstruction(kappa=0.0), RandomCriterion)
    assert settings.fresh() == criterion(draw=1)
    first, again, fresh = (f(c, model, x, moved) for c in (settings, criterion(), settings.fresh()))
    assert torch.equal(first, again)
    assert float((first - fresh).abs().min()) > 0


def test_more_copies_make_it_less_a_matter_of_chance(model, x, moved):
    """The spread of f over draws of views, which success on new views suffers from."""
    spread = [
        torch.stack([f(criterion(copies=copies, draw=draw), model, x, moved) for draw in range(6)])
        .std(0)
        .mean()
        for copies in (2, 16)
    ]
    assert spread[1] < 0.6 * spread[0]


def test_an_attack_finds_samples_that_are_judged_the_same_once_saved(model, x, minmax, result_of):
    mine = Mine(
        goal="minimize",
        require_positive=True,
        sampling=FeatureMaps(layer=None, marginals="all_pairs"),
        hidden=10,
        steps=5,
        learning_rate=1e-3,
    )
    solver = {"alpha": 0.05, "iterations": 8, "c_start": 0.1, "delta_start": 0.086, "c_decay_exponent": 0.5}
    result = result_of(Attack(criterion(), mine, minmax(**solver)), model, x, chunk_size=5)
    moved = (result["x"] != x).flatten(1).any(1)
    values = judge(
        criterion(), HookedModel(model, None), Samples.first(x, seed=0), result["x"], chunk_size=12
    )
    assert int(result["success"].sum()) >= len(x) // 3
    assert torch.equal(result["success"], moved & (values <= 0))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"copies": 0}, "must be at least 2"),
        ({"copies": 1}, "have no negatives"),
        ({"temperature": 0}, "greater than 0"),
        ({"temperature": -0.5}, "greater than 0"),
        ({"kappa": -1}, "greater than or equal to 0"),
        ({"draw": -1}, "greater than or equal to 0"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(change, reason):
    with pytest.raises(ValueError, match=rf"{next(iter(change))}[\s\S]*{reason}"):
        criterion(**change)


@pytest.mark.parametrize(("shape", "answer"), [((1, 8, 8), (1, 8, 8)), ((64,), (16,))])
def test_a_model_without_projections_is_refused(shape, answer):
    with pytest.raises(ConfigError, match=re.escape(f"shape {shape} with {answer}; use model=simclr")):
        criterion().check(torch.zeros(2, *shape), torch.zeros(2, *answer))
