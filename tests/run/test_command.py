import os

import pytest

from uae_cli.errors import ConfigError, DataError, SettingError
from uae_cli.run.command import Failures
from uae_cli.run.hydra_app import parse


def test_mistakes_are_told_together_at_the_end() -> None:
    failures = Failures()
    failures.tell()
    failures.add(DataError("no numbers"))
    failures.add(ConfigError("no sense"))
    with pytest.raises(DataError, match=r"^no numbers; no sense$"):
        failures.tell()


def test_a_launchers_own_process_sends_its_mistake_home(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = Failures()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(ConfigError, match=r"^seed = x: must be a whole number$") as caught:
        failures.add(SettingError("seed", "x", "must be a whole number"))
    assert type(caught.value) is ConfigError, "which, unlike SettingError, can be pickled"
    failures.tell()


def test_weights_can_be_set_though_no_file_of_ours_names_them() -> None:
    assert parse(["seed=1", "model.weights=a.pt"]).overrides == ["seed=1", "++model.weights=a.pt"]
