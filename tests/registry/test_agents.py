"""What agents are started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry.agents import container_arguments


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HARNESS_CACHE", raising=False)


def test_a_container_sees_the_clone_but_cannot_write_into_it(tmp_path: Path) -> None:
    arguments = container_arguments(tmp_path / "clone")
    assert f"--volume={tmp_path}/clone:{tmp_path}/clone:ro" in arguments
    assert f"--volume={tmp_path}/home/cache/harness:{tmp_path}/home/cache/harness" in arguments
    assert (tmp_path / "home/cache/harness").is_dir()


def test_a_store_of_s3_is_found_in_containers_too_and_its_secret_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    arguments = container_arguments(tmp_path)
    assert {"--env=AWS_ENDPOINT_URL", "--env=AWS_SECRET_ACCESS_KEY"} <= set(arguments)
    assert "--env=AWS_SESSION_TOKEN" not in arguments
    assert "secret" not in " ".join(arguments)
