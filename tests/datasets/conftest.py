"""Small made files in the published formats, and the real ones where UAE_DATA has them."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

from uae_cli.datasets import Dataset, Loader


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """Six training and three test images, 4×5 pixels of 3 colours, as `.npz` files hold them."""
    draw = np.random.default_rng(0)
    return {
        "x_train": draw.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8),
        "y_train": np.arange(6, dtype=np.int64),
        "x_test": draw.integers(0, 256, (3, 4, 5, 3), dtype=np.uint8),
        "y_test": np.arange(3, dtype=np.int64),
        "note": np.array("a made set"),
    }


class _Response(io.BytesIO):
    def __init__(self, url: str, content: bytes) -> None:
        super().__init__(content)
        self.url, self.length = url, len(content)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The internet: only what a test puts here, by address, answers."""
    pages: dict[str, bytes] = {}

    def urlopen(request: Any, *_: Any, **__: Any) -> _Response:
        if request.full_url not in pages:
            raise URLError("Name or service not known")
        return _Response(request.full_url, pages[request.full_url])

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    return pages


@pytest.fixture
def load_real() -> Callable[[Loader], Dataset]:
    """Load a dataset from UAE_DATA, or skip the test where it isn't."""

    def load(loader: Loader) -> Dataset:
        if "UAE_DATA" not in os.environ:
            pytest.skip("UAE_DATA is not set")
        root = Path(os.environ["UAE_DATA"])
        if not loader.check(root, verify=False).present:
            pytest.skip(f"{loader.name} is not in UAE_DATA")
        return loader.load(root, download=False)

    return load
