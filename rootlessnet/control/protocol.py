"""Requests and answers, each one line of JSON of bounded length.

A request is an object whose member `request` names it. An answer is an object with one member:
`result`, or `error` with a line for the user. Whatever arrives is read into values here, and what
is none raises RootlessnetError. Texts may have lone surrogates, as Python has undecodable bytes of
arguments: JSON's escapes carry them.

Read: RFC 8259.
"""

import json
from dataclasses import dataclass

from rootlessnet.errors import RootlessnetError
from rootlessnet.words import quoted

ANSWER_SIZE = 1 << 24
STOP_SECONDS_MOST = 86_400.0


@dataclass(frozen=True, slots=True)
class Info:
    """Describe yourself: the result is a Description's `as_json`."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish all of these ports or none: the result is the texts of those published."""

    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Withdraw all of these ports or none."""

    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """End the command, by force when it still runs after so many seconds. The answer comes at the
    end.
    """

    seconds: float


Request = Info | Publish | Withdraw | Stop


def encode_request(request: Request) -> bytes:
    match request:
        case Info():
            value: dict[str, object] = {"request": "info"}
        case Publish(ports):
            value = {"request": "publish", "ports": ports}
        case Withdraw(ports):
            value = {"request": "withdraw", "ports": ports}
        case Stop(seconds):
            value = {"request": "stop", "seconds": seconds}
    return _encode(value)


def decode_request(line: bytes) -> Request:
    """Raises RootlessnetError for what is no request."""
    match _decode(line):
        case {"request": "info"}:
            return Info()
        case {"request": "publish" | "withdraw" as name, "ports": written}:
            ports = texts(written)
            if ports is not None:
                return Publish(ports) if name == "publish" else Withdraw(ports)
        case {"request": "stop", "seconds": int() | float() as seconds}:
            if 0 <= seconds <= STOP_SECONDS_MOST:
                return Stop(float(seconds))
    raise RootlessnetError(
        f"request {quoted(line.decode(errors='replace'))} is not known: "
        "use the rootlessnet that runs the instance"
    )


def encode_result(result: object) -> bytes:
    return _encode({"result": result})


def encode_error(message: str) -> bytes:
    return _encode({"error": message})


def decode_answer(line: bytes) -> object:
    """The result. Raises the error that the answer is, as RootlessnetError."""
    match _decode(line):
        case {"error": str() as message}:
            raise RootlessnetError(message)
        case {"result": result}:
            return result
    raise not_understood()


def not_understood() -> RootlessnetError:
    """What to say of an answer that is none."""
    return RootlessnetError(
        "the answer of the instance makes no sense: use the rootlessnet that runs it"
    )


def texts(value: object) -> tuple[str, ...] | None:
    """The texts of a list; None for what is none."""
    if not isinstance(value, list):
        return None
    found = tuple(one for one in value if isinstance(one, str))
    return found if len(found) == len(value) else None


def _encode(value: dict[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _decode(line: bytes) -> object:
    """The value, or None for what is no JSON."""
    try:
        value: object = json.loads(line.decode())
    except (ValueError, RecursionError):  # no UTF-8, no JSON, a number or a nesting without end
        return None
    return value
