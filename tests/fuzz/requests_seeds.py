"""Requests as clients make them, for the fuzzer to begin with: tests/fuzz/requests_corpus.

`python -m tests.fuzz.requests_seeds` writes them there.
"""

import json
from pathlib import Path

from rootlessnet.control.protocol import Info, Publish, Stop, Withdraw, encode_request
from tests.fuzz.requests_target import encode

CORPUS = Path(__file__).parent / "requests_corpus"
_PORTS = ("8080:80", "127.0.0.1:53:53/udp", "[::1]::10.0.2.15:22", "8000-8003:9000-9003", "666:1")


def _execute(name: str, **arguments: object) -> bytes:
    """What podman and RootlessKit send, without a newline."""
    asked: dict[str, object] = {"execute": name}
    if arguments:
        asked["arguments"] = arguments
    return encode(json.dumps(asked).encode(), api=True)


def requests() -> dict[str, bytes]:
    """By name."""
    port = {"proto": "tcp", "host_addr": "0.0.0.0", "host_port": 8080, "guest_port": 80}
    return {
        "info": encode(encode_request(Info())),
        "publish": encode(encode_request(Publish(_PORTS))),
        "withdraw": encode(encode_request(Withdraw(("80:80", "53:53/udp")))),
        "stop": encode(encode_request(Stop(1.5))),
        "unfinished": encode(b'{"request":"info"}'),
        "unfinished-for-good": encode(b'{"request":"info"}', complete=True),
        "all-ports": encode(encode_request(Publish(3 * ("1-65535:1-65535",)))),
        "api-add": _execute("add_hostfwd", **port),
        "api-add-to-a-guest": _execute("add_hostfwd", **port, guest_addr="10.0.2.100"),
        "api-list": _execute("list_hostfwd"),
        "api-remove": _execute("remove_hostfwd", id=1),
        "api-ps": _execute("ps"),
        "api-port-ls": _execute("port_ls"),
        "api-port-add": _execute("port_add", ports=list(_PORTS[:2])),
        "api-port-rm": _execute("port_rm", ports=["80:80"]),
        "api-unfinished": encode(b'{"execute":', api=True),
    }


def write(directory: Path) -> None:
    """A file for each of them."""
    directory.mkdir(exist_ok=True)
    for name, data in requests().items():
        (directory / name).write_bytes(data)


if __name__ == "__main__":
    write(CORPUS)
