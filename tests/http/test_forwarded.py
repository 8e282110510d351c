"""Who is behind a proxy: only what trusted proxies say is believed, read from the right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioecho.http.forwarded import MAX_HOPS, Origin, TrustedProxies, origin_behind
from trioecho.options import OptionError

TRUSTED = TrustedProxies(["10.0.0.0/8", "2001:db8:1::/48", "192.0.2.1"], unix=True)
PEER = "10.0.0.1"


def behind(*headers: tuple[str, str], peer: str = PEER) -> Origin:
    return origin_behind(peer, headers, TRUSTED)


def test_nobody_else_is_believed() -> None:
    headers = [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https"), ("forwarded", "for=1.2.3.4")]
    for peer in "203.0.113.7", "192.0.2.2", "2001:db8:2::1", "memory", "unknown":
        assert behind(*headers, peer=peer) == Origin(peer)
    for peer in "10.1.2.3", "192.0.2.1", "2001:db8:1::9", "::ffff:10.0.0.1", "unix":
        assert behind(*headers[:2], peer=peer) == Origin("1.2.3.4", "https")
    assert origin_behind("unix", headers, TrustedProxies(["10.0.0.0/8"])) == Origin("unix")
    assert origin_behind("unix", headers, TrustedProxies(["unix"])).host == "1.2.3.4"
    assert not TrustedProxies()
    assert TrustedProxies(["unix"])
    assert TrustedProxies(["::1"])


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7 ", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("2001:DB8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("6.6.6.6, 203.0.113.7", "203.0.113.7"),
        ("6.6.6.6,203.0.113.7,10.9.9.9,2001:db8:1::1", "203.0.113.7"),
        ("10.9.9.9, 10.8.8.8", "10.9.9.9"),  # all trusted: the one furthest away
        ("6.6.6.6, unknown, 10.9.9.9", "10.9.9.9"),
        ("6.6.6.6, unknown", PEER),
        ("6.6.6.6, ", PEER),
        ("", PEER),
        ("6.6.6.6, 1.2.3", PEER),
        ("6.6.6.6, [1.2.3.4]", PEER),
        ("6.6.6.6, [::1", PEER),
        ("6.6.6.6, [::1]x", PEER),
        ("6.6.6.6, [::1]:99999", PEER),
        ("6.6.6.6, 1.2.3.4:", PEER),
        ("6.6.6.6, 1.2.3.4:x", PEER),
        ("6.6.6.6, 1.2.3.4 5.6.7.8", PEER),
        ("6.6.6.6, 01.2.3.4", PEER),
        ("6.6.6.6, unix", PEER),
        ("6.6.6.6" + ", 10.9.9.9" * MAX_HOPS, "10.9.9.9"),
        ("6.6.6.6, 10.0.0.\u0663", PEER),
    ],
)
def test_x_forwarded_for(value: str, host: str) -> None:
    assert behind(("x-forwarded-for", value)) == Origin(host)
    # Several lines are one list (RFC 9110, 5.2).
    lines = [("x-forwarded-for", part) for part in value.split(",")]
    assert behind(*lines) == Origin(host)


@pytest.mark.parametrize(
    ("addresses", "schemes", "origin"),
    [
        ("1.2.3.4", "https", Origin("1.2.3.4", "https")),
        ("1.2.3.4", "WSS", Origin("1.2.3.4", "https")),
        ("1.2.3.4", "gopher", Origin("1.2.3.4")),
        ("1.2.3.4, 10.9.9.9", "https", Origin("1.2.3.4", "https")),
        ("1.2.3.4, 10.9.9.9", "https, http", Origin("1.2.3.4", "https")),
        ("6.6.6.6, 1.2.3.4", "https, http", Origin("1.2.3.4", "http")),
        ("6.6.6.6, 5.5.5.5, 1.2.3.4", "https, http", Origin("1.2.3.4", "http")),
        (None, "https", Origin(PEER, "https")),
        ("unknown", "https", Origin(PEER, "https")),
    ],
)
def test_x_forwarded_proto(addresses: str | None, schemes: str, origin: Origin) -> None:
    headers = [] if addresses is None else [("x-forwarded-for", addresses)]
    assert behind(*headers, ("x-forwarded-proto", schemes)) == origin


@pytest.mark.parametrize(
    ("value", "origin"),
    [
        ("for=1.2.3.4", Origin("1.2.3.4")),
        ("For=1.2.3.4;Proto=HTTPS;by=10.0.0.1", Origin("1.2.3.4", "https")),
        ('for="1.2.3.4:4711" ; proto=http', Origin("1.2.3.4", "http")),
        ('for="[2001:db8::7]:4711"', Origin("2001:db8::7")),
        ('for="[2001:db8::7]"', Origin("2001:db8::7")),
        ('for="1.2\\.3.4"', Origin("1.2.3.4")),
        ("for=6.6.6.6, for=1.2.3.4;proto=https, for=10.9.9.9;proto=http", Origin("1.2.3.4", "https")),
        ("for=6.6.6.6,, for=1.2.3.4,", Origin("1.2.3.4")),
        ('host="a,b;c";for=1.2.3.4', Origin("1.2.3.4")),
        ("for=6.6.6.6, for=unknown;proto=https", Origin(PEER, "https")),
        ("for=6.6.6.6, for=_hidden, for=10.9.9.9", Origin("10.9.9.9")),
        ("for=6.6.6.6, proto=https", Origin(PEER, "https")),
        ("for=6.6.6.6, for=1.2.3.4;for=5.5.5.5", Origin(PEER)),
        ('for=6.6.6.6, for="1.2.3.4', Origin(PEER)),
        ("for=6.6.6.6, for=2001:db8::7", Origin(PEER)),
        ("for=6.6.6.6 for=1.2.3.4", Origin(PEER)),
        ("for = 1.2.3.4", Origin(PEER)),
        ("1.2.3.4", Origin(PEER)),
        ("", Origin(PEER)),
    ],
)
def test_forwarded(value: str, origin: Origin) -> None:
    assert behind(("forwarded", value)) == origin


def test_a_malformed_line_of_a_clients_does_not_hide_what_the_proxy_says() -> None:
    assert behind(("forwarded", 'for="'), ("forwarded", "for=1.2.3.4;proto=https")) == Origin(
        "1.2.3.4", "https"
    )


def test_a_header_that_the_proxy_only_passes_on_is_not_believed() -> None:
    ours, forged = ("x-forwarded-for", "1.2.3.4"), ("forwarded", "for=6.6.6.6;proto=https")
    assert behind(ours, ("x-forwarded-proto", "http"), forged) == Origin(PEER)
    assert behind(("forwarded", "for=1.2.3.4;proto=http"), ("x-forwarded-for", "6.6.6.6")) == Origin(
        PEER, "http"
    )
    agreeing = ("forwarded", "for=1.2.3.4;proto=https")
    assert behind(ours, ("x-forwarded-proto", "https"), agreeing) == Origin("1.2.3.4", "https")


@pytest.mark.parametrize(
    ("cidr", "problem"),
    [
        ("example.org", "must be a network, for example 10.0.0.0/8"),
        ("", "must be a network"),
        ("10.0.0.0/33", "must be a network"),
        ("10.0.0.1/8", "has bits set beyond its prefix: '10.0.0.1/8'; did you mean '10.0.0.0/8'?"),
    ],
)
def test_a_network_that_is_none_is_said(cidr: str, problem: str) -> None:
    with pytest.raises(OptionError) as caught:
        TrustedProxies(["10.0.0.0/8", cidr])
    assert problem in str(caught.value)


NAMES = st.sampled_from(["x-forwarded-for", "x-forwarded-proto", "forwarded"])
VALUES = st.text(st.sampled_from(list('for=proto,;"\\[]:.0129abc \t_\xe9')), max_size=60)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=4))
def test_a_client_that_writes_anything_cannot_move_what_the_proxy_appends(
    headers: list[tuple[str, str]],
) -> None:
    # The last word is the proxy's, whose line comes last; nothing but garbage of the other kind can hide it.
    appended = [*headers, ("x-forwarded-for", "203.0.113.7")]
    assert origin_behind(PEER, appended, TRUSTED).host in ("203.0.113.7", PEER)
    assert origin_behind("203.0.113.9", headers, TRUSTED) == Origin("203.0.113.9")
