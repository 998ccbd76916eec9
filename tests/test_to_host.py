"""Ports of the host for the guest, as users write them: examples, and random text."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootlessnet.config import NetworkConfig
from rootlessnet.errors import UsageError
from rootlessnet.forward import parse_forwards
from rootlessnet.to_host import ToHost, parse_to_host

ports = st.integers(1, 65535)
ways = st.builds(ToHost, ports, ports, st.sampled_from(["tcp", "udp"]))
nearly_right = st.text(alphabet="0123456789:/tcpud- \n\x00\u0663é\udc80", max_size=16)


def complaint(do: Callable[[], object]) -> str:
    with pytest.raises(UsageError) as caught:
        do()
    return str(caught.value)


@given(ways)
def test_a_way_is_read_back_from_its_own_writing(way: ToHost) -> None:
    assert parse_to_host(str(way)) == way


@given(nearly_right | st.text())
def test_any_text_is_accepted_or_refused_in_one_printable_line(text: str) -> None:
    message = ""
    read: list[ToHost] = []
    try:
        read.append(parse_to_host(text))
    except UsageError as error:
        message = str(error)
    assert message.isprintable()
    assert [parse_to_host(str(way)) for way in read] == read


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("5432", ToHost(5432, 5432)),
        ("5432/tcp", ToHost(5432, 5432)),
        ("5432/TCP", ToHost(5432, 5432)),
        ("53/udp", ToHost(53, 53, "udp")),
        ("15432:5432", ToHost(15432, 5432)),
        ("1:65535/udp", ToHost(1, 65535, "udp")),
    ],
)
def test_reads(text: str, way: ToHost) -> None:
    assert parse_to_host(text) == way


def test_writes_the_shorter_form() -> None:
    assert [str(ToHost(53, 53, "udp")), str(ToHost(6543, 5432))] == ["53/udp", "6543:5432/tcp"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "0",
        "65536",
        "-1",
        "a",
        "1:2:3",
        ":5432",
        "5432:",
        "127.0.0.1:80",
        "80-81",
        "9" * 99,
    ],
)
def test_refuses_what_is_no_port(text: str) -> None:
    message = complaint(lambda: parse_to_host(text))
    assert message.startswith("cannot read '")
    assert "[GUEST_PORT:]HOST_PORT[/tcp|/udp]" in message


@pytest.mark.parametrize("text", ["80/", "80/sctp", "80/tcp4", "80/tcp/udp"])
def test_refuses_another_protocol(text: str) -> None:
    assert complaint(lambda: parse_to_host(text)).endswith("is not known: write /tcp or /udp")


@pytest.mark.parametrize(
    ("texts", "published", "said"),
    [
        (
            ("80", "80"),
            "",
            "port 80/tcp of the guest is to lead to the host twice, by 80/tcp: keep",
        ),
        (("80:1", "80:2"), "", "twice, by 80:1/tcp and 80:2/tcp: keep one of them"),
        (("80:1",), "8080:80", "leads to the host, by 80:1/tcp, and 8080:80/tcp publishes it"),
    ],
)
def test_ways_that_cross(texts: tuple[str, ...], published: str, said: str) -> None:
    forwards = parse_forwards(published) if published else ()
    to_host = tuple(map(parse_to_host, texts))
    assert said in complaint(lambda: NetworkConfig(forwards=forwards, to_host=to_host))


def test_ways_beside_each_other() -> None:
    """Of another protocol, port or node; to the same port of the host."""
    to_host = tuple(map(parse_to_host, ("80:1", "80:1/udp", "81:1")))
    published = ("80:82", "81:81/udp", "8080:[10.0.2.101]:80", "8081:[10.0.2.100]:80")
    forwards = tuple(one for text in published for one in parse_forwards(text))
    assert NetworkConfig(forwards=forwards, to_host=to_host).to_host == to_host


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ToHost(0, 1), "port 0 is not a number from 1 to 65535"),
        (lambda: ToHost(1, 65536), "port 65536 is not a number from 1 to 65535"),
        (lambda: ToHost(True, 1), "port True is of type bool"),
        (lambda: ToHost(1, 1, "sctp"), "protocol 'sctp' is not known"),  # type: ignore[arg-type]
    ],
)
def test_values_are_judged_as_words_are(make: Callable[[], object], said: str) -> None:
    assert complaint(make).startswith(said)
