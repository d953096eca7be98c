"""What every published set has in common, on the smallest to make: the activity files."""

import pytest
import torch
from published import checked_refusal, packed, refusal

from uae_cli.datasets import Activity
from uae_cli.datasets.activity import SHAPES, URL

LOADER = Activity(name="activity", scaler_fit="train")


@pytest.fixture(scope="module")
def files():
    """The four files in their published form and size; only the first feature tells rows apart."""
    made = {}
    for name, (rows, columns) in SHAPES.items():
        if columns == 1:
            made[name] = "".join(f"{i % 6 + 1}\n" for i in range(rows))
        else:
            made[name] = "".join(f"{i / rows:.4f}{',0.5' * (columns - 1)}\n" for i in range(rows))
    return made


def put(root, files):
    (root / "dataset_uci").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (root / "dataset_uci" / name).write_text(content)


def test_the_published_split(tmp_path, files):
    put(tmp_path, files)
    data = LOADER.load(tmp_path, download=False)
    assert data.shape == (561,)
    assert (len(data.x_train), len(data.x_test)) == (4252, 1492)
    assert data.y_train[:8].tolist() == [0, 1, 2, 3, 4, 5, 0, 1]
    assert torch.equal(data.test_rows, torch.arange(4252, 5744))
    assert torch.equal(data.x_train[:, 0].argsort(), torch.arange(4252))
    assert LOADER.check(tmp_path, verify=False).note == ""
    assert "no checksum is known of this final_X_train.txt" in LOADER.check(tmp_path, verify=True).note


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        (
            "final_X_train.txt",
            lambda s: s.partition("\n")[2],
            "4,251 rows of 561 values; expected 4,252 rows",
        ),
        ("final_X_test.txt", lambda s: s.replace(",0.5\n", "\n"), "1,492 rows of 560 values"),
        ("final_X_test.txt", lambda s: s.replace("0.5", "x", 1), "corrupt or no table of numbers"),
        ("final_X_test.txt", lambda s: s.replace("0.5", "", 1), "no finite number in row 1, column 2"),
        ("final_X_test.txt", lambda s: s.replace("0.5", "inf", 1), "no finite number in row 1, column 2"),
        ("final_X_test.txt", lambda s: s + "1" + ",1" * 561, "corrupt or no table of numbers"),
        ("final_X_test.txt", lambda s: "", "corrupt or no table of numbers"),
        ("final_y_test.txt", lambda s: s.replace("6", "7"), "the labels aren't 1 to 6"),
        ("final_y_train.txt", lambda s: s.replace("6", "5"), "the labels aren't 1 to 6"),
    ],
)
def test_other_content_is_named(tmp_path, files, name, change, expected):
    put(tmp_path, {**files, name: change(files[name])})
    message = checked_refusal(LOADER, tmp_path)
    assert name in message
    assert expected in message
    assert "data.download=true" in LOADER.check(tmp_path, verify=True).remedy


def test_missing_files(tmp_path, files):
    put(tmp_path, {name: content for name, content in files.items() if name != "final_y_test.txt"})
    message = refusal(LOADER, tmp_path)
    assert "put dataset_uci/ with final_X_train.txt" in message
    assert "UAE_DATA or data.root=" in message
    found = LOADER.check(tmp_path, verify=True)
    assert not found.present
    assert "data.download=true (from UCI)" in found.remedy


@pytest.mark.parametrize("nested", [False, True])
def test_download_fetches_what_is_missing(tmp_path, files, network, nested):
    inner = packed({**files, "final_acc_train.txt": "0"}, "dataset_uci/")
    network[URL] = packed({"inner.zip": inner}) if nested else inner
    root = tmp_path / "not" / "yet"
    data = LOADER.load(root, download=True)
    assert sorted(path.name for path in (root / "dataset_uci").iterdir()) == sorted(SHAPES)
    network.clear()
    assert torch.equal(LOADER.load(root, download=True).x_train, data.x_train)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "Name or service not known"),
        (b"<html>moved</html>", "not a zip file"),
        (packed({"README.txt": "hello"}), "lacks final_X_train.txt"),
    ],
)
def test_a_failing_download_is_one_line_and_leaves_nothing(tmp_path, network, content, expected):
    if content is not None:
        network[URL] = content
    message = refusal(LOADER, tmp_path, download=True)
    assert f"download to {tmp_path} failed" in message
    assert expected in message
    assert "put dataset_uci/ with" in message
    assert not list((tmp_path / "dataset_uci").iterdir())


def test_scaling_on_all_rows(tmp_path, files):
    x_test = files["final_X_test.txt"].replace("0.5", "0.75", 1)
    put(tmp_path, {**files, "final_X_test.txt": x_test})
    both = Activity(name="activity", scaler_fit="all").load(tmp_path, download=False)
    assert float(both.x_test[0, 1]) == 1
