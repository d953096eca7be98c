"""What is said of made gains whose answer is plain."""

import math

import pytest

from uae_cli.compare.report import draw, frame, page
from uae_cli.compare.verdicts import EVERYWHERE, Cell, compared

SHAKEN = (-0.5, 0.3, 0.1, -0.2, 0.4, -0.1, 0.2, 0.0, -0.3, 0.1)
BASE = {250: 0.02, 500: 0.015, 1000: 0.010}


def cell(n_train=500, group="digits · dense_ae", seeds=10, scale=1.0, **means):
    """Gains around these means; replicate's errors are those of `BASE`."""
    gains = {arm: {seed: mean + scale * SHAKEN[seed] for seed in range(seeds)} for arm, mean in means.items()}
    base = BASE[n_train]
    values = {arm: {s: base * (1 - g / 100) for s, g in own.items()} for arm, own in gains.items()}
    values["replicate"] = dict.fromkeys(range(seeds), base)
    return Cell(group, n_train, values, gains)


def answers(*cells, margin=1.0, against="replicate", measure="test_mse"):
    found = compared(cells, measure, against, margin)
    return {(verdict.group, verdict.n_train, verdict.arm): verdict for verdict in found.verdicts}


def only(*cells, **more):
    [verdict] = answers(*cells, **more).values()
    return verdict


@pytest.mark.parametrize(
    ("mean", "scale", "word"),
    [(5.0, 1, "helps"), (-5.0, 1, "harms"), (0.1, 1, "no effect"), (0.9, 10, "undecided"), (0.9, 1, "helps")],
)
def test_the_answer(mean, scale, word):
    assert only(cell(arm=mean, scale=scale)).word == word


def test_a_sure_gain_of_no_practical_size_is_no_effect():
    verdict = only(cell(arm=0.5, scale=0.1))
    assert (verdict.found.low > 0, verdict.word) == (True, "no effect")
    assert verdict.text == "no effect beyond ±1 % (+0.48 to +0.51 %)"
    assert only(cell(arm=0.5, scale=0.1), margin=0.1).word == "helps"


def test_few_seeds_show_nothing_however_clear_they_look():
    for mean in (5.0, 0.0):
        verdict = only(cell(arm=mean, seeds=5))
        assert verdict.word == "undecided"
        assert verdict.text.endswith("more seeds needed (6 at least)")


def test_more_arms_need_more_seeds():
    """Six seeds, and p = 0.03 for each of two: 0.06 after Holm."""
    assert only(cell(arm=5.0, seeds=6)).word == "helps"
    two = answers(cell(a=5.0, b=5.0, seeds=6)).values()
    assert {verdict.word for verdict in two} == {"undecided"}
    assert all("(7 at least)" in verdict.text for verdict in two)


def test_how_many_seeds_would_tell_is_said():
    assert only(cell(arm=0.9, scale=10)).text == "undecided: −0.8 to +2.5 %, more seeds needed (about 34)"


def test_a_gain_is_worth_the_samples_that_replicate_would_need_for_it():
    """0.015 − 5 × 10⁻³ is reached between 500 and 1,000: half of the way in log n is 707."""
    curve = [cell(n, arm=0.0) for n in (250, 1000)]
    helps = answers(*curve, cell(500, arm=100 / 6))[("digits · dense_ae", 500, "arm")]
    assert helps.worth[1] == pytest.approx(210, rel=0.1)
    assert helps.worth[0] < helps.worth[1] < helps.worth[2]
    assert helps.text.startswith("helps: +16.5 to +16.8 %, worth 210 samples (200 to 2")
    harms = answers(*curve, cell(500, arm=-100 / 6))[("digits · dense_ae", 500, "arm")]
    assert "costs 1" in harms.text


def test_beyond_the_curve_a_bound_is_told_and_at_its_end_nothing():
    verdicts = answers(*(cell(n, arm=60.0) for n in BASE))
    texts = {n: verdicts[("digits · dense_ae", n, "arm")].text for n in BASE}
    assert texts[500].endswith("%, worth more than 500 samples")
    assert texts[1000].endswith("%")
    assert only(cell(arm=5.0)).text.endswith("%")  # of one size there is no curve


