import gzip
import hashlib
import io
import pickle
import tarfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import published
import pytest
import torch
from pydantic import ValidationError
from scipy.io import savemat
from sklearn.datasets import load_digits
from torchvision.datasets import CIFAR10, MNIST, SVHN, FashionMNIST

from uae_cli.datasets import Digits, TorchvisionDataset
from uae_cli.datasets.images import DIGESTS

NAMES = ["mnist", "fashion_mnist", "svhn", "cifar10"]
N_TRAIN, N_TEST = 10, 4
DRAW = np.random.default_rng(0)


@dataclass
class Made:
    """One set in its published format: the files, what a loader should make of them, where they're from."""

    files: dict[str, bytes]
    x_train: np.ndarray
    y_train: list[int]
    online: dict[str, bytes]

    def put(self, root: Path) -> None:
        for name, content in self.files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def md5(content):
    return hashlib.md5(content).hexdigest()


def pixels(*shape):
    return DRAW.integers(0, 256, shape, dtype=np.uint8)


def idx(array):
    header = [0x0800 + array.ndim, *array.shape]
    return b"".join(n.to_bytes(4, "big") for n in header) + array.tobytes()


def make_idx(name, kind, monkeypatch):
    files, images, labels = {}, {}, {}
    for stem, n in (("train", N_TRAIN), ("t10k", N_TEST)):
        images[stem], labels[stem] = pixels(n, 28, 28), (np.arange(n) % 10).astype(np.uint8)
        files[f"{stem}-images-idx3-ubyte"] = idx(images[stem])
        files[f"{stem}-labels-idx1-ubyte"] = idx(labels[stem])
    packed = {f"{name}.gz": gzip.compress(content) for name, content in files.items()}
    sha256 = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    monkeypatch.setitem(DIGESTS, name, sha256)
    monkeypatch.setattr(kind, "resources", [(name, md5(content)) for name, content in packed.items()])
    return Made(
        files={f"{kind.__name__}/raw/{name}": content for name, content in files.items()},
        x_train=images["train"][:, None],
        y_train=labels["train"].tolist(),
        online={kind.mirrors[0] + name: content for name, content in packed.items()},
    )


def make_svhn(monkeypatch):
    files, online, splits = {}, {}, {}
    for split, n in (("train", N_TRAIN), ("test", N_TEST)):
        images, labels = pixels(32, 32, 3, n), np.arange(1, n + 1, dtype=np.uint8)[:, None]
        buffer = io.BytesIO()
        savemat(buffer, {"X": images, "y": labels}, do_compression=True)
        url, name, _ = SVHN.split_list[split]
        files[name] = online[url] = buffer.getvalue()
        splits[split] = [url, name, md5(files[name])]
        if split == "train":
            x_train = np.transpose(images, (3, 2, 0, 1))
    monkeypatch.setattr(SVHN, "split_list", splits)
    monkeypatch.setitem(DIGESTS, "svhn", {name: md5(content) for name, content in files.items()})
    # The published files write the digit 0 as 10.
    return Made(files=files, x_train=x_train, y_train=[1, 2, 3, 4, 5, 6, 7, 8, 9, 0], online=online)


def make_cifar10(monkeypatch):
    def batch(n):
        x, y = pixels(n, 3072), [i % 10 for i in range(n)]
        content = pickle.dumps({"data": x, "labels": y}, protocol=2)
        # The published pickles give dtype's flags as numbers, ('u1', 0, 1), which the first NumPy 2.4
        # warns of in words that every 2.4 still has for ('u1', 0): so that is put here.
        assert content.count(b"\x89\x88\x87") == 1
        return x, y, content.replace(b"\x89\x88\x87", b"K\x00\x86")

    train = {f"data_batch_{i}": batch(N_TRAIN // 5) for i in range(1, 6)}
    test = {"test_batch": batch(N_TEST)}
    meta = pickle.dumps({"label_names": [str(i) for i in range(10)]})
    files = {f"cifar-10-batches-py/{name}": content for name, (_, _, content) in (train | test).items()}
    files["cifar-10-batches-py/batches.meta"] = meta
    digests = {Path(name).name: md5(content) for name, content in files.items()}
    monkeypatch.setitem(DIGESTS, "cifar10", digests)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    for attribute, batches in (("train_list", train), ("test_list", test)):
        listed = [[name, md5(content)] for name, (_, _, content) in batches.items()]
        monkeypatch.setattr(CIFAR10, attribute, listed)
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5(meta)})
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(buffer.getvalue()))
    return Made(
        files=files,
        x_train=np.concatenate([x for x, _, _ in train.values()]).reshape(-1, 3, 32, 32),
        y_train=[label for _, y, _ in train.values() for label in y],
        online={CIFAR10.url: buffer.getvalue()},
    )


