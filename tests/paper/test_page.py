"""The page in a browser, light and dark: nothing overflows, the gain is in sight on a phone, tables sort."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from uae_cli.paper.page import write_page
from uae_cli.paper.plot import panels
from uae_cli.paper.status import Status
from uae_cli.paper.summary import NOTHING, summary
from uae_cli.results import ARMS, FinishedRun, collect, over_seeds
from uae_cli.tables import TABLES, experiments

Finish = Callable[..., Path]
CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
GAINS = {"test_mse_gain_vs_original": 16.5, "test_mse_gain_vs_replicate": -5.5}
PHONE, DESKTOP = 390, 1280
MEASURE = """
<body><iframe src="PAGE" width="390" height="800"></iframe>
<iframe src="PAGE" width="1280" height="800"></iframe>
<pre></pre><script>
const right = element => element.getBoundingClientRect().right;
function measured(frame) {
  const page = frame.contentDocument, root = page.documentElement, view = frame.contentWindow;
  const boxes = [...page.querySelectorAll(".scroll")];
  const keys = box => [...box.querySelectorAll("td.key")].map(cell => right(box) - right(cell));
  const room = boxes.flatMap(keys);
  const looks = [...page.querySelectorAll("*")].map(element => view.getComputedStyle(element));
  const table = page.querySelector("table"), head = table.tHead.rows[0].cells[1];
  const arms = () => [...table.tBodies[0].rows].map(row => row.cells[0].innerText);
  const sorted = [arms()];
  for (let click = 0; click < 3; click++) {
    head.querySelector("button").click();
    sorted.push([head.ariaSort, arms()]);
  }
  return {
    width: root.clientWidth, over: root.scrollWidth - root.clientWidth, sorted,
    keys: room.length, hidden: room.filter(space => space < 0).length,
    scrolls: boxes.filter(box => box.scrollWidth > box.clientWidth).map(box => box.innerText),
    black: looks.filter(look => /rgb\\(0, 0, 0\\)/.test(look.backgroundColor + look.backgroundImage))
      .length,
    dark: view.matchMedia("(prefers-color-scheme: dark)").matches,
    ink: view.getComputedStyle(page.body).color,
    buttons: page.querySelectorAll(".tools:not([hidden]) button").length,
  };
}
addEventListener("load", () => {
  const report = [...document.querySelectorAll("iframe")].map(measured);
  document.querySelector("pre").textContent = JSON.stringify(report);
});
</script>
"""


def rows_of(seed: int, metrics: dict[str, float], **more: Any) -> list[dict[str, Any]]:
    told = {"seed": seed, "job": f"{more}{seed}", "seconds": 300.0, "commit": "abcdef0123", **more}
    rows = []
    for place, arm in enumerate(ARMS):
        for metric, value in metrics.items():
            if not metric.endswith(f"_{arm}"):
                rows.append(
                    {**told, "arm": arm, "metric": metric, "value": value + (place + seed) * value / 50}
                )
    return rows


@pytest.fixture
def page(outputs: Path, finish: Finish, tmp_path: Path) -> Path:
    """A page of Tables 4 and 6: experiments of one seed and of three, and the one of most columns."""
    finish("one", *rows_of(0, {"test_mse": 0.0025, "asr": 98.5, **GAINS}))
    digits = {"dataset": "digits", "experiment": "digits_conv_ae", "overrides": "arm=[replicate,mine_uae]"}
    concrete = {"dataset": "coil20", "model": "concrete_ae", "experiment": "coil20_concrete_ae"}
    accuracy = {"test_accuracy_gain_vs_original": 1.25, "test_accuracy_gain_vs_replicate": -1.25}
    for seed in range(3):
        finish(f"d{seed}", *rows_of(seed, {"test_mse": 0.0145, "asr": 65.0, **GAINS}, **digits))
        measured = {"test_mse": 0.003, "train_mse": 0.001, "test_accuracy": 97.5, "asr": 50.0}
        finish(f"c{seed}", *rows_of(seed, {**measured, **GAINS, **accuracy}, **concrete))
    path = tmp_path / "paper.html"
    found = [Status(TABLES[number], (), 0, (), (), (), None) for number in ("4", "6", "13")]
    write_page(path, found, {}, outputs, [])
    return path


def in_browser(page: Path, *, dark: bool) -> list[dict[str, Any]]:
    """What the page measures in frames as wide as a phone's screen and as a desktop's."""
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    frame = page.with_name("frame.html")
    frame.write_text(MEASURE.replace("PAGE", page.name))
    call = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    call += [
        "--allow-file-access-from-files",
        f"--user-data-dir={page.parent / 'profile'}",
        "--window-size=1700,900",
    ]
    call += ["--force-dark-mode"] * dark + ["--dump-dom", frame.as_uri()]
    done = subprocess.run(call, capture_output=True, text=True, check=True, timeout=120)
    found = re.search(r"<pre>(.+?)</pre>", done.stdout, re.DOTALL)
    assert found, done.stderr
    report: list[dict[str, Any]] = json.loads(unescape(found[1]))
    return report


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_overflows_and_the_gain_is_in_sight(page: Path, dark: bool) -> None:
    phone, desktop = in_browser(page, dark=dark)
    assert (phone["width"], desktop["width"]) == (PHONE, DESKTOP)
    for view in (phone, desktop):
        assert view["dark"] == dark
        assert view["over"] == 0, "the page scrolls sideways"
        assert view["keys"] == 9 + 9 + 6
        assert view["hidden"] == 0, "a gain against replicate is out of sight"
        assert view["black"] == 0, "something has a black background"
    assert desktop["scrolls"] == [], "a table is wider than a desktop's page"
    assert phone["ink"] == ("rgb(231, 233, 236)" if dark else "rgb(28, 30, 33)")


def test_a_table_is_sorted_by_the_button_of_a_column_and_unsorted_again(page: Path) -> None:
    for view in in_browser(page, dark=False):
        written, *clicked = view["sorted"]
        assert [order for order, _ in clicked] == ["ascending", "descending", None]
        known = [arm for arm in written if arm not in ("original", "replicate")]
        first = [arm for arm in clicked[0][1] if arm in known]
        assert first != known or clicked[1][1][: len(known)] != known
        assert clicked[0][1][: len(known)] == clicked[1][1][: len(known)][::-1]
        assert clicked[2][1] == written
        assert view["buttons"] == 4


def test_the_page_needs_no_network_and_says_each_thing_once(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=[\"'](?!#|data:|https://arxiv.org)|url\(|@import", text)
    assert len(text) < 3_000_000
    assert ">digits · conv_<wbr>ae</h3>" in text, "a choice of arms stands in the heading"
    assert (
        "uae run -m experiment=digits_conv_ae scale=full &#39;arm=[replicate,mine_uae]&#39; seed=0,1,2"
        in text
    )
    assert "Nothing has been run for these yet" in text
    assert text.count('class="best"') == 3
    assert r"\begin{table}" in text
    assert "[−" in text


def test_what_all_of_a_table_lack_is_said_once(outputs: Path, finish: Finish, tmp_path: Path) -> None:
    for number, lack in enumerate(({"n_train": 2000}, {"n_train": 1000})):
        finish(str(number), {"scale": "subset", "settings": str(number), **lack})
    write_page(tmp_path / "p.html", [Status(TABLES["4"], (), 0, (), (), (), None)], {}, outputs, [])
    told = re.findall(r"Less than full: (.+?)</div>", (tmp_path / "p.html").read_text(encoding="utf-8"))
    assert sorted(told, reverse=True) == [
        "subset scale",
        "2,000 of 60,000 training samples",
        "1,000 of 60,000 training samples",
    ]


def test_the_papers_gain_stands_beside_ours(outputs: Path, page: Path) -> None:
    rows = over_seeds(collect(outputs))
    one, three = experiments(TABLES["4"], rows)
    against_replicate, against_original = panels(TABLES["4"], one)
    assert [panel.reference for panel in (against_replicate, against_original)] == ["replicate", "original"]
    assert {dot.arm for dot in against_replicate.dots} == set(ARMS) - {"original", "replicate"}
    papers = {dot.arm: dot.papers for dot in against_original.dots}
    assert papers["mine_uae"] == pytest.approx(100 * (1 - 0.00256 / 0.00294))
    assert papers["criterion_only"] is None
    assert all(dot.interval is None for dot in against_replicate.dots)
    for dot in panels(TABLES["4"], three)[0].dots:
        assert dot.interval is not None
        low, high = map(panels(TABLES["4"], three)[0].x, dot.interval)
        assert 112 < low < high < 360


def summed(finish: Finish, outputs: Path, gains: dict[str, tuple[float, ...]], **more: Any) -> str:
    for arm, values in gains.items():
        for seed, value in enumerate(values):
            told = {"arm": arm, "seed": seed, "value": value, "metric": "test_mse_gain_vs_replicate", **more}
            finish(f"{more}{arm}{seed}", told, {**told, "metric": "test_mse", "value": 0.01})
    return summary(over_seeds(collect(outputs)))


def test_the_summary_counts_gains_and_losses(outputs: Path, finish: Finish) -> None:
    assert summary([]) == NOTHING
    assert summed(finish, outputs, {"mine_uae": (9.0,)}, settings="s", scale="smoke") == NOTHING
    won = {"mine_uae": (1.0, 1.1, 1.2), "l2_uae": (-9.0, -8.0, -9.0), "matched_noise": (2.0, 2.1, 2.2)}
    text = summed(finish, outputs, won, settings="a")
    assert "in 1 experiment. " in text
    assert (
        "above 0, in 1 (mnist · conv_ae: mine_uae +1.1 [+0.9, +1.3] %); it loses, with one below 0, in none"
        in text
    )
    assert "measured in 1, brings +2.1 to +2.1 % (median +2.1 %), and in 1 no less than" in text
    summed(
        finish,
        outputs,
        {"mine_uae": (-1.0, -1.1, -1.2)},
        settings="b",
        model="dense_ae",
        experiment="mnist_dense_ae",
    )
    summed(finish, outputs, {"mine_uae": (-1.0, 2.0, -1.2)}, settings="c", experiment="c")
    text = summed(
        finish, outputs, {"l2_uae": (3.0,)}, settings="d", dataset="digits", experiment="digits_conv_ae"
    )
    assert "in 4 experiments. " in text
    assert "Of the 3 with three seeds or more" in text
    assert "in 1 (mnist · dense_ae: mine_uae −1.1 [−1.3, −0.9] %); in 1 the interval holds 0" in text
    assert (
        "Of the 1 with fewer seeds, which allow no interval, the best arm of UAEs is ahead of replicate in 1."
        in text
    )


@pytest.mark.parametrize("record", ["", "[]", '{"machine": 3}', None])
def test_a_run_whose_record_is_damaged_is_told_by_its_device(tmp_path: Path, record: str | None) -> None:
    path = tmp_path / "results.json"
    if record is None:
        path.mkdir()
    else:
        path.write_text(record)
    run = FinishedRun(
        tmp_path / "results.csv", experiment="e", scale="full", seed=0, n_attacked=0, job="j",
        commit="abcdef0123", device="a card", started="2026-01-02T03:04:05",
    )  # fmt: skip
    write_page(tmp_path / "page.html", [], {"j": run}, tmp_path / "none", [])
    assert "a card. Commits abcdef0; 2026-01-02." in (tmp_path / "page.html").read_text()
