"""The download that a container makes, without the container."""

import socket
import threading

import pytest

from bench import podman


def test_a_client_is_served_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podman, "DOWNLOAD", 3_000_000)
    received = []

    def fetch(address: tuple[str, int]) -> None:
        with socket.create_connection(address) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with client.makefile("rb") as answer:
                received.append(answer.read())

    with socket.create_server(("127.0.0.1", 0)) as server:
        client = threading.Thread(target=fetch, args=(server.getsockname(),))
        client.start()
        assert podman.serve(server) > 0
        client.join()
    head, _, body = received[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\nContent-Length: ")
    assert body == bytes(3_000_000)


def test_a_client_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podman, "PATIENCE", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(TimeoutError):
        podman.serve(server)