@pytest.fixture
def make(monkeypatch):
    makers = {
        "mnist": lambda: make_idx("mnist", MNIST, monkeypatch),
        "fashion_mnist": lambda: make_idx("fashion_mnist", FashionMNIST, monkeypatch),
        "svhn": lambda: make_svhn(monkeypatch),
        "cifar10": lambda: make_cifar10(monkeypatch),
    }
    return lambda name: makers[name]()


def refusal(name, root, *, download=False):
    message = published.refusal(TorchvisionDataset(name=name), root, download=download)
    assert message.startswith(f"dataset {name}: ")
    return message


def check_content(data, made):
    assert torch.equal(data.x_train, torch.from_numpy(made.x_train.copy()) / 255)
    assert data.x_train.is_contiguous()
    assert data.x_train.dtype == torch.float32
    assert data.y_train.tolist() == made.y_train
    assert data.y_train.dtype == torch.int64
    assert len(data.x_test) == len(data.y_test) == N_TEST


@pytest.mark.parametrize("name", NAMES)
def test_torchvisions_own_files_are_read(name, make, tmp_path):
    made = make(name)
    made.put(tmp_path)
    loader = TorchvisionDataset(name=name)
    data = loader.load(tmp_path, download=False)
    check_content(data, made)
    assert "torchvision" in data.source
    found = loader.check(tmp_path, verify=True)
    assert (found.present, found.problem) == (True, "")
    assert found.size_bytes == sum(map(len, made.files.values()))


def test_the_checksums_are_those_of_torchvision():
    assert DIGESTS["svhn"] == {
        SVHN.split_list[split][1]: SVHN.split_list[split][2] for split in ("train", "test")
    }
    listed = dict([*CIFAR10.train_list, *CIFAR10.test_list])
    assert DIGESTS["cifar10"] == {**listed, CIFAR10.meta["filename"]: CIFAR10.meta["md5"]}


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.4.0", reason="this NumPy does not warn")
def test_the_made_cifar_pickles_do_provoke_numpys_warning(make):
    content = make("cifar10").files["cifar-10-batches-py/test_batch"]
    with pytest.warns(np.exceptions.VisibleDeprecationWarning, match="align should be passed"):
        pickle.loads(content, encoding="latin1")


def test_reading_cifar_leaves_other_warnings_alone(make, tmp_path):
    make("cifar10").put(tmp_path)
    before = list(warnings.filters)
    TorchvisionDataset(name="cifar10").load(tmp_path, download=False)
    assert warnings.filters == before


@pytest.mark.parametrize("name", NAMES)
def test_every_damaged_file_is_found_by_its_checksum(name, make, tmp_path, flip):
    made = make(name)
    loader = TorchvisionDataset(name=name)
    for damaged in made.files:
        made.put(tmp_path)
        flip(tmp_path / damaged, len(made.files[damaged]) - 1)
        message = refusal(name, tmp_path)
        what = f"{Path(damaged).name} in {(tmp_path / damaged).parent}: corrupt"
        assert what in message
        assert "delete" in message
        found = loader.check(tmp_path, verify=True)
        assert found.present
        assert what in found.problem
        assert loader.check(tmp_path, verify=False).problem == ""


@pytest.mark.parametrize("name", NAMES)
def test_missing_files_are_named_with_the_way_to_get_them(name, make, tmp_path):
    made = make(name)
    made.put(tmp_path)
    *_, lost = made.files
    (tmp_path / lost).unlink()
    message = refusal(name, tmp_path)
    place = f"{Path(lost).name} in {(tmp_path / lost).parent}"
    assert f"no {place}; run with data.download=true" in message
    assert f"or put {place}, or {name}.npz in {tmp_path}, or" in message
    assert "data.download=true" in message
    assert "UAE_DATA or data.root=" in message
    found = TorchvisionDataset(name=name).check(tmp_path, verify=True)
    assert not found.present
    assert f"put {Path(lost).name} in" in found.remedy


@pytest.mark.parametrize("name", NAMES)
def test_an_npz_stands_in_for_missing_files(name, tmp_path, arrays):
    np.savez(tmp_path / f"{name}.npz", **arrays)
    loader = TorchvisionDataset(name=name)
    data = loader.load(tmp_path, download=True)
    assert (data.name, data.note, len(data.x_train)) == (name, "a made set", 6)
    assert data.source.startswith(f"{name}.npz in place of torchvision")
    found = loader.check(tmp_path, verify=True)
    assert (found.present, found.path) == (True, tmp_path / f"{name}.npz")


