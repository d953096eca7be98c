import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from uae_cli.contrastive import Views, nt_xent
from uae_cli.errors import ConfigError
from uae_cli.models import SimCLR, glorot_
from uae_cli.training import LARS, AdversarialViews, Callbacks, ContrastiveObjective, Updater
from uae_cli.training import contrastive as contrastive_module
from uae_cli.training.contrastive import in_parts, warmup_cosine

VIEWS = Views(scale=(0.3, 1.0), ratio=(0.75, 4 / 3), flip=0.0, strength=0.5, jitter=0.8, grey=0.0)
CLAE = AdversarialViews(epsilon=0.03, weight=0.5)
SETTINGS: dict[str, Any] = {
    "optimizer": partial(LARS, lr=1.0, momentum=0.9, weight_decay=1e-4, trust_coefficient=1e-3),
    "views": VIEWS,
    "temperature": 0.5,
    "warmup": 0.1,
    "micro_batch": None,
    "precision": "float32",
    "adversary": None,
}
KINDS = {
    "plain": {},
    "clae": {"adversary": CLAE},
    "in parts": {"micro_batch": 24},
    "clae in parts": {"adversary": CLAE, "micro_batch": 24},
}


def objective(**changes) -> ContrastiveObjective:
    return ContrastiveObjective(**(SETTINGS | changes))


def network() -> SimCLR:
    torch.manual_seed(0)
    model = SimCLR(shape=(1, 8, 8), encoder="small_conv", hidden_dim=16, projection_dim=8)
    return model.to(memory_format=torch.channels_last)


def without_norms() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 6))
    glorot_(model, torch.Generator().manual_seed(0))
    return model


def training(settings: ContrastiveObjective, model: nn.Module, steps: int = 10) -> Updater:
    return Updater(settings, model.train(), torch.Generator().manual_seed(7), steps=steps)


def state_after_a_step(settings: ContrastiveObjective, model: nn.Module, batch: Tensor) -> tuple[float, Any]:
    loss = float(training(settings, model).step(batch, None))
    return loss, {name: value.clone() for name, value in model.state_dict().items()}


@pytest.fixture
def fitted(trainer, tmp_path, digits):
    """Losses and model of a fit of some epochs, which may be killed; a second call goes on."""

    def make(
        settings: ContrastiveObjective, epochs: int, model: nn.Module | None = None, x=digits[:120], **options
    ):
        model = model or network()
        options |= {"epochs": epochs, "seed": 0, "checkpoint": tmp_path / "fit.pt", "seconds_between": 0}
        return trainer(objective=settings, batch_size=48).fit(model, x, **options), model

    return make


def test_the_loss_falls_on_real_images(fitted):
    losses = fitted(objective(), 6)[0].losses
    assert losses[-1] < losses[0] - 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_fit_resumes_bit_for_bit(kind, fitted, killed_after):
    """Weights, statistics, the optimiser's velocity, the schedule, the views, CLAE's own scales."""
    settings, killing = objective(**KINDS[kind]), killed_after(2)
    passes: list[str] = []

    def counted(label: str) -> SimCLR:
        model = network()
        model.register_forward_pre_hook(lambda *_: passes.append(label))
        return model

    history, whole = fitted(settings, 4, counted("whole"))
    with pytest.raises(KeyboardInterrupt):
        fitted(settings, 4, callbacks=killing)
    again, resumed = fitted(settings, 4, counted("resumed"))
    assert (again.losses, again.scalars) == (history.losses, history.scalars)
    ours, theirs = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert passes.count("whole") == 2 * passes.count("resumed") > 0, "two of four epochs"


def test_a_step_is_one_on_two_views_of_every_sample(digits):
    model, batch = without_norms(), digits[:20]
    drawn = VIEWS.draw_from(torch.Generator().manual_seed(7), 20, 2)
    expected = nt_xent(model(VIEWS.apply(batch, drawn)), 0.5)
    loss, _ = state_after_a_step(objective(), model, batch)
    assert loss == pytest.approx(float(expected.detach()), rel=1e-6)


