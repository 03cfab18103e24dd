"""One POST on a connection of its own, in whichever thread; another can cut it short.

Rule: it ends within its time however slowly the other side sends, and leaves nothing
open. No connection is kept: one that died meanwhile would look like a lost answer.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from bus.core.policylimits import DECISION_ANSWER_BYTES_MAX

_PORTS: Final = {"http": 80, "https": 443}


class Answer(msgspec.Struct, frozen=True):
    """What came of one attempt; `status` is 0 where there was no whole answer."""

    status: int = 0
    retry_after: str = ""
    trouble: str = ""


class Request:
    """A POST to `url`, https by `verify`, within `timeout_s` seconds. Sent once."""

    def __init__(self, url: str, verify: ssl.SSLContext, timeout_s: float) -> None:
        self._url = urlsplit(url)
        self._verify = verify
        self._timeout_s = timeout_s
        self._guard = threading.Lock()
        self._socket: socket.socket | None = None
        self._reason = ""

    def send(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send and return what came of it."""
        late = f"no answer in {self._timeout_s:g} s"
        deadline = threading.Timer(self._timeout_s, self.cut, [late])
        deadline.daemon = True
        deadline.start()
        try:
            return self._exchange(headers, body)
        except TimeoutError:
            return Answer(trouble=late)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Answer(trouble=self._reason or f"{type(error).__name__}: {error}")
        finally:
            deadline.cancel()
            self._let_go()

    def cut(self, reason: str) -> None:
        """End it now, whatever it is at; called on any thread, and any number of times."""
        with self._guard:
            self._reason = self._reason or reason
            if self._socket is not None:
                _shut(self._socket)

    def _exchange(self, headers: Mapping[str, str], body: bytes) -> Answer:
        url = self._url
        connection = http.client.HTTPConnection(
            url.hostname or "", url.port or _PORTS[url.scheme]
        )
        connection.sock = self._connected(connection.host, connection.port)
        path = f"{url.path.rstrip('/')}/logs"
        connection.request("POST", path, body, {**headers, "Connection": "close"})
        with connection.getresponse() as response:
            status, wait = response.status, response.headers.get("Retry-After", "")
            left = DECISION_ANSWER_BYTES_MAX
            while left > 0 and (piece := response.read(left)):
                left -= len(piece)
            if left > 0 and response.length:
                raise http.client.IncompleteRead(b"", response.length)
        if self._reason:  # it ended because it was cut, and looks whole by chance
            return Answer(trouble=self._reason)
        return Answer(status, wait, f"HTTP {status}")

    def _connected(self, host: str, port: int) -> socket.socket:
        plain = socket.create_connection((host, port), self._timeout_s)
        self._hold(plain)
        if self._url.scheme != "https":
            return plain
        # The handshake comes after the socket is held, so that it can be cut as well.
        safe = self._verify.wrap_socket(
            plain, server_hostname=host, do_handshake_on_connect=False
        )
        self._hold(safe)
        safe.do_handshake()
        return safe

    def _hold(self, made: socket.socket) -> None:
        with self._guard:
            self._socket = made
            if self._reason:
                raise OSError(self._reason)

    def _let_go(self) -> None:
        with self._guard:
            if self._socket is not None:
                self._socket.close()
                self._socket = None


def _shut(held: socket.socket) -> None:
    try:
        # Not SSLSocket's own, which takes away what the other thread is using.
        socket.socket.shutdown(held, socket.SHUT_RDWR)
    except OSError:
        return  # it is not connected any more, which is what was wanted
