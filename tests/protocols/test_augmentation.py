import pytest
import torch

from uae_cli.attacks import squared_error

ADVERSARIAL = ("mine_uae", "l2_uae", "criterion_only")
ARMS = ["original", "replicate", *ADVERSARIAL, "gaussian_1e-2", "gaussian_1e-3", "matched_noise"]


@pytest.fixture
def run(make_stages, tensorboard):
    """A whole run and its stages."""

    def make(*overrides: str):
        stages = make_stages("augmentation.draws=2", *overrides)
        stages.on_epoch = tensorboard.epoch
        return {result.arm: result for result in stages.experiment.protocol.run(stages).lines}, stages

    return make


def test_every_arm_has_its_result_and_its_metrics(run):
    results, _ = run()
    errors, judged = {"test_mse", "train_mse"}, {"asr", "perturbation_l2", "seconds_per_sample"}
    assert list(results) == ARMS
    assert {name: len(result.draws) for name, result in results.items() if len(result.draws) > 1} == {
        "gaussian_1e-2": 2,
        "gaussian_1e-3": 2,
    }
    for name in ("original", "replicate"):
        assert results[name].draws[0].keys() == errors
    for name in ARMS[3:]:
        assert all(draw.keys() == errors | judged for draw in results[name].draws)
    assert results["mine_uae"].draws[0].keys() - errors - judged <= {"in_attack_value", "in_attack_ln_k"}


def test_errors_are_means_over_samples_and_pixels_of_each_arms_own_model(run):
    results, stages = run()
    for result in results.values():
        for split, x in (("test", stages.data.x_test), ("train", stages.data.x_train)):
            with torch.no_grad():
                expected = float((result.fitted.model(x) - x).square().mean())
            assert result.draws[0][f"{split}_mse"] == pytest.approx(expected, rel=1e-5)


def test_arms_are_compute_matched_to_replicate(run):
    results, stages = run()
    trained = {name: result.fitted.stage.read_json("inputs.json") for name, result in results.items()}
    assert {name: inputs["epochs"] for name, inputs in trained.items()} == dict.fromkeys(ARMS, 3) | {
        "original": 2
    }
    assert len({inputs["samples"] for inputs in trained.values()}) == len(ARMS)
    for name in ARMS[1:]:
        assert results[name].extra.x.shape == stages.data.x_train.shape
        shared = {key: trained[name][key] for key in ("network", "trainer", "seed")}
        assert shared == {key: trained["replicate"][key] for key in shared}


def test_success_is_judged_on_the_saved_samples(run):
    results, stages = run()
    x, model = stages.data.x_train, results["original"].fitted.model
    for name in ARMS[2:]:
        uae, draw = results[name].extra.x, results[name].draws[0]
        with torch.no_grad():
            better = squared_error(x, model(uae)) <= squared_error(x, model(x))
        moved = (uae != x).flatten(1).any(1)
        assert draw["asr"] == pytest.approx(100 * float((better & moved).float().mean()))
        assert draw["perturbation_l2"] == pytest.approx(float((uae - x).flatten(1).norm(dim=1).mean()))
    attacked = results["l2_uae"]
    assert attacked.draws[0]["asr"] == pytest.approx(100 * float(attacked.extra.success.float().mean()))


def test_samples_that_did_not_move_are_no_successes(run):
    """From δ = 0 with a step below the smallest float, f = 0 everywhere, and nothing was found."""
    results, _ = run("attack.alpha=1e-60", "attack.delta_start=zero")
    for name in ADVERSARIAL:
        assert results[name].draws[0]["asr"] == results[name].draws[0]["perturbation_l2"] == 0
        assert not bool(results[name].extra.success.any())
        assert bool(results[name].extra.similarity.isnan().all())


def test_matched_noise_is_as_large_as_the_uaes(run):
    results, _ = run()
    assert results["matched_noise"].draws[0]["perturbation_l2"] == pytest.approx(
        results["mine_uae"].draws[0]["perturbation_l2"], rel=1e-4
    )


def test_a_second_run_computes_nothing_and_finds_the_same(run):
    first, _ = run()
    again, stages = run()
    assert all(cost["reused"] for cost in stages.store.costs)
    for name in ARMS:
        ours, theirs = (dict(results[name].draws[0]) for results in (first, again))
        if name not in ADVERSARIAL:  # noise is made anew, in its own time
            ours.pop("seconds_per_sample", None)
            theirs.pop("seconds_per_sample", None)
        assert ours == theirs


def test_draws_differ(run):
    results, _ = run()
    first, second = results["gaussian_1e-2"].draws
    assert first["train_mse"] != second["train_mse"]


def test_tensorboard_hears_of_every_epoch_of_every_fit(run, tensorboard):
    results, _ = run()
    assert {label: len(losses) for label, losses in tensorboard.losses.items()} == {
        "original": 2,
        **dict.fromkeys(("replicate", *ADVERSARIAL, "matched_noise"), 3),
        **{f"gaussian_1e-{power} draw {draw}": 3 for power in (2, 3) for draw in (1, 2)},
    }
    assert tensorboard.losses["original"] == results["original"].fitted.history.losses


def test_samples_set_aside_are_judged_on_and_neither_trained_on_nor_attacked(run):
    results, stages = run("data.validation_share=0.25", "arm=[replicate,mine_uae]")
    data = stages.data
    assert (len(data.x_train), len(data.x_validation)) == (18, 6)
    for result in results.values():
        with torch.no_grad():
            expected = float((result.fitted.model(data.x_validation) - data.x_validation).square().mean())
        assert result.draws[0]["validation_mse"] == pytest.approx(expected, rel=1e-5)
        assert "validation_train_mse" not in result.draws[0]
    assert len(results["mine_uae"].extra.x) == 18


def test_setting_nothing_aside_is_as_if_the_setting_were_not_there(run):
    plain, _ = run("arm=[replicate]")
    zero, stages = run("arm=[replicate]", "data.validation_share=0.0")
    assert all(cost["reused"] for cost in stages.store.costs)
    assert plain["replicate"].draws == zero["replicate"].draws


def test_given_weights_are_the_original_and_what_is_retrained_starts_from_scratch(run, tmp_path):
    plain, _ = run("outputs=" + str(tmp_path / "plain"), "arm=[replicate,criterion_only]")
    given = {name: 0.9 * value for name, value in plain["original"].fitted.model.state_dict().items()}
    torch.save(given, tmp_path / "mine.pt")
    results, stages = run("arm=[replicate,criterion_only]", f"++model.weights={tmp_path / 'mine.pt'}")
    original, replicate = (results[name].fitted.model.state_dict() for name in ("original", "replicate"))
    assert all(torch.equal(value, given[name]) for name, value in original.items())
    assert results["original"].epochs == 0
    scratch = plain["replicate"].fitted.model.state_dict()
    assert all(torch.equal(value, scratch[name]) for name, value in replicate.items())
    assert not torch.equal(results["criterion_only"].extra.x, plain["criterion_only"].extra.x)
    attacked = stages.store.stages["attack criterion_only"].read_json("inputs.json")
    assert attacked["model"] == results["original"].fitted.stage.key
