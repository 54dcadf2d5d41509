"""Where URLs that clients hand in lead to, as browsers read them. Source: objects, 15.3 and 15.4."""

import pytest

from kobako.protocol.weburls import host_of, origin_of


@pytest.mark.parametrize(
    ("url", "origin", "host"),
    [
        ("https://a.example", "https://a.example", "a.example"),
        ("HTTPS://A.Example:8443/x?y#z", "https://a.example:8443", "a.example"),
        ("http://[::1]:80/", "http://[::1]:80", "[::1]"),
        ("http://localhost?x", "http://localhost", "localhost"),
        ("my-app://login#token=", "my-app://login", "login"),
        ("https://a.example/" + "x" * 2030, "https://a.example", "a.example"),
    ],
)
def test_a_url_has_an_origin_and_a_host(url: str, origin: str, host: str) -> None:
    assert (origin_of(url), host_of(url)) == (origin, host)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example",
        "//a.example/",
        "/path",
        "https:a.example",
        "https:///a.example",
        "https://",
        "https://?x",
        "https://good.example@evil.example/",
        "https://evil.example\\.good.example/",
        "https://evil.example\\@good.example/",
        "https:\\\\evil.example",
        "https://a.example:port/",
        "https://a.example/\r\nSet-Cookie: b",
        "https://a.example/ b",
        "https://a.example/é",
        "https://ａ.example/",
        "https://a.example%2f.b/",
        " https://a.example/",
        "https://a.example/\n",
        "javascript:alert(1)",
        "javascript://a.example/%0aalert(1)",
        "JavaScript://a.example/%0aalert(1)",
        "data:text/html,x",
        "https://a.example/" + "x" * 2031,
    ],
)
def test_what_a_browser_may_read_otherwise_is_none(url: str) -> None:
    assert origin_of(url) is None
    assert host_of(url) is None
