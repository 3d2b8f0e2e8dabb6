"""Something between the job and its Drive: sees each request on its way, and each answer."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import urllib3

Before = Callable[[str, str, bytes], bytes | None]
"""Method, path and body of a request before it goes on -> the body that goes on, of the same length; None: as it is."""

After = Callable[[str, str, bytes], bytes | None]
"""Method, path and body of an answer -> the body that goes back; None for a 404 in its place."""


@contextmanager
def between(
    url: str,
    before: Before = lambda method, path, body: None,
    after: After = lambda method, path, body: body,
) -> Iterator[str]:
    """The URL of a server that passes everything on to the one at `url`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            changed = before(self.command, self.path, body)
            body = body if changed is None else changed
            del self.headers["accept-encoding"]  # so that `after` sees plain text
            answer = urllib3.request(
                self.command, url + self.path, headers=dict(self.headers), body=body, retries=False, redirect=False
            )
            back = after(self.command, self.path, answer.data)
            self.send_response(answer.status if back is not None else 404)
            for name, value in answer.headers.items():
                if name.lower() not in {"content-length", "connection", "transfer-encoding", "date", "server"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(back or b"")))
            self.end_headers()
            self.wfile.write(back or b"")

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one  # noqa: N815 - names of http.server

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of http.server
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
