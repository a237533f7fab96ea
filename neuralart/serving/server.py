"""The server: one thread a connection, answers whole, and errors as one line of JSON."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from neuralart.errors import ConfigError
from neuralart.machine.crash import report
from neuralart.machine.terminal import say
from neuralart.machine.words import one_line, short
from neuralart.serving.guard import Guard, Refusal

SILENT_SECONDS = 30  # of a client, before its connection is closed

MOST_CONNECTIONS = 64

LINGER_BYTES = 100_000_000  # of an upload that is refused; more, and the client sees no answer

METHODS = "GET, HEAD, POST"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of our own pages."""


@dataclass(frozen=True)
class Request:
    """A request that `Guard` lets in.

    path        decoded
    parameters  of the query
    read        gives the body; see `Handler.body`
    is_there    whether the client still waits for the answer
    """

    method: str
    path: str
    parameters: Mapping[str, list[str]]
    read: Callable[[int], bytes]
    is_there: Callable[[], bool]


@dataclass(frozen=True)
class Answer:
    """What is sent: a media type, bytes, and headers besides those that every answer has."""

    type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Server(ThreadingHTTPServer):
    """Listens on one address, and answers with ``respond`` what ``guard`` lets in."""

    daemon_threads = True  # Ctrl-C does not wait for them

    def __init__(
        self, host: str, port: int, guard: Guard, respond: Callable[[Request], Answer]
    ) -> None:
        """Raises ConfigError if the address is taken, not this machine's, or not allowed."""
        self.guard, self.respond = guard, respond
        self._places = threading.Semaphore(MOST_CONNECTIONS)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            self.address_family = found[0][0]
            super().__init__(found[0][4][:2], Handler)  # type: ignore[arg-type]
        except UnicodeError:
            raise ConfigError(f"--host {short(host)}: no address of this machine") from None
        except PermissionError:
            raise ConfigError(f"--port {port}: needs rights; choose one above 1023") from None
        except socket.gaierror:
            raise ConfigError(f"--host {short(host)}: no address of this machine") from None
        except OSError as error:
            if _is_taken(error):
                raise ConfigError(
                    f"--port {port}: taken by another program; "
                    "choose another, or leave --port out for a free one"
                ) from None
            raise ConfigError(f"--host {short(host)}: {error.strerror or error}") from None

    def server_bind(self) -> None:
        # Not `HTTPServer.server_bind`, which asks a name server for this machine's name.
        if sys.platform == "win32":  # there, another program could take a port that is shared
            self.allow_reuse_address = False
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def address(self, host: str) -> str:
        """The address to open, with the port that was chosen."""
        shown = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self.server_port}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            say(f"error: {report(error)}", error=True)


def _is_taken(error: OSError) -> bool:
    return error.errno in (98, 48, 10048)  # EADDRINUSE of Linux, of macOS, and of Windows


class Handler(BaseHTTPRequestHandler):
    """Reads a request, and sends the answer or the refusal."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = SILENT_SECONDS
    server_version, sys_version = "neuralart", ""
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._unread = 0
        try:
            try:
                self.server.guard.check(self.headers)
                self._measure_body()
                answer = self.server.respond(self._request())
            except Refusal:
                raise
            except (OSError, KeyboardInterrupt):
                raise
            except Exception as error:  # noqa: BLE001
                say(f"error: {report(error)}", error=True)
                raise Refusal(
                    HTTPStatus.INTERNAL_SERVER_ERROR,
                    f"unexpected {type(error).__name__}; the terminal says more",
                ) from None
        except Refusal as refusal:
            self._refuse(refusal)
            return
        self._send(HTTPStatus.OK, answer)

    do_HEAD = do_GET  # noqa: N815
    do_POST = do_GET  # noqa: N815

    def _request(self) -> Request:
        try:
            address = urlsplit(self.path)
            parameters = parse_qs(
                address.query, keep_blank_values=True, strict_parsing=bool(address.query),
                errors="strict", max_num_fields=20,
            )  # fmt: skip
        except ValueError:
            raise Refusal(HTTPStatus.BAD_REQUEST, "the address cannot be read") from None
        return Request(self.command, unquote(address.path), parameters, self.body, self._is_there)

    def _measure_body(self) -> None:
        """Set the bytes that are to be read. Raises Refusal (411 or 400)."""
        lengths = self.headers.get_all("Content-Length") or []
        chunked = "Transfer-Encoding" in self.headers
        if self.command == "POST" and (chunked or not lengths):
            self.close_connection = True
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "an upload needs the header Content-Length")
        if (
            chunked
            or len(set(lengths)) > 1
            or not all(n.isascii() and n.isdigit() for n in lengths)
        ):
            self.close_connection = True
            raise Refusal(HTTPStatus.BAD_REQUEST, "the length of the request cannot be read")
        self._unread = int(lengths[0][:18]) if lengths else 0

    def body(self, most: int) -> bytes:
        """Read the request's body. Raises Refusal: 413 if it is over ``most`` bytes, 400 if cut."""
        if self._unread > most:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the upload has {self._unread / 1e6:,.1f} MB, "
                f"over the limit of {most / 1e6:.0f} MB",
            )
        data = self.rfile.read(self._unread)
        if len(data) < self._unread:
            self.close_connection = True
            self._unread = 0
            raise Refusal(HTTPStatus.BAD_REQUEST, "the upload was cut short")
        self._unread = 0
        return data

    def handle_expect_100(self) -> bool:
        """Let a client go on that asks before it uploads; `body` refuses what is too large."""
        with contextlib.suppress(ValueError):
            if int(self.headers.get("Content-Length", "0")) > LINGER_BYTES:
                return True  # without a word to go on
        return super().handle_expect_100()

    def _is_there(self) -> bool:
        """Whether the connection is open at the other end."""
        try:
            if not select.select([self.connection], [], [], 0)[0]:
                return True
            return bool(self.connection.recv(1, socket.MSG_PEEK))
        except (OSError, ValueError):
            return False

    def _send(self, status: HTTPStatus, answer: Answer) -> None:
        if self._unread:  # a body that nobody read
            self.close_connection = True
        self.send_response(status)
        headers = {
            "Content-Type": answer.type,
            "Content-Length": str(len(answer.body)),
            "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Content-Security-Policy": POLICY,
            **answer.headers,
        }
        if self.close_connection:
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        if self._unread:
            self._linger()

    def _linger(self) -> None:
        """Throw an unread upload away: closing at once would hide the answer from the client."""
        self.wfile.flush()
        with contextlib.suppress(OSError):
            self.connection.settimeout(2)
            left = min(self._unread, LINGER_BYTES)
            while left > 0 and (data := self.rfile.read(min(left, 1 << 16))):
                left -= len(data)

    def _refuse(self, refusal: Refusal) -> None:
        body = json.dumps({"error": one_line(str(refusal))}).encode() + b"\n"
        headers = {}
        if refusal.status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = METHODS
        if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["Retry-After"] = "5"
        self._send(refusal.status, Answer("application/json", body, headers))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library refuses: a request that is no HTTP, or of another method."""
        self._unread = 0
        self.close_connection = True
        if code == HTTPStatus.NOT_IMPLEMENTED:
            code, message = HTTPStatus.METHOD_NOT_ALLOWED, f"only {METHODS} are answered"
        status = HTTPStatus(code)
        # So that a request of no known form gets a status line, too.
        self.command, self.request_version = self.command or "", self.protocol_version
        self._refuse(Refusal(status, short(message or status.phrase, 200)))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal shows errors alone."""
