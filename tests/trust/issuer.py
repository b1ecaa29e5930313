"""An issuer of access tokens on loopback. It signs with `cryptography` itself: not with the library that verifies."""

import base64
import contextlib
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

NAME = "https://login.example.com/tenant"
AUDIENCE = "https://ledger.example.com"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value):
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Key:
    """A key pair, as it signs and as it is published."""

    def __init__(self, alg="ES256", kid="k1", bits=2048):
        self.alg, self.kid = alg, kid
        if alg[:2] in {"RS", "PS"}:
            self.private = rsa.generate_private_key(65537, bits)
            numbers = self.private.public_key().public_numbers()
            self.jwk = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        elif alg == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
            point = self.private.public_key().public_numbers()
            x, y = (value.to_bytes(32, "big") for value in (point.x, point.y))
            self.jwk = {"kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y)}
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()
            self.jwk = {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": b64(self.private.public_key().public_bytes_raw()),
            }
        self.jwk |= {"kid": kid, "use": "sig", "alg": alg}

    def sign(self, message):
        if self.alg == "ES256":
            r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        if self.alg == "RS256":
            return self.private.sign(message, padding.PKCS1v15(), hashes.SHA256())
        if self.alg == "PS256":
            return self.private.sign(message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        return self.private.sign(message)


def claims(**changed):
    now = int(time.time())
    given = {
        "iss": NAME,
        "aud": AUDIENCE,
        "sub": "agent-7",
        "iat": now,
        "nbf": now,
        "exp": now + 600,
        **changed,
    }
    return {name: value for name, value in given.items() if value is not None}


def compact(header, payload, sign):
    """A JWS in its compact form; `sign` is given what is signed."""
    signed = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(payload).encode())}"
    return f"{signed}.{b64(sign(signed.encode()))}"


def token(key, payload=None, header=None, **changed):
    head = {"typ": "at+jwt", "alg": key.alg, "kid": key.kid, **(header or {})}
    kept = {name: value for name, value in head.items() if value is not None}
    return compact(kept, payload if payload is not None else claims(**changed), key.sign)


def hmac_sha256(secret):
    return lambda message: hmac.new(secret, message, hashlib.sha256).digest()


def key_set(*keys):
    return json.dumps({"keys": [key.jwk for key in keys]}).encode()


class Issuer:
    """Serves its keys, and counts how often they are asked for."""

    def __init__(self, *keys):
        self.keys, self.asked, self.status, self.location = list(keys), 0, 200, None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                body = key_set(*outer.keys)
                with contextlib.suppress(OSError):
                    self.send_response(outer.status)
                    if outer.location is not None:
                        self.send_header("Location", outer.location)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_):
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/keys"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
