"""Compose files: the specification's schema and the real docker-compose accept them, and their contents are right."""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from harness.image import default_base
from registry import render
from registry.agents.supervisor import LEAVE
from registry.cli import cli
from registry.environment import ROOT, image_names
from registry.image import Image, service_name
from registry.render import MOUNTED

UNIT = ROOT / "docker/agent/clearml-workloads-agent.service"
SERVER = "docker/clearml-server/compose.yaml"
AGENT = "docker/agent/compose.yaml"
FILES = ["docker/compose.yaml", SERVER, AGENT, "a larger clone"]
SETTINGS = re.compile(
    "BASE_IMAGE|TZ|USER|SUDO_USER|UID|GID|.*_(COMMIT|ENVIRONMENT)|(AGENT|CONTAINER|AWS|IMAGE|CLEARML|COMPOSE|ELASTICSEARCH|MONGO|REDIS)_.*"
)
REPOSITORIES = {
    "PaddleDetection": "ARG BASE_IMAGE=nvcr.io/nvidia/paddlepaddle:24.12-py3",
    "DAB-DETR": "# CUDA 11.3, for its extensions\nARG BASE_IMAGE=nvcr.io/nvidia/pytorch:21.06-py3",
    "openseg.pytorch": "ARG BASE_IMAGE=nvcr.io/nvidia/pytorch:26.02-py3",
}
DECLARATION = """\
summary: another
image: {name}
queue: gpu01
commands:
  train: {{launcher: own, type: training, config: "other:Train"}}
"""
Compose = dict[str, Any]