@pytest.mark.parametrize("adversary", [None, CLAE])
@pytest.mark.parametrize("size", [2, 7, 100])
def test_micro_batches_change_neither_loss_nor_step(adversary, size, digits):
    batch = digits[:20].double()
    whole = state_after_a_step(objective(adversary=adversary), without_norms().double(), batch)
    parts = state_after_a_step(
        objective(adversary=adversary, micro_batch=size), without_norms().double(), batch
    )
    assert parts[0] == pytest.approx(whole[0], rel=1e-9)
    for name, value in whole[1].items():
        torch.testing.assert_close(parts[1][name], value)


def test_micro_batches_are_what_is_in_memory_and_counted_once_in_the_statistics(digits):
    model, sizes = network(), []
    model.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    state_after_a_step(objective(micro_batch=8), model, digits[:20])
    assert sizes == [14, 13, 13, 13, 13, 14], "there and back"
    assert int(model.encoder[1].num_batches_tracked) == 3


def test_a_gradient_towards_the_images_is_the_plain_one(digits):
    model, x = without_norms(), digits[:6].clone().requires_grad_()
    (expected,) = torch.autograd.grad(nt_xent(model(x), 0.5), x)
    for parts in (1, 2):
        (found,) = torch.autograd.grad(nt_xent(in_parts(model, model, x, parts), 0.5), x)
        torch.testing.assert_close(found, expected)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_statistics_are_each_parts_own_and_move_once_for_each():
    layer, same, x = nn.BatchNorm1d(3), nn.BatchNorm1d(3), torch.randn(8, 3, requires_grad=True) + 5
    z = in_parts(layer, layer, x, 2)
    assert float(z[:4].mean().abs().detach()) < 1e-5, "the part's own statistics"
    z.square().sum().backward()
    same(x[:4]), same(x[4:])
    for name, value in same.named_buffers():
        assert torch.equal(layer.get_buffer(name), value)


def test_the_learning_rate_rises_and_falls_over_all_steps(digits):
    updater = training(objective(warmup=0.3), without_norms(), steps=10)
    rates = []
    for _ in range(10):
        rates.append(updater.scalars()["learning_rate"])
        updater.step(digits[:4], None)
    assert rates == pytest.approx([warmup_cosine(step, warmup=3, steps=10) for step in range(10)])
    assert updater.scalars()["learning_rate"] == 0


def test_adversarial_views_raise_the_loss_within_epsilon(digits, monkeypatch):
    model, seen = without_norms(), []
    monkeypatch.setattr(contrastive_module, "nt_xent", lambda z, t: seen.append(z.detach()) or nt_xent(z, t))
    images: list[Tensor] = []
    model.register_forward_pre_hook(lambda _module, inputs: images.append(inputs[0].detach().clone()))
    loss, _ = state_after_a_step(objective(adversary=CLAE), model, digits[:30])
    first, views, moved = images  # the adversary's pass, then the two that are learned from
    assert torch.equal(first, views[::2])
    assert 0.02 < float((moved - first).abs().max()) <= CLAE.epsilon + 1e-6
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1
    itself, clean, adversarial = (float(nt_xent(z, 0.5)) for z in seen)
    assert adversarial > itself
    assert loss == pytest.approx(clean + CLAE.weight * adversarial, rel=1e-6)


def test_adversarial_views_have_scales_of_their_own_and_leave_the_statistics_alone(digits):
    plain, model = network(), network()
    state_after_a_step(objective(), plain, digits[:30])
    updater = training(objective(adversary=CLAE), model)
    updater.step(digits[:30], None)
    for name, value in plain.named_buffers():
        torch.testing.assert_close(model.get_buffer(name), value)
    for _ in range(3):
        updater.step(digits[:30], None)
    auxiliary = updater.state_dict()["auxiliary"]
    assert auxiliary.keys() == {
        f"encoder.{layer}.{kind}" for layer in (1, 4, 7) for kind in ("weight", "bias")
    }
    for name, value in auxiliary.items():
        assert not torch.equal(value, model.get_parameter(name))
        assert not torch.equal(value, network().get_parameter(name)), "it learns"


