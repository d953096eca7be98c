"""`uae data`: what it says of missing data can be done."""

import re
import shlex
from pathlib import Path

import pytest
from calling import Uae

from uae_cli.experiment.compose import compose_jobs, register_resolvers


def rows(text: str) -> dict[str, str]:
    """What stands in each dataset's row, by its name."""
    parts = re.split(r"^(\w+) +(?:missing|present) ", text.split("Data root:")[0], flags=re.MULTILINE)[1:]
    return {name: " ".join(about.split()) for name, about in zip(parts[::2], parts[1::2], strict=True)}


def test_missing_data_come_with_a_command_that_uses_them(uae: Uae) -> None:
    register_resolvers()
    root = "a b"
    text = uae("data", "--root", root).out
    assert "data.download" not in text
    told = rows(text)
    fetched = {name: re.search(r"get it with `uae run (.*?)`", about) for name, about in told.items()}
    there = {name for name, hit in fetched.items() if hit}
    assert {"mnist", "svhn", "cifar10", "isolet", "tiny_imagenet"} <= there
    for name, hit in fetched.items():
        if hit:
            [job] = compose_jobs(shlex.split(hit.group(1)), multirun=False, extra_dir=None)
            assert (job.config["dataset"]["name"], job.config["data"]["root"]) == (name, root)
            assert job.config["data"]["download"]


@pytest.mark.parametrize("name", ["svhn_test10k", "isolet_subset"])
def test_what_nothing_fetches_is_said_to_be_put_by_hand(uae: Uae, name: str) -> None:
    about = rows(uae("data").out)[name]
    assert f"nothing fetches it: put {name}." in about
    assert re.search(r"\w+\.(edu|com|org)/", about), "no address"


def test_the_default_root_is_not_repeated(uae: Uae, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UAE_DATA", str(tmp_path))
    told = rows(uae("data").out)["mnist"]
    assert re.search(r"get it with `uae run experiment=mnist_\w+ scale=smoke` \(", told)
