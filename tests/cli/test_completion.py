"""Hydra's own options still work."""

import pytest
from calling import Uae


def test_tab_completion(uae: Uae, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "complete" in uae("run", "--shell-completion", "install=bash").out
    monkeypatch.setenv("COMP_LINE", "uae experiment=digits_c")
    monkeypatch.setenv("COMP_POINT", "23")
    assert "experiment=digits_conv_ae" in uae("run", "--shell-completion", "query=bash").out


def test_the_composed_config_can_be_shown(uae: Uae) -> None:
    called = uae("run", "--cfg", "job", "--resolve", "attack.alpha=0.02", "experiment=mnist_dense_ae")
    assert called.status == 0
    assert "name: mnist_dense_ae\n" in called.out
    assert "alpha: 0.02\n" in called.out
