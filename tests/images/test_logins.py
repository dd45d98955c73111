"""Logins at image registries: found where `docker login` stores them, and used as the registry demands.

The places and the protocol of credential helpers are those of docker/cli (cli/config/configfile, cli/config/credentials) and
docker/docker-credential-helpers (client/client.go). The registry is Debian's docker-registry, which checks passwords and tokens itself.
"""

from __future__ import annotations

import base64
import ctypes
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.engine import free_port, image_registry
from support.images import Repository
from support.token_server import NAME, PASSWORD, REFRESH, TokenServer

from registry.errors import StoreError
from registry.images.logins import Login, login_of
from registry.images.store import ImageStore

Configure = Callable[..., Path]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Writes a config.json, by default ~/.docker/config.json."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("DOCKER_CONFIG", "DOCKER_AUTH_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def write(settings: object, folder: str = "home/.docker") -> Path:
        file = tmp_path / folder / "config.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
        return file

    return write


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a credential helper on the path: a shell script, with the requested host in `$key`."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")

    def put(name: str, script: str) -> None:
        program = tmp_path / "bin" / f"docker-credential-{name}"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\n[ "$1" = get ] || exit 9\nkey=$(cat)\n{script}\n')
        program.chmod(0o755)

    return put


def entry(name: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{name}:{password}".encode()).decode()}


class TestStored:
    HOST = "registry.example.org:5000"

    def test_in_the_users_configuration(self, configure: Configure) -> None:
        file = configure({"auths": {self.HOST: entry("ada", "pass:word")}})
        assert login_of(self.HOST) == Login("ada", "pass:word", str(file))
        assert login_of("other.example.org") is None

    def test_without_a_configuration_nobody_is_logged_in(self, configure: Configure) -> None:
        assert login_of(self.HOST) is None

    def test_in_the_folder_docker_config(self, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        configure({"auths": {self.HOST: entry("eve", "other")}})
        file = configure({"auths": {self.HOST: entry("ada", "secret")}}, "elsewhere")
        monkeypatch.setenv("DOCKER_CONFIG", str(file.parent))
        assert login_of(self.HOST) == Login("ada", "secret", str(file))

    def test_a_variable_takes_precedence(self, configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
        configure({"auths": {self.HOST: entry("eve", "other")}})
        monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {self.HOST: entry("ada", "secret")}}))
        found = login_of(self.HOST)
        assert found is not None
        assert found.name == "ada"

    def test_docker_hub_has_its_own_key(self, configure: Configure) -> None:
        configure({"auths": {"https://index.docker.io/v1/": entry("ada", "secret")}})
        found = login_of("docker.io")
        assert found is not None
        assert found.name == "ada"

    def test_urls_written_by_older_versions_are_found(self, configure: Configure) -> None:
        configure({"auths": {f"https://{self.HOST}/v1/": entry("ada", "secret")}})
        assert login_of(self.HOST) is not None

    def test_a_helper_for_one_host_takes_precedence(self, configure: Configure, helper: Callable[[str, str], None]) -> None:
        configure({"credsStore": "all", "credHelpers": {self.HOST: "one"}, "auths": {self.HOST: {}}})
        for name in ("all", "one"):
            helper(name, f'printf \'{{"ServerURL": "%s", "Username": "{name}", "Secret": "of %s"}}\' "$key" "$key"')
        assert login_of(self.HOST) == Login("one", f"of {self.HOST}", "docker-credential-one")
        assert login_of("docker.io") == Login("all", "of https://index.docker.io/v1/", "docker-credential-all")

    def test_a_helper_may_have_no_login(self, configure: Configure, helper: Callable[[str, str], None]) -> None:
        configure({"credsStore": "all"})
        helper("all", "echo credentials not found in native keychain; exit 1")
        assert login_of(self.HOST) is None

    @pytest.mark.parametrize(
        ("script", "told"),
        [
            ("echo the keychain is locked; exit 1", "docker-credential-all failed: the keychain is locked"),
            ("echo ada secret", "docker-credential-all returned something other than a login"),
            (None, r"config.json names the credential helper docker-credential-all, which is not on the path"),
        ],
    )
    def test_a_helper_that_fails_is_named(
        self, configure: Configure, helper: Callable[[str, str], None], script: str | None, told: str
    ) -> None:
        configure({"credsStore": "all"})
        if script:
            helper("all", script)
        with pytest.raises(StoreError, match=told) as failed:
            login_of(self.HOST)
        assert "secret" not in str(failed.value)

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("{", "config.json is not valid JSON"),
            ("[]", "is not a JSON object"),
            ('{"auths": {"registry.example.org:5000": {"auth": "!"}}}', "run docker login again"),
        ],
    )
    def test_a_configuration_that_cannot_be_read_is_named(self, configure: Configure, text: str, told: str) -> None:
        configure({}).write_text(text)
        with pytest.raises(StoreError, match=told):
            login_of(self.HOST)


