"""Who may talk to the server, and that its secrets stay where they are."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
import requests
from support.events import OwnServer
from support.server import LocalServer

from local_server.table import TABLE


@pytest.fixture
def browser(server: LocalServer) -> Iterator[requests.Session]:
    """A session that has opened the address that `registry up` prints."""
    with requests.Session() as session:
        assert session.get(server.login_url, timeout=10).ok
        yield session


def token(server: LocalServer, **asked: Any) -> str:
    return str(server.call("auth.login", **asked)["token"])


def test_keys_are_made_once_and_readable_by_their_owner_alone(own_server: OwnServer) -> None:
    server = own_server()
    before = server.keys
    for name in ("keys.json", "clearml.conf", "server.json"):
        assert stat.S_IMODE((server.data / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    server.restart()
    assert server.keys == before
    assert own_server("another").keys != before


def test_a_wrong_key_is_refused(server: LocalServer) -> None:
    access_key, secret_key = server.keys
    for keys in ((access_key, "wrong"), ("wrong", secret_key), ("", "")):
        answer = requests.post(f"{server.url}/auth.login", auth=keys, timeout=10)
        assert (answer.status_code, answer.json()["meta"]["result_code"]) == (401, 401)
        assert answer.json()["data"] == {}


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer x.y.z", "Basic !!!", "Digest abc"])
def test_every_end_point_and_file_wants_credentials(server: LocalServer, header: str) -> None:
    headers = {"Authorization": header} if header else {}
    for address in (f"{server.url}/tasks.get_all", f"{server.url}/v2.23/queues.get_all", f"{server.files_url}/any/file"):
        assert requests.get(address, headers=headers, timeout=10).status_code == 401
    assert requests.post(server.files_url, headers=headers, files={"a": b"b"}, timeout=10).status_code == 401


def test_the_login_token_opens_the_api_until_it_expires(server: LocalServer) -> None:
    claims = jwt.decode(token(server, expiration_sec=2), options={"verify_signature": False})
    assert claims["exp"] - time.time() <= 2
    assert (claims["feature_set"], claims["api_version"].split(".")[0]) == ("basic", "2")
    headers = {"Authorization": f"Bearer {token(server)}"}
    assert requests.get(f"{server.url}/v2.9/tasks.get_all", json={"page_size": 1}, headers=headers, timeout=10).ok
    expired = jwt.encode(claims | {"exp": 1}, json.loads((server.data / "keys.json").read_text())["signing_key"], "HS256")
    assert requests.get(f"{server.url}/tasks.get_all", headers={"Authorization": f"Bearer {expired}"}, timeout=10).status_code == 401


def test_a_token_cannot_be_signed_by_others_nor_left_unsigned(server: LocalServer) -> None:
    claims = jwt.decode(token(server), options={"verify_signature": False})
    for forged in (jwt.encode(claims, "x" * 40, "HS256"), jwt.encode(claims, "", "none")):
        assert requests.get(f"{server.url}/tasks.get_all", headers={"Authorization": f"Bearer {forged}"}, timeout=10).status_code == 401


def test_any_version_and_method(server: LocalServer) -> None:
    for prefix in ("", "v2.9/", "v2.23/", "v999.0/"):
        for method in ("GET", "POST"):
            answer = requests.request(
                method, f"{server.url}/{prefix}projects.get_all", json={"name": "^none$"}, auth=server.keys, timeout=10
            )
            assert answer.json()["data"] == {"projects": []}


def test_the_pages_cookie_opens_the_api_from_the_servers_own_page(server: LocalServer, browser: requests.Session) -> None:
    (cookie,) = browser.cookies
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite", "").lower() == "strict"
    answer = browser.post(f"{server.url}/tasks.get_all", json={"page_size": 1}, headers={"Origin": server.url}, timeout=10)
    assert answer.ok
    assert browser.post(f"{server.url}/tasks.get_all", json={}, headers={"Sec-Fetch-Site": "same-origin"}, timeout=10).ok


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {}],
)
def test_the_cookie_is_refused_from_elsewhere(server: LocalServer, browser: requests.Session, headers: dict[str, str]) -> None:
    assert browser.post(f"{server.url}/tasks.get_all", json={}, headers=headers, timeout=10).status_code == 403


def test_a_page_of_another_port_of_this_machine_is_another_site(server: LocalServer, browser: requests.Session) -> None:
    answer = browser.post(f"{server.url}/tasks.get_all", json={}, headers={"Origin": "http://127.0.0.1:1"}, timeout=10)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 403),  # a link on the page itself, in a browser that says nothing
        ("GET", {"Sec-Fetch-Site": "same-origin"}, 403),
        ("GET", {"Sec-Fetch-Site": "none"}, 403),  # an address that was pasted
        ("HEAD", {"Sec-Fetch-Site": "same-origin"}, 403),
        ("PUT", {"Sec-Fetch-Site": "same-origin"}, 403),
        ("POST", {"Sec-Fetch-Site": "none"}, 403),
        ("POST", {"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_with_the_cookie_a_link_changes_nothing(
    server: LocalServer, browser: requests.Session, method: str, headers: dict[str, str], status: int
) -> None:
    task = server.call("tasks.create", name="kept unless asked", type="training")["id"]
    answer = browser.request(method, f"{server.url}/tasks.delete", params={"task": task}, json={"task": task}, headers=headers, timeout=10)
    assert answer.status_code == status
    assert server.ask("tasks.get_by_id", task=task).ok == (status != 200)


def test_the_table_says_who_may_call_what(server: LocalServer, browser: requests.Session) -> None:
    """Nobody without a key but what is keyless, and by a link with the page's cookie only what reads."""
    rows = {endpoint.name: endpoint for endpoint in TABLE if not endpoint.until}
    answers = {name: requests.get(f"{server.url}/{name}", timeout=10).status_code for name in rows}
    assert {name for name, status in answers.items() if status != 401} == {name for name, row in rows.items() if row.keyless} != set()
    answers = {name: browser.get(f"{server.url}/{name}", timeout=10).status_code for name in rows}
    assert {name for name, status in answers.items() if status == 403} == {name for name, row in rows.items() if row.writes} != set()


