import numpy as np
import pytest

from uae_cli.datasets.numbers_file import check_range, read_numbers, whole_labels
from uae_cli.errors import DataError


def compressed(content):
    """Unix compress at its plainest: 9-bit codes, each a literal byte; the table is cleared in time."""
    clear, per_block = 256, 247
    codes = []
    for start in range(0, len(content), per_block):
        codes += [*content[start : start + per_block], clear]
    bits = "".join(f"{code:09b}"[::-1] for code in codes)
    bits += "0" * (-len(bits) % 8)
    return b"\x1f\x9d\x90" + bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))


def test_unix_compress_is_unpacked(tmp_path):
    expected = np.arange(600.0).reshape(200, 3)
    text = "".join(f"{a:.4f}, {b:.4f}, {c:.4f}\n" for a, b, c in expected)
    path = tmp_path / "numbers.data.Z"
    path.write_bytes(compressed(text.encode()))
    assert np.array_equal(read_numbers(path, (200, 3)), expected)


def test_what_is_no_compressed_file(tmp_path, monkeypatch):
    path = tmp_path / "numbers.data.Z"
    path.write_bytes(b"1, 2, 3")
    with pytest.raises(DataError, match=r"numbers\.data\.Z: corrupt: gzip: .*not in gzip format$"):
        read_numbers(path, (1, 3))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="needs gzip, which isn't installed"):
        read_numbers(path, (1, 3))


def test_labels_count_from_0(tmp_path):
    assert whole_labels(tmp_path, np.array([3.0, 1.0, 2.0]), 3).tolist() == [2, 0, 1]
    for wrong in ([1.0, 2.0], [0.0, 1.0, 2.0, 3.0], [1.0, 2.5, 2.0, 3.0]):
        with pytest.raises(DataError, match="aren't 1 to 3"):
            whole_labels(tmp_path, np.array(wrong), 3)


def test_ranges_include_their_ends(tmp_path):
    check_range(tmp_path, np.array([-1.0, 1.0]), -1, 1)
    for wrong in ([-1.01, 0.0], [0.0, 1.01]):
        with pytest.raises(DataError, match=r"expected \[-1, 1\]"):
            check_range(tmp_path, np.array(wrong), -1, 1)
