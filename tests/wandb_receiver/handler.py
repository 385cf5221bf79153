"""HTTP: requests to the parts of the server that answer them."""

from __future__ import annotations

import gzip
import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from wandb_receiver.receiver import Receiver

_OPERATION = re.compile(r"(query|mutation)\s+(\w+)")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: Receiver

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Quiet about clients that drop their connection, as the client does when it exits."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def make_server(receiver: Receiver) -> Server:
    server = Server(("127.0.0.1", 0), Handler)
    server.receiver = receiver
    return server


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        receiver = self.server.receiver  # type: ignore[attr-defined]
        body = self._body()
        path = urlsplit(self.path).path
        query = json.loads(body) if path == "/graphql" else {}
        kind, operation = _operation(query)
        with receiver.lock:
            receiver.requests.append(f"{path} {operation}".strip())
            count = len(receiver.requests)
        if receiver.faults.latency:
            time.sleep(receiver.faults.latency)
        if receiver.faults.gone(count):
            self.close_connection = True
            threading.Thread(target=receiver.stop).start()
            return
        failure = receiver.faults.failure(count, writes=kind != "query")
        if failure:
            self._answer(failure[0], {"errors": [{"message": failure[1]}], "error": failure[1]})
            return
        with receiver.lock:
            self._answer(*_served(receiver, path, operation, query, body))

    do_GET = do_PUT = do_POST

    def _body(self) -> bytes:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                raw += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return gzip.decompress(raw) if self.headers.get("Content-Encoding") == "gzip" else raw

    def _answer(self, status: int, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _operation(query: dict[str, Any]) -> tuple[str, str]:
    """Kind and name of a GraphQL request (query, mutation); any other is a "file" request."""
    if not query:
        return "file", ""
    matched = _OPERATION.search(query["query"])
    kind, name = matched.groups() if matched else ("query", "")
    return kind, query.get("operationName") or name


def _served(
    receiver: Receiver, path: str, operation: str, query: dict[str, Any], body: bytes
) -> tuple[int, dict[str, Any]]:
    """Status and answer of a request that nothing disturbs."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts == ["graphql"]:
        answer = receiver.state.answer(operation, query.get("variables") or {})
        if answer is None:
            receiver.unsupported.append(query["query"])
            return 200, {"data": None, "errors": [{"message": f"unknown operation {operation}"}]}
        return 200, {"data": answer}
    if parts[0] == "files" and parts[-1] == "file_stream":
        receiver.state.run(*parts[1:4]).stream(json.loads(body) if body else {})
        return 200, {"exitcode": None, "limits": {}, "stopped": False}
    if parts[:2] == ["upload", "run"]:
        receiver.state.run(*parts[2:5]).files[parts[5]] = body
        return 200, {}
    if parts[:2] == ["upload", "artifact"]:
        name = parts[3]
        if not name.startswith("/"):  # the manifest is no file of the artifact
            receiver.state.artifacts[parts[2]].files[name] = body
        return 200, {}
    return 404, {"error": f"nothing at {path}"}
