"""Images: their names, their environments, and how a command line selects them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from registry.commands.image import time_zone
from registry.errors import UsageError
from registry.image import Image, images_named, service_name


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Image:
    monkeypatch.delenv("IMAGE_REGISTRY", raising=False)
    monkeypatch.delenv("BASE_IMAGE", raising=False)
    dockerfile = "ARG BASE_IMAGE=base:1\nFROM ${BASE_IMAGE}"
    for name, text in (("clip/Dockerfile", dockerfile), ("harness/requirements.txt", "clearml==2"), ("setup/a.sh", "")):
        (tmp_path / "docker" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "docker" / name).write_text(text)
    return Image("clip", tmp_path)


@pytest.mark.parametrize("changed", ["clip/Dockerfile", "clip/requirements.txt", "harness/requirements.txt", "setup/a.sh"])
def test_the_tag_depends_on_what_the_environment_is_made_from(image: Image, changed: str) -> None:
    before = image.reference()
    assert re.fullmatch("clip:env-[0-9a-f]{12}", before)
    assert Image("clip", image.root).reference() == before
    (image.root / "docker" / changed).write_text("ARG BASE_IMAGE=base:1\nFROM ${BASE_IMAGE}\n# more")
    assert image.reference() != before


def test_an_image_on_another_base_is_another_environment(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    on_another = Image("clip", image.root, base="base:2")
    assert on_another.environment != image.environment == Image("clip", image.root, base="base:1").environment
    monkeypatch.setenv("BASE_IMAGE", "base:2")
    assert image.environment == on_another.environment


def test_files_that_do_not_reach_an_image_do_not_change_its_tag(image: Image) -> None:
    before = image.environment
    (image.root / "docker/clip/.swp").write_text("")
    (image.root / "docker/harness/__pycache__").mkdir()
    (image.root / "docker/harness/__pycache__/x.pyc").write_text("")
    (image.root / "docker/other").mkdir()
    (image.root / "docker/other/Dockerfile").write_text("")
    assert image.environment == before


def test_the_time_zone_comes_from_the_environment_or_else_from_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    assert time_zone(tmp_path) == {}  # the Dockerfile's
    (tmp_path / ".env").write_text("#TZ=UTC\nTZ=Europe/Berlin\n")
    assert time_zone(tmp_path) == {"TZ": "Europe/Berlin"}
    monkeypatch.setenv("TZ", "America/Lima")
    assert time_zone(tmp_path) == {"TZ": "America/Lima"}
    monkeypatch.setenv("TZ", "JST-9")
    with pytest.raises(UsageError, match="TZ=JST-9: must be the name of a time zone, such as Asia/Tokyo"):
        time_zone(tmp_path)


@pytest.mark.parametrize("registry", ["https://registry.example.org", "registry.example.org/Team", "a b", "/team"])
def test_a_malformed_image_registry_is_an_error(image: Image, registry: str) -> None:
    with pytest.raises(UsageError, match="HOST/NAMESPACE"):
        images_named(image.root, ("clip",), False, None, registry)


def test_images_are_selected_by_name_or_with_all(image: Image) -> None:
    assert [each.name for each in images_named(image.root, (), True, None, "h:5000/team")] == ["clip"]
    assert images_named(image.root, ("clip",), False, None, "h:5000/team")[0].repository == "h:5000/team/clip"
    wrong = (
        ((), False, "name an image, or add --all"),
        (("clip",), True, "cannot be combined with --all"),
        (("clop",), False, "did you mean clip"),
    )
    for names, every, message in wrong:
        with pytest.raises(UsageError, match=message):
            images_named(image.root, names, every, None, None)


def test_an_image_can_be_given_as_a_tag_or_a_complete_name(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_REGISTRY", "registry.example.org/team/")
    assert image.reference("latest") == "registry.example.org/team/clip:latest"
    assert image.reference("other.example.org/clip:v1") == "other.example.org/clip:v1"


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("PaddleDetection", "paddle_detection"),
        ("DAB-DETR", "dab_detr"),
        ("openseg.pytorch", "openseg_pytorch"),
        ("YOLOX", "yolox"),
        ("CBNetV2", "cbnetv2"),
        ("text_loss_segmentation", "text_loss_segmentation"),
    ],
)
def test_service_names_are_snake_case(name: str, service: str) -> None:
    assert service_name(name) == service