def test_half_precision_is_near_and_not_the_same(digits):
    single, half = (
        state_after_a_step(objective(precision=precision), network(), digits[:20])[0]
        for precision in ("float32", "bfloat16")
    )
    assert 0 < abs(half - single) < 0.05


def test_a_batch_larger_than_the_data_is_refused(trainer):
    settings = trainer(objective=objective(), batch_size=512)
    settings.check_samples(512)
    with pytest.raises(
        ConfigError, match=r"batch_size = 512: there are only 64 training samples, .*=64 or less"
    ):
        settings.check_samples(64)


def test_batches_of_one_are_refused(trainer):
    with pytest.raises(ConfigError, match=r"batch_size = 1: .* use model\.trainer\.batch_size=2 or more"):
        trainer(objective=objective(), batch_size=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_alone_in_the_last_batch_is_left_out(kind, fitted, digits):
    """97 = 48 + 48 + 1: as many steps, and of the schedule, as with 96; the statistics are those of many."""
    model, sizes = network(), []
    model.encoder[1].register_forward_pre_hook(lambda _layer, inputs: sizes.append(len(inputs[0])))
    history, _ = fitted(objective(**KINDS[kind]), 2, model, x=digits[:97])
    assert min(sizes) >= 24
    assert history.scalars[-1]["learning_rate"] == 0, "the schedule is at its end"
    exact, _ = fitted(objective(**KINDS[kind]), 2, x=digits[:96])
    assert history.losses == pytest.approx(exact.losses, rel=0.05), "the mean is over the samples seen"


def test_what_watches_a_fit_joins_its_scalars(fitted):
    told: list[dict[str, float]] = []
    history, _ = fitted(
        objective(),
        3,
        callbacks=Callbacks(
            watch=lambda model, epoch: (
                {"mean": float(model.get_buffer("encoder.1.running_mean")[0])} if epoch == 2 else {}
            ),
            on_epoch=lambda _epoch, _loss, scalars: told.append(scalars),
        ),
    )
    assert ["mean" in scalars for scalars in history.scalars] == [False, True, False]
    assert told == history.scalars


@pytest.mark.parametrize(
    "change",
    [{"temperature": 0}, {"warmup": 1}, {"micro_batch": 1}, {"precision": "float16"}, {"adversary": 3}],
    ids=str,
)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        objective(**change)


def test_the_least_loss_that_the_evaluation_tells_of():
    """A batch of B at the corners of a regular simplex, both views alike."""
    size, temperature = 32, 0.5
    corners = torch.eye(size) - 1 / size
    least = math.log(1 + (2 * size - 2) * math.exp(-(1 + 1 / (size - 1)) / temperature))
    assert float(nt_xent(corners.repeat_interleave(2, 0), temperature)) == pytest.approx(least, rel=1e-5)


def test_the_rise_is_linear_and_the_fall_half_a_cosine():
    factors = [warmup_cosine(step, warmup=4, steps=10) for step in range(12)]
    assert factors[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert factors[7] == pytest.approx(0.5)
    assert factors[10:] == [0.0, 0.0]
    assert factors[4:11] == sorted(factors[4:11], reverse=True)
    assert [f + g for f, g in zip(factors[4:11], factors[10:3:-1], strict=True)] == pytest.approx([1.0] * 7)


def test_without_a_rise_it_starts_at_the_full_rate():
    assert warmup_cosine(0, warmup=0, steps=10) == 1.0


def test_a_rise_over_all_steps_never_falls():
    assert [warmup_cosine(step, warmup=2, steps=2) for step in range(3)] == [0.5, 1.0, 0.0]


def test_it_drives_torchs_scheduler():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    scheduler = LambdaLR(optimizer, partial(warmup_cosine, warmup=2, steps=4))
    rates = []
    for _ in range(4):
        rates += scheduler.get_last_lr()
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([1.0, 2.0, 2.0, 1.0])
