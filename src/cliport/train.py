"""Train an agent on demonstrations.

python -m cliport.train train.task=put-block-in-bowl-seen-colors train.agent=cliport train.n_demos=100 train.n_steps=10000

An interrupted run continues from its last checkpoint. Options (key=value):
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported, so that a mistake in the command line is reported at once
    from harness.entry import enter

    enter("cliport", "train", __doc__)

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from torch.utils.data import DataLoader

from harness import Job
from harness.report import Report
from harness.torch.callbacks import ReportTraining, SaveAndStop, SeedEachStep
from harness.torch.distributed import share_of_rank
from harness.torch.finite import Finite
from harness.torch.resume import check, stated
from harness.torch.seeds import seed_everything
from harness.torch.trainer import make_trainer
from harness.torch.workers import worker_count
from harness.world import rank, world_size

from .agents.agent import Agent, make
from .agents.batch import Batch
from .agents.checkpoint import config_in, description, description_of, geometry_in, share, weights_in
from .agents.config import SIZES, AgentConfig
from .agents.frozen import Weights
from .agents.imitation import Imitation, KeepLast, ReportParts, Validate
from .agents.samples import RandomSamples, StepSampler, ValidationSamples
from .config import RESUMABLE, ModelConfig, TrainConfig
from .data.episode_source import EpisodeSource
from .data.reader import open_demonstrations
from .layout import CHECKPOINTS

FUSION_KEYS = ("attn_stream_fusion_type", "trans_stream_fusion_type", "lang_fusion_type")


def train(job: Job) -> Path:
    """Train an agent and return the folder of its checkpoints.

    Args:
        job: its settings are a TrainConfig, its dataset is the folder of the demonstrations `<task>-train` and `<task>-val`, and its
            `init_from` a checkpoint, ours or the original's, whose parameters are kept where they match the agent's.

    Raises:
        HarnessError: for unusable settings, demonstrations or weights, and when training diverges.
        SystemExit: with code 143, after a SIGTERM and a last checkpoint.
    """
    settings: TrainConfig = job.settings
    check(job, RESUMABLE, description_of)
    seed_everything(job.seed)
    loop = settings.train
    assert job.dataset is not None  # workload.yaml requires it
    demonstrations, validation = open_sources(settings, job.dataset)
    agent, weights = make_agent(settings, job.seed, job.report, job.init_from, demonstrations.geometry)
    for name, source in (("training", demonstrations), ("validation", validation)):
        if source.geometry != agent.cells:
            job.report.text(
                f"the agent expects height maps of {agent.cells} geometry, and those of the {name} have {source.geometry} geometry: "
                f"they are half a pixel apart; model.geometry={source.geometry} matches them"
            )
    about = description(agent, weights)
    global_batch = loop.batch_size * world_size()
    job.report.text(
        f"{loop.agent}: {sum(parameter.numel() for parameter in agent.parameters()):,} parameters; {agent.origin}; "
        f"{len(demonstrations)} demonstrations of {loop.task}, {loop.n_val} to validate on; {loop.n_steps} steps of {global_batch} samples"
    )
    position, kept = Position(), job.output_dir / CHECKPOINTS
    loader = training_loader(settings, agent, demonstrations, job.seed, position)
    finite = Finite(job, loop.non_finite, series="tr")
    progress = ReportTraining(job.report, loop.report_every, global_batch, finite)
    validate = make_validation(settings, agent, validation, kept, progress)
    saving = SaveAndStop(job.checkpoints, loop.checkpoint_every, finite, stated(job))
    parts = ReportParts(progress)
    trainer = make_trainer(
        epochs=1,
        validate_every=1,
        precision=loop.precision,
        deterministic=loop.deterministic,
        output=job.output_dir,
        callbacks=[SeedEachStep(job.seed), finite, progress, parts, validate, saving, KeepLast(saving, job.checkpoints, kept)],
    )
    position.trainer = trainer
    identity = identity_of(about, demonstrations, validation)
    module = Imitation(agent, lr=loop.lr, decay=loop.lr_decay, steps=loop.n_steps, identity=identity, description=about, report=job.report)
    trainer.fit(module, loader, ckpt_path=job.resume, weights_only=True)
    saving.exit_if_stopped(trainer, job)
    finite.check_published(trainer)
    if rank() == 0 and validate.result is not None:
        job.report.artifact("result", {"agent": loop.agent, "task": loop.task, "frozen weights": agent.origin, **validate.result.scalars()})
    job.report.flush()
    trainer.strategy.barrier()  # no rank returns before the files exist
    return kept


class Position:
    """The current step, which the samples depend on; available once there is a trainer."""

    trainer: lightning.Trainer | None = None

    def __call__(self) -> int:
        return self.trainer.global_step if self.trainer else 0


def open_sources(settings: TrainConfig, folder: Path) -> tuple[EpisodeSource, EpisodeSource]:
    """The demonstrations to train on and to validate on."""
    cache = settings.dataset.cache_mib * 2**20 if settings.dataset.cache else 0
    loop = settings.train
    return (
        open_demonstrations(folder, loop.task, "train", loop.n_demos, cache=cache),
        open_demonstrations(folder, loop.task, "val", loop.n_val, cache=cache),
    )


def make_agent(settings: TrainConfig, seed: int, report: Report, init_from: Path | None, shown: str = "exact") -> tuple[Agent, Weights]:
    """The agent to train, and where its frozen weights come from.

    With a checkpoint, sizes, geometry and frozen weights that the settings leave open are the checkpoint's; without one, the geometry is
    that of the height maps that are `shown`.
    """
    model = settings.model
    weights = Weights(model.clip_weights, model.bert, model.resnet_weights)
    base = None
    if init_from is not None:
        base, shown = config_in(init_from), geometry_in(init_from)
        unstated = (model.clip_weights, model.bert, model.resnet_weights) == (ModelConfig.clip_weights, "", "")
        theirs = weights_in(init_from) or weights
        weights = theirs if unstated else replace(weights, bert_weights=theirs.bert_weights)
    agent = make(asked_for(settings, base, shown), weights, seed, report.text)
    if init_from is not None:
        share(agent, init_from, report.text)
    return agent, weights


def asked_for(settings: TrainConfig, base: AgentConfig | None = None, geometry: str = "exact") -> AgentConfig:
    """The form of the agent that the settings request.

    Sizes that they leave open are those of `base`, or of `model.size`; a geometry that neither states is `geometry`.

    Raises:
        ParameterError: for invalid sizes.
    """
    sizes = AgentConfig(geometry=geometry, **SIZES[settings.model.size]) if base is None else base
    stated = {name: getattr(settings.train if name == "n_rotations" else settings.model, name) for name in (*SIZES["small"], "geometry")}
    return replace(
        sizes,
        agent=settings.train.agent,
        up_norm=settings.model.up_norm,
        clip_batchnorm=settings.model.clip_batchnorm,
        **{name: getattr(settings.train, name) for name in ("batchnorm", *FUSION_KEYS)},
        **{name: value for name, value in stated.items() if value is not None},
    )


def identity_of(about: dict[str, Any], demonstrations: EpisodeSource, validation: EpisodeSource) -> dict[str, Any]:
    """What a resumed run must have in common with the interrupted one, besides settings; `about` is the agent's description."""
    return {
        **{f"agent's {name}": value for name, value in about["agent"].items()},
        "training data": demonstrations.contents,
        "validation data": validation.contents,
        "frozen weights": about["trunk"] and f"{about['trunk']['fingerprint']} ({about['trunk']['origin']})",
    }


