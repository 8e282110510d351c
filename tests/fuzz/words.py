"""What means something at each door; the doors themselves take more to be opened."""

from __future__ import annotations

__all__ = ["WORDS"]

WORDS: dict[str, list[bytes]] = {
    "http": [
        b"GET / HTTP/1.1\r\n",
        b"POST /r HTTP/1.1\r\n",
        b"HEAD /r HTTP/1.0\r\n",
        b"Host: localhost\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        b"Accept: text/event-stream\r\n",
        b"Accept: application/json;q=0.5, */*;q=",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Origin: http://localhost\r\n",
        b"Forwarded: for=1.2.3.4\r\n",
        b"\r\n",
        b"\n",
        b"hello",
        b"5\r\nhello\r\n0\r\n\r\n",
    ],
    "body": [
        b"5\r\nhello\r\n",
        b"0\r\n",
        b"\r\n",
        b"ffffffffffffffff\r\n",
        b"a;b=c\r\n",
        b"X: y\r\n",
        b"1\r\n",
    ],
    "frames": [
        b"\x81\x80\0\0\0\0",
        b"\x01\x81\0\0\0\0a",
        b"\x89\xff",
        b"\x82\xff\0\0\0\0\0\0",
        b"\x88\x82\0\0\0\0",
    ],
    "proxy": [
        b"PROXY ",
        b"TCP4 ",
        b"1.2.3.4 ",
        b"UNKNOWN",
        b"80 ",
        b"\r\n",
        b"\r\n\r\n\0\r\nQUIT\n",
        b"\x21\x11\0\x0c",
    ],
    "token": [b"ada", b"Bearer ", b", ", b"; session=", b'"', b"%20", b"bearer."],
    "jwt": [b"hbGciOiJIUzI1NiJ9.", b"hbGciOiJub25lIn0.", b"e30", b".", b"=", b"e30.e30"],
    "client-handshake": [
        b"HTTP/1.1 101 \r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 503 \r\nRetry-After: 5\r\n",
        b"HTTP/1.1 100 \r\n\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Sec-WebSocket-Accept: x\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"\r\n",
    ],
    "client-frames": [
        b"\x81\x00",
        b"\x82\x7e\x00\x7e",
        b"\x01\x01a",
        b"\x80\x01\xff",
        b"\x89\x7f",
        b"\x88\x02\x03\xe8",
    ],
}
"""By the name of the door: what bytes are made of, beside others, and what atheris begins with."""
