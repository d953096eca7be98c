import math
from functools import partial
from pathlib import Path

import pytest
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from uae_cli.errors import ConfigError
from uae_cli.hashing import write_checked
from uae_cli.settings import STRICT
from uae_cli.training import Callbacks, EarlyStopping, Loss, Objective, ReconstructionObjective

EPOCHS = 5
sgd = partial(torch.optim.SGD, lr=1.0)


def equal_weights(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours | theirs)


def test_losses_fall_on_real_images(kind, trainer, network, fit, digits):
    losses = fit(trainer(kind), network(kind), digits, 12)
    assert len(losses) == 12
    assert losses[-1] < 0.8 * losses[0]


def test_the_same_seed_gives_the_same_model_and_another_seed_another(kind, trainer, network, fit, digits):
    models = [network(kind) for _ in range(3)]
    losses = [
        fit(trainer(kind), model, digits, 2, seed=seed) for model, seed in zip(models, (0, 0, 1), strict=True)
    ]
    assert losses[0] == losses[1] != losses[2]
    assert equal_weights(models[0], models[1])
    assert not equal_weights(models[0], models[2])


@pytest.mark.parametrize("keep", ["last", "best"])
@pytest.mark.parametrize("killed", [0, 3])
def test_a_killed_fit_resumes_bit_for_bit(
    kind, keep, killed, killed_after, trainer, network, fit, digits, tmp_path
):
    settings, killing = trainer(kind, keep=keep), killed_after(killed)
    whole = network(kind)
    losses = fit(settings, whole, digits, EPOCHS)
    with pytest.raises(KeyboardInterrupt):
        fit(settings, network(kind), digits, EPOCHS, callbacks=killing)
    resumed, told = network(kind), []
    again = fit(settings, resumed, digits, EPOCHS, callbacks=Callbacks(on_epoch=lambda *of: told.append(of)))
    assert again == losses
    assert equal_weights(resumed, whole)
    assert told == [(epoch, loss, {}) for epoch, loss in enumerate(losses, start=1)], "told again"
    assert list(tmp_path.iterdir()) == [], "a checkpoint was left behind"