def test_torchvisions_own_files_come_before_an_npz(make, tmp_path, arrays):
    made = make("mnist")
    made.put(tmp_path)
    np.savez(tmp_path / "mnist.npz", **arrays)
    check_content(TorchvisionDataset(name="mnist").load(tmp_path, download=False), made)


def test_old_unchecked_copies_of_mnist_are_not_read(make, tmp_path):
    made = make("mnist")
    made.put(tmp_path)
    processed = tmp_path / "MNIST" / "processed"
    processed.mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(3, 28, 28, dtype=torch.uint8), torch.zeros(3)), processed / name)
    check_content(TorchvisionDataset(name="mnist").load(tmp_path, download=False), made)


@pytest.mark.parametrize("name", NAMES)
def test_download_fetches_what_is_missing(name, make, network, tmp_path):
    made = make(name)
    network.update(made.online)
    root = tmp_path / "not" / "yet"
    check_content(TorchvisionDataset(name=name).load(root, download=True), made)
    network.clear()
    check_content(TorchvisionDataset(name=name).load(root, download=True), made)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("network")
def test_a_failing_download_is_one_line(name, make, tmp_path):
    make(name)
    message = refusal(name, tmp_path, download=True)
    assert f"download to {tmp_path} failed" in message
    assert "Name or service not known" in message
    assert f"{name}.npz in {tmp_path}" in message


@pytest.mark.parametrize("name", NAMES)
def test_a_download_with_a_wrong_checksum_is_refused(name, make, network, tmp_path):
    made = make(name)
    network.update({url: content + b"!" for url, content in made.online.items()})
    assert "corrupted" in refusal(name, tmp_path, download=True)


def test_a_root_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    assert "failed" in refusal("svhn", tmp_path / "file" / "root", download=True)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValidationError, match="cifar100"):
        TorchvisionDataset(name="cifar100")


@pytest.mark.parametrize(
    ("name", "shape", "sizes", "mean"),
    [
        ("mnist", (1, 28, 28), (60000, 10000), 0.1307),
        ("fashion_mnist", (1, 28, 28), (60000, 10000), 0.2860),
        ("cifar10", (3, 32, 32), (50000, 10000), 0.4734),
        ("svhn", (3, 32, 32), (73257, 26032), 0.4514),
    ],
)
def test_real_sets(load_real, name, shape, sizes, mean):
    data = load_real(TorchvisionDataset(name=name))
    assert data.shape == shape
    assert (len(data.x_train), len(data.x_test)) == sizes
    assert float(data.x_train.mean()) == pytest.approx(mean, abs=5e-4)
    assert data.y_train.unique().tolist() == list(range(10))


DIGITS = Digits(name="digits")
NOWHERE = Path("/nonexistent")


def test_digits_are_images_in_the_unit_interval():
    data = DIGITS.load(NOWHERE, download=False)
    assert data.shape == (1, 8, 8)
    assert (len(data.x_train), len(data.x_test)) == (1437, 360)
    assert data.x_train.dtype == torch.float32
    assert (float(data.x_train.min()), float(data.x_train.max())) == (0.0, 1.0)


def test_every_digit_lands_in_one_split_with_its_label():
    data = DIGITS.load(NOWHERE, download=False)
    pixels = (torch.cat([data.x_train, data.x_test]) * 16).int().flatten(1)
    rows = [
        (*x, y) for x, y in zip(pixels.tolist(), torch.cat([data.y_train, data.y_test]).tolist(), strict=True)
    ]
    original = load_digits()
    expected = [
        (*x, y) for x, y in zip(original.data.astype(int).tolist(), original.target.tolist(), strict=True)
    ]
    assert sorted(rows) == sorted(expected)


def test_the_split_is_fixed_and_keeps_the_share_of_each_class():
    first, second = (DIGITS.load(NOWHERE, download=False) for _ in range(2))
    assert torch.equal(first.x_train, second.x_train)
    assert torch.equal(first.y_test, second.y_test)
    share = first.y_test.bincount() / (first.y_test.bincount() + first.y_train.bincount())
    assert torch.all((share - 0.2).abs() < 0.01)


def test_row_numbers_lead_back_to_the_source():
    data = DIGITS.load(NOWHERE, download=False)
    assert (load_digits().target[data.test_rows] == data.y_test.numpy()).all()
    assert len({*data.train_rows.tolist(), *data.test_rows.tolist()}) == 1797


def test_digits_are_always_present():
    found = DIGITS.check(NOWHERE, verify=True)
    assert (found.present, found.problem, found.path) == (True, "", None)
    assert "scikit-learn" in found.source
