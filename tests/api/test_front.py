"""attack(): any model, any samples; the model is left as it was."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from foreign import ConvOf1d, Functional
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from uae_cli import Comparison, attack
from uae_cli.attacks import Contrastive, Samples, judge, squared_error
from uae_cli.attacks.solvers.base import Best, Found, Problem, Trace
from uae_cli.contrastive import Views
from uae_cli.errors import ConfigError, DataError
from uae_cli.models import HookedModel, Response, SimCLR

QUICK: dict[str, Any] = {"similarity": "nothing", "iterations": 10}


def test_a_uae_is_found_for_most_samples_and_each_is_what_it_says(
    trained_ae: nn.Module, digits: Tensor
) -> None:
    x = digits[:60]
    found = attack(trained_ae, x, seed=0, **QUICK)
    assert found.success.float().mean() >= 0.8
    with torch.no_grad():
        f = squared_error(x, trained_ae(found.x)) - squared_error(x, trained_ae(x))
    torch.testing.assert_close(found.f[found.success], f[found.success], atol=1e-4, rtol=1e-3)
    assert (f[found.success] <= 1e-4).all()
    assert (found.delta_norm[found.success] > 0).all()
    assert torch.equal(found.x[~found.success], x[~found.success])
    assert found.x.min() >= 0
    assert found.x.max() <= 1


def test_mutual_information_is_taken_of_the_first_convolution_by_default(
    trained_ae: nn.Module, digits: Tensor
) -> None:
    found = attack(trained_ae, digits[:8], iterations=2, settings=["similarity.steps=2"])
    assert found.settings["similarity"] == "Mine"
    assert found.settings["layer"] == "encoder.1"


def test_the_model_is_left_as_it_was(digits: Tensor) -> None:
    model = ConvOf1d()
    model.encoder[1].eval()
    model.decoder.weight.requires_grad_(False)
    model.decoder.bias.grad = torch.ones(1)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    with torch.no_grad():  # gradients are on within, whatever they are outside
        attack(model, digits[:6].flatten(2), **QUICK)
    assert [module.training for module in model.modules()] == modes
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    assert wanted == [name != "decoder.weight" for name, _ in model.named_parameters()]
    assert [parameter.grad is None for parameter in model.parameters()].count(False) == 1
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_the_model_is_left_as_it_was_even_if_the_attack_fails(digits: Tensor) -> None:
    model = ConvOf1d().train()
    with pytest.raises(ConfigError, match="fails on samples"):
        attack(model, digits[:4], **QUICK)
    assert model.training
    assert all(module.training for module in model.modules())


def test_one_dimensional_signals_go_through_the_first_convolution(digits: Tensor) -> None:
    found = attack(ConvOf1d(), digits[:6].flatten(2), iterations=2, settings=["similarity.steps=2"])
    assert found.settings["layer"] == "encoder.2"  # behind the normalisation and the activation


def test_a_model_without_a_layer_that_convolves_is_sampled_at_random(digits: Tensor) -> None:
    small = ["similarity.sampling.count=4", "similarity.sampling.dimension=4", "similarity.steps=2"]
    found = attack(Functional(), digits[:4], iterations=2, settings=small)
    assert "layer" not in found.settings
    assert found.settings["similarity"] == "Mine"


def test_functions_and_methods_will_do(trained_ae: nn.Module, digits: Tensor) -> None:
    expected = attack(trained_ae, digits[:8], **QUICK).x
    assert torch.equal(attack(lambda x: trained_ae(x), digits[:8], **QUICK).x, expected)
    assert torch.equal(attack(trained_ae.forward, digits[:8], **QUICK).x, expected)


def test_a_dataset_brings_its_samples_and_labels(
    trained_classifier: nn.Module, digits: Tensor, digit_labels: Tensor
) -> None:
    data = TensorDataset(digits[:20], digit_labels[:20])
    found = attack(trained_classifier, data, criterion="misclassification", **QUICK)
    fooled = trained_classifier(found.x).argmax(1) != digit_labels[:20]
    assert found.success.any()
    assert torch.equal(fooled | ~found.success, torch.ones(20, dtype=torch.bool))


def test_a_classifier_may_answer_more_than_logits(
    trained_classifier: nn.Module, digits: Tensor, digit_labels: Tensor
) -> None:
    def answers(x: Tensor) -> dict[str, Any]:
        return {"logits": trained_classifier(x), "maps": x, "loss": None}

    labels = digit_labels[:10].tolist()
    chosen: dict[str, Any] = {"labels": labels, "settings": ["criterion=misclassification"], **QUICK}
    found = attack(answers, digits[:10], **chosen)
    assert torch.equal(found.x, attack(trained_classifier, digits[:10], **chosen).x)
    assert found.success.any()


def test_simclr_is_attacked_by_the_loss_of_each_samples_own_views(digits: Tensor) -> None:
    network = SimCLR(shape=(1, 8, 8), encoder="small_conv", hidden_dim=16, projection_dim=8)
    with torch.no_grad():
        for batch in digits.split(100):
            network(batch)  # which gives batch normalisation the data's statistics
    settings = ["criterion.copies=3", "similarity.steps=2"]
    found = attack(network, digits[:6], criterion="contrastive", settings=settings)
    assert found.settings["layer"] == "encoder.2"
    assert found.success.any()
    views = Views(scale=(0.08, 1.0), ratio=(0.75, 4 / 3), flip=0.5, strength=0.5, jitter=0.8, grey=0.2)
    paper: dict[str, Any] = {"temperature": 0.5, "same_views": True, "kappa": 0.0, "draw": 0}
    criterion, model = Contrastive(views=views, copies=3, **paper), HookedModel(network, None)
    f = judge(criterion, model, Samples.first(digits[:6], seed=0), found.x, chunk_size=6)
    torch.testing.assert_close(found.f[found.success], f[found.success], atol=1e-5, rtol=1e-4)

    def pair(x: Tensor) -> tuple[Tensor, Tensor]:
        return x, network(x)

    again = attack(
        pair, digits[:2], criterion="contrastive", similarity="nothing", iterations=2, settings=settings[:1]
    )
    assert again.x.shape == (2, 1, 8, 8)


def test_a_loss_of_ones_own_decides_success(trained_ae: nn.Module, digits: Tensor) -> None:
    def absolute(x: Tensor, output: Tensor) -> Tensor:
        return (x - output).abs().flatten(1).sum(1)

    x = digits[:20]
    found = attack(trained_ae, x, loss=absolute, **QUICK)
    with torch.no_grad():
        f = absolute(x, trained_ae(found.x)) - absolute(x, trained_ae(x))
    assert found.success.any()
    assert (f[found.success] <= 1e-4).all()


@dataclass(frozen=True)
class Brightness:
    """A criterion of one's own: the reconstruction becomes no darker."""

    supervised: ClassVar[bool] = False

    def bind(self, model: Any, clean: Response, batch: Samples) -> Callable[[Response], Tensor]:
        before = clean.output.flatten(1).mean(1)
        return lambda response: before - response.output.flatten(1).mean(1)

    def check(self, x: Tensor, output: Tensor) -> None:
        """It takes any output."""


