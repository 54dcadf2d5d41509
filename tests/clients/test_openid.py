"""Users log in at a certified provider, npm's oidc-provider, and write with what they bring: over real HTTP, 2 workers.

The browser is a small one: it follows redirections, keeps cookies, and fills in the forms of the provider.

Source: objects, 15.3 and 29.3; HTTP API, 19.4.
"""

import base64
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urljoin

import httpx
import pytest
from kinto_http import BrowserOAuth, Client
from tests.clients import OIDC
from tests.server.process import running

pytestmark = pytest.mark.clients

CALLBACK = "http://admin.invalid/#/auth/"


@pytest.fixture(scope="module")
def issuer(node: str) -> Iterator[str]:
    """The URL of a provider."""
    process = subprocess.Popen([node, "provider.mjs"], cwd=OIDC, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def url(issuer: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server whose users are the provider's."""
    folder = tmp_path_factory.mktemp("openid")
    (folder / "kobako.ini").write_text(f"""[app:main]
kobako.userid_hmac_secret = a long random text of this test
kobako.includes = kinto.plugins.openid
multiauth.policies = idp
multiauth.policy.idp.use = kinto.plugins.openid.OpenIDConnectPolicy
multiauth.policy.idp.issuer = {issuer}
multiauth.policy.idp.client_id = kobako
multiauth.policy.idp.client_secret = between the two of us, and nobody else
multiauth.policy.idp.userid_field = email
""")
    with running(folder, "--workers", "2") as server:
        yield server.url
        assert "Traceback" not in server.output, server.output


def browse(url: str, user: str) -> str:
    """Visit a page as a user who logs in where they are asked to; return where no server of this machine is."""
    with httpx.Client() as browser:
        for _ in range(20):
            if not url.startswith("http://127.0.0.1:"):
                return url
            answer = browser.get(url)
            if answer.status_code == 200:
                action = re.findall(r'<form[^>]* action="([^"]+)"', answer.text)
                assert action, answer.text
                filled = dict(re.findall(r'name="(\w+)" value="([^"]*)"', answer.text)) | {
                    "login": user,
                    "password": "x",
                }
                answer = browser.post(urljoin(url, unescape(action[0])), data=filled)
            assert answer.is_redirect, (url, answer.status_code, answer.text)
            url = urljoin(url, answer.headers["Location"])
    raise AssertionError(f"sent on and on, at last to {url}")


def log_in(url: str, user: str) -> dict[str, str]:
    """Log in as kinto-admin does, and return what the provider said in the end."""
    info = httpx.get(f"{url}/").json()
    [shown] = info["capabilities"]["openid"]["providers"]
    asked = httpx.QueryParams(callback=CALLBACK, scope="openid email")
    ended = browse(f"{url}{shown['auth_path']}?{asked}", user)
    found: dict[str, str] = json.loads(base64.b64decode(unquote(ended.removeprefix(CALLBACK))))
    return found


def test_a_user_logs_in_and_writes(url: str) -> None:
    brought = log_in(url, "alice")
    headers = {"Authorization": f"{brought['token_type']} {brought['access_token']}"}
    with httpx.Client(headers=headers) as client:
        user = client.get(f"{url}/").json()["user"]
        made = client.put(f"{url}/buckets/alice")

    assert user["id"] == "idp:alice@example.com"
    assert user["profile"] == {"sub": "alice", "email": "alice@example.com", "email_verified": True}
    assert made.json()["permissions"] == {"write": ["idp:alice@example.com"]}


def test_every_user_is_themselves(url: str) -> None:
    tokens = {user: log_in(url, user)["access_token"] for user in ("bob", "carol")}

    for user, token in tokens.items():
        for _ in range(3):
            found = httpx.get(f"{url}/", headers={"Authorization": f"bearer {token}"}).json()["user"]["id"]
            assert found == f"idp:{user}@example.com"


def test_what_is_no_token_of_the_provider_is_nobodys(url: str) -> None:
    brought = log_in(url, "alice")

    for token in (brought["access_token"] + "x", brought["id_token"], "x"):
        refused = httpx.get(f"{url}/buckets", headers={"Authorization": f"Bearer {token}"})
        assert (refused.status_code, refused.json()["errno"]) == (401, 104)
        assert refused.headers["WWW-Authenticate"] == 'Bearer realm="Realm"'


def test_kinto_http_logs_in_with_a_browser(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It listens on a port of its own, and opens a browser, which comes back to it."""
    browsers = []

    def visit(page: str) -> None:
        browsers.append(threading.Thread(target=lambda: httpx.get(browse(page.replace(" ", "%20"), "dave"))))
        browsers[0].start()

    monkeypatch.setattr("webbrowser.open", visit)
    client = Client(server_url=url, auth=BrowserOAuth())

    client.create_bucket(id="dave")

    browsers[0].join(20)
    assert client.get_bucket(id="dave")["permissions"] == {"write": ["idp:dave@example.com"]}


def test_the_server_does_not_start_without_its_provider(tmp_path: Path) -> None:
    (tmp_path / "kobako.ini").write_text("""[app:main]
kobako.userid_hmac_secret = a long random text of this test
kobako.includes = openid
multiauth.policies = idp
multiauth.policy.idp.use = openid
multiauth.policy.idp.issuer = http://127.0.0.1:1
multiauth.policy.idp.client_id = kobako
""")

    with pytest.raises(AssertionError) as failed, running(tmp_path):
        pass

    said = str(failed.value).splitlines()
    assert said[-1].startswith(
        "Setting 'multiauth.policy.idp.issuer' is 'http://127.0.0.1:1': what it says of itself cannot be read: "
    )
    assert "Traceback" not in str(failed.value)
