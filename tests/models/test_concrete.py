import math
from functools import partial

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from uae_cli.errors import ConfigError
from uae_cli.models import ConcreteAutoencoder, ConcreteSelector, HookedModel

concrete = partial(ConcreteAutoencoder, selected=5, hidden=[8, 6], dropout=0.1, output="linear")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def selector() -> ConcreteSelector:
    """4 nodes over 7 features, in double precision, their first choices well apart from the second."""
    made = ConcreteSelector(features=7, selected=4).double()
    made.logits.data = 3 * torch.randn(4, 7, generator=seeded(), dtype=torch.float64)
    return made


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(3, 7, generator=seeded(1), dtype=torch.float64)


def test_the_relaxed_selection_in_closed_form(selector, x):
    noise = selector.gumbel(seeded())
    expected = torch.empty(3, 4, dtype=torch.float64)
    for node in range(4):
        weights = torch.exp((selector.logits[node] + noise[node]) / 0.7)
        expected[:, node] = (x * weights / weights.sum()).sum(1)
    torch.testing.assert_close(selector.relaxed(x, noise, 0.7), expected)


def test_towards_temperature_zero_it_is_the_arg_max(selector, x):
    noise = selector.gumbel(seeded())
    hard = x[:, (selector.logits + noise).argmax(1)]
    torch.testing.assert_close(selector.relaxed(x, noise, 1e-3), hard)
    assert not torch.allclose(selector.relaxed(x, noise, 10.0), hard, atol=0.05)
    torch.testing.assert_close(selector.relaxed(x, torch.zeros(4, 7), 1e-3), selector(x))


@pytest.mark.parametrize("temperature", [10.0, 1.0, 0.3])
def test_gradients_match_finite_differences(selector, x, temperature):
    noise = selector.gumbel(seeded())

    def relaxed(logits: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(
            _Relaxed(selector, noise, temperature), {"selector.logits": logits}, (samples,)
        )

    logits = selector.logits.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(relaxed, (logits, x.requires_grad_()))


class _Relaxed(torch.nn.Module):
    def __init__(self, selector: ConcreteSelector, noise: torch.Tensor, temperature: float) -> None:
        super().__init__()
        self.selector, self.noise, self.temperature = selector, noise, temperature

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.selector.relaxed(x, self.noise, self.temperature)


def test_the_noise_is_gumbels(selector):
    """Mean γ = 0.5772, variance π²/6 = 1.645; arg max of logits + noise is distributed as the softmax."""
    source = seeded()
    noise = torch.stack([selector.gumbel(source) for _ in range(4000)])
    assert float(noise.mean()) == pytest.approx(0.5772, abs=0.02)
    assert float(noise.var()) == pytest.approx(1.645, abs=0.05)
    chosen = F.one_hot((selector.logits + noise).argmax(2), 7).double().mean(0)
    torch.testing.assert_close(chosen, selector.logits.softmax(1).detach(), atol=0.03, rtol=0)


def test_maxima_are_the_highest_probabilities():
    selector = ConcreteSelector(features=2, selected=3)
    selector.logits.data = torch.tensor([[0.0, 0.0], [0.0, 3.0**0.5], [50.0, 0.0]])
    expected = [0.5, 1 / (1 + math.exp(-(3.0**0.5))), 1.0]
    assert selector.maxima().tolist() == pytest.approx(expected)
    assert selector.choice().tolist() == [0, 1, 0]


def test_logits_start_glorot_normal():
    selector = ConcreteSelector(features=700, selected=100)
    selector.start_(seeded())
    deviation = (2 / 800) ** 0.5
    assert float(selector.logits.detach().std()) == pytest.approx(deviation, rel=0.02)
    assert float(selector.logits.detach().abs().max()) <= 2 * deviation / 0.8796
    again = ConcreteSelector(features=700, selected=100)
    again.start_(seeded())
    assert torch.equal(again.logits, selector.logits)


def test_the_autoencoders_selector_and_decoder_start_with_torchs_seed():
    models = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        models.append(concrete(shape=(9,)))
    first, again, other = (model.state_dict() for model in models)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first if not name.endswith("bias"))
    assert bool(first["selector.logits"].all())


@pytest.mark.parametrize("shape", [(9,), (1, 4, 4), (3, 4, 2)])
@pytest.mark.parametrize("output", ["linear", "sigmoid"])
def test_reconstructions_have_the_samples_shape(shape, output):
    model = concrete(shape=shape, output=output)
    x = torch.rand(6, *shape)
    assert model(x).shape == model.relaxed(x, temperature=1.0, generator=seeded()).shape == x.shape
    inside = bool(((model(20 * x) > 0) & (model(20 * x) < 1)).all())
    assert inside == (output == "sigmoid")


def test_the_decoder_is_balins():
    """320–320–784 of 50 features, each hidden layer followed by LeakyReLU(0.2)."""
    model = concrete(shape=(1, 28, 28), selected=50, hidden=[320, 320])
    sizes = [tuple(p.shape) for p in model.parameters() if p.ndim == 2]
    assert sizes == [(50, 784), (320, 50), (320, 320), (784, 320)]
    first, second = model.decoder.hidden
    code = torch.randn(4, 50)
    expected = model.decoder.last(F.leaky_relu(second(F.leaky_relu(first(code), 0.2)), 0.2))
    torch.testing.assert_close(model.decoder(code), expected)


def test_dropout_keeps_the_mean_and_obeys_the_generator():
    model = concrete(shape=(9,), hidden=[4000], dropout=0.4)
    with torch.no_grad():
        model.decoder.hidden[0].weight.zero_()
        model.decoder.hidden[0].bias.fill_(1.0)
        model.decoder.last.weight.fill_(1 / 4000)
        model.decoder.last.bias.zero_()
    code = torch.zeros(1, 5)
    dropped = model.decoder(code, seeded()).detach()
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.03)
    assert not torch.equal(dropped, model.decoder(code))
    assert torch.equal(dropped, model.decoder(code, seeded()))


@pytest.mark.parametrize("training", [True, False])
def test_the_plain_model_is_one_hot_and_nothing_in_it_is_random(training):
    model = concrete(shape=(3, 2, 2)).train(training)
    x = torch.rand(4, 3, 2, 2).to(memory_format=torch.channels_last)
    assert torch.equal(model(x), model(x.contiguous()))
    chosen = x.contiguous().view(4, 12)[:, model.selector.choice()]
    torch.testing.assert_close(model(x).flatten(1), model.decoder(chosen))


def test_an_attacks_gradient_reaches_the_chosen_features_alone():
    model = concrete(shape=(1, 4, 4))
    x = torch.rand(2, 1, 4, 4, requires_grad=True)
    HookedModel(model, None)(x).output.square().sum().backward()
    touched = x.grad.flatten(1).abs().sum(0).nonzero().flatten().tolist()
    assert touched == sorted(model.selector.choice().unique().tolist())


def test_more_nodes_than_features_are_refused():
    with pytest.raises(ConfigError, match=r"model\.network\.selected = 10: the dataset has only 9 features"):
        concrete(shape=(9,), selected=10)
    concrete(shape=(9,), selected=9)


@pytest.mark.parametrize(
    "change",
    [{"selected": 0}, {"hidden": []}, {"hidden": [0]}, {"dropout": 1.0}, {"output": "tanh"}],
    ids=str,
)
def test_settings_out_of_range_are_refused_by_name(change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        concrete(shape=(9,), **change)
