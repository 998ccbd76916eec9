"""The lines that clients and instances exchange: what is read back, and what is refused."""

import json
from contextlib import suppress
from ipaddress import IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootlessnet.config import AttachConfig, NetworkConfig, RunConfig
from rootlessnet.control import description
from rootlessnet.control.protocol import (
    Info,
    Publish,
    Request,
    Stop,
    Withdraw,
    decode_answer,
    decode_request,
    encode_error,
    encode_request,
    encode_result,
)
from rootlessnet.errors import RootlessnetError
from rootlessnet.forward import Forward
from rootlessnet.to_host import ToHost
from rootlessnet.words import HostAddress

PORTS = st.lists(st.text()).map(tuple)
REQUESTS: st.SearchStrategy[Request] = st.one_of(
    st.just(Info()),
    st.builds(Publish, PORTS),
    st.builds(Withdraw, PORTS),
    st.builds(Stop, st.floats(0, 86_400)),
)


@given(REQUESTS)
def test_a_request_arrives_as_it_was(request: Request) -> None:
    line = encode_request(request)
    assert line.count(b"\n") == 1
    assert decode_request(line.removesuffix(b"\n")) == request


@given(st.binary())
def test_bytes_are_a_request_or_one_error(line: bytes) -> None:
    with suppress(RootlessnetError):
        decode_request(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"info",
        b"null",
        b"[]",
        b"{}",
        b'{"request":"reboot"}',
        b'{"request":["info"]}',
        b'{"request":"publish"}',
        b'{"request":"publish","ports":"80:80"}',
        b'{"request":"publish","ports":[80]}',
        b'{"request":"withdraw","ports":{"80":80}}',
        b'{"request":"stop"}',
        b'{"request":"stop","seconds":"1"}',
        b'{"request":"stop","seconds":-1}',
        b'{"request":"stop","seconds":1e400}',
        b'{"request":"stop","seconds":NaN}',
        b'{"request":"stop","seconds":86401}',
        b"[" * 60_000,
        b"9" * 60_000,
        b'\xff{"request":"info"}',
    ],
)
def test_what_is_no_request(line: bytes) -> None:
    with pytest.raises(RootlessnetError):
        decode_request(line)


def test_an_error_is_raised_where_it_was_asked_for() -> None:
    assert decode_answer(encode_result(["80:80/tcp"])) == ["80:80/tcp"]
    with pytest.raises(RootlessnetError, match="the port is taken"):
        decode_answer(encode_error("the port is taken"))


@pytest.mark.parametrize("line", [b"", b"{}", b"[1]", b'{"error":1}', b'{"error":null}'])
def test_what_is_no_answer(line: bytes) -> None:
    with pytest.raises(RootlessnetError, match="makes no sense"):
        decode_answer(line)


@pytest.mark.parametrize(
    "config",
    [
        RunConfig(("sh", "-c", "caf\udce9"), NetworkConfig(mtu=1500)),
        AttachConfig(1234),
        AttachConfig("/run/netns/x"),
        AttachConfig(1, network=NetworkConfig(ipv6=True, cidr6=IPv6Network("fd00::/64"))),
        AttachConfig(1234, network=NetworkConfig(to_host=(ToHost(1, 2), ToHost(3, 3, "udp")))),
    ],
)
@pytest.mark.parametrize("host_ip", [None, ip_address("127.0.0.2")])
def test_a_description_arrives_as_it_was(
    config: RunConfig | AttachConfig, host_ip: HostAddress | None
) -> None:
    """All but the process id, which is another one in another namespace."""
    ports = (str(Forward(1, 2)), str(Forward(3, 4, "udp")))
    made = description.describe(config, "web", 7, 1.5, ports, host_ip)
    answer = encode_result(made.as_json())
    assert description.read(decode_answer(answer), 7) == made


@pytest.mark.parametrize("change", [{"name": 1}, {"network": None}, {"ports": [1]}, {"command": 2}])
def test_what_is_no_description(change: dict[str, object]) -> None:
    value = description.describe(AttachConfig(1), "web", 7, 1.5, ()).as_json() | change
    with pytest.raises(RootlessnetError, match="makes no sense"):
        description.read(json.loads(json.dumps(value)), 7)
