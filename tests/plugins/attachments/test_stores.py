"""Where files are kept: a folder, S3 and what speaks its protocol, Google, Azure (objects, 17.6 to 17.8)."""

import asyncio
import base64
import json
import os
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import SETTINGS
from tests.plugins.attachments.sending import BOUNDARY, RECORD, URL, file, form, stored, upload
from tests.servers import s3
from tests.servers.s3 import S3

from kobako import Request, Settings, SettingsError
from kobako.app import App
from kobako.plugins.attachments import options as reading
from kobako.plugins.attachments.opening import open_files
from kobako.resources import RESOURCES
from kobako.testing.client import Client

FILE = f"{RECORD}/attachments/attachment"


@pytest.fixture(autouse=True)
def backend() -> str:
    """Databases play no part in this."""
    return "memory"


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with s3.serving() as server:
        yield server


@pytest.fixture
def bucket(server: S3) -> str:
    """A bucket of its own for each test."""
    name = f"files-{uuid.uuid4()}"
    server.make_bucket(name)
    return name


@pytest.fixture
async def remote(server: S3, bucket: str) -> AsyncIterator[Client]:
    """A client of a server with its files in S3."""
    settings = replace(SETTINGS, includes=("attachments",), plugin_options=server.options(bucket))
    async with Client(App(settings, RESOURCES)) as client:
        await client.put("/buckets/b")
        await client.put("/buckets/b/collections/c")
        yield client


# S3


@pytest.mark.server
async def test_a_file_goes_to_s3_and_comes_back(server: S3, bucket: str, remote: Client) -> None:
    content = os.urandom(12_000_000)

    about = (await upload(remote, file("a.png", content))).json

    assert server.files(bucket) == {about["location"]: content}
    head = server.client.head_object(Bucket=bucket, Key=about["location"])
    assert head["ContentType"] == "image/png"
    assert head["ContentDisposition"].startswith("attachment;")
    assert (await remote.get(FILE)).body == content
    part = await remote.get(FILE, headers={"Range": "bytes=6000000-9000000"})
    assert part.body == content[6_000_000:9_000_001]

    await upload(remote, file("a.png", b"new"))
    assert list(server.files(bucket).values()) == [b"new"]
    await remote.delete("/buckets/b")
    assert server.files(bucket) == {}


@pytest.mark.server
async def test_s3_signs_urls_itself(remote: Client) -> None:
    await upload(remote, file("a.png", b"png"))

    url = (await remote.get(f"{FILE}/url?seconds=60")).data["url"]

    assert await asyncio.to_thread(_fetched, url) == (b"png", "image/png")


def _fetched(url: str) -> tuple[bytes, str]:
    with urllib.request.urlopen(url, timeout=20) as response:
        return response.read(), response.headers["Content-Type"]