def test_gains_against_another_arm_are_worth_no_samples():
    cells = [cell(n, arm=20.0) for n in BASE]
    of_replicate, of_other = (
        answers(*cells, against=against)[("digits · dense_ae", 500, "arm")].text
        for against in ("replicate", "original")
    )
    assert "worth" in of_replicate
    assert "worth" not in of_other


def test_points_of_an_accuracy():
    gains = {"arm": {s: 3 + SHAKEN[s] for s in range(10)}}
    values = {
        "arm": {s: 90 + g for s, g in gains["arm"].items()},
        "replicate": dict.fromkeys(range(10), 90.0),
    }
    lower = {"arm": dict.fromkeys(range(10), 80.0), "replicate": dict.fromkeys(range(10), 80.0)}
    higher = {"arm": dict.fromkeys(range(10), 95.0), "replicate": dict.fromkeys(range(10), 95.0)}
    still = {"arm": dict.fromkeys(range(10), 0.0)}
    cells = [Cell("g", 100, lower, still), Cell("g", 200, values, gains), Cell("g", 400, higher, still)]
    verdict = answers(*cells, measure="test_accuracy")[("g", 200, "arm")]
    assert (verdict.unit, verdict.word) == ("points", "helps")
    assert 0 < verdict.worth[1] < 200


def test_over_all_cells_an_arm_that_all_have_is_judged():
    first, second = cell(arm=4.0, other=1.0), cell(group="mnist · dense_ae", arm=6.0)
    verdicts = answers(first, second)
    assert {arm for group, _, arm in verdicts if group == EVERYWHERE} == {"arm"}
    whole = verdicts[(EVERYWHERE, None, "arm")]
    assert (whole.word, whole.found.mean) == ("helps", pytest.approx(5.0))
    assert all(group != EVERYWHERE for group, *_ in answers(first))


def test_a_mean_over_cells_hides_none_of_them():
    cells = [cell(arm=4.0), cell(group="b", arm=-4.0), cell(group="c", arm=0.0)]
    [sentence] = compared(cells, "test_mse", "replicate", 1.0).sentences(EVERYWHERE)
    assert sentence.startswith("arm: no effect beyond ±1 %")
    assert sentence.endswith("; helps in 1 and harms in 1 of 3 cells.")


def test_an_arm_of_one_finished_seed_is_not_measured():
    verdict = only(cell(arm=5.0, seeds=1))
    assert verdict.word == "not measured"
    assert "fewer than two seeds" in verdict.text


@pytest.fixture
def comparison():
    cells = [cell(n, arm=5.0, other=0.1) for n in BASE]
    return compared(cells, "test_mse", "replicate", 1.0)


def test_the_table_of_numbers(comparison):
    table = frame(comparison)
    assert len(table) == 3 * 2 + 2
    row = table[(table["arm"] == "arm") & (table["n_train"] == 500)].iloc[0]
    assert (row["answer"], row["seeds"], row["base"]) == ("helps", 10, 0.015)
    assert row["value"] == pytest.approx(0.015 * 0.95)
    assert row["gain"] == pytest.approx(5.0)
    assert row["low"] < row["gain"] < row["high"]


def test_the_page_has_a_sentence_for_every_arm_and_size(comparison):
    text = page(comparison, "title", "uae compare", ["a machine"])
    for n in BASE:
        assert f"- arm, {n:,} samples: helps: +4.8" in text
    assert "- other, any number of samples: no effect beyond ±1 % (−0." in text
    assert "| replicate | 500" in text.replace("  ", " ")
    assert "```sh\nuae compare\n```" in text


def test_the_figure(comparison, tmp_path):
    from PIL import Image

    draw(comparison, tmp_path / "a.png", "title")
    few = compared([cell(arm=5.0)], "test_mse", "replicate", 1.0)
    draw(few, tmp_path / "b.png", "title")
    with Image.open(tmp_path / "a.png") as large, Image.open(tmp_path / "b.png") as small:
        assert large.width == small.width
        assert large.height > small.height
    nothing = compared([cell(arm=math.nan)], "test_mse", "replicate", 1.0)
    draw(nothing, tmp_path / "c.png", "title")
    assert not (tmp_path / "c.png").exists()
