from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch import Tensor

from uae_cli.figures import amplified, image_rows, largest_perturbations
from uae_cli.figures import image_grid as mosaic


def samples(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def size(path: Path) -> tuple[int, int]:
    height, width = imread(path).shape[:2]
    return width, height


@pytest.mark.parametrize("shape", [(10, 1, 28, 28), (12, 3, 32, 32), (3, 2, 9, 5), (1, 1, 8, 8)])
def test_image_rows_have_the_size_of_their_images(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "new" / "rows.png"
    assert image_rows(path, {"original": samples(*shape), "UAE": samples(*shape)}, "a_title with $ and _")
    columns, zoom = min(10, shape[0]), max(1, round(mosaic.CELL / max(shape[2:])))
    across = columns * (zoom * shape[3] + mosaic.GAP) - mosaic.GAP
    up = 2 * (zoom * shape[2] + mosaic.GAP) - mosaic.GAP
    expected = max(mosaic.LABELS + across + mosaic.MARGIN, mosaic.LEAST_WIDTH)
    assert size(path) == (expected, mosaic.MARGIN + mosaic.TITLE_LINE + up + mosaic.MARGIN)


def test_every_pixel_is_shown_as_it_is(tmp_path: Path) -> None:
    images = (samples(4, 3, 32, 32) * 255).round() / 255
    path = tmp_path / "rows.png"
    image_rows(path, {"original": images}, "title")
    zoom = round(mosaic.CELL / 32)
    top, left = mosaic.MARGIN + mosaic.TITLE_LINE, mosaic.LABELS + 2 * (32 * zoom + mosaic.GAP)
    shown = imread(path)[top : top + 32 * zoom : zoom, left : left + 32 * zoom : zoom, :3]
    np.testing.assert_allclose(shown, images[2].permute(1, 2, 0).numpy(), atol=1.01 / 255)


def test_failed_samples_are_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, rows = tmp_path / "rows.png", {"original": samples(12, 1, 8, 8)}
    success = torch.arange(12) != 2
    drawn: list[dict[str, object]] = []
    draw = mosaic.draw_mosaic
    monkeypatch.setattr("uae_cli.figures.image_grid.draw_mosaic", lambda *_, **more: drawn.append(more))
    for marked in (None, torch.ones(12, dtype=torch.bool), torch.arange(12) != 11, success):
        assert image_rows(path, rows, "title", marked)
    assert [more.get("captions") for more in drawn] == [None, None, None, ["", "", "✗", *[""] * 7]]
    monkeypatch.setattr("uae_cli.figures.image_grid.draw_mosaic", draw)
    image_rows(path, rows, "title")
    without = size(path)
    image_rows(path, rows, "title", success)
    assert size(path) == (without[0], without[1] + 2 * mosaic.CAPTIONS)


def test_tables_of_features_have_no_images(tmp_path: Path) -> None:
    path, table = tmp_path / "rows.png", samples(5, 20)
    assert image_rows(path, {"original": table}, "title") is False
    assert image_rows(path, {}, "title") is False
    assert image_rows(path, {"original": samples(0, 1, 8, 8)}, "title") is False
    assert largest_perturbations(path, table, table, torch.ones(5, dtype=torch.bool), "title") is False
    assert list(tmp_path.iterdir()) == []


def test_rows_of_different_shapes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        image_rows(tmp_path / "rows.png", {"a": samples(3, 1, 8, 8), "b": samples(2, 1, 8, 8)}, "title")


def test_the_ten_largest_successful_perturbations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = torch.zeros(30, 1, 4, 4)
    uae = original + torch.arange(30).view(-1, 1, 1, 1) / 40
    success = torch.arange(30) % 2 == 0
    drawn: dict[str, object] = {}
    monkeypatch.setattr(
        "uae_cli.figures.image_grid.draw_mosaic",
        lambda path, rows, title, captions, caption_label: drawn.update(
            rows=rows, captions=captions, title=title
        ),
    )
    assert largest_perturbations(tmp_path / "f.png", original, uae, success, "title")
    expected = [28, 26, 24, 22, 20, 18, 16, 14, 12, 10]
    rows = drawn["rows"]
    assert isinstance(rows, dict)
    torch.testing.assert_close(rows["UAE"], uae[expected])
    assert drawn["captions"] == [f"{index / 10:.2f}\n{index}" for index in expected]
    assert drawn["title"] == "title, the 10 largest ‖δ‖₂ of 15 successful samples"
    assert float(list(rows.values())[2].max()) == 1.0


def test_fewer_than_ten_successes_are_drawn_and_none_is_not(tmp_path: Path) -> None:
    path, images = tmp_path / "f.png", samples(5, 3, 16, 16)
    assert largest_perturbations(path, images, images, torch.zeros(5, dtype=torch.bool), "title") is False
    assert not path.exists()
    assert largest_perturbations(path, images, images, torch.arange(5) < 2, "title") is True
    assert size(path)[0] == mosaic.LEAST_WIDTH


def test_shapes_that_disagree_are_refused(tmp_path: Path) -> None:
    images = samples(5, 1, 8, 8)
    with pytest.raises(ValueError, match="disagree"):
        largest_perturbations(
            tmp_path / "f.png", images, images[:4], torch.ones(5, dtype=torch.bool), "title"
        )


@pytest.mark.parametrize(("peak", "factor"), [(1.0, 0.5), (0.5, 1), (0.2, 2), (0.03, 10), (0.0, 1)])
def test_an_amplified_perturbation_is_cut_nowhere(peak: float, factor: float) -> None:
    shown, used = amplified(torch.tensor([-peak, 0.0, peak]))
    assert used == factor
    torch.testing.assert_close(shown, torch.tensor([0.5 - factor * peak, 0.5, 0.5 + factor * peak]))