@pytest.mark.server
async def test_an_upload_to_s3_that_breaks_off_leaves_nothing(server: S3, bucket: str, remote: Client) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield form([file("a.png", os.urandom(12_000_000))])[:-10]
        raise ConnectionError("gone")

    headers = {**remote.headers, "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    response = await remote.app.answer(Request(method="POST", path=f"/v1{URL}", headers=headers, stream=body()))

    assert response.status == 500
    assert server.files(bucket) == {}
    assert server.unfinished(bucket) == []


@pytest.mark.server
async def test_names_in_s3_are_taken_once(server: S3, bucket: str) -> None:
    given = {**server.options(bucket), "attachment.randomize": "false"}
    settings = replace(SETTINGS, includes=("attachments",), plugin_options=given)
    async with Client(App(settings, RESOURCES)) as client:
        await client.put("/buckets/b")
        await client.put("/buckets/b/collections/c")
        for each in ("1", "2"):
            await upload(client, file("a.txt", each.encode()), url=f"{RECORD}{each}/attachment")

    assert server.files(bucket) == {"b/c/a.txt": b"1", "b/c/a-1.txt": b"2"}


@pytest.mark.server
async def test_s3_is_in_the_heartbeat(server: S3, bucket: str, remote: Client) -> None:
    assert (await remote.get("/__heartbeat__")).json["attachments"] is True
    assert server.files(bucket) == {}

    server.client.delete_bucket(Bucket=bucket)

    assert (await remote.get("/__heartbeat__")).json["attachments"] is False
    assert (await upload(remote)).status == 503


# Google, Azure


def _opened(**options: str) -> None:
    given = {f"attachment.{name.replace('__', '.')}": value for name, value in options.items()}
    open_files(reading.read(Settings(plugin_options=given)))


async def test_azure_signs_urls() -> None:
    key = base64.b64encode(b"key").decode()
    given = {"container_name": "files", "account_name": "me", "account_key": key}
    settings = Settings(plugin_options={f"attachment.azure.{name}": value for name, value in given.items()})

    url = await open_files(reading.read(settings)).sign("b/c/a.txt", 60)

    assert url.startswith("https://me.blob.core.windows.net/files/b/c/a.txt?")
    assert "sig=" in url


async def test_google_signs_urls(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    credentials = tmp_path / "account.json"
    about = {"private_key": pem, "private_key_id": "1", "client_email": "me@example.com", "token_uri": "http://a/b"}
    credentials.write_text(json.dumps({"type": "service_account", "client_id": "1", **about}))
    given = {"bucket_name": "files", "credentials": str(credentials)}
    settings = Settings(plugin_options={f"attachment.gcloud.{name}": value for name, value in given.items()})

    url = await open_files(reading.read(settings)).sign("b/c/a.txt", 60)

    assert url.startswith("https://storage.googleapis.com/files/b/c/a.txt?")
    assert "X-Goog-Signature=" in url


# A folder


async def test_links_in_the_folder_are_not_followed(client: Client, folder: Path, tmp_path: Path) -> None:
    """A1."""
    outside = tmp_path / "outside"
    outside.mkdir()
    folder.joinpath("b").mkdir()
    folder.joinpath("b", "c").symlink_to(outside)

    assert (await upload(client)).status == 500
    assert stored(outside) == {}


async def test_a_file_that_a_link_takes_the_place_of_is_not_sent(client: Client, folder: Path, tmp_path: Path) -> None:
    """A1."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    await upload(client)
    [path] = stored(folder)
    folder.joinpath(path).unlink()
    folder.joinpath(path).symlink_to(secret)

    assert (await client.get(FILE)).status == 500
    await client.delete(RECORD)
    assert secret.exists()


async def test_a_folder_is_in_the_heartbeat(client: Client, folder: Path) -> None:
    assert (await client.get("/__heartbeat__")).json["attachments"] is True
    assert stored(folder) == {}

    _replace(folder)

    assert (await client.get("/__heartbeat__")).status == 503


def _replace(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))
    folder.write_text("no folder")


async def test_the_capability_tells_where_files_are(settings: Settings) -> None:
    async def told(**options: str) -> object:
        given = {f"attachment.{name.replace('__', '.')}": value for name, value in options.items()}
        changed = replace(settings, plugin_options={**settings.plugin_options, **given})
        async with Client(App(changed, RESOURCES)) as client:
            return (await client.get("/")).json["capabilities"]["attachments"]["base_url"]

    assert await told() is None
    assert await told(base_url="https://cdn.example/files") == "https://cdn.example/files/"
    assert await told(base_url="https://a", extra__base_url="https://b/") == "https://b/"


# Settings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "one says where attachments are; set: none."),
        ({"base_path": "x", "aws.bucket_name": "y"}, "set: attachment.base_path, attachment.aws.bucket_name."),
        ({"base_path": "{file}"}, "Setting 'attachment.base_path' leads to no store"),
        ({"base_path": "x", "folder": "{other}"}, "has a place for what there is not: 'other'"),
        ({"base_path": "x", "mimetypes": "pem:x"}, "'attachment.mimetypes' has 'pem:x', which is not as"),
        ({"base_path": "x", "max_size_bytes": "many"}, "Setting 'attachment.max_size_bytes' is 'many'"),
        ({"base_path": "x", "resources.b.c.folder": "x"}, "Unknown setting 'attachment.resources.b.c.folder'"),
        ({"base_path": "x", "resources.b.c.d.randomize": "true"}, "Unknown setting 'attachment.resources.b.c.d.rand"),
        ({"base_path": "x", "resources.randomize": "true"}, "Unknown setting 'attachment.resources.randomize'"),
        ({"base_path": "x", "resources.b.max_size_bytes": "x y"}, "Setting 'attachment.resources.b.max_size_bytes' is"),
        ({"base_path": "x", "grace_seconds": "0"}, "are above 0"),
        ({"base_path": "x", "aws.bucket": "y"}, "Unknown setting 'attachment.aws.bucket'"),
        ({"base_path": "x", "randomise": "true"}, "Unknown setting 'attachment.randomise'"),
    ],
)
def test_settings_that_are_wrong_stop_the_start(tmp_path: Path, given: dict[str, str], message: str) -> None:
    file = tmp_path / "a file"
    file.write_text("")
    places = {"x": str(tmp_path / "x"), "{file}": str(file)}
    given = {f"attachment.{name}": places.get(value, value) for name, value in given.items()}

    with pytest.raises(SettingsError) as refused:
        App(replace(SETTINGS, includes=("attachments",), plugin_options=given), RESOURCES)

    assert message in str(refused.value)


async def test_the_endpoints_are_described(client: Client) -> None:
    paths = (await client.get("/__api__")).json["paths"]
    record = "/buckets/{bucket_id}/collections/{collection_id}/records/{record_id}"

    assert set(paths[f"{record}/attachment"]) == {"parameters", "post", "delete"}
    named = paths[f"{record}/attachments/{{name}}"]
    assert named["post"]["summary"] == "Attach a file to a record, which is created if it is not there"
    assert "multipart/form-data" in named["post"]["requestBody"]["content"]
    assert set(named) == {"parameters", "get", "post", "delete"}
    assert "get" in paths[f"{record}/attachments/{{name}}/url"]


def test_what_has_no_effect_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    _opened(aws__bucket_name="files", aws__endpoint="http://127.0.0.1:1", aws__acl="public-read")

    told = "Setting 'attachment.aws.acl' has no effect: say so in the bucket's own policy."
    assert [each.getMessage() for each in caplog.records] == [told]


def test_it_has_the_name_that_it_has_in_kinto(tmp_path: Path) -> None:
    from kobako import read_settings

    ini = tmp_path / "kinto.ini"
    lines = ["[app:main]", "kinto.includes = kinto_attachment", f"kinto.attachment.base_path = {tmp_path}/files"]
    ini.write_text("\n".join([*lines, "kinto.userid_hmac_secret = abcdefghijklmnop"]))

    app = App(read_settings(ini, {"KINTO_ATTACHMENT_BASE_URL": "https://a"}), RESOURCES)

    assert app.site.capabilities["attachments"]["base_url"] == "https://a/"


def test_a_library_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_multipart", None)

    with pytest.raises(SettingsError, match=r"pip install 'kobako\[attachments\]'"):
        _opened(base_path=str(tmp_path))