def docker_compose(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The real program, with only the given variables set."""
    environment = {key: value for key, value in os.environ.items() if not SETTINGS.fullmatch(key)} | variables
    return subprocess.run(["docker-compose", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def resolved(folder: Path, *options: str, **variables: str) -> Compose:
    """A compose file as the program resolves it: variables replaced, paths absolute."""
    done = docker_compose(folder, *options, "config", **variables)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    found: Compose = yaml.safe_load(done.stdout)
    return found


@pytest.fixture(scope="session")
def schema() -> jsonschema.Draft7Validator:
    """The Compose specification, as Debian's docker-compose ships it."""
    listed = subprocess.run(["dpkg", "-L", "docker-compose"], capture_output=True, text=True, check=True).stdout.splitlines()
    (path,) = (line for line in listed if line.endswith("compose_spec.json"))
    return jsonschema.Draft7Validator(json.loads(Path(path).read_text()))


@pytest.fixture(scope="session")
def larger_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with images that this one does not have, and rendered files."""
    clone = tmp_path_factory.mktemp("clones") / "a larger clone"
    shutil.copytree(ROOT / "docker", clone / "docker")
    shutil.copy(ROOT / ".env", clone)
    for name, base in REPOSITORIES.items():
        (clone / "docker" / name).mkdir()
        (clone / "docker" / name / "Dockerfile").write_text(f"{base}\nFROM ${{BASE_IMAGE}}\nARG TZ=Asia/Tokyo\n")
        (clone / "clearml_tasks" / name).mkdir(parents=True)
        (clone / "clearml_tasks" / name / "workload.yaml").write_text(DECLARATION.format(name=name))
    render.write(clone)
    return clone


@pytest.fixture
def path(request: pytest.FixtureRequest) -> Path:
    """A compose file by its name."""
    if request.param == "a larger clone":
        clone: Path = request.getfixturevalue("larger_clone")
        return clone / "docker/compose.yaml"
    return ROOT / str(request.param)


@pytest.mark.parametrize("path", FILES, indirect=True)
class TestEachFile:
    def test_the_specification_allows_it(self, path: Path, schema: jsonschema.Draft7Validator) -> None:
        assert [error.message for error in schema.iter_errors(yaml.safe_load(path.read_text()))] == []

    def test_docker_compose_reads_it(self, path: Path) -> None:
        services = resolved(path.parent, "-f", str(path))["services"]
        assert services.keys() == yaml.safe_load(path.read_text())["services"].keys()

    def test_a_misspelt_key_is_detected(self, path: Path, schema: jsonschema.Draft7Validator, tmp_path: Path) -> None:
        stated = yaml.safe_load(path.read_text())
        for service in stated["services"]:
            spoilt = copy.deepcopy(stated)
            spoilt["services"][service]["volume"] = spoilt["services"][service].pop("volumes", [])
            assert any("'volume'" in error.message for error in schema.iter_errors(spoilt)), service
        (tmp_path / "compose.yaml").write_text(yaml.safe_dump(spoilt))
        done = docker_compose(tmp_path, "-f", "compose.yaml", "config")
        assert done.returncode != 0
        assert "'volume'" in done.stderr


class TestImages:
    """docker/compose.yaml, from the root, where .env names it."""

    def test_services_are_listed_without_naming_the_file(self) -> None:
        done = docker_compose(ROOT, "config", "--services")
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.split()) == len(image_names())

    def test_every_path_is_in_the_clone(self, larger_clone: Path) -> None:
        for service in resolved(larger_clone)["services"].values():
            assert service["build"]["context"] == str(larger_clone)
            assert (larger_clone / service["build"]["dockerfile"]).is_file()
            for volume in service["volumes"]:
                assert volume["source"] == str(larger_clone / Path(volume["target"]).relative_to("/workspace"))

    def test_a_missing_folder_is_an_error(self, larger_clone: Path) -> None:
        """The engine would create it as root. In the long form, a missing bind mount is an error; and git has every folder."""
        for service in resolved(larger_clone)["services"].values():
            assert {volume["type"] for volume in service["volumes"]} == {"bind"}
        tracked = subprocess.run(["git", "-C", ROOT, "ls-files", *MOUNTED], capture_output=True, text=True, check=True).stdout
        assert {name.partition("/")[0] for name in tracked.splitlines()} == set(MOUNTED)

    def test_services_are_named_for_typing_and_containers_as_their_repositories(self, larger_clone: Path) -> None:
        services = resolved(larger_clone, CONTAINER_PREFIX="")["services"]
        for name in REPOSITORIES:
            assert services[service_name(name)]["container_name"] == name
            assert services[service_name(name)]["image"] == f"docker.io/library/{name.lower()}:latest"

    @pytest.mark.parametrize(
        ("folder", "who", "prefix"),
        [
            ("docker", {"USER": "ada"}, "ada-"),
            (".", {"USER": "root", "SUDO_USER": "bob"}, "rootbob-"),
            (".", {}, "nobody-"),
            (".", {"USER": "ada", "CONTAINER_PREFIX": "ci-7-"}, "ci-7-"),
        ],
    )
    def test_container_names_start_with_the_user(self, larger_clone: Path, folder: str, who: dict[str, str], prefix: str) -> None:
        """In the root and in docker/, each with its .env. Under sudo everybody is root, so both names are used."""
        services = resolved(larger_clone / folder, **who)["services"]
        assert {service["container_name"].removesuffix(name) for name in REPOSITORIES for service in [services[service_name(name)]]} == {
            prefix
        }

    @pytest.mark.parametrize(("who", "user"), [({}, "1000:1000"), ({"UID": "2001", "GID": "2000"}, "2001:2000")])
    def test_its_processes_run_as_the_user(self, larger_clone: Path, who: dict[str, str], user: str) -> None:
        assert {service["user"] for service in resolved(larger_clone, **who)["services"].values()} == {user}

    @pytest.mark.parametrize("unset", [{}, {"BASE_IMAGE": "", "TZ": "", "CLIP_COMMIT": "", "CLIP_ENVIRONMENT": "", "IMAGE_REGISTRY": ""}])
    def test_unset_and_empty_variables_leave_the_dockerfiles_defaults(self, larger_clone: Path, unset: dict[str, str]) -> None:
        services = resolved(larger_clone, **unset)["services"]
        for name in [*image_names(), *REPOSITORIES]:
            (service,) = (each for each in services.values() if each["build"]["dockerfile"] == f"docker/{name}/Dockerfile")
            arguments = service["build"]["args"]
            assert arguments["BASE_IMAGE"] == default_base(larger_clone, name)
            assert arguments["TZ"] == "Asia/Tokyo"
            assert arguments.get("COMMIT", "unknown") == arguments.get("ENVIRONMENT", "unknown") == "unknown"
            assert service["image"] == f"docker.io/library/{name.lower()}:latest"

    def test_environment_variables_take_precedence(self) -> None:
        chosen = {"BASE_IMAGE": "base.example.org/torch:1", "TZ": "UTC", "COMMIT": "abc", "ENVIRONMENT": "env-0123456789ab"}
        given = {"BASE_IMAGE": chosen["BASE_IMAGE"], "TZ": "UTC", "CLIP_COMMIT": "abc", "CLIP_ENVIRONMENT": chosen["ENVIRONMENT"]}
        services = resolved(ROOT, **given, IMAGE_REGISTRY="registry.example.org:5000/team")["services"]
        assert services["clip"]["build"]["args"] == chosen
        assert services["clip"]["image"] == "registry.example.org:5000/team/clip:env-0123456789ab"
        assert services["tabletop"]["build"]["args"]["ENVIRONMENT"] == "unknown"
        assert services["tabletop"]["image"] == "registry.example.org:5000/team/tabletop:latest"

    def test_the_env_file_applies_to_unset_variables(self, larger_clone: Path, tmp_path: Path) -> None:
        clone = shutil.copytree(larger_clone, tmp_path / "clone")
        with (clone / ".env").open("a") as settings:
            settings.write("TZ=Europe/Berlin\nIMAGE_REGISTRY=registry.example.org/team\n")
        for service in resolved(clone, TZ="UTC")["services"].values():
            assert service["build"]["args"]["TZ"] == "UTC"
            assert service["image"].startswith("registry.example.org/team/")

    def test_the_command_passes_on_the_user_and_the_images_environments(self, tmp_path: Path) -> None:
        """`registry compose`, under sudo, in a clone of the committed state, and with a change."""
        clone = tmp_path / "clone"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        variables = {key: value for key, value in os.environ.items() if not SETTINGS.fullmatch(key)}
        variables |= {"USER": "root", "SUDO_USER": "Ada.L", "SUDO_UID": "61234", "SUDO_GID": "61000"}

        def told() -> Compose:
            command = [sys.executable, "-m", "registry", "compose", "config"]
            done = subprocess.run(command, cwd=clone, env=variables, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            service: Compose = yaml.safe_load(done.stdout)["services"]["clip"]
            return service

        clip, version = told(), Image("clip", clone).environment
        assert (clip["user"], clip["container_name"]) == ("61234:61000", "user-61234-clip")
        assert (clip["build"]["args"]["COMMIT"], clip["build"]["args"]["ENVIRONMENT"]) == (commit, version)
        assert clip["image"] == f"docker.io/library/{Image('clip', clone, registry='').reference()}"
        (clone / "src/new.py").write_text("")  # docker-compose sends the folder as it is
        changed = told()["build"]["args"]
        assert (changed["COMMIT"], changed["ENVIRONMENT"]) == ("unknown", "unknown")

    def test_gpus_are_reserved_for_the_bases_that_use_them(self, larger_clone: Path) -> None:
        services = resolved(larger_clone)["services"]
        with_gpu = {name for name, service in services.items() if "deploy" in service}
        expected = {name for name, service in services.items() if "nvidia" in service["build"]["args"]["BASE_IMAGE"]}
        assert with_gpu == expected
        assert {"paddle_detection", "dab_detr", "openseg_pytorch"} <= with_gpu < set(services)


class TestServer:
    """docker/clearml-server/compose.yaml."""

    def services(self, **variables: str) -> Compose:
        found: Compose = resolved(ROOT, "-f", SERVER, **variables)["services"]
        return found

    def test_all_services_are_present(self) -> None:
        """Those of ClearML's own docker/compose.yaml at 3a88c850; its agent has a profile, as it can use this machine's engine."""
        parts = {"apiserver", "webserver", "fileserver", "async_delete", "elasticsearch", "mongo", "redis"}
        assert self.services().keys() == parts | {"elasticsearch_folder", "agent_services"}
        assert [name for name, service in self.services().items() if service.get("profiles")] == ["agent_services"]

    def test_the_services_agent_has_the_servers_keys_and_a_valid_command(self) -> None:
        services = self.services(CLEARML_AGENT_ACCESS_KEY="a", CLEARML_AGENT_SECRET_KEY="b")
        agent, server = services["agent_services"], services["apiserver"]["environment"]
        told = [server[f"CLEARML__secure__credentials__services_agent__user_{kind}"] for kind in ("key", "secret")]
        assert [agent["environment"][f"CLEARML_API_{kind}_KEY"] for kind in ("ACCESS", "SECRET")] == told == ["a", "b"]
        home = agent["environment"]["REGISTRY_HOME"]
        assert f"{home}:{home}:rw" in agent["volumes"]
        (line,) = shlex.split(agent["command"])[2:]
        for program in line.split("; "):
            name, *options = shlex.split(program.removeprefix("exec ").removeprefix("python3 -m registry "))
            command = cli.commands[name]
            if name == "queue":
                assert options[0] in command.commands  # type: ignore[attr-defined]
            else:
                taken = command.make_context(name, options).params
                assert taken == {"containers": True, "services": True, "queues": ("services",), "gpus": None}

    def test_image_versions_are_pinned_and_each_is_set_once(self) -> None:
        images = {service["image"] for service in self.services().values() if "build" not in service}
        assert all(re.search(r":\d+\.\d+\.\d+$", image) for image in images)
        tags = {"CLEARML_SERVER_TAG": "a", "ELASTICSEARCH_TAG": "b", "MONGO_TAG": "c", "REDIS_TAG": "d"}
        changed = {service["image"] for service in self.services(**tags).values() if "build" not in service}
        assert {image.rpartition(":")[0] for image in images} == {image.rpartition(":")[0] for image in changed}
        assert {image.rpartition(":")[2] for image in changed} == set(tags.values())

    @pytest.mark.parametrize(("variables", "address"), [({}, "127.0.0.1"), ({"CLEARML_ADDRESS": "0.0.0.0"}, "0.0.0.0")])
    def test_ports_are_on_loopback_by_default(self, variables: dict[str, str], address: str) -> None:
        published = [port for service in self.services(**variables).values() for port in service.get("ports", [])]
        assert sorted(published) == [f"{address}:8008:8008/tcp", f"{address}:8080:80/tcp", f"{address}:8081:8081/tcp"]

    def test_databases_cannot_be_reached_from_outside(self) -> None:
        stated = resolved(ROOT, "-f", SERVER)
        assert stated["networks"]["inside"]["internal"]
        for name in ("elasticsearch", "mongo", "redis"):
            assert stated["services"][name]["networks"].keys() == {"inside"}

    @pytest.mark.parametrize(("variables", "folder"), [({}, "/var/lib/clearml-server"), ({"CLEARML_DATA": "/srv/clearml"}, "/srv/clearml")])
    def test_all_data_is_in_one_folder(self, variables: dict[str, str], folder: str) -> None:
        """It is outside of every clone, and not in `data`, which workloads' containers mount and `git clean` could delete."""
        parts = [service for name, service in self.services(**variables).items() if name != "agent_services"]
        volumes = [volume for service in parts for volume in service.get("volumes", [])]
        assert all(volume.startswith(f"{folder}/") for volume in volumes)
        assert {volume.split(":")[1] for volume in volumes} >= {"/data/db", "/mnt/fileserver", "/usr/share/elasticsearch/data", "/data"}

    def test_services_that_others_depend_on_have_health_checks(self) -> None:
        services = self.services()
        for service in services.values():
            for name, wait in service.get("depends_on", {}).items():
                lasting = services[name].get("restart") == "unless-stopped"
                assert wait["condition"] == ("service_healthy" if lasting else "service_completed_successfully")
                assert ("healthcheck" in services[name]) == lasting

    def test_files_of_deleted_tasks_are_deleted_below_the_file_servers_url(self) -> None:
        key = "CLEARML__services__async_urls_delete__fileserver__url_prefixes"
        services = self.services(CLEARML_FILES_HOST="https://files.example.org")
        assert services["apiserver"]["environment"][key] == services["async_delete"]["environment"][key] == '["https://files.example.org"]'


class TestAgent:
    """docker/agent/compose.yaml."""

    def service(self, **variables: str) -> Compose:
        found: Compose = resolved(ROOT, "-f", AGENT, **variables)["services"]["agent"]
        return found

    @pytest.mark.parametrize(
        ("given", "queues", "gpus"), [({}, ["gpu01"], None), ({"AGENT_OPTIONS": "--queue a --queue b --gpus 0"}, ["a", "b"], "0")]
    )
    def test_its_command_is_valid(self, given: dict[str, str], queues: list[str], gpus: str | None) -> None:
        python, _, program, name, *options = shlex.split(self.service(**given)["command"])
        assert (python, program, name) == ("python3", "registry", "agent")
        taken = cli.commands[name].make_context(name, options).params
        assert taken == {"containers": True, "services": False, "queues": tuple(queues), "gpus": gpus}

    @pytest.mark.parametrize(("given", "folder"), [({}, "/var/lib/clearml-workloads"), ({"AGENT_HOME": "/srv/agent"}, "/srv/agent")])
    def test_its_folder_has_the_same_path_inside_and_outside(self, given: dict[str, str], folder: str) -> None:
        """The engine mounts it into the tasks' containers, and looks for the path on the machine, not in the agent's container."""
        service = self.service(**given)
        assert f"{folder}:{folder}:rw" in service["volumes"]
        assert service["environment"]["REGISTRY_HOME"] == folder

    def test_the_file_contains_no_key(self) -> None:
        stated = self.service(CLEARML_API_SECRET_KEY="secret")["environment"]
        assert stated.pop("CLEARML_API_SECRET_KEY") == "secret"
        assert {value for name, value in stated.items() if name != "REGISTRY_HOME"} == {None}

    def test_it_waits_long_enough_for_an_agent_to_end(self) -> None:
        minutes, seconds = re.fullmatch(r"(?:(\d+)m)?(\d+)s", self.service()["stop_grace_period"]).groups(default="0")
        assert int(minutes) * 60 + int(seconds) > LEAVE

    def test_its_image_is_built_from_files_that_reach_the_engine(self) -> None:
        text = (ROOT / self.service()["build"]["dockerfile"]).read_text()
        ignored = (ROOT / ".dockerignore").read_text().splitlines()
        for line in re.findall(r"^COPY (.+) \\S+$", text, re.MULTILINE):
            for source in line.split():
                assert (ROOT / source).exists(), source
                assert f"!{source.partition('/')[0]}" in ignored, source


class TestService:
    """docker/agent/clearml-workloads-agent.service."""

    def test_systemd_accepts_it(self, tmp_path: Path) -> None:
        """The real verifier, with the path of this clone instead of /opt."""
        if shutil.which("systemd-analyze") is None:
            pytest.skip("there is no systemd-analyze")
        command = tmp_path / ".venv/bin/registry"
        command.parent.mkdir(parents=True)
        command.touch(mode=0o755)
        text = UNIT.read_text().replace("/opt/clearml-workloads", str(tmp_path))
        for unit, accepted in ((text, True), (text.replace("KillMode", "KilMode"), False)):
            (tmp_path / UNIT.name).write_text(unit)
            done = subprocess.run(["systemd-analyze", "verify", str(tmp_path / UNIT.name)], capture_output=True, text=True)
            assert (done.returncode == 0 and not done.stderr) == accepted, done.stderr

    def test_it_starts_with_the_options_of_the_example(self) -> None:
        stated = dict(re.findall(r"^(\w+)=(.*)$", UNIT.with_name("agent.env.example").read_text(), re.MULTILINE))
        command = re.search(r"^ExecStart=\S+/registry (\w+) \$AGENT_OPTIONS$", UNIT.read_text(), re.MULTILINE)
        assert command is not None
        taken = cli.commands[command[1]].make_context(command[1], shlex.split(stated["AGENT_OPTIONS"])).params
        assert taken["queues"] == ("gpu01",)
        assert not stated["CLEARML_API_SECRET_KEY"]

    def test_only_the_command_gets_the_signal_and_it_has_enough_time(self) -> None:
        stated = dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE))
        assert stated["KillMode"] == "mixed"
        assert int(stated["TimeoutStopSec"]) > LEAVE
