"""Words and numbers as messages show them."""

import pytest

from uae_cli.text import listed, nearest, shown


def test_nearest() -> None:
    assert nearest("alfa", ["alpha"], "attack.") == "did you mean attack.alpha? There are: alpha"
    assert nearest("alfa", ["beta", "alpha"]) == "did you mean alpha? There are: alpha, beta"
    assert nearest("xyz", ["beta", "alpha"]) == "there are: alpha, beta"
    told = nearest("word7", [f"word{n}" for n in range(100)])
    assert told.startswith("did you mean word7? There are: ")
    listed = told.split("There are: ")[1].split(" … ")[0].split(", ")
    assert "word7" in listed
    assert listed == sorted(listed)
    assert told.endswith(" … (100 in all)")
    assert len(told) < 200
    unlike = [f"word{n}" for n in range(50)]
    assert nearest("xyz", unlike) == f"there are: {', '.join(sorted(unlike))}"
    assert nearest("xyz", [f"word{n}" for n in range(100)]).endswith(" … (100 in all)")


def test_listed() -> None:
    assert listed(range(5)) == "0, 1, 2, 3, 4"
    assert listed("abcdef", 2) == "a, b and 4 more"


@pytest.mark.parametrize(
    ("value", "text"), [(None, "null"), (True, "true"), ("", "''"), (0.5, "0.5"), ("x" * 70, "x" * 60 + "…")]
)
def test_shown(value: object, text: str) -> None:
    assert shown(value) == text


def test_the_beginning_of_a_longer_name_counts() -> None:
    known = ["fashion_mnist_conv_ae", "mnist_conv_ae", "mnist_simclr", "table3_mnist"]
    assert nearest("nist", known).startswith("did you mean mnist_conv_ae or mnist_simclr? There are: fashion")
