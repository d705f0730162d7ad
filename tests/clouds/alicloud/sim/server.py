"""The simulator: a TLS server on loopback in threads of this process, and what a test asks of it."""

from __future__ import annotations

import hmac
import json
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.clouds.alicloud.sim.account import Account, Hosts, Key
from tests.clouds.alicloud.sim.tls import make_certificates
from tests.clouds.alicloud.sim.wire import ApiError, Dropped, Params, sign

KEY_ID = "LTAIsimulated0000000001"
SECRET = "canary-of-the-secret-key-0001"


class Simulator:
    """A running simulator. Use it as a context manager."""

    def __init__(self, folder: Path, hosts: Hosts | None = None) -> None:
        self.account = Account({KEY_ID: Key(SECRET)}, hosts)
        self.trusted, context = make_certificates(folder)
        self._server = _Server(("127.0.0.1", 0), self.account, context)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def another_account(self, key: str, secret: str, number: str) -> Account:
        """Somebody else's account, reached by a key of its own; empty."""
        other = Account({key: Key(secret, account=number)})
        self._server.others[key] = other
        return other

    @property
    def endpoint(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def env(self) -> dict[str, str]:
        """What a program needs in its environment to meet this simulator, and nothing else, as its cloud."""
        return {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": KEY_ID,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET,
            "ALIBABA_CLOUD_ENDPOINT_ECS": self.endpoint,
            "ALIBABA_CLOUD_ENDPOINT_VPC": self.endpoint,
            "ALIBABA_CLOUD_ENDPOINT_STS": self.endpoint,
            "SSL_CERT_FILE": str(self.trusted),
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], account: Account, context: ssl.SSLContext) -> None:
        super().__init__(address, _Handler)
        self.account, self.context = account, context
        self.others: dict[str, Account] = {}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no matter of ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120
    server: _Server

    def setup(self) -> None:
        self.request = self.server.context.wrap_socket(self.request, server_side=True)  # in the connection's own thread
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().setup()

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pairs = parse_qsl(urlsplit(self.path).query, keep_blank_values=True)
        p = Params([*pairs, *parse_qsl(body.decode(), keep_blank_values=True)])
        account = self.server.others.get(p.get("AccessKeyId", ""), self.server.account)
        try:
            self._check_signature(account, p)
            self._reply(200, dict(account.call(p, p["AccessKeyId"])))
        except Dropped:
            self.close_connection = True
            self.request.close()
        except ApiError as error:
            self._refuse(error)
        except Exception as error:  # noqa: BLE001 - a defect of the simulator must never look like the cloud's answer
            self._refuse(ApiError(400, "Simulator.Defect", f"{p.get('Action')}: {error!r}"))

    do_POST = do_GET  # noqa: N815 - the name is the base class's

    def _check_signature(self, account: Account, p: Params) -> None:
        key = account.keys.get(p.get("AccessKeyId", ""))
        error = None
        if key is None:
            error = ApiError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        elif not hmac.compare_digest(sign(self.command, p, key.secret), p.get("Signature", "")):
            text = "Specified signature is not matched with our calculation. server string to sign is: GET&%2F&canary"
            error = ApiError(400, "SignatureDoesNotMatch", text)
        elif key.token != p.get("SecurityToken", ""):
            error = ApiError(400, "InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed.")
        if error:
            account.refuse(p, p.get("AccessKeyId", ""), error)
            raise error

    def _refuse(self, error: ApiError) -> None:
        host = self.headers.get("Host")
        self._reply(error.status, {"RequestId": "SIM", "HostId": host, "Code": error.code, "Message": error.message})

    def _reply(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_args: object) -> None:
        """The log is the account's."""
