"""Who gets which address, at explicit times."""

from rootlessnet.stack.leases import DECLINED_TIME, Client, Leases

POOL = [b"10", b"11", b"12"]
A, B, C, D = (Client(name, b"mac of " + name) for name in (b"a", b"b", b"c", b"d"))


def given(leases: Leases, client: Client, now: float, until: float) -> bytes:
    """The address that the client was given."""
    address = leases.choose(client, None, now)
    assert address is not None
    leases.keep(client, address, until)
    return address


def test_each_client_has_its_own() -> None:
    leases = Leases(POOL, {})
    assert {given(leases, client, 0, 100) for client in (A, B, C)} == set(POOL)
    assert leases.choose(D, None, 50) is None


def test_a_client_keeps_what_it_has() -> None:
    leases = Leases(POOL, {})
    first = given(leases, A, 0, 100)
    assert leases.choose(A, b"12", 50) == first
    assert leases.choose(A, b"12", 200) == first


def test_a_client_gets_what_it_asks_for_if_nobody_has_it() -> None:
    leases = Leases(POOL, {})
    leases.keep(A, b"12", 100)
    assert leases.choose(B, b"12", 99) == b"10"
    assert leases.choose(B, b"12", 100) == b"12"
    assert leases.choose(B, b"99", 0) == b"10"


def test_what_was_never_used_goes_first_then_what_is_free_for_longest() -> None:
    leases = Leases(POOL, {})
    leases.keep(A, b"10", 30)
    leases.keep(B, b"11", 20)
    assert leases.choose(D, None, 50) == b"12"
    leases.keep(C, b"12", 40)
    assert leases.choose(D, None, 50) == b"11"
    leases.keep(D, b"11", 90)
    assert leases.choose(B, None, 50) == b"10"


def test_a_lease_is_not_cut_short_by_an_offer() -> None:
    leases = Leases(POOL, {})
    leases.keep(A, b"10", 1000)
    leases.keep(A, b"10", 60)
    assert not leases.may_have(B, b"10", 500)


def test_a_client_has_one_address() -> None:
    leases = Leases(POOL, {})
    leases.keep(A, b"10", 1000)
    leases.keep(A, b"11", 1000)
    assert leases.may_have(B, b"10", 0)
    assert leases.may_have(A, b"11", 0)


def test_what_is_released_is_free_and_remembered() -> None:
    leases = Leases(POOL, {})
    leases.keep(A, b"11", 1000)
    leases.release(B, b"11", 10)
    assert not leases.may_have(B, b"11", 10)
    leases.release(A, b"11", 10)
    assert leases.may_have(B, b"11", 10)
    assert leases.choose(A, None, 10) == b"11"


def test_what_is_in_use_rests() -> None:
    leases = Leases(POOL, {})
    leases.keep(A, b"10", 1000)
    leases.decline(B, b"10", 0)
    assert leases.may_have(A, b"10", 0)
    leases.decline(A, b"10", 0)
    for client in (A, B):
        assert not leases.may_have(client, b"10", DECLINED_TIME - 1)
        assert leases.may_have(client, b"10", DECLINED_TIME)


def test_a_reserved_address_is_for_its_owner_alone() -> None:
    leases = Leases(POOL, {A.mac: b"11", B.mac: b"99"})
    assert leases.choose(A, b"10", 0) == b"11"
    assert leases.choose(B, b"10", 0) == b"99"
    assert leases.choose(C, b"11", 0) == b"10"
    assert not leases.may_have(C, b"11", 0)
    assert not leases.may_have(C, b"99", 0)


def test_a_reserved_address_follows_the_hardware() -> None:
    """Programs that follow one another on it name themselves differently."""
    leases = Leases(POOL, {A.mac: b"99"})
    leases.keep(A, b"99", 1000)
    assert leases.choose(Client(b"another", A.mac), None, 0) == b"99"


def test_a_reserved_address_that_is_in_use_rests_too() -> None:
    leases = Leases(POOL, {A.mac: b"99"})
    leases.keep(A, b"99", 1000)
    leases.decline(A, b"99", 0)
    assert leases.choose(A, None, 1) == b"10"
    assert leases.choose(A, None, DECLINED_TIME) == b"99"
