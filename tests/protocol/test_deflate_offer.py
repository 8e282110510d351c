"""What clients offer, and what they are answered: the offers are those of real clients, and wrong ones."""

from __future__ import annotations

import pytest

from trioecho.protocol.deflate_offer import agree

ALWAYS = "permessage-deflate; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offers", "answer", "shared"),
    [
        pytest.param(["permessage-deflate"], ALWAYS, True, id="Firefox"),
        pytest.param(["permessage-deflate; client_max_window_bits"], ALWAYS, True, id="Chromium"),
        pytest.param(
            ["permessage-deflate; client_max_window_bits=15; server_max_window_bits=15"],
            f"{ALWAYS}; server_max_window_bits=15",
            True,
            id="wsproto",
        ),
        pytest.param(
            ["permessage-deflate; server_max_window_bits=12"],
            f"{ALWAYS}; server_max_window_bits=12",
            False,
            id="a smaller window than all share",
        ),
        pytest.param(
            ["permessage-deflate; server_no_context_takeover; client_no_context_takeover"],
            f"{ALWAYS}; server_no_context_takeover",
            False,
            id="gorilla",
        ),
        pytest.param(
            ['Permessage-Deflate; Client_Max_Window_Bits="10"'], ALWAYS, True, id="capitals and quotes"
        ),
        pytest.param(
            ["permessage-deflate; server_no_context_takeover, permessage-deflate"],
            ALWAYS,
            True,
            id="the second offer can be shared",
        ),
        pytest.param(
            ["x-webkit-deflate-frame", "permessage-deflate"], ALWAYS, True, id="the second header is known"
        ),
    ],
)
def test_a_valid_offer_is_accepted(offers: list[str], answer: str, shared: bool) -> None:
    agreement = agree(offers)
    assert agreement is not None
    assert (agreement.answer, agreement.shared) == (answer, shared)


@pytest.mark.parametrize(
    "offers",
    [
        [],
        [""],
        ["permessage-bzip2"],
        ["permessage-deflate; unknown"],
        ["permessage-deflate; client_no_context_takeover=1"],
        ["permessage-deflate; client_no_context_takeover; client_no_context_takeover"],
        ["permessage-deflate; server_max_window_bits"],
        ["permessage-deflate; server_max_window_bits=7"],
        ["permessage-deflate; server_max_window_bits=16"],
        ["permessage-deflate; server_max_window_bits=015"],
        ["permessage-deflate; client_max_window_bits=x"],
        ["permessage-deflate; "],
        16 * ["x"] + ["permessage-deflate"],
    ],
)
def test_what_is_not_understood_is_declined(offers: list[str]) -> None:
    assert agree(offers) is None
