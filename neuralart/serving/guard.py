"""Which requests are answered: those that come from our own pages, or from no page at all.

A page of another site may send requests to this machine, and a name that its owner controls may
lead here (DNS rebinding). The headers Host and Origin show both.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from email.message import Message
from http import HTTPStatus
from urllib.parse import urlsplit

_LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}


class Refusal(Exception):
    """A request that is not met: an HTTP status, and one line that says why."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address to listen on."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


class Guard:
    """Checks the headers of requests to a server that listens on ``host``."""

    def __init__(self, host: str) -> None:
        self._names = {*_LOOPBACK_NAMES, host.lower()}
        self._is_loopback = is_loopback(host)
        if not self._is_loopback:
            self._names.add(socket.gethostname().lower())

    def check(self, headers: Message) -> None:
        """Raise Refusal for a foreign Host (421) or Origin (403)."""
        hosts = headers.get_all("Host") or []
        if len(hosts) != 1:
            raise Refusal(HTTPStatus.BAD_REQUEST, "a request needs one header Host")
        host = str(hosts[0]).strip()
        if not self._knows(host):
            raise Refusal(
                HTTPStatus.MISDIRECTED_REQUEST, "this server answers under its own address only"
            )
        origins = headers.get_all("Origin") or []
        if any(str(origin).strip().lower() != f"http://{host}".lower() for origin in origins):
            raise Refusal(HTTPStatus.FORBIDDEN, "requests from other sites are refused")

    def _knows(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        if self._is_loopback:
            return False
        # An address, unlike a name, cannot be made to lead here by its owner.
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
