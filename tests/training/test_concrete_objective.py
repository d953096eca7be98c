"""Training of a concrete autoencoder, on small tables whose informative features are known."""

from functools import partial

import pytest
import torch
from torch import Tensor

from uae_cli.models import ConcreteAutoencoder, DenseAutoencoder
from uae_cli.training import Callbacks, ConcreteObjective

adam = partial(torch.optim.Adam, lr=1e-3)
INFORMATIVE, COPIES = 4, 4


def objective(**changes) -> ConcreteObjective:
    plain = {"optimizer": adam, "start_temperature": 10.0, "end_temperature": 0.1, "target": 0.99}
    return ConcreteObjective(**(plain | changes))


@pytest.fixture
def trainer(trainer):
    """The folder's, with this objective and smaller batches."""
    return lambda **changes: trainer(**({"objective": objective(), "batch_size": 16} | changes))


def network(features: int = 20, selected: int = INFORMATIVE) -> ConcreteAutoencoder:
    torch.manual_seed(0)
    return ConcreteAutoencoder(
        shape=(features,), selected=selected, hidden=[32], dropout=0.1, output="linear"
    )


@pytest.fixture(scope="module")
def planted() -> Tensor:
    """400 rows of 4 informative columns, each before 4 blurred copies of it, and 10 columns of noise."""
    source = torch.Generator().manual_seed(3)
    informative = torch.rand(400, INFORMATIVE, 1, generator=source)
    blur = torch.rand(400, INFORMATIVE, COPIES, generator=source)
    groups = torch.cat([informative, 0.6 * informative + 0.4 * blur], dim=2)
    noise = 0.5 + 0.02 * torch.rand(400, 10, generator=source)
    return torch.cat([groups.flatten(1), noise], dim=1)


def test_planted_informative_features_are_recovered(trainer, planted, tmp_path):
    model = network(30)
    fast = objective(optimizer=partial(torch.optim.Adam, lr=1e-2), target=0.95)  # for 2,000 steps
    settings = trainer(objective=fast, batch_size=50)
    history = settings.fit(model, planted, epochs=250, seed=0, checkpoint=tmp_path / "checkpoint.pt")
    assert history.converged
    assert history.tries == 1
    assert sorted(model.selector.choice().tolist()) == [group * (1 + COPIES) for group in range(INFORMATIVE)]


def test_the_temperature_falls_exponentially_over_all_steps(planted, updater):
    training = updater(objective(), network(30), steps=4)
    seen = [training.scalars()["temperature"]]
    for _ in range(4):
        training.step(planted[:8], None)
        seen.append(training.scalars()["temperature"])
    assert seen == pytest.approx([10, 10 / 10**0.5, 1, 0.1**0.5, 0.1])


def test_scalars_tell_how_hard_the_selection_is():
    model = network(3, selected=3)
    model.selector.logits.data = torch.tensor([[40.0, 0, 0], [40.0, 0, 0], [0, 0, 0]])
    loss = objective(target=0.7).bind(model, torch.Generator(), steps=1)
    scalars = loss.scalars()
    assert scalars["distinct_features"] == 1
    assert scalars["mean_maximum"] == pytest.approx((1 + 1 + 1 / 3) / 3)
    assert loss.converged()
    assert not objective(target=0.8).bind(model, torch.Generator(), steps=1).converged()


def test_another_try_has_twice_the_epochs_and_tries_are_bounded(trainer, planted, tmp_path):
    settings = trainer(tries=3)
    epochs = []
    history = settings.fit(
        network(30),
        planted[:32],
        epochs=2,
        seed=0,
        checkpoint=tmp_path / "checkpoint.pt",
        callbacks=Callbacks(
            on_epoch=lambda epoch, _loss, scalars: epochs.append((epoch, round(scalars["temperature"], 3)))
        ),
    )
    assert not history.converged
    assert history.tries == 3
    assert [epoch for epoch, _ in epochs] == [*range(1, 3), *range(1, 5), *range(1, 9)]
    assert [temperature for _, temperature in epochs if temperature == 0.1] == [0.1] * 3
    assert len(history.losses) == 8


@pytest.mark.parametrize("killed", [1, 3])
def test_a_killed_fit_resumes_bit_for_bit(trainer, planted, killed, killed_after, tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    whole, resumed = network(30), network(30)
    expected = trainer().fit(whole, planted, epochs=5, seed=0, checkpoint=checkpoint)
    killing = killed_after(killed)
    with pytest.raises(KeyboardInterrupt):
        trainer().fit(
            network(30),
            planted,
            epochs=5,
            seed=0,
            checkpoint=checkpoint,
            callbacks=killing,
            seconds_between=0,
        )
    assert len(list(tmp_path.iterdir())) == min(killed, 2)
    torch.rand(3)  # torch's own random numbers play no part
    found = trainer().fit(resumed, planted, epochs=5, seed=0, checkpoint=checkpoint)
    assert found == expected
    ours, theirs = resumed.state_dict(), whole.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_another_model_is_refused():
    with pytest.raises(TypeError, match="DenseAutoencoder has no concrete selector; use model=concrete_ae"):
        objective().bind(DenseAutoencoder(shape=(4,), latent_dim=2), torch.Generator(), steps=1)


@pytest.mark.parametrize(
    "change",
    [{"start_temperature": 0.0}, {"end_temperature": -1.0}, {"target": 0.0}, {"target": 1.1}],
    ids=str,
)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        objective(**change)
