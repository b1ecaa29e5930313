"""An issuer at which people sign in, on loopback: it shows nobody a form, sends the browser straight back, and gives an ID token for a code, once."""

import base64
import contextlib
import hashlib
import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.trust.issuer import NAME, Key, claims, key_set, token

CLIENT = "agent-ledger console"
SECRET = "s3cret: of the client"


class Provider:
    """What it answers with can be changed: `claims` into each ID token, `answer` in its place, `error` in the place of a code."""

    def __init__(self):
        self.key, self.claims, self.answer, self.error, self.asked = Key(), {}, None, None, []
        self.codes = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                parts = urlsplit(self.path)
                if parts.path == "/keys":
                    outer.asked.append("keys")
                    return self._send(200, key_set(outer.key))
                return self._send(302, b"", Location=outer.back(parse_qs(parts.query)))

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                given = {name: values[0] for name, values in parse_qs(body).items()}
                outer.asked.append(given)
                status, answer = outer.trade(given, self.headers.get("Authorization", ""))
                self._send(status, json.dumps(answer).encode() if isinstance(answer, dict) else answer)

            def _send(self, status, body, **headers):
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    for name, value in {**headers, "Content-Length": str(len(body))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_):
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def back(self, asked):
        """Where the browser is sent with a code of its own."""
        said = {name: values[0] for name, values in asked.items()}
        if self.error is not None:
            return f"{said['redirect_uri']}?{urlencode({**self.error, 'state': said['state']})}"
        code = secrets.token_urlsafe(16)
        self.codes[code] = said
        return f"{said['redirect_uri']}?{urlencode({'code': code, 'state': said['state'], 'iss': NAME})}"

    def trade(self, given, authorization):
        """A token for a code that was given out, to who asked for it."""
        said = self.codes.pop(given.get("code"), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(given.get("code_verifier", "").encode()).digest())
        shown = base64.b64decode(authorization.partition(" ")[2] or b"").decode()
        if (
            said is None
            or challenge.rstrip(b"=").decode() != said["code_challenge"]
            or given["redirect_uri"] != said["redirect_uri"]
            or shown != "agent-ledger%20console:s3cret%3A%20of%20the%20client"
        ):
            return 400, {"error": "invalid_grant"}
        if self.answer is not None:
            return self.answer
        changed = {"aud": CLIENT, "groups": ["ledger-analysts"], "nonce": said["nonce"], **self.claims}
        return 200, {"id_token": token(self.key, header={"typ": "JWT"}, payload=claims(**changed))}

    def file(self, path, **more):
        """A file of issuers that names it; its page is at another site than its keys."""
        lines = {
            "client_id": CLIENT,
            "authorization_endpoint": f"http://localhost:{self.port}/authorize?tenant=1",
            "token_endpoint": f"http://127.0.0.1:{self.port}/token",
            "client_secret_file": str(path.with_name("secret")),
            "scope": "openid groups",
            "label": "Example <b>",
            **more,
        }
        path.with_name("secret").write_text(SECRET)
        console = "\n".join(
            f"{name} = {json.dumps(value)}" for name, value in lines.items() if value is not None
        )
        path.write_text(
            f'[[issuer]]\nissuer = "{NAME}"\njwks_url = "http://127.0.0.1:{self.port}/keys"\n'
            f'algorithms = ["ES256"]\nallow_private = true\n\n[issuer.console]\n{console}\n'
        )
        return path

    def close(self):
        self.server.shutdown()
        self.server.server_close()
