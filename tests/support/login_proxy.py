"""A proxy that wants to know who asks, in front of another one."""

import base64
import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class LoginProxy:
    """Passes CONNECTs with the right user and password on to the next proxy, and notes the hosts; 407 to all others."""

    def __init__(self, onward: str, login: str) -> None:
        self._onward = (urlsplit(onward).hostname or "", urlsplit(onward).port or 0)
        self._login = b"basic " + base64.b64encode(login.encode())
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.hosts: list[str] = []
        """What was asked for, `www.googleapis.com:443`, whoever asked."""

    def __enter__(self) -> "LoginProxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            self.hosts.append(head.split()[1].decode())
            fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
            login = next((value for name, value in fields.items() if name.lower() == b"proxy-authorization"), b"")
            if login[:6].lower() + login[6:] != self._login:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(self._onward) as onward:
                onward.sendall(head)
                back = threading.Thread(target=_relay, args=(onward, client), daemon=True)
                back.start()
                _relay(client, onward)
                back.join()


def _relay(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
