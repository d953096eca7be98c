import pytest

from uae_cli.tables import format as numbers


@pytest.mark.parametrize(
    ("value", "text"), [(-0.04, "0.0"), (0.04, "0.0"), (-0.05001, "−0.1"), (12.34, "+12.3"), (-212.3, "−212")]
)
def test_a_gain_is_never_minus_zero(value: float, text: str) -> None:
    assert numbers.gain(value) == text


@pytest.mark.parametrize(
    ("std", "text"), [(2.6e-5, "0.000026"), (1.0e-4, "0.00010"), (3.1e-7, "0.00000031"), (0.0, "0.00000")]
)
def test_a_small_spread_keeps_two_digits(std: float, text: str) -> None:
    assert numbers.error(0.003, std) == f"0.00300 ± {text}"


@pytest.mark.parametrize(("std", "text"), [(0.0071, "0.0 ± 0.007"), (0.4, "0.0 ± 0.4"), (0.0, "0.0 ± 0.0")])
def test_a_spread_that_would_round_to_zero_keeps_a_digit(std: float, text: str) -> None:
    assert numbers.gain(0.01, std) == text
