"""A whole run: it learns, shows what it learnt, and keeps checkpoints by the original's names."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
from PIL import Image
from runs import SHORT, run, same, settings_of
from scenes import TASK, write_demonstrations
from support.lines import run_line
from support.training import job_in, judged_by

from cliport.agents import load
from cliport.agents.batch import Batch
from cliport.agents.imitation import falling
from cliport.agents.samples import batch_of
from cliport.agents.validation import wrapped
from cliport.config import TrainConfig
from cliport.data.reader import open_demonstrations
from cliport.finetune import earlier_training, finetune
from harness.checkpoint import find, find_weights
from harness.errors import CheckpointError, DataError, ParameterError
from harness.params import describe
from harness.report import Recorder
from harness.settings import merge

CONFIGS = Path(__file__).resolve().parents[4] / "configs" / "cliport"
PART = {"train__agent": "two_stream_clip_lingunet_transporter", "train__n_steps": 2, "train__validate_every": 2}


@pytest.mark.slow
def test_a_small_agent_learns_where_to_pick_and_to_place(tmp_path: Path) -> None:
    """Slow: 60 steps of training. One block, one bowl, unseen scenes: from chance to most picks and places right."""
    data, report = write_demonstrations(tmp_path / "data", train=60, val=16, blocks=1), Recorder()
    options = {"n_demos": 60, "n_val": 16, "n_steps": 60, "batch_size": 4, "lr": 2e-3, "validate_every": 60, "debug_images": 0}
    run(data, tmp_path, report, **{f"train__{key}": value for key, value in options.items()})
    losses = [value for _, value in report.scalars["loss", "vl"]]
    assert losses[-1] < 0.5 * losses[0]
    for title in ("attn_near", "trans_near"):
        (_, first), *_, (_, last) = report.scalars[title, "vl"]
        assert last > max(0.5, first), title
    assert report.scalars["attn_dist_err", "vl"][-1][1] < 0.3 * report.scalars["attn_dist_err", "vl"][0][1]


@pytest.fixture(scope="module")
def output(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def report(data: Path, output: Path) -> Recorder:
    report = Recorder()
    run(data, output, report, **PART, train__save_steps=[1], train__checkpoint_every=100)
    return report


def test_the_learning_rate_falls_over_the_share_of_the_steps_that_is_asked_for() -> None:
    assert [falling(step, 10, 0.4) for step in (0, 6, 8, 9, 10)] == [1, 1, 0.5, 0.25, 0]
    assert [falling(step, 10, 1) for step in (0, 5, 10)] == [1, 0.5, 0]
    assert {falling(step, 10, 0) for step in range(11)} == {1}


class TestWhatARunLeaves:
    def test_curves_bear_the_originals_names(self, report: Recorder) -> None:
        names = {f"{series}/{title}" for title, series in report.scalars}
        errors = {f"vl/{network}_{kind}_err" for network in ("attn", "trans") for kind in ("dist", "theta")}
        losses = {f"{part}/{title}" for part in ("tr", "vl") for title in ("loss", "attn/loss", "trans/loss")}
        assert errors | losses <= names
        turned = {"/".join(reversed(name.split("/", 1))) for name in errors | losses}  # title and series, as they are declared
        assert judged_by("cliport", report) == ("loss/vl", turned)
        assert [step for step, _ in report.scalars["loss", "tr"]] == [1, 2]
        assert [step for step, _ in report.scalars["loss", "vl"]] == [0, 1, 2]
        for part in ("tr", "vl"):
            parts = zip(*(report.scalars[title, part] for title in ("loss", "attn/loss", "trans/loss")), strict=True)
            assert all(loss == pytest.approx(attn + trans) for (_, loss), (_, attn), (_, trans) in parts)

    def test_heat_maps_are_shown(self, report: Recorder) -> None:
        title, _, picture, step = report.images[-1]
        assert (title, step) == ("pick and place", 2)
        assert isinstance(picture, Image.Image)

    def test_checkpoints_have_the_originals_names(self, report: Recorder, output: Path) -> None:
        losses = dict(report.scalars["loss", "vl"])
        names = {path.name for path in (output / "checkpoints").glob("*.ckpt")}
        assert names == {f"steps=00001-val_loss={losses[1]:0.8f}.ckpt", "best.ckpt", "last.ckpt", "step=00000002.ckpt"}
        best = torch.load(output / "checkpoints" / "best.ckpt", weights_only=True)
        assert best["val_loss"] == min(losses[1], losses[2])
        assert all(key.startswith(("attention.", "transport.")) for key in best["state_dict"])

    def test_last_holds_the_optimisers_state_and_the_others_what_an_agent_needs(self, report: Recorder, output: Path) -> None:
        folder = output / "checkpoints"
        last = torch.load(folder / "last.ckpt", weights_only=True)
        assert last["optimizer_states"][0]["state"]
        assert last["optimizer_states"][0]["param_groups"][0]["lr"] == 0  # fallen, by train.lr_decay
        assert last["global_step"] == 2
        assert not any(key in torch.load(folder / "best.ckpt", weights_only=True) for key in ("optimizer_states", "loops"))

    def test_an_agent_is_loaded_from_any_of_them(self, report: Recorder, output: Path) -> None:
        said: list[str] = []
        agents = [load(path, say=said.append) for path in sorted((output / "checkpoints").glob("*.ckpt"))]
        assert len(agents) == 4
        assert all(agent.config.agent == PART["train__agent"] for agent in agents)
        assert all("RANDOM" in text for text in said)
        states = [agent.state_dict() for agent in agents]
        assert same(states[1], states[2])  # last, step=00000002

    def test_results_say_that_the_frozen_weights_are_random(self, report: Recorder) -> None:
        assert "RANDOM" in report.artifacts["result"]["frozen weights"]
        assert any("RANDOM" in text for text in report.texts)

    def test_an_agent_trained_with_other_frozen_weights_is_refused(self, report: Recorder, output: Path, tmp_path: Path) -> None:
        content = torch.load(output / "checkpoints" / "best.ckpt", weights_only=True)
        content["cliport"]["trunk"]["fingerprint"] = "0" * 16
        torch.save(content, tmp_path / "best.ckpt")
        with pytest.raises(CheckpointError, match=r"trained with other frozen weights \(CLIP tiny-resnet has RANDOM weights"):
            load(tmp_path / "best.ckpt")

    def test_finetuning_keeps_what_is_shared_and_lists_what_is_not(
        self, report: Recorder, output: Path, data: Path, tmp_path: Path
    ) -> None:
        settings, again = settings_of({**PART, "train__trans_stream_fusion_type": "add", "train__lr": 1e-12}), Recorder()
        kept = finetune(job_in(tmp_path, settings, data, again, seed=5, init_from=find_weights(output)))
        before, after = load(output / "checkpoints" / "best.ckpt").state_dict(), load(kept / "last.ckpt").state_dict()
        assert after.keys() == before.keys() - {"transport.key.fusion.conv.1.weight", "transport.query.fusion.conv.1.weight"}
        assert all(torch.allclose(value, before[key], atol=1e-6) for key, value in after.items())
        assert any("not used: transport.key.fusion.conv.1.weight" in text for text in again.texts)
        assert [step for step, _ in again.scalars["loss", "tr"]] == [1, 2]  # counted anew


def test_finetuning_takes_sizes_that_are_not_stated_from_the_checkpoint(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "first", train__n_steps=1, model__width=4)
    run(data, tmp_path / "second", train__n_steps=1, init_from=find(tmp_path / "first"))
    assert load(tmp_path / "second" / "checkpoints" / "last.ckpt").config.width == 4


def test_finetuning_from_another_network_says_what_it_found(data: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {"attention.attn_stream_one.other.weight": torch.zeros(1)}}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match=r"shares no parameters with the agent transporter: it contains attention\.net\.\* \(1\)"):
        run(data, tmp_path, init_from=tmp_path / "last.ckpt")


def test_finetuning_starts_where_the_same_task_and_agent_have_learned_from_most(data: Path, tmp_path: Path) -> None:
    own, settings = tmp_path / f"{TASK}-transporter-n6-train", settings_of({})
    with pytest.raises(ParameterError, match=rf"init_from is required: .*{tmp_path.name} has no training of {TASK} by transporter"):
        earlier_training(job_in(own, settings))
    for number in (3, 20, 100):
        kept = tmp_path / f"{TASK}-transporter-n{number}-train" / "checkpoints"
        kept.mkdir(parents=True)
        for name in ("best.ckpt", "last.ckpt") if number < 100 else ():  # of the largest nothing is left
            (kept / name).touch()
    (tmp_path / f"{TASK}-cliport-n1000-train" / "checkpoints").mkdir(parents=True)
    (tmp_path / f"{TASK}-cliport-n1000-train" / "checkpoints" / "best.ckpt").touch()
    assert earlier_training(job_in(own, settings)) == tmp_path / f"{TASK}-transporter-n20-train/checkpoints/best.ckpt"


def test_shuffled_instructions_are_another_run(data: Path, tmp_path: Path) -> None:
    shared = {"train__n_steps": 2, "train__agent": "clip_lingunet_transporter", "train__debug_images": 0}
    given, shuffled = (run(data, tmp_path / way, **shared, train__instructions=way) for way in ("given", "shuffled"))
    assert not same(given, shuffled)


def test_half_precision_trains(data: Path, tmp_path: Path) -> None:
    report = Recorder()
    run(data, tmp_path, report, **PART, train__precision="bf16")
    assert all(10 < value < 30 for _, value in report.scalars["loss", "tr"])


def test_missing_demonstrations_are_told_with_the_command_that_makes_them(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has 6 complete demonstrations, but n=7 are needed; make more: python -m cliport\.demos n=7"):
        run(data, tmp_path, train__n_demos=7)


def test_the_error_of_an_angle_counts_whole_turns() -> None:
    """Not half ones: pointing the other way is wrong."""
    turn = 6.283185307179586
    assert [round(wrapped(angle), 6) for angle in (0, turn, -turn, 0.1, turn - 0.1, -0.1)] == [0, 0, 0, 0.1, 0.1, 0.1]
    assert wrapped(turn / 2) == pytest.approx(turn / 2)


def test_it_is_validated_on_the_demonstrations_of_mode_val_alone(data: Path, tmp_path: Path) -> None:
    """The reported distance is the kept agent's from the one pick of each of those; from as many to learn from it is another."""
    report = Recorder()
    run(data, tmp_path, report, train__n_steps=1, train__save_steps=[], train__debug_images=0)
    agent = load(tmp_path / "checkpoints" / "last.ckpt", say=lambda _: None).eval()

    def distance(mode: str) -> float:
        source = open_demonstrations(data, TASK, mode, 3)
        steps = Batch.stack([batch_of(source.sample(number, 0), agent.config, goal=False) for number in range(3)])
        with torch.no_grad():
            best = [divmod(int(scores.argmax()), 80) for scores in agent.pick_logits(steps)]  # of rows of 80 pixels, each of two
        return float(2 * (steps.pick - torch.tensor(best)).abs().sum(1).double().mean())

    assert report.scalars["attn_dist_err", "vl"][-1][1] == pytest.approx(distance("val"))
    assert distance("train") != pytest.approx(distance("val"))


