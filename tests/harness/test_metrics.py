"""Which scalars are better when they are smaller, by what is declared, else by the words of their names."""

from __future__ import annotations

import pytest

from harness.metrics import Metrics, guessed_lower

LOWER = [
    *(
        "train/loss",
        "valLoss",
        "MSELoss",
        "accuracy/loss",
        "CER/test_err",
        "top1Error",
        "attn_dist_err/vl",
        "word_error_rate/dev",
        "wer/test",
    ),
    *("val/perplexity", "ppl", "val/nll", "negative_log_likelihood/val", "cross_entropy", "bits_per_byte", "KL", "ECE"),
    *("depth/mae", "RMSE", "trainRMSE", "val/mse", "eval/fid", "fid_score", "LPIPS", "mean_rank/t2i", "meanRank", "median-rank/i2t"),
    *("latency/p95", "false.positives/val"),
]
HIGHER = [
    *("accuracy/top1", "val_acc", "loss/accuracy", "recall/text-to-image", "bbox/mAP", "mIoU", "AP", "AP50", "SSIM", "inception_score"),
    *("log_likelihood/val", "reciprocal_rank", "success/mean", "episode_return", "samples_per_second/train"),
    # with letters of other words in them: err, loss, time, fid, wer, mae
    *("terrain/score", "preferred/accuracy", "lossless/psnr", "terrible/score", "interior/f1", "blossom/x", "timely/x", "fidelity/x"),
    *("answered/x", "maestro/x"),
]


@pytest.mark.parametrize("name", LOWER)
def test_losses_errors_and_distances_are_better_low(name: str) -> None:
    assert guessed_lower(name)


@pytest.mark.parametrize("name", HIGHER)
def test_all_else_is_better_high(name: str) -> None:
    assert not guessed_lower(name)


def test_what_is_declared_goes_above_the_words() -> None:
    metrics = Metrics.of({"lower": ["effort/*", "regrasps/mean"], "higher": "loss/scale"})
    assert metrics.lower_is_better("effort/val")
    assert metrics.lower_is_better("regrasps/mean")
    assert not metrics.lower_is_better("loss/scale")
    assert metrics.lower_is_better("loss/val")
    assert not metrics.lower_is_better("regrasps/mean/x")


def test_a_star_matches_anything_and_every_other_character_itself() -> None:
    metrics = Metrics.of({"lower": ["a[b]/*", "why?/x", "*/*/end", "aim/" + "*a" * 30]})
    better_low = [
        name
        for name in ("a[b]/x", "ab/x", "why?/x", "whys/x", "a/b/end", "a/end", "aim/" + "a" * 5000 + "b")
        if metrics.lower_is_better(name)
    ]
    assert better_low == ["a[b]/x", "why?/x", "a/b/end"]


def test_the_main_one_comes_first_the_others_by_name() -> None:
    names = ["loss/val", "success/mean", "b/x", "a/x"]
    assert Metrics.of({"main": "success/mean"}).main_first(names) == ["success/mean", "a/x", "b/x", "loss/val"]
    assert Metrics.of({"main": ["zero-shot */top-1", "loss/val"]}).main_first(names)[0] == "loss/val"
    assert Metrics().main_first(names) == sorted(names)
    assert Metrics.of({"main": "success/mean"}).main_of(["a/x"]) is None


def test_a_task_carries_the_declaration() -> None:
    metrics = Metrics.of({"main": "success/mean", "lower": ["loss/val", "größe/*"]})
    assert Metrics.read(metrics.stated()) == metrics


@pytest.mark.parametrize("value", [None, "", "success", "[]", '{"main": 3}', '{"best": "a/b"}'])
def test_a_property_that_somebody_else_wrote_declares_nothing(value: str | None) -> None:
    assert Metrics.read(value) == Metrics()