class TestNameAndPassword:
    @pytest.fixture
    def host(self, tmp_path: Path) -> Iterator[str]:
        """A registry with a single user, ada, and her password."""
        crypt = ctypes.CDLL("libcrypt.so.1").crypt
        crypt.restype = ctypes.c_char_p
        hashed: bytes = crypt(b"secret", b"$2b$04$abcdefghijklmnopqrstuu")
        (tmp_path / "htpasswd").write_bytes(b"ada:" + hashed + b"\n")
        port = free_port()
        with image_registry(tmp_path / "data", port, tmp_path, htpasswd=tmp_path / "htpasswd"):
            yield f"127.0.0.1:{port}"

    def test_they_are_sent_to_the_registry(self, host: str, configure: Configure, helper: Callable[[str, str], None]) -> None:
        digest = Repository(f"{host}/team/a", options={"auth": ("ada", "secret")}).image("v1", {})["digest"]
        configure({"auths": {host: entry("ada", "secret")}})
        assert ImageStore(f"{host}/team/a").digest("v1") == digest
        configure({"credHelpers": {host: "test"}})
        helper("test", 'echo \'{"Username": "ada", "Secret": "secret"}\'')
        assert ImageStore(f"{host}/team/a").digest("v1") == digest

    def test_without_a_login_the_error_says_to_log_in(self, host: str, configure: Configure) -> None:
        with pytest.raises(StoreError, match=f"{host} requires a login; run: docker login {host}"):
            ImageStore(f"{host}/team/a").find("v1")

    def test_a_wrong_password_is_reported_with_its_source(self, host: str, configure: Configure) -> None:
        file = configure({"auths": {host: entry("ada", "wrong")}})
        with pytest.raises(StoreError, match=f"{host} rejects the login in {file}; run: docker login {host}"):
            ImageStore(f"{host}/team/a").find("v1")

    def test_netrc_is_not_read(self, host: str, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # At a loopback address no setting of the environment is read at all
        monkeypatch.setattr("registry.images.connection.is_loopback", lambda host: False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        (tmp_path / "home").mkdir()
        (tmp_path / "home/.netrc").write_text("machine 127.0.0.1 login ada password secret\n")
        (tmp_path / "home/.netrc").chmod(0o600)
        with pytest.raises(StoreError, match="requires a login"):
            ImageStore(f"{host}/team/a").find("v1")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    server = TokenServer(tmp_path_factory.mktemp("tokens") / "keys")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def token_host(tokens: TokenServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    with image_registry(folder / "data", port, folder, auth=tokens.settings, storage={"delete": {"enabled": True}}):
        yield f"127.0.0.1:{port}"


class TestTokens:
    """The registry names a server that exchanges logins for tokens, like Docker Hub and GitLab."""

    def test_each_scope_gets_its_own_token(self, tokens: TokenServer, token_host: str, configure: Configure) -> None:
        pushed = self.pushed(tokens, f"{token_host}/team/a")
        configure({"auths": {token_host: entry(NAME, PASSWORD)}})
        tokens.asked.clear()
        store = ImageStore(f"{token_host}/team/a")
        assert store.labels("v1") == {"k": "v"}
        store.add_tags("v1", ["v2"])
        store.delete(pushed)
        assert store.tags() == []
        assert tokens.asked == [
            "repository:team/a:pull",
            "repository:team/a:pull,push",
            "repository:team/a:delete",
            "repository:team/a:pull",
        ]

    def test_an_identity_token_of_docker_login_is_exchanged(self, tokens: TokenServer, token_host: str, configure: Configure) -> None:
        pushed = self.pushed(tokens, f"{token_host}/team/b")
        configure({"auths": {token_host: {"identitytoken": REFRESH}}})
        assert ImageStore(f"{token_host}/team/b").digest("v1") == pushed

    def test_a_public_repository_needs_no_login(self, tokens: TokenServer, token_host: str, configure: Configure) -> None:
        pushed = self.pushed(tokens, f"{token_host}/public/a")
        assert ImageStore(f"{token_host}/public/a").digest("v1") == pushed

    def test_a_private_repository_needs_a_login(self, tokens: TokenServer, token_host: str, configure: Configure) -> None:
        with pytest.raises(StoreError, match=f"{token_host} requires a login; run: docker login {token_host}"):
            ImageStore(f"{token_host}/team/a").find("v1")

    def test_a_wrong_password_is_reported_with_its_source(self, token_host: str, configure: Configure) -> None:
        file = configure({"auths": {token_host: entry(NAME, "wrong")}})
        with pytest.raises(StoreError, match=f"{token_host} rejects the login in {file}; run: docker login {token_host}"):
            ImageStore(f"{token_host}/team/a").find("v1")

    def pushed(self, tokens: TokenServer, name: str) -> str:
        """Push an image; returns its digest."""
        scope = f"repository:{name.partition('/')[2]}:pull,push"
        headers = {"Authorization": f"Bearer {tokens.token({'scope': [scope]}, known=True)}"}

        def authorize(request: object) -> object:
            request.headers.update(headers)  # type: ignore[attr-defined]
            return request

        return str(Repository(name, options={"auth": authorize}).image("v1", {"k": "v"})["digest"])
