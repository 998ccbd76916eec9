"""An HTTP server for large files: `http_files.py ADDRESS PORT FILE`.

GET sends FILE; PUT answers with the SHA-256 of what was uploaded. It says `ready` once it listens.
"""

import hashlib
import shutil
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PIECE = 1 << 20


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    file: Path

    def do_GET(self) -> None:
        self._start(self.file.stat().st_size)
        with self.file.open("rb") as source:
            shutil.copyfileobj(source, self.wfile, PIECE)

    def do_PUT(self) -> None:
        if self.headers["Expect"] == "100-continue":
            pass  # the base class has sent it
        left = int(self.headers["Content-Length"])
        state = hashlib.sha256()
        while left:
            piece = self.rfile.read(min(left, PIECE))
            state.update(piece)
            left -= len(piece)
        answer = state.hexdigest().encode()
        self._start(len(answer))
        self.wfile.write(answer)

    def _start(self, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()


def main(address: str, port: str, file: str) -> None:
    Handler.file = Path(file)

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

    with Server((address, int(port)), Handler) as server:
        print("ready", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
