import io
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from uae_cli.errors import ConfigError
from uae_cli.results import collect, over_seeds
from uae_cli.results.columns import ARMS
from uae_cli.tables.build import document
from uae_cli.tables.command import table_command
from uae_cli.tables.contents import TABLES
from uae_cli.tables.render import plain_console, print_document
from uae_cli.tables.reported import load, our_names, reported, reported_pairs

Finish = Callable[..., Path]
FORMATS = ("text", "csv", "markdown", "latex")
PARTIAL = {
    "experiment": "svhn_conv_ae",
    "dataset": "svhn_test10k",
    "n_train": 8000,
    "n_test": 2000,
    "overrides": "dataset=svhn_test10k",
    "note": "the first 10,000 test digits",
}


def table(outputs: Path, number: str = "4", fmt: str = "text") -> str:
    out = outputs.parent / "made" / f"table.{fmt}"
    assert table_command(number, outputs, fmt, out) == 0  # type: ignore[arg-type]
    return out.read_text(encoding="utf-8")


def line_of(text: str, arm: str) -> str:
    (line,) = (line for line in text.splitlines() if line.startswith(arm + " "))
    return re.sub(" +", " ", line)


def test_ours_stands_beside_the_papers(outputs: Path, finish: Finish) -> None:
    finish("a", *({"seed": seed, "value": value} for seed, value in enumerate((0.002, 0.004, 0.009))))
    finish(
        "b",
        {"arm": "replicate", "settings": "b", "value": 0.003},
        {"arm": "replicate", "settings": "b", "metric": "test_mse_gain_vs_original", "value": -12.34},
        {"arm": "mine_uae", "settings": "b", "metric": "asr", "value": 91.5},
    )
    text = table(outputs)
    assert "mine_uae 0.00500 ± 0.00361 0.00256" in re.sub(" +", " ", text)
    assert "ours (3 seeds)" in text
    assert line_of(text, "replicate").startswith("replicate 0.00300 – −12.3 –")
    assert "91.50 99.86" in re.sub(" +", " ", text)
    assert "Testing device" in text