@dataclass(frozen=True, kw_only=True)
class L1Distance(Comparison):
    """A similarity of one's own."""

    unit: str = "L1"

    def compare(self, x: Tensor, response: Response) -> Tensor:
        return (x - response.x).abs().flatten(1).sum(1)


@dataclass(frozen=True)
class Guess:
    """A solver of one's own: a single step of noise, kept where it succeeds."""

    size: float
    total_iterations: int = 1

    def run(self, problem: Problem, *, on_iteration: Callable[[int], None]) -> Found:
        x = (problem.x + self.size).clamp(0, 1)
        response = problem.model(x)
        f, similarity = problem.criterion(response).detach(), problem.bind_similarity()(response, 0).detach()
        best = Best(problem)
        best.offer(x, f, similarity)
        on_iteration(1)
        return best.found(Trace(f[:, None], similarity[:, None], torch.zeros(len(x), 1)))

    def probe(self) -> "Guess":
        return self


def test_criterion_similarity_and_solver_of_ones_own(trained_ae: nn.Module, digits: Tensor) -> None:
    similarity = L1Distance(goal="maximize")
    found = attack(trained_ae, digits[:10], criterion=Brightness(), similarity=similarity, solver=Guess(0.1))
    changed = trained_ae(found.x).flatten(1).mean(1) >= trained_ae(digits[:10]).flatten(1).mean(1)
    assert found.success.any()
    assert torch.equal(found.success, changed & (found.delta_norm > 0))
    distances = (found.x - digits[:10]).abs().flatten(1).sum(1)
    torch.testing.assert_close(found.similarity[found.success], distances[found.success])


