"""A user's own LightningDataModule can be trained on, evaluated and resumed like pairs in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from runs import run, same
from torch.utils.data import DataLoader

from clip_training.batch_sampler import ResumableBatchSampler
from clip_training.config import DataConfig, ModelConfig, TrainConfig
from clip_training.data_module import ModulePairs
from clip_training.dataloaders import check, datasets, make_loaders
from clip_training.model import Clip, make_clip
from clip_training.pairs import HeldOut, Pairs
from clip_training.training_loop import sampler_of
from harness.checkpoint import find
from harness.errors import DataError, ParameterError
from harness.report import Recorder
from harness.settings import merge

OWN = {"data__module": "own_data_module:Module", "data__workers": 4, "data__keep_in_memory": False, "train__batch_size": 5}


@pytest.fixture
def clip(tiny_model: Path) -> Clip:
    return make_clip(ModelConfig(name=str(tiny_model)))


def settings_of(**options: object) -> TrainConfig:
    stated = {
        "data.module": "own_data_module:Module",
        "train.batch_size": 5,
        **{key.replace("__", "."): value for key, value in options.items()},
    }
    return merge(TrainConfig, None, [(key.replace("__", "."), value) for key, value in stated.items()])


def data_of(clip: Clip, **options: object) -> tuple[Pairs, HeldOut]:
    settings = settings_of(**options)
    return datasets(clip, settings.data, None, 0, settings.train.batch_size)


@pytest.mark.parametrize(
    ("name", "options"), [("Module", {}), ("Module", {"workers": 2}), ("Module", {"floats": True}), ("Persistent", {"workers": 2})]
)
def test_a_resumed_run_ends_like_an_uninterrupted_one(name: str, options: dict[str, object], tiny_model: Path, tmp_path: Path) -> None:
    """Even though the module's loader shuffles and its dataset draws random numbers, also in workers that persist."""
    common = {**OWN, "data__module": f"own_data_module:{name}", "data__module_options": options}
    report = Recorder()
    unbroken = run(None, tmp_path / "run", tiny_model, report, **common)
    assert any("persistent workers are started anew in each epoch" in text for text in report.texts) == (name == "Persistent")
    assert "20 training pairs, 8 held out; 4 steps of 5 pairs per epoch, 16 in all" in report.texts[1]
    assert report.scalars["recall@1", "chance"][0][1] == pytest.approx(1 / 8)
    for step, every in ((12, 6), (15, 5)):  # between two epochs, and within one
        run(None, tmp_path / f"{step}", tiny_model, train__checkpoint_every=every, **common)
        checkpoint = find(tmp_path / f"{step}/checkpoints/step={step:08d}.ckpt")
        assert same(run(None, tmp_path / "again", tiny_model, resume=checkpoint, **common), unbroken), step
    assert not same(run(None, tmp_path / "other", tiny_model, seed=1, **common), unbroken)


def test_a_loader_whose_batches_come_in_any_order_is_told(clip: Clip) -> None:
    training, _ = data_of(clip, data__module_options={"workers": 2})
    assert isinstance(training, ModulePairs)
    assert training.notes() == []
    training.batches = DataLoader(training.batches.dataset, 5, num_workers=2, in_order=False)
    (note,) = training.notes()
    assert "a resumed run differs from an uninterrupted one" in note


def test_texts_may_be_tokens_and_equal_texts_count_as_one_caption(tiny_model: Path, tmp_path: Path) -> None:
    report = Recorder()
    run(None, tmp_path, tiny_model, report, **{**OWN, "data__module": "own_data_module:Tokens"}, train__epochs=20)
    assert report.scalars["recall@1", "chance"][0][1] == pytest.approx(1 / 4)  # two pairs of each colour
    assert report.scalars["loss", "train"][-1][1] < report.scalars["loss", "train"][0][1]
    assert report.images  # its held-out images with their texts


def test_every_epoch_is_shuffled_differently(clip: Clip) -> None:
    training, heldout = data_of(clip)
    seen = []
    for step in (0, 4, 8):
        batches = ResumableBatchSampler(len(training), 5, seed=0, step=lambda step=step: step)
        loader, _ = make_loaders(training, heldout, batches, settings_of())
        seen.append([batch.tokens[:, 4].tolist() for batch in loader])
        assert len(seen[-1]) == len(loader) == 4
    assert seen[0] != seen[1] != seen[2] != seen[0]


@pytest.mark.parametrize("done", range(4))
def test_iteration_starts_at_the_current_step(done: int, clip: Clip) -> None:
    training, heldout = data_of(clip)
    samplers = [ResumableBatchSampler(20, 5, seed=0, step=lambda at=at: at) for at in (0, done)]
    loaders = [make_loaders(training, heldout, sampler, settings_of())[0] for sampler in samplers]
    whole, rest = map(list, loaders)
    assert all(torch.equal(one.images, other.images) for one, other in zip(whole[done:], rest, strict=True))