def training_loader(settings: TrainConfig, agent: Agent, source: EpisodeSource, seed: int, position: Position) -> DataLoader:
    """The samples of each step, from the current one to the last."""
    loop = settings.train
    draws = RandomSamples(
        source,
        agent.config,
        seed=seed,
        goal=agent.design.goal,
        sigma=settings.dataset.augment.theta_sigma if loop.augment else None,
        shuffled=loop.instructions == "shuffled",
        resample=loop.resample,
    )
    return DataLoader(
        draws,
        batch_sampler=StepSampler(loop.n_steps, loop.batch_size, rank(), position),
        collate_fn=Batch.stack,
        num_workers=worker_count(loop.workers),
        pin_memory=torch.cuda.is_available(),
    )


def make_validation(settings: TrainConfig, agent: Agent, source: EpisodeSource, kept: Path, progress: ReportTraining) -> Validate:
    """The callback that validates during the run, and keeps parameters in `kept`."""
    loop = settings.train
    samples = ValidationSamples(source, agent.config, count=loop.n_val, repeats=loop.val_repeats, goal=agent.design.goal)
    return Validate(
        partial(validation_batches, samples, settings),
        kept,
        progress,
        every=loop.validate_every or max(1, loop.n_steps // 50),
        keep_at=loop.save_steps,
        pictures=loop.debug_images,
    )


def validation_batches(samples: ValidationSamples, settings: TrainConfig) -> Iterator[tuple[list[int], Batch]]:
    """This rank's samples with their numbers, batch by batch."""
    mine = list(share_of_rank(range(len(samples))))
    loader = DataLoader(
        samples,
        batch_size=settings.train.batch_size,
        sampler=mine,
        collate_fn=Batch.stack,
        num_workers=worker_count(min(settings.train.workers, 2)),
    )
    size = settings.train.batch_size
    for start, batch in zip(range(0, len(mine), size), loader, strict=True):
        yield mine[start : start + size], batch