def test_with_the_cookie_a_file_is_shown_and_not_deleted_by_another_page(server: LocalServer, browser: requests.Session) -> None:
    requests.post(server.files_url, files={"/kept/file": b"x"}, auth=server.keys, timeout=10).raise_for_status()
    address = f"{server.files_url}/kept/file"
    assert browser.get(address, headers={"Sec-Fetch-Site": "same-origin"}, timeout=10).content == b"x"
    for headers in ({"Sec-Fetch-Site": "none"}, {"Origin": "http://127.0.0.1:1"}, {}):
        assert browser.delete(address, headers=headers, timeout=10).status_code == 403
    assert browser.delete(address, headers={"Origin": server.url}, timeout=10).ok


def test_a_link_with_a_key_changes_what_it_says(server: LocalServer) -> None:
    """The SDK sends GET for everything."""
    task = server.call("tasks.create", name="some task", type="training")["id"]
    assert requests.get(f"{server.url}/v2.23/tasks.delete", json={"task": task}, auth=server.keys, timeout=10).ok


def test_the_cookie_and_tokens_outlive_a_clock_that_was_put_back(server: LocalServer, browser: requests.Session) -> None:
    (cookie,) = browser.cookies
    claims = jwt.decode(str(cookie.value), options={"verify_signature": False})
    key = json.loads((server.data / "keys.json").read_text())["signing_key"]
    made_later = jwt.encode(claims | {"iat": claims["iat"] + 7200, "exp": claims["exp"] + 7200}, key, "HS256")
    assert requests.get(f"{server.url}/users.get_current_user", cookies={cookie.name: made_later}, timeout=10).ok


def test_every_answer_tells_browsers_to_keep_it_from_other_pages(server: LocalServer, browser: requests.Session) -> None:
    requests.post(server.files_url, files={"/shown.png": b"x"}, auth=server.keys, timeout=10).raise_for_status()
    api = browser.post(f"{server.url}/users.get_current_user", headers={"Origin": server.url}, timeout=10)
    file, page, script = (browser.get(f"{server.url}/{path}", timeout=10) for path in ("files/shown.png", "", "page/main.js"))
    refused = requests.get(server.url, headers={"Host": "evil.example"}, timeout=10)
    for answer in (api, file, page, script, refused):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert api.headers["Cache-Control"] == page.headers["Cache-Control"] == "no-store"


def test_a_cookie_is_no_token_and_a_token_no_cookie(server: LocalServer, browser: requests.Session) -> None:
    (cookie,) = browser.cookies
    headers = {"Authorization": f"Bearer {cookie.value}"}
    assert requests.get(f"{server.url}/tasks.get_all", headers=headers, timeout=10).status_code == 401
    stolen = {cookie.name: token(server)}
    assert requests.get(f"{server.url}/tasks.get_all", cookies=stolen, timeout=10).status_code == 401


def test_another_hosts_name_is_refused(server: LocalServer) -> None:
    """A name of the attacker's that resolves to 127.0.0.1 makes the browser believe that it talks to the attacker's site."""
    port = urlsplit(server.url).port
    for host, status in (("evil.example", 403), (f"evil.example:{port}", 403), ("127.0.0.1:1", 403), (f"localhost:{port}", 200)):
        answer = requests.get(f"{server.url}/tasks.get_all", json={"page_size": 1}, auth=server.keys, headers={"Host": host}, timeout=10)
        assert answer.status_code == status


def test_secrets_are_in_no_log(own_server: OwnServer) -> None:
    server = own_server()
    requests.get(server.login_url, timeout=10)
    requests.get(f"{server.url}/login?key=wrong", timeout=10)
    requests.post(f"{server.url}/auth.login", auth=(server.keys[0], "wrong"), timeout=10)
    given = token(server)
    requests.post(f"{server.url}/tasks.get_all", data="{broken", auth=server.keys, timeout=10)
    server.stop()
    written = server.log.read_text()
    for secret in (*json.loads((server.data / "keys.json").read_text()).values(), given):
        assert secret not in written


def test_a_request_that_is_not_json_is_told_so(server: LocalServer) -> None:
    for body in ("{broken", "[1]", "[" * 100_000):
        answer = requests.post(f"{server.url}/tasks.get_all", data=body, auth=server.keys, timeout=10)
        assert (answer.status_code, answer.json()["meta"]["result_code"]) == (400, 400)
        assert "JSON" in answer.json()["meta"]["result_msg"]


def test_an_unknown_end_point_is_a_404_in_clearmls_form(server: LocalServer) -> None:
    answer = server.ask("tasks.bake_a_cake")
    assert (answer.status_code, answer.json()["meta"]["result_code"]) == (404, 404)
    assert "tasks.bake_a_cake" in answer.json()["meta"]["result_msg"]
