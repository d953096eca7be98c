import pytest
import torch
from torch import nn

from uae_cli.errors import ConfigError
from uae_cli.mi import FeatureMaps, RandomProjections
from uae_cli.models import ConvAutoencoder, DenseAutoencoder, Response

CONV = ConvAutoencoder(shape=(1, 8, 8), channels=[4, 2], kernel=3)
DENSE = DenseAutoencoder(shape=(1, 8, 8), latent_dim=3)


def projections(**changes) -> RandomProjections:
    plain = {
        "count": 40,
        "dimension": 16,
        "redraw": True,
        "standardize": False,
        "marginals": "shuffle",
        "matrices": True,
    }
    return RandomProjections(**(plain | changes))


def images(count: int = 3) -> Response:
    x = torch.rand(count, 2, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Response(x, x, None)


@pytest.mark.parametrize(("layer", "hooked"), [(None, "encoder.1"), ("encoder.3", "encoder.3")])
def test_feature_maps_are_read_from_the_models_own_layer_or_the_one_named(layer, hooked):
    assert FeatureMaps(layer=layer, marginals="all_pairs").hooked_layer(CONV) == hooked


def test_conv_sampling_refuses_a_model_without_a_convolution():
    with pytest.raises(ConfigError, match="sampling = conv: DenseAutoencoder has no convolution layer"):
        FeatureMaps(layer=None, marginals="all_pairs").hooked_layer(DENSE)


def test_random_sampling_taps_nothing():
    assert projections().hooked_layer(CONV) is None


def test_feature_maps_are_flattened_one_vector_a_map():
    x = images().x
    vectors = FeatureMaps(layer=None, marginals="all_pairs").bind(x, 0)(Response(x, x, x), 0)
    assert torch.equal(vectors, x.view(3, 2, 25))


def test_projections_are_linear_gaussian_and_shared_by_all_samples():
    eye = torch.eye(300, dtype=torch.float64)  # projecting unit vectors gives the matrices themselves
    matrices = projections().bind(eye, 0)(Response(eye, eye, None), 0)
    assert matrices.shape == (300, 40, 16)
    assert float(matrices.std()) == pytest.approx(16**-0.5, rel=0.01)
    assert abs(float(matrices.mean())) < 0.003
    x = torch.rand(2, 300, dtype=torch.float64)
    projected = projections().bind(x, 0)(Response(x, x, None), 0)
    torch.testing.assert_close(projected, torch.einsum("bi,ikd->bkd", x, matrices))


def test_projections_preserve_length_on_average():
    x = images().x
    vectors = projections(count=4000).bind(x, 0)(images(), 0)
    torch.testing.assert_close(
        vectors.square().sum(2).mean(1), x.flatten(1).square().sum(1), rtol=0.03, atol=0
    )


def test_standardized_vectors_have_mean_zero_and_deviation_one():
    vectors = projections(standardize=True).bind(images().x, 0)(images(), 0)
    torch.testing.assert_close(vectors.mean(2), torch.zeros(3, 40, dtype=torch.float64))
    torch.testing.assert_close(vectors.std(2, correction=0), torch.ones(3, 40, dtype=torch.float64))


def test_a_black_image_standardizes_to_finite_vectors_and_slopes():
    x = torch.zeros(1, 1, 5, 5, requires_grad=True)
    vectors = projections(standardize=True).bind(x.detach(), 0)(Response(x, x, None), 0)
    (slope,) = torch.autograd.grad(vectors.square().sum(), x)
    assert bool(vectors.isfinite().all())
    assert bool(slope.isfinite().all())


@pytest.mark.parametrize("redraw", [True, False])
def test_matrices_are_redrawn_at_every_iteration_or_never(redraw):
    sampler = projections(redraw=redraw).bind(images().x, 0)
    first, second, back = (sampler(images(), t) for t in (0, 1, 0))
    assert torch.equal(first, second) is not redraw
    assert torch.equal(first, back), "an iteration's matrices depend on what was drawn before"
    assert sampler.redraws is redraw


def test_matrices_depend_on_the_seed_and_not_on_the_batch():
    whole = projections().bind(images().x, 0)(images(), 3)
    part = projections().bind(images(1).x, 0)(images(1), 3)
    other = projections().bind(images().x, 1)(images(), 3)
    torch.testing.assert_close(part, whole[:1])
    assert not torch.equal(other, whole)


def test_gradients_survive_a_redraw():
    x = images().x.requires_grad_()
    sampler = projections().bind(x.detach(), 0)
    vectors = sampler(Response(x, x, None), 0)
    (expected,) = torch.autograd.grad(vectors.sum(), x, retain_graph=True)
    sampler(images(), 1)
    assert torch.equal(torch.autograd.grad(vectors.sum(), x)[0], expected)


@pytest.mark.parametrize("changes", [{"count": 1}, {"dimension": 1}, {"marginals": "half"}, {"stray": 1}])
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        projections(**changes)


def test_untapped_models_are_noticed():
    sampler = FeatureMaps(layer=None, marginals="all_pairs").bind(images().x, 0)
    with pytest.raises(RuntimeError, match="not hooked"):
        sampler(images(), 0)


def test_a_module_may_name_its_feature_layer_itself():
    model = nn.Sequential(nn.Conv2d(1, 3, 3))
    model.feature_layer = "0"
    assert FeatureMaps(layer=None, marginals="shuffle").hooked_layer(model) == "0"
