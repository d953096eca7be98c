"""FID and KID against torchmetrics, and against cases with a closed form."""

import pytest
import torch
from torch import Tensor, nn

from uae_cli.errors import ConfigError
from uae_cli.evaluation.image_quality import ImageQuality, frechet_distance, squared_mmd

SETTINGS = {"inception": False, "inception_weights": None, "subsets": 4, "subset_size": 50}


def quality(**changes) -> ImageQuality:
    return ImageQuality(**(SETTINGS | changes))


@pytest.fixture
def features() -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(0)
    real = torch.randn(300, 6, generator=source, dtype=torch.float64)
    return real, 1.5 * torch.randn(200, 6, generator=source, dtype=torch.float64) + 0.3


class AsIs(nn.Module):
    num_features = 6

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_the_frechet_distance_is_torchmetrics(features):
    fid = pytest.importorskip("torchmetrics.image.fid")
    metric = fid.FrechetInceptionDistance(feature=AsIs(), normalize=True).set_dtype(torch.float64)
    # Moments as the library gathers them; its images would have to be images
    for name, values in zip(("real", "fake"), features, strict=True):
        setattr(metric, f"{name}_features_sum", values.sum(0))
        setattr(metric, f"{name}_features_cov_sum", values.T @ values)
        setattr(metric, f"{name}_features_num_samples", torch.tensor(len(values)))
    metric._update_count, metric.orig_dtype = 1, torch.float64
    assert frechet_distance(*features) == pytest.approx(float(metric.compute()), rel=1e-6)


def test_the_kernel_distance_is_torchmetrics(features):
    kid = pytest.importorskip("torchmetrics.image.kid")
    real, fake = features[0][:200], features[1]
    assert squared_mmd(real, fake) == pytest.approx(float(kid.poly_mmd(real, fake)))


def test_a_shift_of_the_mean_is_its_squared_length(features):
    real, _ = features
    shift = torch.tensor([1.0, -2.0, 0, 0, 0, 0.5], dtype=torch.float64)
    assert frechet_distance(real, real + shift) == pytest.approx(5.25)
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-9)
    # Σ' = 4 Σ: tr(Σ + 4Σ − 2·2Σ) = tr Σ
    doubled = 2 * (real - real.mean(0))
    assert frechet_distance(real - real.mean(0), doubled) == pytest.approx(float(torch.cov(real.T).trace()))


def test_noise_is_farther_than_the_data_themselves(trained_classifier, digits):
    judge = quality().bind(trained_classifier, digits[:200], 64, seed=0)
    near, far = judge.measure(digits[200:]), judge.measure(torch.rand(200, 1, 8, 8))
    assert set(near) == {"fid_own", "kid_own"}
    assert near["fid_own"] < 0.3 * far["fid_own"]
    assert near["kid_own"] < 0.3 * far["kid_own"]
    assert judge.measure(digits[:1]) == {}


def test_the_batch_size_makes_no_difference(trained_classifier, digits):
    measured = [
        quality().bind(trained_classifier, digits[:200], size, seed=0).measure(digits[200:])
        for size in (7, 500)
    ]
    assert measured[0] == pytest.approx(measured[1], rel=1e-4)


def test_an_autoencoder_has_no_features_of_its_own(trained_ae, digits):
    assert quality().bind(trained_ae, digits[:50], 64, seed=0).measure(digits[50:]) == {}


def test_inception_that_cannot_be_had_says_both_ways_out(tmp_path, monkeypatch):
    pytest.importorskip("torch_fidelity")
    from torch_fidelity import feature_extractor_inceptionv3 as library

    def no_network(*_args, **_kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setattr(library, "load_state_dict_from_url", no_network)
    ways = r"With a network, null fetches them; without one, bring the file .*; or set .*inception=false"
    with pytest.raises(ConfigError, match=rf"inception_weights = null: .*Name or service.*{ways}"):
        quality(inception=True).check((1, 8, 8))
    for content in (b"no weights", None):
        path = tmp_path / "weights.pth"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError, match=rf"inception_weights = .*weights.pth: .*{ways}"):
            quality(inception=True, inception_weights=path).check((1, 8, 8))


def test_inception_on_tables_is_refused_before_it_is_fetched(monkeypatch):
    library = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    monkeypatch.setattr(library, "load_state_dict_from_url", lambda *_, **__: pytest.fail("was fetched"))
    with pytest.raises(ConfigError, match=r"inception = true: Inception sees images .* have shape \(64,\)"):
        quality(inception=True).check((64,))
    quality().check((64,))


def test_subsets_of_one_have_no_distance():
    with pytest.raises(ValueError, match="subset_size"):
        quality(subset_size=1)
    assert quality(subset_size=2).subset_size == 2


def test_without_the_extra_the_command_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch_fidelity", None)
    with pytest.raises(ConfigError, match=r"pip install 'uae\[fid\]', or set it to false"):
        quality(inception=True).check((1, 8, 8))


def test_inception_takes_any_image_from_a_local_file(tmp_path, trained_classifier, digits):
    """With random weights: what is tested is the way from digits to 2,048 features."""
    pytest.importorskip("torch_fidelity")
    from torch_fidelity import feature_extractor_inceptionv3 as library

    path = tmp_path / "weights.pth"
    state: dict[str, Tensor] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "load_state_dict_from_url", lambda *_args, **_kwargs: {})
        patch.setattr(nn.Module, "load_state_dict", lambda *_args, **_kwargs: None)
        state = library.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"]).state_dict()
    torch.save(state, path)
    settings = quality(inception=True, inception_weights=path)
    settings.check((1, 8, 8))
    judge = settings.bind(trained_classifier, digits[:6], 8, seed=0)
    assert set(judge.real) == {"", "_own"}
    assert judge.real[""].shape == (6, 2048)