def test_a_short_run_still_validates(data: Path, tmp_path: Path) -> None:
    """A fiftieth of 3 steps is none: then after each."""
    report = Recorder()
    run(data, tmp_path, report, train__n_steps=3, train__validate_every=None, train__save_steps=[])
    assert [step for step, _ in report.scalars["loss", "vl"]] == [0, 1, 2, 3]


def line(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m cliport.train` with CLIPORT_ROOT at `folder`."""
    return run_line("cliport.train", *arguments, folder=folder, CLIPORT_ROOT=str(folder))


@pytest.mark.slow
def test_the_command_line_trains_in_the_experiments_folder_and_goes_on_there(tmp_path: Path) -> None:
    """Slow: two programs whose ranks import PyTorch."""
    write_demonstrations(tmp_path / "data", train=2, val=1)
    changed = {"n_demos": 2, "n_val": 1, "batch_size": 1, "debug_images": 1, "n_steps": 3, "save_steps": "[2]", "checkpoint_every": 1}
    given = [f"{key}={value}" for key, value in {**SHORT, **{f"train.{key}": value for key, value in changed.items()}}.items()]
    first = line(tmp_path, *given)
    assert first.returncode == 0, first.stdout + first.stderr
    kept = tmp_path / "exps" / f"{TASK}-transporter-n2-train" / "checkpoints"
    assert {"last.ckpt", "best.ckpt"} < {path.name for path in kept.iterdir()}
    assert len(list(kept.glob("steps=00002-val_loss=*.ckpt"))) == 1
    assert list((kept.parent / "images").rglob("*.png"))

    given.remove("train.n_steps=3")
    longer = line(tmp_path, *given, "n_steps=4", "train.load_from_last_ckpt=True")
    assert f"continuing from {kept}/step=00000003.ckpt; to start over, add resume=anew" in longer.stdout
    assert torch.load(kept / "last.ckpt", weights_only=True)["global_step"] == 4


@pytest.mark.slow
def test_the_seed_s_line_finetunes_from_the_checkpoint_that_it_names(data: Path, tmp_path: Path) -> None:
    """Slow: a program whose rank imports PyTorch. The line of the README of a fork of CLIPort, with the sizes of a small agent."""
    made = tmp_path / "exps" / f"{TASK}-transporter-n6-train"
    before = run(data, made, train__n_steps=1, train__save_steps=[], train__debug_images=0)
    (tmp_path / "data").symlink_to(data)
    small = {"agent": "transporter", "n_steps": 1, "n_val": 1, "n_rotations": 4, "workers": 0, "debug_images": 0, "lr": 1e-9}
    theirs = {"attn_stream_fusion_type": "add", "trans_stream_fusion_type": "conv", "lang_fusion_type": "mult", "exp_folder": "exps"}
    stated = {"task": TASK, **small, **theirs, "n_demos": 3}
    arguments = [*(f"train.{key}={value}" for key, value in stated.items()), "dataset.cache=False", "wandb.run_name=mine"]
    named = f"finetune.pretrained_checkpoint=exps/{made.name}/checkpoints/last.ckpt"
    done = run_line("cliport.finetune", *arguments, named, folder=tmp_path, CLIPORT_ROOT=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wandb.run_name=mine has no effect" in done.stdout
    after = torch.load(tmp_path / "exps" / f"{TASK}-transporter-n3-train" / "checkpoints" / "last.ckpt", weights_only=True)
    after = {key.removeprefix("agent."): value for key, value in after["state_dict"].items()}
    before = {key.removeprefix("agent."): value for key, value in before.items()}
    assert after.keys() == before.keys()
    assert all(torch.allclose(value, before[key], atol=1e-6) for key, value in after.items())


def test_several_gpus_are_the_launchers_to_start(tmp_path: Path) -> None:
    done = line(tmp_path, "train.gpu=[0,1]")
    assert done.returncode == 2
    assert "train.gpu=[0, 1]: must be [0] or 0: each process uses one GPU" in done.stderr


def test_all_that_is_wrong_with_a_command_line_is_told_at_once(tmp_path: Path) -> None:
    wrong = ["train.agent=clipport", "train.task=put-block-in-bowl", "trian.n_steps=5", "train.lang_fusion_type=mul", "train.lr=-1"]
    done = line(tmp_path, *wrong)
    assert done.returncode == 2
    for hint in ("did you mean cliport?", "did you mean put-block-in-bowl-", "did you mean train.n_steps?", "did you mean mult?", "> 0"):
        assert hint in done.stderr, hint
    assert not (tmp_path / "exps").exists()


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*train*.yaml")), ids=lambda path: path.stem)
def test_a_config_opens_with_its_command_and_is_valid(config: Path) -> None:
    head = [line for line in config.read_text().splitlines() if line.startswith("#")]
    assert any(f"config={config.stem}" in line for line in head)
    merge(TrainConfig, config, ())


def test_every_setting_says_what_it_means() -> None:
    assert all(setting.help for setting in describe(TrainConfig))
