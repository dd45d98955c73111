"""A token server as Docker Hub and GitLab have one, for the real docker-registry, which checks the tokens that it gives.

After docs/spec/auth of the distribution project: a challenge names realm, service and scope; `GET realm?service=..&scope=..` with name
and password, or a form with a refresh token, is answered by a JSON Web Token that lists what is allowed. The registry trusts the key
of the certificate in its header (x5c).
"""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from .certificates import openssl

NAME, PASSWORD, REFRESH = "ada", "secret", "a token of ada's"
PUBLIC = "public/"
ISSUER = SERVICE = "test"


class TokenServer:
    """Gives ada everything, and anybody else what is below `public/` to read."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "crt", "-days", "2", "-subj", "/CN=t")
        self.folder = folder
        self.asked: list[str] = []
        """The scope of each request, its actions sorted: docker-registry keeps them in a Go map, and so names them in any order."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version: ClassVar[str] = "HTTP/1.0"

            def do_GET(self) -> None:
                given = self.headers.get("Authorization", "").removeprefix("Basic ")
                name = base64.b64decode(given).decode()
                self.reply(parse_qs(urlsplit(self.path).query), name == f"{NAME}:{PASSWORD}", refused=bool(name))

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                known = form["grant_type"] == ["refresh_token"] and form["refresh_token"] == [REFRESH]
                self.reply(form, known, refused=True)

            def reply(self, asked: dict[str, list[str]], known: bool, refused: bool) -> None:
                if refused and not known:
                    self.send_error(401)
                    return
                body = json.dumps({"access_token" if self.command == "POST" else "token": server.token(asked, known)}).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()

    @property
    def settings(self) -> dict[str, Any]:
        """What the registry's configuration says of it."""
        realm = f"http://127.0.0.1:{self.http.server_port}/token"
        return {"token": {"realm": realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(self.folder / "crt")}}

    def token(self, asked: dict[str, list[str]], known: bool) -> str:
        access = []
        for scope in asked.get("scope", []):
            kind, name, actions = scope.split(":")
            self.asked.append(f"{kind}:{name}:{','.join(sorted(actions.split(',')))}")
            allowed = [action for action in actions.split(",") if known or (action == "pull" and name.startswith(PUBLIC))]
            access.append({"type": kind, "name": name, "actions": allowed})
        now = int(time.time())
        certificate = base64.b64encode(ssl.PEM_cert_to_DER_cert((self.folder / "crt").read_text())).decode()
        claims = {
            "iss": ISSUER,
            "sub": NAME,
            "aud": SERVICE,
            "iat": now,
            "nbf": now - 5,
            "exp": now + 300,
            "jti": str(now),
            "access": access,
        }
        signed = ".".join(encoded(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "RS256", "x5c": [certificate]}, claims))
        signature = ["openssl", "dgst", "-sha256", "-sign", str(self.folder / "key")]
        return f"{signed}.{encoded(subprocess.run(signature, input=signed.encode(), capture_output=True, check=True).stdout)}"

    def stop(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()
