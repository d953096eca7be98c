import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from sklearn.datasets import load_sample_image
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from uae_cli.contrastive import ViewParameters, Views

SIMCLR = {
    "scale": (0.08, 1.0),
    "ratio": (3 / 4, 4 / 3),
    "flip": 0.5,
    "strength": 0.5,
    "jitter": 0.8,
    "grey": 0.2,
}
NOTHING = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": 0.0, "strength": 0.0, "jitter": 0.0, "grey": 0.0}


def settings(**changes: Any) -> Views:
    return Views(**(SIMCLR | changes))


@pytest.fixture(scope="module")
def photos() -> Tensor:
    """Six 16×16 patches of a photograph in colour, (6, 3, 16, 16) in [0, 1]."""
    flower = torch.tensor(load_sample_image("flower.jpg"), dtype=torch.float64).permute(2, 0, 1) / 255
    return torch.stack([flower[:, 180 + 16 * i : 196 + 16 * i, 250:266] for i in range(6)])


def drawn(views: Views, samples: int, count: int, seed: int = 0) -> ViewParameters:
    return views.draw(seed, "views", torch.arange(samples), count)


def test_views_are_images_and_no_two_are_the_same(photos):
    views = settings()
    seen = views.apply(photos, drawn(views, 6, 20))
    assert seen.shape == (120, 3, 16, 16)
    assert float(seen.min()) >= 0
    assert float(seen.max()) <= 1
    apart = torch.cdist(seen.flatten(1), seen.flatten(1)) + torch.eye(120)
    assert float(apart.min()) > 1e-3


def test_a_samples_views_depend_on_seed_stream_index_and_number_only(photos):
    views = settings()
    whole = views.apply(photos, drawn(views, 6, 4)).unflatten(0, (6, 4))
    order = torch.tensor([5, 1, 3])
    some = views.apply(photos[order], views.draw(0, "views", order, 10)).unflatten(0, (3, 10))
    torch.testing.assert_close(some[:, :4], whole[order], rtol=0, atol=1e-12)
    for other in (views.draw(1, "views", order, 10), views.draw(0, "else", order, 10)):
        assert not torch.isclose(other.brightness, views.draw(0, "views", order, 10).brightness).all()


