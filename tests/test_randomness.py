import pytest
import torch

from uae_cli.randomness import derive_seed, generator, uniform

INDEX = torch.tensor([0, 1, 2, 7, 59_999, 2**40])
WORD = 2**64
GOLDEN = 0x9E3779B97F4A7C15


def splitmix(z: int) -> int:
    """The finaliser as its authors print it, in unsigned 64-bit arithmetic."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


def by_hand(seed: int, stream: str, index: int, count: int) -> list[float]:
    key = splitmix((index * GOLDEN + derive_seed(seed, stream)) % WORD)
    top = [splitmix((key + i * GOLDEN) % WORD) >> 40 for i in range(1, count + 1)]
    return [(bits + 2**23) % 2**24 / 2**24 for bits in top]


def draw(seed=0, stream="a", index=INDEX, count=9, dtype=torch.float64):
    return uniform(seed, stream, index, count, dtype)


def test_the_numbers_are_splitmix_of_their_coordinates():
    expected = [by_hand(3, "delta", int(i), 9) for i in INDEX]
    assert draw(3, "delta").tolist() == expected


@pytest.mark.parametrize("order", [[5, 0, 3, 1, 4, 2], [4], [2, 2, 0]])
def test_a_sample_has_its_numbers_whatever_its_batch(order):
    assert torch.equal(draw(index=INDEX[order]), draw()[order])


def test_more_numbers_begin_with_the_fewer():
    assert torch.equal(draw(count=50)[:, :9], draw())


def test_single_and_double_precision_get_equal_numbers():
    assert torch.equal(draw(count=5000, dtype=torch.float32).double(), draw(count=5000))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_numbers_are_uniform_on_the_half_open_unit_interval(dtype):
    numbers = draw(index=torch.arange(500), count=2000, dtype=dtype)
    assert 0 <= float(numbers.min()) < 1e-5
    assert 1 - 1e-5 < float(numbers.max()) < 1
    assert float(numbers.double().mean()) == pytest.approx(1 / 2, abs=2e-3)
    assert float(numbers.double().var()) == pytest.approx(1 / 12, abs=5e-4)
    counts = torch.histc(numbers.double(), 16, 0, 1)
    assert float(((counts - 62_500) ** 2 / 62_500).sum()) < 44  # chi² with 15 degrees: p = 1e-4


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"stream": "b"}, {"index": torch.arange(1, 501)}],
    ids=["seed", "stream", "neighbour"],
)
def test_seeds_streams_and_samples_are_independent(other):
    ours = {"index": torch.arange(500), "count": 400}
    a, b = draw(**ours).flatten(), draw(**(ours | other)).flatten()
    assert abs(float(torch.corrcoef(torch.stack([a, b]))[0, 1])) < 0.01  # σ = 1/√200,000
    assert not bool((a == b).all())


def test_consecutive_numbers_of_a_sample_are_independent():
    row = draw(index=torch.tensor([5]), count=100_001)[0]
    assert abs(float(torch.corrcoef(torch.stack([row[1:], row[:-1]]))[0, 1])) < 0.015


def test_generators_repeat_for_a_stream_and_differ_between_streams():
    def numbers(seed, stream):
        return torch.rand(8, generator=generator(seed, stream, torch.device("cpu"))).tolist()

    assert numbers(0, "shuffle") == numbers(0, "shuffle")
    assert numbers(0, "shuffle") != numbers(0, "weights")
    assert numbers(0, "shuffle") != numbers(1, "shuffle")


def test_derived_seeds_are_63_bits_and_tell_seed_from_stream():
    seeds = [derive_seed(seed, stream) for seed in range(40) for stream in ("", "1", "a", "a/b")]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert len(set(seeds)) == len(seeds)