def test_finished_epochs_are_not_trained_again(killed_after, trainer, network, fit, digits, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        fit(trainer(), network("dense"), digits, EPOCHS, callbacks=killed_after(3))
    passes = []
    monkeypatch.setattr(
        torch, "randperm", lambda n, *, _real=torch.randperm, **o: passes.append(n) or _real(n, **o)
    )
    fit(trainer(), network("dense"), digits, EPOCHS)
    assert passes == [len(digits)] * (EPOCHS - 3)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Script(Objective):
    """Losses of every step, which move nothing; the model's one number counts the steps."""

    losses: list[float]

    def bind(self, model: nn.Module, generator: torch.Generator, steps: int) -> Loss:
        return ScriptLoss(self, model, generator, steps)


class ScriptLoss(Loss[Script]):
    def __call__(self, batch: Tensor, labels: Tensor | None) -> Tensor:
        self.model.count.data += 1
        return self.settings.losses[int(self.model.count) - 1] + 0 * self.model.count


def script(*losses: float) -> Script:
    return Script(optimizer=sgd, losses=losses)


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.count = nn.Parameter(torch.zeros(()))


# patience 2: the best of the last two epochs must be more than min_delta below the best before them
@pytest.mark.parametrize(
    ("losses", "min_delta", "epochs"),
    [
        ([5, 4, 3, 2, 1], 0, 5),
        ([5, 4, 4, 4, 1], 0, 4),
        ([5, 4, 6, 7, 1], 0, 4),
        ([5, 6, 7, 1, 1], 0, 3),
        ([5, 6, 4, 5, 3], 0, 5),
        ([5, 6, 4, 5, 6], 0, 5),
        ([5, 4.9, 4.8, 4.7, 4.6], 0.1, 3),  # falls, but by less than a tenth in two epochs
        ([5, 4.7, 4.4, 4.1, 3.8], 0.1, 5),
        ([-1, -1.1, -1.2, -1.3, -1.4], 0.1, 5),
        ([-1, -1.01, -1.02, -2, -3], 0.1, 3),
    ],
)
def test_early_stopping_by_hand(losses, min_delta, epochs, trainer, fit):
    rule = EarlyStopping(patience=2, min_delta=min_delta)
    settings = trainer(objective=script(*losses), early_stopping=rule)
    assert fit(settings, Counter(), torch.zeros(4, 1), len(losses)) == pytest.approx(losses[:epochs])


@pytest.mark.parametrize(("keep", "count"), [("last", 4), ("best", 2)])
def test_the_weights_kept_are_the_last_or_those_of_the_lowest_loss(keep, count, trainer, fit):
    model = Counter()
    losses = fit(trainer(objective=script(3, 1, 1, 2), keep=keep), model, torch.zeros(4, 1), 4)
    assert losses == [3, 1, 1, 2]
    assert float(model.count.detach()) == count


def test_the_best_weights_survive_a_kill(killed_after, trainer, fit):
    settings, x = trainer(objective=script(3, 1, 2, 4), keep="best"), torch.zeros(4, 1)
    with pytest.raises(KeyboardInterrupt):
        fit(settings, Counter(), x, 4, callbacks=killed_after(3))
    model = Counter()
    assert fit(settings, model, x, 4) == [3, 1, 2, 4]
    assert float(model.count.detach()) == 2


def test_an_epochs_loss_is_the_mean_over_samples(trainer, fit):
    settings = trainer(objective=script(3, 3, 9), batch_size=4)  # batches of 4, 4 and 2
    assert fit(settings, Counter(), torch.zeros(10, 1), 1) == pytest.approx([(4 * 3 + 4 * 3 + 2 * 9) / 10])


@pytest.mark.parametrize(("samples", "steps"), [(64, 2), (65, 3), (31, 1)])
def test_the_steps_of_an_epoch_are_its_batches(samples, steps, trainer):
    settings = trainer(batch_size=32)
    assert settings.steps(samples) == len(settings.batches(torch.arange(samples))) == steps


@pytest.mark.parametrize("killed", [None, 3])
def test_passes_are_counted(killed, killed_after, trainer, network, fit, digits, tmp_path):
    path = tmp_path / "checkpoint.pt"
    if killed:
        with pytest.raises(KeyboardInterrupt):
            fit(trainer(), network("dense"), digits, EPOCHS, callbacks=killed_after(killed))
    history = trainer().fit(network("dense"), digits, epochs=EPOCHS, seed=0, checkpoint=path)
    assert history.passes == EPOCHS * len(digits)


def test_every_sample_is_seen_once_an_epoch_in_a_new_order(trainer, fit, monkeypatch):
    seen = []

    def remember(self, batch: Tensor, labels) -> Tensor:
        seen.append(batch[:, 0])
        return 0 * self.model.count

    monkeypatch.setattr(ScriptLoss, "__call__", remember)
    fit(trainer(objective=script(), batch_size=4), Counter(), torch.arange(10.0)[:, None], 2)
    first, second = torch.cat(seen[:3]).tolist(), torch.cat(seen[3:]).tolist()
    assert [len(batch) for batch in seen] == [4, 4, 2] * 2
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second != sorted(second)


@pytest.mark.parametrize(("kind", "loss"), [("dense", "mse"), ("conv", "bce")])
def test_a_diverged_fit_says_what_to_change(kind, loss, trainer, network, fit, digits):
    steep = ReconstructionObjective(loss=loss, optimizer=partial(torch.optim.SGD, lr=math.inf))
    with pytest.raises(ConfigError, match=r"optimizer: the loss became nan in epoch 1; set a lower lr"):
        fit(trainer(kind, objective=steep), network(kind), digits, 2)


def test_the_model_trains_in_training_mode_and_is_left_in_evaluation_mode(trainer, network, fit, digits):
    model, modes = network("dense").eval(), []
    model.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    fit(trainer(), model, digits, 1)
    assert modes
    assert all(modes)
    assert not model.training


class Exploit:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_checkpoint_with_code_is_refused_unrun(trainer, network, fit, digits, tmp_path, caplog):
    harmful = {"model": Exploit(tmp_path / "harm")}
    write_checked(tmp_path / "checkpoint-1.pt", lambda part: torch.save(harmful, part))
    fit(trainer(), network("dense"), digits, 1)
    assert "damaged (Weights only load failed" in caplog.text
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 0},
        {"epochs": -1},
        {"refit_epochs": 0},
        {"keep": "first"},
        {"objective": 3},
        {"stray": 1},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(change, trainer):
    with pytest.raises(ValueError, match=next(iter(change))):
        trainer(**change)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Slow(Script):
    """Converges in the try whose number is given; every try is told how many steps it has."""

    in_try: int
    planned: list[int]

    def bind(self, model: nn.Module, generator: torch.Generator, steps: int) -> Loss:
        self.planned.append(steps)
        return SlowLoss(self, model, generator, steps)


class SlowLoss(ScriptLoss):
    def converged(self) -> bool:
        return len(self.settings.planned) == self.settings.in_try

    def scalars(self) -> dict[str, float]:
        return {"steps": self.done}