def test_another_range_is_the_same_attack(trained_ae: nn.Module, digits: Tensor) -> None:
    x = digits[:8]
    plain = attack(trained_ae, x, **QUICK)
    wide = attack(lambda x: 2 * trained_ae((x + 1) / 2) - 1, 2 * x - 1, limits=(-1, 1), **QUICK)
    torch.testing.assert_close(wide.x, 2 * plain.x - 1, atol=1e-4, rtol=1e-4)
    assert torch.equal(wide.x[~wide.success], (2 * x - 1)[~wide.success])


def test_an_interrupted_attack_goes_on(
    trained_ae: nn.Module, digits: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from uae_cli.attacks import dataset

    fixed: dict[str, Any] = {**QUICK, "alpha": 0.1, "delta_start": 0.05, "chunk_size": 4}
    plain, calls = dataset.attack_batch, []

    def interrupted(*arguments: Any) -> Any:
        calls.append(len(calls))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain(*arguments)

    monkeypatch.setattr(dataset, "attack_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        attack(trained_ae, digits[:12], folder=tmp_path, **fixed)
    for left in ("uae.safetensors.part", "iterations-8-11-1.pt.part"):  # after a kill at another moment
        (tmp_path / left).touch()
    found = attack(trained_ae, digits[:12], folder=tmp_path, **fixed)
    assert not list(tmp_path.glob("*.part"))
    assert len(calls) == 4  # two chunks, the interrupted one, and that one again
    assert torch.equal(found.x, attack(trained_ae, digits[:12], **fixed).x)
    with pytest.raises(ConfigError, match="another model or samples, or with other settings"):
        attack(trained_ae, digits[:12], seed=1, folder=tmp_path, **fixed)


class Several(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 0.5 * x, 0.7 * x


def ten(x: Tensor) -> Tensor:
    return x.flatten(1)[:, :10]


def fooled(x: Tensor, labels: Any) -> Any:
    return attack(ten, x, criterion="misclassification", labels=labels)


BAD: dict[str, tuple[Callable[..., Any], str]] = {
    "shape": (
        lambda x: attack(lambda x: x[..., :-1], x),
        r"answers with nothing of the samples' shape \(1, 8, 8\)",
    ),
    "several": (lambda x: attack(Several(), x), r"several tensors .* \[0\] \(1, 8, 8\), \[1\] .*output=NAME"),
    "name": (lambda x: attack(Functional(), x, output="recon"), r"no tensor of this name: \['recon_x'\]"),
    "mean": (
        lambda x: attack(Functional(), x, loss=lambda x, o: (x - o).mean()),
        r"one number per sample.*shape \(\)",
    ),
    "detached": (lambda x: attack(lambda x: 0.5 * x.detach(), x), "has no gradient in the samples"),
    "raises": (
        lambda x: attack(Functional(), x, loss=lambda x, o: x @ o[0, 0, :3, :3]),
        "loss: fails on samples",
    ),
    "range": (lambda x: attack(Functional(), 2 * x - 1), "values from 0 to 1, but these go from -1 to 1"),
    "nan": (lambda x: attack(Functional(), x / x), "some that are no number; fill or drop those"),
    "loader": (
        lambda x: attack(Functional(), DataLoader(x)),
        "are a DataLoader; give a tensor, or a dataset",
    ),
    "none": (lambda x: attack(Functional(), x[:0]), "one row for each of N ≥ 1"),
    "sizes": (lambda x: attack(Functional(), [x[0], x[0, :, 1:]]), "differ in shape"),
    "layer": (
        lambda x: attack(ConvOf1d(), x.flatten(2), layer="encoder.9"),
        "no such layer; did you mean .*encoder.0",
    ),
    "setting": (
        lambda x: attack(Functional(), x, settings=["model=dense_ae"]),
        "doesn't read model; there are: attack",
    ),
    "spelling": (lambda x: attack(Functional(), x, settings=["attack.alhpa=1"]), "did you mean attack.alpha"),
    "value": (lambda x: attack(Functional(), x, alpha=-1.0), "attack.alpha = -1.0: must be greater than 0"),
    "no labels": (
        lambda x: attack(ten, x, criterion="misclassification"),
        r"criterion: Misclassification needs the samples' classes; give labels=",
    ),
    "few labels": (lambda x: fooled(x, torch.tensor([1])), r"of shape \(1,\); give one .* each of 6 samples"),
    "real labels": (lambda x: fooled(x, torch.zeros(6)), "labels: are torch.float32 of shape"),
    "negative labels": (lambda x: fooled(x, [-1] * 6), "labels: are torch.int64"),
    "words": (lambda x: fooled(x, ["cat"] * 6), "labels: no tensor can be made of them"),
    "high labels": (lambda x: fooled(x, [10] * 6), "labels: go up to 10, and the model knows 10 classes"),
    "argument": (
        lambda x: attack(Functional(), x, iteration=3),
        r"attack\(iteration=…\): no such argument; did you mean iterations",
    ),
    "class": (lambda x: attack(Functional, x), r"model: is the class Functional; give one that is made"),
    "similarity class": (
        lambda x: attack(Functional(), x, similarity=L1Distance),
        "similarity: is the class L1Distance",
    ),
    "no function": (lambda x: attack({"a": x}, x), "model: can't be called, being a dict"),
    "loss and criterion": (
        lambda x: attack(Functional(), x, loss=squared_error, criterion="misclassification"),
        "loss: is a criterion itself, and misclassification is another one",
    ),
    "loss and setting": (
        lambda x: attack(Functional(), x, loss=squared_error, settings=["criterion=contrastive"]),
        "loss: is a criterion itself, and contrastive is another one",
    ),
    "loss and object": (
        lambda x: attack(Functional(), x, loss=squared_error, criterion=Brightness()),
        "loss: is a criterion itself, and Brightness is another one",
    ),
    "position": (lambda x: attack(Several(), x, output=-5), "output = -5: Several answers with no tensor"),
    "scale": (
        lambda x: attack(lambda x: x.sigmoid(), 255 * x, limits=(0, 255)),
        r"answers with values from 0.5 to 1, as to samples in \[0, 1\]; scale .* as by x / 255",
    ),
    "two vectors": (
        lambda x: attack(lambda x: (ten(x), ten(x)), x, criterion="misclassification", labels=[1] * 6),
        r"several tensors of shape \(B, K\): \[0\] \(10,\), .* say which are the logits",
    ),
    "no encoder": (
        lambda x: attack(Functional(), x, criterion="contrastive"),
        r"nothing of shape \(B, K\)",
    ),
    "limits": (lambda x: attack(Functional(), x, limits=(1, 0)), "first must be below the second"),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_told_in_one_line(case: str, digits: Tensor) -> None:
    call, expected = BAD[case]
    with pytest.raises((ConfigError, DataError), match=expected) as error:
        call(digits[:6])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_are_those_asked_for_and_then_as_before(digits, threads) -> None:
    before, seen = torch.get_num_threads(), set()

    def model(x):
        seen.add(torch.get_num_threads())
        return x.square()

    attack(model, digits[:2], similarity="nothing", iterations=2, settings=[f"threads={threads}"])
    assert threads in seen
    assert torch.get_num_threads() == before