def test_ranks_share_the_batches(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    shares, heldout = [], []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        settings = settings_of(data__module_options={"draws": False})
        training, held = datasets(clip, settings.data, None, 0, settings.train.batch_size)
        batches = sampler_of(training, settings, 0)
        batches.step = lambda: 0
        loaders = make_loaders(training, held, batches, settings)
        shares.append([row for batch in loaders[0] for row in batch.index.tolist()])
        heldout.append([index for batch in loaders[1] for index in batch.index.tolist()])
        assert [held.caption(index) for index in range(8)][5] == "a green square 5"  # each rank knows all texts
        assert len(loaders[0]) == 2
    assert sorted(shares[0] + shares[1]) == list(range(20))
    assert sorted(heldout[0] + heldout[1]) == list(range(8))


def test_uint8_images_are_normalised_and_floating_point_images_are_not(clip: Clip) -> None:
    for floats, dtype in ((False, torch.uint8), (True, torch.float32)):
        settings = settings_of(data__module_options={"floats": floats, "draws": False})
        training, heldout = datasets(clip, settings.data, None, 0, settings.train.batch_size)
        loader, _ = make_loaders(training, heldout, ResumableBatchSampler(20, 5, seed=0), settings)
        batch = next(iter(loader))
        assert (batch.images.dtype, batch.images.shape) == (dtype, (5, 3, 32, 32))
        picture, (text,) = read(heldout, 0)
        assert text == "a red square 0"
        if not floats:
            assert picture.getpixel((3, 3)) == (210, 40, 40)


def read(heldout: object, index: int) -> tuple[object, list[str]]:
    list(heldout.loader())
    return heldout.read(index)


class TestErrors:
    @pytest.mark.parametrize(
        ("module", "told"),
        [
            ("own_data_module", "the format is package.module:Class"),
            ("own_modul:Module", "No module named 'own_modul'"),
            ("own_data_module:Modul", "has no attribute 'Modul'"),
            ("own_data_module:Squares", "is not a lightning.pytorch LightningDataModule"),
            ("own_data_module:Endless", "train_dataloader() must return one loader that has a length"),
            (".:x", "cannot be imported"),
        ],
    )
    def test_an_unusable_module(self, module: str, told: str, clip: Clip) -> None:
        with pytest.raises(ParameterError) as error:
            data_of(clip, data__module=module)
        assert told in str(error.value)

    def test_unknown_options_of_the_module(self, clip: Clip) -> None:
        with pytest.raises(ParameterError, match=r"data\.module_options=\{'cout': 3\}: .* does not accept them: .*'cout'"):
            data_of(clip, data__module_options={"cout": 3})

    def test_batches_of_another_size(self, clip: Clip) -> None:
        with pytest.raises(ParameterError, match=r"train\.batch_size=6: must equal the batch size of data\.module=.*, which is 5"):
            data_of(clip, train__batch_size=6)

    @pytest.mark.parametrize(
        ("what", "told"),
        [
            ("images only", "must be a tuple of images and texts, not Tensor"),
            ("small", r"must be a tensor \(B, 3, 32, 32\), not \(5, 3, 32, 16\)"),
            ("few", "must be 5 strings or a tensor of tokens"),
            ("numbers", "must be 5 strings or a tensor of tokens"),
        ],
    )
    def test_batches_of_another_form(self, what: str, told: str, tiny_model: Path, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=told):
            run(None, tmp_path, tiny_model, **{**OWN, "data__module": "own_data_module:Wrong", "data__module_options": {"what": what}})

    def test_all_settings_without_effect_are_listed_together(self, tmp_path: Path) -> None:
        data = DataConfig(module="own_data_module:Module", heldout=0.3, stream="s3://bucket/x", format="table", workers=0)
        with pytest.raises(ParameterError) as error:
            check(data, tmp_path)
        assert error.value.problems == [
            "dataset_id or dataset_path and data.stream and data.module cannot be combined: each names the data",
            "data.heldout=0.3: has no effect with data.module, which reads, splits and loads the data itself",
            "data.workers=0: has no effect with data.module, which reads, splits and loads the data itself",
            "data.format=table: has no effect with data.module, which reads, splits and loads the data itself",
        ]

    def test_too_few_whole_batches(self, clip: Clip) -> None:
        training, _ = data_of(clip, data__module_options={"count": 4})
        with pytest.raises(DataError, match="0 training pairs are fewer than one step needs"):
            sampler_of(training, settings_of(), 0)