@pytest.mark.parametrize(("in_try", "tries", "converged"), [(1, 3, True), (3, 3, True), (9, 2, False)])
def test_it_tries_again_from_scratch_with_twice_the_epochs(in_try, tries, converged, trainer, tmp_path):
    slow, model = Slow(optimizer=sgd, losses=[1.0] * 100, in_try=in_try, planned=[]), Counter()
    told: list[tuple[int, float]] = []
    begun: list[int] = []
    history = trainer(objective=slow, tries=tries, batch_size=2).fit(
        model,
        torch.zeros(4, 1),
        epochs=2,
        seed=0,
        checkpoint=tmp_path / "checkpoint.pt",
        callbacks=Callbacks(
            on_try=begun.append,
            on_epoch=lambda epoch, _loss, scalars: told.append((epoch, scalars["steps"])),
        ),
    )
    taken = min(in_try, tries)
    assert (history.tries, history.converged) == (taken, converged)
    assert slow.planned == [4, 8, 16][:taken]
    assert begun == [2, 4, 8][:taken]
    assert history.passes == 4 * sum(begun)
    assert len(history.losses) == len(history.scalars) == 2**taken
    assert int(model.count) == 2 * 2**taken, "every try starts from the first weights"
    assert told[-1] == (2**taken, 2 * 2**taken)


class Levels:
    """Extra samples that are the number of their epoch; or, of the model in training, its bias."""

    def __init__(self, every: int, count: int, of_model: bool = False) -> None:
        self.every, self.passes, self._count, self._of_model = every, 0, count, of_model
        self.rounds: list[int] = []

    def samples(self, model: nn.Module, epoch: int) -> Tensor:
        self.rounds.append(epoch)
        if self._of_model:
            bias = next(p.detach() for name, p in model.named_parameters() if name.endswith("bias"))
            return bias.mean().sigmoid() * torch.ones(self._count, 1, 8, 8)
        return torch.full((self._count, 1, 8, 8), epoch / 10)


@pytest.mark.parametrize(
    ("every", "levels"), [(1, [0.7, 0.1, 0.2, 0.3, 0.4]), (2, [0.7, 0.7, 0.2, 0.2, 0.4])]
)
def test_samples_are_made_anew_and_the_others_stay(every, levels, trainer, network, fit, digits, monkeypatch):
    seen: list[Tensor] = []
    monkeypatch.setattr(
        ReconstructionObjective.makes,
        "__call__",
        lambda self, batch, labels, _real=ReconstructionObjective.makes.__call__: (
            seen.append(batch) or _real(self, batch, labels)
        ),
    )
    x = torch.cat([digits[:20], torch.full((20, 1, 8, 8), 0.7)])
    before, renewal = x.clone(), Levels(every, 20)
    history = trainer(batch_size=40).fit(
        network("dense"), x, epochs=5, seed=0, checkpoint=Path("unused"), renewal=renewal
    )
    assert len(seen) == 5
    for batch, level in zip(seen, levels, strict=True):
        flat = (batch.flatten(1) == torch.tensor(level)).all(1)
        assert int(flat.sum()) == 20
        assert batch[~flat].double().sum() == pytest.approx(float(digits[:20].double().sum()), rel=1e-5)
    assert torch.equal(x, before), "the caller's samples were changed"
    assert history.renewals == len(renewal.rounds) == (5 - 1) // every


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("of_model", [False, True])
def test_a_killed_fit_on_samples_made_anew_resumes_bit_for_bit(
    every, of_model, killed_after, trainer, network, fit, digits
):
    killing, settings = killed_after(3), trainer()

    def fitted(**options):
        model = network("dense")
        return fit(settings, model, digits, EPOCHS, renewal=Levels(every, 100, of_model), **options), model

    losses, whole = fitted()
    with pytest.raises(KeyboardInterrupt):
        fitted(callbacks=killing)
    again, resumed = fitted()
    assert again == losses
    assert equal_weights(resumed, whole)


def test_every_try_begins_with_the_first_samples(trainer, tmp_path):
    slow, renewal = Slow(optimizer=sgd, losses=[1.0] * 100, in_try=2, planned=[]), Levels(1, 2)
    given = torch.zeros(4, 1, 8, 8)
    seen = []
    slow_trainer = trainer(objective=slow, tries=2, batch_size=4)
    history = slow_trainer.fit(
        Counter(), given, epochs=2, seed=0, checkpoint=tmp_path / "c.pt", renewal=renewal,
        callbacks=Callbacks(on_try=seen.append),
    )  # fmt: skip
    assert seen == [2, 4]
    assert renewal.rounds == [1, 1, 2, 3]
    assert history.renewals == 4