def test_a_narrow_pipe_cuts_nothing(
    outputs: Path, finish: Finish, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = ("test_mse", "test_mse_gain_vs_original", "test_mse_gain_vs_replicate", "asr")
    rows = (
        {"metric": name, "arm": arm, "seed": s, "value": 0.01 + s}
        for name in metrics
        for arm in ARMS
        for s in (0, 9)
    )
    finish("a", *rows)
    assert table_command("4", outputs, "text", None) == 0
    text = capsys.readouterr().out
    assert "…" not in text
    assert all(len(line) <= 110 for line in text.splitlines() if "experiment=" not in line)
    assert all(f"\n{arm} " in text for arm in ARMS)


def test_smoke_is_never_mixed_with_full_and_is_marked(outputs: Path, finish: Finish) -> None:
    finish("full", {"value": 0.002})
    assert "too small to judge" not in table(outputs)
    finish("smoke", {"value": 0.004, "seed": 1, "scale": "smoke", "n_train": 256, "n_test": 64})
    text = table(outputs)
    full, smoke = text.split("LESS THAN FULL: smoke scale; 256 of 60,000 training samples; 64 of 10,000 test")
    assert "0.00200" in full
    assert "0.00256†" not in full
    assert "0.00400" in smoke
    assert "0.00256†" in smoke
    assert "too small to judge" in smoke


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_partial_set_is_marked_in_every_format(outputs: Path, finish: Finish, fmt: str) -> None:
    finish("a", PARTIAL)
    text = table(outputs, fmt=fmt)
    assert "a part of svhn" in text
    assert "8,000 of 73,257 training samples" in text
    assert "the first 10,000 test digits" in text
    assert "0.00095" in text
    assert {"csv": ",svhn,", "latex": r"0.00095$^\dagger$"}.get(fmt, "0.00095†") in text


def test_fewer_samples_of_a_set_of_unknown_size_are_marked(outputs: Path, finish: Finish) -> None:
    digits = {"dataset": "digits", "experiment": "digits_conv_ae", "n_train": 100}
    finish("plain", {**digits, "settings": "p"})
    assert "LESS THAN FULL" not in table(outputs)
    finish("few", {**digits, "overrides": "data.train_size=100"})
    assert table(outputs).count("LESS THAN FULL: only 100 training samples") == 1


def test_what_the_paper_has_and_we_have_not_is_named_in_one_line(outputs: Path, finish: Finish) -> None:
    pairs = [pair for pair in reported_pairs("4") if pair != ("svhn", "sparse_ae")]
    sizes = {"mnist": (60_000, 10_000), "svhn": (73_257, 26_032)}
    for dataset, model in pairs:
        train, test = sizes[dataset]
        row = {"dataset": dataset, "model": model, "n_train": train, "n_test": test}
        finish(f"{dataset}/{model}", {**row, "experiment": f"{dataset}_{model}"})
    assert table(outputs).splitlines()[-1].endswith("1 experiment; `uae run experiment=svhn_sparse_ae`")
    finish(
        "last",
        {
            "dataset": "svhn",
            "model": "sparse_ae",
            "experiment": "svhn_sparse_ae",
            "n_train": 73_257,
            "n_test": 26_032,
        },
    )
    assert "uae run" not in table(outputs)


def test_smoke_partial_and_changed_runs_count_as_missing(
    outputs: Path, finish: Finish, capsys: pytest.CaptureFixture[str]
) -> None:
    finish("smoke", {"scale": "smoke"})
    finish("partial", PARTIAL)
    finish("changed", {"overrides": "attack.alpha=0.05", "settings": "c"})
    for fmt in ("text", "markdown"):
        assert "8 experiments; `uae run -m experiment=mnist_sparse_ae,mnist_dense_ae,mnist_conv_ae," in table(
            outputs, fmt=fmt
        )
    table(outputs, fmt="csv")
    assert "mnist_conv_ae" in capsys.readouterr().err


def test_csv_reads_back(outputs: Path, finish: Finish) -> None:
    finish("a", {"seed": 0, "value": 0.002}, {"seed": 1, "value": 0.004})
    frame = pd.read_csv(io.StringIO(table(outputs, fmt="csv")))
    row = frame.iloc[0]
    assert len(frame) == 1
    assert (row["mean"], row["seeds"], row["spread"], row["paper"]) == (0.003, 2, "seeds", 0.00256)
    assert row["std"] == pytest.approx(0.001 * 2**0.5)


def test_markdown_reads_back(outputs: Path, finish: Finish) -> None:
    finish("a", {"overrides": "augmentation=[flip|x]"})
    lines = [line for line in table(outputs, fmt="markdown").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0][:3] == ["arm", "test MSE ours (1 seed)", "test MSE paper"]
    assert cells[2][:3] == [r"mine\_uae", "0.00400", "0.00256†"]
    assert len({len(line) for line in cells}) == 1


def test_latex_is_well_formed(outputs: Path, finish: Finish) -> None:
    finish("a", PARTIAL, {**PARTIAL, "arm": "gaussian_1e-2", "std": 1e-5, "draws": 5})
    finish("b", {"note": "100 % & more_#1"})
    text = table(outputs, fmt="latex")
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    assert {line.count(" & ") for line in body.splitlines() if " & " in line} == {7}
    assert r"0.00400 $\pm$ 0.000010$^*$" in text
    assert r"100 \% \& more\_\#1" in text
    assert text.count("{") == text.count("}")
    assert not re.search(r"\\\\\s*[\[*]", text)
    assert re.sub(r"\\.|\$[^$]*\$", "", text).isascii()
    for environment in ("table", "tabular"):
        assert text.count(rf"\begin{{{environment}}}") == text.count(rf"\end{{{environment}}}") == 1


def test_table_10_tells_epochs_and_training_error(outputs: Path, finish: Finish) -> None:
    finish("a", {"metric": "train_mse", "value": 0.0031}, {"value": 0.0077})
    text = table(outputs, "10")
    assert line_of(text, "mine_uae") == "mine_uae 0.00310 0.00260 – – 30"
    assert "0.00770" not in text


def test_an_arm_has_no_gain_against_itself(outputs: Path, finish: Finish) -> None:
    gains = [{"metric": f"test_mse_gain_vs_{name}", "value": 0.0} for name in ("original", "replicate")]
    finish("a", {}, *({"arm": "replicate", **gain} for gain in gains))
    assert line_of(table(outputs), "replicate") == "replicate – – 0.0 – – – 30"


def test_seed_numbers_that_differ_stand_at_each_value(outputs: Path, finish: Finish) -> None:
    finish("a", {"seed": 0}, {"seed": 1}, {"arm": "l2_uae"})
    text = table(outputs)
    assert "0.00400 ± 0.00000 (2 seeds)" in text
    assert "0.00400 (1 seed)" in text


def test_experiments_that_look_alike_show_their_settings(outputs: Path, finish: Finish) -> None:
    finish("a", {"settings": "aaaaaaaaaa"})
    assert "settings aaaaaaaa" not in table(outputs)
    finish("b", {"settings": "bbbbbbbbbb"})
    assert re.findall(r"settings\s+(.{8})", table(outputs)) == ["aaaaaaaa", "bbbbbbbb"]


def test_an_unknown_table_names_the_known(outputs: Path) -> None:
    with pytest.raises(ConfigError, match=r"table '99' is unknown; .* 4, 5, 6"):
        table_command("99", outputs, "text", None)


def test_an_unknown_format_is_refused(outputs: Path) -> None:
    with pytest.raises(
        ConfigError, match="'html' is unknown; choose one of text, csv, runs, markdown, latex"
    ):
        table_command("4", outputs, "html", None)  # type: ignore[arg-type]


def test_no_runs_names_the_folder_and_a_command(outputs: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        table_command("4", outputs, "text", None)
    message = str(raised.value)
    assert str(outputs) in message
    assert "uae run experiment=digits_conv_ae" in message
    assert "\n" not in message


def test_runs_of_another_table_are_not_this_one(outputs: Path, finish: Finish) -> None:
    finish("a", {"model": "simclr"})
    with pytest.raises(ConfigError, match="belongs in table 4"):
        table_command("4", outputs, "text", None)


def test_a_file_that_cannot_be_written_is_one_message(outputs: Path, finish: Finish) -> None:
    run = finish("a", {})
    with pytest.raises(ConfigError, match="can't write the table"):
        table_command("4", outputs, "text", run / "below_a_file.txt")


def test_every_number_of_the_paper_is_found() -> None:
    rows = load()
    assert len(rows) == 251
    for row in rows.itertuples():
        number = reported(row.table, row.dataset, row.model, row.method, row.metric)  # type: ignore[arg-type]
        assert number is not None
        assert number.value == row.value


def test_a_partial_set_is_given_the_full_ones_number() -> None:
    partial = reported("4", "svhn_test10k", "conv_ae", "gaussian_1e-2", "test_mse")
    assert partial == (0.00098, 3.77e-05)
    assert reported("4", "digits", "conv_ae", "mine_uae", "test_mse") is None
    assert reported(None, "mnist", "conv_ae", "mine_uae", "seconds_per_sample") == (0.059, None)


@pytest.mark.parametrize("number", TABLES)
def test_a_table_shows_every_number_the_paper_has_in_it(number: str) -> None:
    rows, spec = load(), TABLES[number]
    for row in rows[rows["table"] == number].itertuples():
        if row.metric == "test_accuracy_gain":  # of CLAE, whose accuracy the paper doesn't give
            assert f"{row.value:+g}" in spec.title
            continue
        swept = spec.sweep and row.method in spec.sweep.lines
        for arm in [spec.arms[0]] if swept else our_names(number, row.method):  # type: ignore[arg-type]
            assert spec.holds(row.dataset, row.model, arm, row.metric)  # type: ignore[arg-type]


def test_arms_without_a_line_are_named_with_their_run(outputs: Path, finish: Finish) -> None:
    chain = {"overrides": "augmentation=[flip,mine_uae]", "settings": "c", "arm": "flip+mine_uae"}
    finish("plain", {})
    assert "no line for" not in table(outputs)
    finish(
        "chain", {**chain, "arm": "original"}, chain, {**chain, "arm": "own", "metric": "seconds_per_sample"}
    )
    for fmt in ("text", "markdown", "latex"):
        told = re.sub(r"[\s~\\{}$]+", " ", table(outputs, fmt=fmt)).replace(" _", "_")
        assert "no line for: flip+mine_uae (mnist" in told
        assert "own" not in told.split("no line for")[1].split(")")[0]


def test_a_run_of_other_arms_only_is_told_why_it_is_not_here(outputs: Path, finish: Finish) -> None:
    finish("a", {"arm": "my_own"}, {"arm": "original"})
    with pytest.raises(ConfigError, match=r"belongs in table 4 \(it has no line for my_own; results.csv of"):
        table(outputs)


def test_samples_attacked_are_told_and_count_as_a_shortfall(outputs: Path, finish: Finish) -> None:
    row = {"experiment": "table3_mnist", "model": "classifier", "arm": "minmax", "metric": "asr"}
    finish("a", row)
    assert "attacked" not in table(outputs, "3")
    for number, (size, told) in enumerate(((20, True), (1000, False)), start=1):
        day = f"2025-01-0{number + 1}T10:00:00+00:00"
        finish(f"b{number}", {**row, "n_attacked": size, "started": day})
        text = table(outputs, "3")
        assert ("LESS THAN FULL: 20 of 1,000 attacked samples" in text) == told
        assert f"{size:,} samples attacked" in text


def test_table_2_takes_its_own_experiment_only(outputs: Path, finish: Finish) -> None:
    row = {"dataset": "cifar10", "model": "classifier", "arm": "first_conv_k96", "metric": "asr"}
    finish("figure", {**row, "experiment": "figure4_cifar10", "settings": "f"})
    with pytest.raises(ConfigError, match="belongs in table 2;"):
        table(outputs, "2")
    finish("table", {**row, "experiment": "table2_cifar10"})
    assert "table2_cifar10" in table(outputs, "2")
    assert "figure4_cifar10" not in table(outputs, "2")


def test_the_papers_number_beside_nothing_of_ours_is_explained(outputs: Path, finish: Finish) -> None:
    row = {"experiment": "table2_cifar10", "dataset": "cifar10", "model": "classifier", "scale": "smoke"}
    finish("a", {**row, "arm": "first_conv_k96", "metric": "asr"})
    assert "† the paper's value is of the full dataset" in table(outputs, "2")


def test_a_commit_with_changes_is_said_in_words(outputs: Path, finish: Finish) -> None:
    finish("a", {"commit": "abcdef0123456+changes"}, {"commit": "1234567890", "seed": 1})
    assert "commit 1234567, abcdef0 (with uncommitted changes)" in " ".join(table(outputs).split())


def test_a_terminal_gets_what_it_has_no_room_for_below(outputs: Path, finish: Finish) -> None:
    row = {"experiment": "table3_mnist", "model": "classifier", "arm": "minmax"}
    finish("a", *({**row, "metric": metric} for metric in ("asr", "mi_held_out", "in_attack_value")))
    doc = document(TABLES["3"], over_seeds(collect(outputs)))
    for width, told in ((60, True), (200, False)):
        stream = io.StringIO()
        print_document(doc, plain_console(stream, width))
        text = stream.getvalue()
        assert ("no room for" in text) == told
        assert (text.count("\nminmax ") > 1) == told
        assert max(len(line) for line in text.splitlines() if "experiment=" not in line) <= width


def test_mi_is_the_held_out_estimate_and_the_papers_stands_beside_the_value_in_the_attack(
    outputs: Path, finish: Finish
) -> None:
    row = {"experiment": "table3_mnist", "model": "classifier", "arm": "minmax"}
    metrics = ("mi_held_out", "mi_ln_k", "in_attack_value", "in_attack_ln_k")
    finish("a", *({**row, "metric": metric, "value": place} for place, metric in enumerate(metrics)))
    doc = document(TABLES["3"], over_seeds(collect(outputs)))
    shown = dict(zip(doc.blocks[0].headings, doc.blocks[0].lines[0], strict=True))
    assert [name for name in shown if name.endswith("paper")] == ["ASR %\npaper", "in-attack value\npaper"]
    assert shown["MI\nours"].startswith("0")
    assert shown["in-attack value\nours"].startswith("2")
    assert any("the paper's MI is such a value" in line for line in doc.legend)
