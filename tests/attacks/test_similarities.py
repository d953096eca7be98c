import pytest
import torch

from uae_cli.attacks import Samples
from uae_cli.attacks.similarities import Mine, ReconstructionError, Similarity
from uae_cli.errors import ConfigError
from uae_cli.mi import FeatureMaps, RandomProjections
from uae_cli.models import DenseAutoencoder, HookedModel, Response

X = torch.tensor([[0.0, 1.0], [0.5, 0.5]], dtype=torch.float64)
BATCH = Samples.first(X, seed=0)


def mine(**changes) -> Mine:
    plain = {
        "goal": "minimize",
        "require_positive": True,
        "sampling": FeatureMaps(layer=None, marginals="all_pairs"),
        "hidden": 10,
        "steps": 5,
        "learning_rate": 1e-3,
    }
    return Mine(**(plain | changes))


def error_of(output: torch.Tensor) -> torch.Tensor:
    return ReconstructionError(goal="maximize").bind(Response(X, X, None), BATCH)(
        Response(X, output, None), 1
    )


def test_the_reconstruction_error_is_the_norm_of_a_samples_error():
    output = X + torch.tensor([[0.3, -0.4], [0.0, 0.1]])
    assert error_of(output).tolist() == pytest.approx([0.5, 0.1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-20, 1e-3])
def test_its_gradient_is_finite_however_small_the_error(dtype, size):
    clean = X.to(dtype)
    output = torch.full_like(clean, size).requires_grad_()
    bound = ReconstructionError(goal="maximize").bind(Response(0 * clean, clean, None), BATCH)
    error = bound(Response(clean, output, None), 1)
    (slope,) = torch.autograd.grad(error.sum(), output)
    assert bool(error.isfinite().all())
    assert bool(slope.isfinite().all())
    if size == 0:
        assert not bool(slope.any())
    if size == 1e-3:
        torch.testing.assert_close(slope, torch.full_like(slope, 0.5**0.5))


def test_it_is_differentiable():
    output = (X + 0.3).requires_grad_()
    assert torch.autograd.gradcheck(error_of, (output,))


@pytest.mark.parametrize("bound", ["infonce", "smile"])
@pytest.mark.parametrize("random", [False, True], ids=["conv", "random"])
def test_mine_by_another_bound_is_another_similarity_of_the_same_vectors(trained_ae, digits, bound, random):
    sampling = RandomProjections(
        count=12, dimension=8, redraw=True, standardize=True, marginals="shuffle", matrices=False
    )
    settings = {"sampling": sampling} if random else {}
    model = HookedModel(trained_ae, mine().hooked_layer(trained_ae))
    batch = Samples.first(digits[:3], seed=0)
    moved = (batch.x + 0.1 * torch.rand(batch.x.shape)).requires_grad_()
    clean, response, found = model(batch.x), model(moved), {}
    for name in ("donsker_varadhan", bound):
        similarity = mine(bound=name, **settings).bind(clean, batch)
        for iteration in range(3):
            value = similarity(response, iteration)
        (slope,) = torch.autograd.grad(value.sum(), moved, retain_graph=True)
        assert bool(slope.isfinite().all())
        assert bool(slope.flatten(1).any(1).all())
        found[name] = value
    assert not torch.allclose(found["donsker_varadhan"], found[bound])


def test_mine_reads_the_feature_maps_of_the_attacked_model(trained_ae, digits):
    model = HookedModel(trained_ae, mine().hooked_layer(trained_ae))
    clean = model(digits[:2])
    similarity = mine().bind(clean, BATCH)
    moved = model(digits[:2].clone().requires_grad_())
    estimate = similarity(moved, 0)
    (slope,) = torch.autograd.grad(estimate.sum(), moved.x)
    assert estimate.shape == (2,)
    assert bool(slope.flatten(1).any(dim=1).all())


def test_mine_learns_from_call_to_call(trained_ae, digits):
    clean = HookedModel(trained_ae, "encoder.1")(digits[:8])
    similarity = mine(learning_rate=0.01).bind(clean, Samples.first(clean.x, seed=0))
    estimates = [float(similarity(clean, t).mean()) for t in range(12)]
    assert estimates[-1] > estimates[0] + 0.1


def test_mine_needs_what_its_sampling_needs():
    with pytest.raises(ConfigError, match="no convolution"):
        mine().hooked_layer(DenseAutoencoder(shape=(1, 8, 8), latent_dim=3))


def test_the_baseline_reads_no_layer(trained_ae):
    assert ReconstructionError(goal="maximize").hooked_layer(trained_ae) is None


@pytest.mark.parametrize("similarity", [mine(), ReconstructionError(goal="maximize")])
def test_both_are_similarities(similarity):
    assert isinstance(similarity, Similarity)


@pytest.mark.parametrize(
    "change", [{"goal": "keep"}, {"hidden": 0}, {"steps": 0}, {"learning_rate": 0.0}, {"stray": 1}], ids=str
)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        mine(**change)