def test_a_generator_draws_from_the_same_distribution():
    views = settings()
    by_index = drawn(views, 500, 20)
    by_generator = views.draw_from(torch.Generator().manual_seed(0), 500, 20)
    for one, other in zip(by_index, by_generator, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        torch.testing.assert_close(one.double().mean(0), other.double().mean(0), rtol=0, atol=0.02)
        torch.testing.assert_close(one.double().std(0), other.double().std(0), rtol=0, atol=0.02)


def test_the_distributions_are_simclrs():
    """Its Appendix A at s = 0.5: factors in [0.6, 1.4], hue within ± 0.1 turns."""
    drawing = drawn(settings(), 4000, 5)
    for factor in (drawing.brightness, drawing.contrast, drawing.saturation):
        assert [float(factor.min()), float(factor.max())] == pytest.approx([0.6, 1.4], abs=1e-3)
        assert float((factor == 1).double().mean()) == pytest.approx(0.2, abs=0.015)
    assert float(drawing.hue.abs().max()) == pytest.approx(0.2 * math.pi, rel=1e-3)
    assert float(drawing.grey.double().mean()) == pytest.approx(0.2, abs=0.015)
    width, height = drawing.crop[:, 0, 0].abs(), drawing.crop[:, 1, 1]
    assert float((drawing.crop[:, 0, 0] < 0).double().mean()) == pytest.approx(0.5, abs=0.015)
    assert float((width * height).min()) == pytest.approx(0.08, rel=0.02)
    ratio = (width / height)[(width < 1) & (height < 1)]
    assert [float(ratio.min()), float(ratio.max())] == pytest.approx([3 / 4, 4 / 3], rel=1e-3)
    assert float(ratio.log().mean()) == pytest.approx(0, abs=0.01)


def test_crops_lie_within_the_image():
    crop = drawn(settings(), 1000, 5).crop
    across = crop[:, 0, 2].abs() + crop[:, 0, 0].abs()
    down = crop[:, 1, 2].abs() + crop[:, 1, 1].abs()
    assert float(torch.maximum(across, down).max()) <= 1 + 1e-6


def test_without_any_change_a_view_is_the_image(photos):
    for views in (
        Views(**NOTHING),
        Views(**(NOTHING | {"strength": 0.5, "grey": 0.5})),
    ):
        unchanged = drawn(views, 6, 2)._replace(grey=torch.zeros(12, dtype=torch.bool))
        seen = views.apply(photos, unchanged)
        torch.testing.assert_close(seen, photos.repeat_interleave(2, 0), rtol=0, atol=1e-6)


def test_a_flip_mirrors(photos):
    views = Views(**(NOTHING | {"flip": 1.0}))
    torch.testing.assert_close(views.apply(photos, drawn(views, 6, 1)), photos.flip(-1), rtol=0, atol=1e-6)


def test_a_crop_is_torchvisions_resized_crop(photos):
    """The box of rows 4–12 and columns 2–10, mirrored or not; interior pixels, for the borders differ."""
    left, top = (2 + 10) / 16 - 1, (4 + 12) / 16 - 1
    crop = torch.tensor([[[side, 0, left], [0, 0.5, top]] for side in (0.5, -0.5)])
    views = Views(**NOTHING)
    plain = drawn(views, 1, 2)._replace(crop=crop)
    seen = views.apply(photos[:1], plain)
    expected = reference.resized_crop(photos[0], 4, 2, 8, 8, [16, 16], antialias=False)
    torch.testing.assert_close(seen[0, :, 1:-1, 1:-1], expected[:, 1:-1, 1:-1])
    torch.testing.assert_close(seen[1].flip(-1), seen[0])


def test_colours_are_distorted_as_torchvision_does(photos):
    views = settings()
    drawing = drawn(views, 6, 5)
    whole = drawn(Views(**NOTHING), 6, 5).crop
    seen = views.apply(photos, drawing._replace(crop=whole))
    for row, image in enumerate(photos.repeat_interleave(5, 0)):
        image = reference.adjust_brightness(image, float(drawing.brightness[row]))
        image = reference.adjust_contrast(image, float(drawing.contrast[row]))
        image = reference.adjust_saturation(image, float(drawing.saturation[row]))
        image = reference.adjust_hue(image, float(drawing.hue[row]) / (2 * math.pi))
        if drawing.grey[row]:
            image = reference.rgb_to_grayscale(image, num_output_channels=3)
        torch.testing.assert_close(seen[row], image, rtol=0, atol=2e-3)


def test_images_of_one_channel_get_brightness_and_contrast(digits):
    views = settings(flip=0.0)
    drawing = drawn(views, 8, 3)
    seen = views.apply(digits[:8], drawing)
    neutral = drawing._replace(saturation=drawing.saturation * 0, hue=drawing.hue + 1, grey=~drawing.grey)
    torch.testing.assert_close(seen, views.apply(digits[:8], neutral), rtol=0, atol=0)
    plain = drawing._replace(brightness=torch.ones(24), contrast=torch.ones(24))
    assert not torch.isclose(seen, views.apply(digits[:8], plain)).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_are_those_of_finite_differences(photos, channels):
    views = settings(strength=0.3)
    x = (0.3 + 0.4 * photos[:2, :channels, ::4, ::4]).requires_grad_()
    parameters = drawn(views, 2, 3)
    assert torch.autograd.gradcheck(lambda x: views.apply(x, parameters), x)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_gradients_are_finite_where_colours_vanish(value):
    views = settings()
    x = torch.full((2, 3, 8, 8), value, requires_grad=True)
    views.apply(x, drawn(views, 2, 50)).square().sum().backward()
    assert bool(x.grad.isfinite().all())


def sum_of_squares(views: Views, x: Tensor, parameters: ViewParameters) -> Tensor:
    x = x.clone().requires_grad_()
    views.apply(x, parameters).square().sum().backward()
    assert x.grad is not None
    return x.grad


def test_a_samples_gradient_does_not_depend_on_its_neighbours(photos):
    views = settings()
    together = sum_of_squares(views, photos, drawn(views, 6, 10))
    alone = sum_of_squares(views, photos[4:5], views.draw(0, "views", torch.tensor([4]), 10))
    torch.testing.assert_close(together[4:5], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": (0.0, 1.0)}, "scale"),
        ({"scale": (0.5, 1.5)}, "scale"),
        ({"scale": (0.9, 0.5)}, "the first number must not exceed the second"),
        ({"ratio": (0.0, 1.0)}, "ratio"),
        ({"strength": -0.1}, "strength"),
        ({"strength": 1.1}, "strength"),
        ({"flip": 2.0}, "flip"),
        ({"blur": True}, "blur"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(changes, message):
    with pytest.raises(ValidationError, match=message):
        settings(**changes)
