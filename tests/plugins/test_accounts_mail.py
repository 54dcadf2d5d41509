"""Validation by mail, and temporary passwords: against a mail server. Source: objects, 14.5; reliability, P10."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import pytest
from aiosmtpd.smtp import SMTP, Envelope
from tests.plugins.accounts import ACCOUNTS, app, first_admin, with_options

from kobako import Listener, Plugin
from kobako.plugins.accounts import outbox, vault
from kobako.plugins.accounts.letters import filled
from kobako.settings import Settings, SettingsError
from kobako.testing.client import Client

ALICE = "alice@example.org"
URL = f"/accounts/{ALICE}"
DAY_MS = 86_400_000
SENT = {"message": "A temporary reset password has been sent by mail"}


class Mailbox:
    """What a mail server has taken; it refuses as often as it is told."""

    def __init__(self) -> None:
        self.port = 0
        self.refusals = 0
        self.refused = asyncio.Event()
        self._mails: asyncio.Queue[EmailMessage] = asyncio.Queue()

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Envelope) -> str:
        if self.refusals:
            self.refusals -= 1
            self.refused.set()
            return "451 Come back later"
        mail = message_from_bytes(envelope.content or b"", policy=policy.default)  # type: ignore[arg-type]
        assert isinstance(mail, EmailMessage)
        assert envelope.rcpt_tos == [mail["To"]]
        self._mails.put_nowait(mail)
        return "250 OK"

    async def next(self) -> EmailMessage:
        """Return the next mail, once it is there."""
        return await asyncio.wait_for(self._mails.get(), 20)

    async def next_text(self) -> str:
        """Return what the next mail says."""
        return str((await self.next()).get_content()).strip()

    def is_empty(self) -> bool:
        return self._mails.empty()


@pytest.fixture
async def mailbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mailbox]:
    """A mail server; apps look into their outbox often."""
    monkeypatch.setattr(outbox, "PAUSE_S", 0.01)
    box = Mailbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(box, hostname="mail"), "127.0.0.1", 0)
    async with server:
        box.port = server.sockets[0].getsockname()[1]
        yield box


@pytest.fixture
def now() -> list[int]:
    """The clock of the app, which stands still until it is put forward."""
    return [1_700_000_000_000]


@pytest.fixture
def validating(mailbox: Mailbox) -> Callable[..., Settings]:
    """Settings of a server that validates addresses by this mail server."""
    return lambda **options: with_options(
        ACCOUNTS, account_validation="true", mail__host="127.0.0.1", mail__port=str(mailbox.port), **options
    )


@pytest.fixture
async def anybody(validating: Callable[..., Settings], now: list[int]) -> AsyncIterator[Client]:
    """Anybody, of such a server."""
    async with Client(app(validating(), clock=lambda: now[0]), None) as client:
        yield client


async def sign_up(client: Client, **data: Any) -> Any:
    answer = await client.put(URL, data={"password": "secret", **data})
    assert answer.status == 201, answer.json
    return answer


async def activated(client: Client, mailbox: Mailbox, **data: Any) -> Client:
    """Return a client of a user whose address is validated."""
    await sign_up(client, **data)
    answer = await client.request("POST", f"{URL}/validate/{await mailbox.next_text()}")
    assert answer.status == 200, answer.json
    await mailbox.next()
    return client.as_user(ALICE)


async def user_of(client: Client) -> str | None:
    return ((await client.get("/")).json.get("user") or {}).get("id")  # type: ignore[no-any-return]


# Validation


async def test_hello_says_that_addresses_are_validated(anybody: Client) -> None:
    assert (await anybody.get("/")).json["capabilities"]["accounts"]["validation_enabled"] is True


async def test_an_account_is_used_once_its_address_is_validated(anybody: Client, mailbox: Mailbox) -> None:
    alice = anybody.as_user(ALICE)
    made = await sign_up(anybody, city="Bern")
    mail = await mailbox.next()
    key = mail.get_content().strip()

    assert made.data["validated"] is False
    assert (mail["From"], mail["To"], mail["Subject"]) == ("admin@example.com", ALICE, "activate your account")
    assert UUID(key).version == 4
    assert await user_of(alice) is None

    validated = await anybody.request("POST", f"{URL}/validate/{key}")

    assert (validated.status, validated.headers["Content-Type"]) == (200, "application/json")
    assert validated.json == {**made.data, "validated": True, "last_modified": validated.json["last_modified"]}
    assert validated.json["last_modified"] > made.data["last_modified"]
    assert await user_of(alice) == f"account:{ALICE}"
    confirmation = await mailbox.next()
    assert confirmation["Subject"] == "Account active"
    assert confirmation.get_content().strip() == f"The account {ALICE} is now active"


async def test_a_key_works_once_and_for_its_account_alone(anybody: Client, mailbox: Mailbox) -> None:
    await sign_up(anybody)
    key = await mailbox.next_text()
    await anybody.put("/accounts/bob@example.org", data={"password": "secret"})

    answers = [
        await anybody.request("POST", each)
        for each in (
            f"/accounts/bob@example.org/validate/{key}",
            f"/accounts/carol@example.org/validate/{key}",
            f"{URL}/validate/{key[:-1]}",
            f"{URL}/validate/{key}",
            f"{URL}/validate/{key}",
        )
    ]

    assert [each.status for each in answers] == [403, 403, 403, 200, 403]
    assert answers[0].json["message"] == "Account ID and activation key do not match"
    assert (await anybody.get(f"{URL}/validate/{key}")).status == 405


async def test_of_two_who_validate_at_once_one_does(anybody: Client, mailbox: Mailbox) -> None:
    await sign_up(anybody)
    key = await mailbox.next_text()

    answers = await asyncio.gather(*[anybody.request("POST", f"{URL}/validate/{key}") for _ in range(2)])

    assert sorted(each.status for each in answers) == [200, 403]


@pytest.mark.parametrize(("days", "status"), [(6, 200), (8, 403)])
async def test_a_key_expires(anybody: Client, mailbox: Mailbox, now: list[int], days: int, status: int) -> None:
    await sign_up(anybody)
    key = await mailbox.next_text()
    now[0] += days * DAY_MS

    assert (await anybody.request("POST", f"{URL}/validate/{key}")).status == status


async def test_the_key_of_a_deleted_account_is_none_of_the_next_one(anybody: Client, mailbox: Mailbox) -> None:
    admin = await first_admin(anybody)
    await sign_up(anybody)
    key = await mailbox.next_text()
    await admin.delete(URL)
    await sign_up(anybody)

    assert (await anybody.request("POST", f"{URL}/validate/{key}")).status == 403


@pytest.mark.parametrize("id", ["alice", "alice@example", "@example.org"])
async def test_names_of_accounts_are_addresses_whoever_creates_them(anybody: Client, id: str) -> None:
    admin = await first_admin(anybody)

    answers = [await each.post("/accounts", data={"id": id, "password": "secret"}) for each in (anybody, admin)]

    name = None if id.startswith("@") else "data.id"
    assert [(each.status, each.json["details"][0]["name"]) for each in answers] == [(400, name)] * 2


async def test_only_administrators_say_that_an_address_is_valid(anybody: Client, mailbox: Mailbox) -> None:
    admin = await first_admin(anybody)
    refused = await anybody.put(URL, data={"password": "secret", "validated": True})
    made = await admin.put(URL, data={"password": "secret", "validated": True})
    alice = anybody.as_user(ALICE)

    assert (refused.status, refused.json["details"][0]["name"]) == (400, "data.validated")
    assert (made.data["validated"], await user_of(alice)) == (True, f"account:{ALICE}")
    assert (await alice.patch(URL, data={"validated": False})).status == 400
    assert (await alice.put(URL, data={"password": "secret"})).data["validated"] is True
    assert (await admin.patch(URL, data={"validated": False})).status == 200
    assert await user_of(alice) is None
    assert (await admin.put("/accounts/bob@example.org", data={"password": "secret"})).data["validated"] is False
    assert (await mailbox.next())["To"] == "bob@example.org"


async def test_an_account_without_the_field_is_used(anybody: Client) -> None:
    assert await user_of(await first_admin(anybody)) == "account:admin"


async def test_a_refused_creation_sends_no_mail(validating: Callable[..., Settings], mailbox: Mailbox) -> None:
    async def refuse(tx: Any, event: Any) -> None:
        raise SettingsError("no")

    plugin = Plugin(name="a", listeners=[Listener(refuse, ["create"])])
    async with Client(app(validating(), plugins=[plugin]), None) as client:
        answer = await client.put(URL, data={"password": "secret"})
        assert answer.status == 500
        assert await outbox.send_one(client.app.site.backends, nobody_sends) is False
    assert mailbox.is_empty()


async def nobody_sends(mail: outbox.Mail) -> None:
    raise AssertionError(mail.to)


# Temporary passwords


async def temporary_of(client: Client, mailbox: Mailbox) -> Client:
    """Return a client with a temporary password."""
    answer = await client.anonymous().request("POST", f"{URL}/reset-password")
    assert (answer.status, answer.json) == (200, SENT)
    return client.as_user(ALICE, await mailbox.next_text())


async def test_a_temporary_password_gives_another_password_and_nothing_else(anybody: Client, mailbox: Mailbox) -> None:
    await activated(anybody, mailbox)
    temporary = await temporary_of(anybody, mailbox)
    merge = {"Content-Type": "application/merge-patch+json"}

    refused = [
        await temporary.get(URL),
        await temporary.patch(URL, data={"city": "Bern"}),
        await temporary.patch(URL, data={"password": "new", "city": "Bern"}),
        await temporary.put("/accounts/bob@example.org", data={"password": "new"}),
        await temporary.put("/buckets/b", data={"password": "new"}),
        await temporary.delete(URL),
        await temporary.request("PATCH", URL, body=b"[]"),
        await temporary.request("PATCH", URL, body=b"{"),
    ]
    changed = await temporary.patch(URL, data={"password": "new"}, headers=merge)

    # The account of another address is created by anybody, who the caller is taken for.
    assert [each.status for each in refused] == [401, 401, 401, 201, 401, 401, 401, 401]
    assert changed.status == 200
    assert await user_of(anybody.as_user(ALICE, "new")) == f"account:{ALICE}"
    assert (await temporary.patch(URL, data={"password": "newer"})).status == 401
    assert await user_of(anybody.as_user(ALICE)) is None


async def test_a_temporary_password_serves_once_also_at_once(anybody: Client, mailbox: Mailbox) -> None:
    await activated(anybody, mailbox)
    temporary = await temporary_of(anybody, mailbox)

    answers = await asyncio.gather(*[temporary.put(URL, data={"password": f"new {n}"}) for n in range(2)])

    assert sorted(each.status for each in answers) == [200, 401]


async def test_a_temporary_password_expires(anybody: Client, mailbox: Mailbox, now: list[int]) -> None:
    await activated(anybody, mailbox)
    temporary = await temporary_of(anybody, mailbox)
    now[0] += 8 * DAY_MS

    assert (await temporary.patch(URL, data={"password": "new"})).status == 401


async def test_the_old_password_works_until_it_is_changed(anybody: Client, mailbox: Mailbox) -> None:
    """And changing it makes the temporary one useless: whoever asked for it was not its owner."""
    alice = await activated(anybody, mailbox)
    temporary = await temporary_of(anybody, mailbox)

    assert (await alice.patch(URL, data={"password": "mine"})).status == 200
    assert (await temporary.patch(URL, data={"password": "theirs"})).status == 401


async def test_nobody_learns_from_it_which_accounts_there_are(anybody: Client, mailbox: Mailbox) -> None:
    await activated(anybody, mailbox)
    await anybody.put("/accounts/new@example.org", data={"password": "secret"})
    await mailbox.next()

    answers = [
        await anybody.request("POST", f"/accounts/{each}/reset-password")
        for each in (ALICE, "nobody@example.org", "new@example.org")
    ]
    no_address = await anybody.request("POST", "/accounts/nobody/reset-password")

    assert [(each.status, each.json) for each in answers] == [(200, SENT)] * 3
    assert no_address.status == 400
    # Only who has an account that is used gets a mail.
    assert (await mailbox.next())["To"] == ALICE
    assert await outbox.send_one(anybody.app.site.backends, nobody_sends) is False


async def test_without_validation_there_are_no_such_urls() -> None:
    async with Client(app(), None) as client:
        await client.put("/accounts/alice", data={"password": "secret"})
        answers = [await client.request("POST", f"/accounts/alice/{each}") for each in ("reset-password", "validate/x")]
        # A field like any other.
        alice = client.as_user("alice")
        assert (await alice.patch("/accounts/alice", data={"validated": False})).status == 200
        assert await user_of(alice) == "account:alice"

    assert [each.status for each in answers] == [404, 404]


# Mails


async def test_mails_are_written_as_the_settings_say(validating: Callable[..., Settings], mailbox: Mailbox) -> None:
    settings = validating(
        account_validation__email_sender="shop@example.org",
        account_validation__email_subject_template="Dear {name},\n{unknown}",
        account_validation__email_body_template="{id} {activation-key} {password} {n} {{name}} Zürich",
        account_validation__email_regexp="@example.org$",
        mail__username="",
    )
    async with Client(app(settings), None) as client:
        context = {"name": "Alice\r\nBcc: x@example.org", "activation-key": "mine", "id": "other", "n": 1.5}
        await sign_up(client, **{"email-context": context})
        mail = await mailbox.next()

    assert (mail["From"], mail["Subject"]) == ("shop@example.org", "Dear Alice Bcc: x@example.org, {unknown}")
    assert mail["Bcc"] is None
    id, key, rest = mail.get_content().strip().split(" ", 2)
    assert (id, UUID(key).version) == (ALICE, 4)
    assert rest.splitlines() == ["{password} 1.5 {Alice", "Bcc: x@example.org} Zürich"]


async def test_what_is_not_known_stays_in_a_template() -> None:
    assert filled("{a} {b} {} {a.b} {a!r}", {"a": "{b}", "b": 2}) == "{b} 2 {} {a.b} {a!r}"


async def test_a_mail_that_is_refused_is_sent_later(
    anybody: Client, mailbox: Mailbox, now: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """The request is answered meanwhile; the log has no key."""
    mailbox.refusals = 2
    await sign_up(anybody)
    for wait_ms in (outbox.FIRST_RETRY_MS, 2 * outbox.FIRST_RETRY_MS):
        await asyncio.wait_for(mailbox.refused.wait(), 20)
        mailbox.refused.clear()
        await settled(anybody)
        now[0] += wait_ms

    key = await mailbox.next_text()

    assert (await anybody.request("POST", f"{URL}/validate/{key}")).status == 200
    warnings = [each.getMessage() for each in caplog.records if "could not be sent" in each.getMessage()]
    assert len(warnings) == 2
    assert re.match(rf"A mail to '{ALICE}' could not be sent, attempt 1: .*; it is tried again later", warnings[0])
    assert key not in caplog.text


async def settled(client: Client) -> None:
    """Wait until no mail is being sent: what is left is due later, for its next attempt."""
    for _ in range(2000):
        async with client.app.site.backends.begin() as tx:
            found = await tx.storage.list(outbox.OUTBOX)
        # While it is being sent, it is due after the lease: by much more than after the first attempts.
        if all(each.data()["attempts"] and each.data()["due"] < tx.now + outbox.LEASE_MS / 2 for each in found):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("a mail is still being sent")


async def test_a_mail_that_is_never_taken_is_given_up(now: list[int], caplog: pytest.LogCaptureFixture) -> None:
    async def fail(mail: outbox.Mail) -> None:
        raise ConnectionError("no server")

    async with Client(app(clock=lambda: now[0])) as client:
        backends = client.app.site.backends
        async with backends.begin([outbox.OUTBOX]) as tx:
            await outbox.put(tx.storage, outbox.Mail("a@example.org", ALICE, "Hello", "body"))
        count = 0
        while await outbox.send_one(backends, fail):
            count += 1
            now[0] += DAY_MS
        async with backends.begin() as tx:
            assert await tx.storage.timestamp(outbox.OUTBOX) is None

    assert count == outbox.MOST_ATTEMPTS
    assert caplog.records[-1].getMessage().endswith("no server; it is given up")


async def test_two_processes_send_a_mail_once(validating: Callable[..., Settings], mailbox: Mailbox) -> None:
    async with Client(app(with_options(validating(), mail__mailer="testing")), None) as client:
        backends = client.app.site.backends
        taken: list[str] = []
        async with backends.begin([outbox.OUTBOX]) as tx:
            for number in range(10):
                await outbox.put(tx.storage, outbox.Mail("a@example.org", f"{number}", "Hello", "body"))

        async def send(mail: outbox.Mail) -> None:
            taken.append(mail.to)
            await asyncio.sleep(0)

        async def process() -> None:
            while await outbox.send_one(backends, send):
                pass

        # The app's own task throws away what it takes.
        await asyncio.gather(*[process() for _ in range(4)])

    assert len(taken) == len(set(taken))


async def test_the_debug_mailer_logs_mails(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "PAUSE_S", 0.01)
    caplog.set_level(logging.INFO)
    async with Client(app(with_options(account_validation="true", mail__mailer="debug")), None) as client:
        await sign_up(client)
        await settled(client)
        found = re.search(rf"Mail to {ALICE}: activate your account\n(\S+)", caplog.text)
        assert found
        assert (await client.request("POST", f"{URL}/validate/{found[1]}")).status == 200


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"mail__mailer": "pigeon"}, r"^Setting 'mail.mailer' is 'pigeon': there is debug, testing, or none of them"),
        ({"mail__port": "smtp"}, r"^Setting 'mail.port' is 'smtp': must be a whole number"),
        ({"account_validation__email_regexp": "("}, r"^Setting 'account_validation.email_regexp' is '\(': "),
        (
            {"account_validation__reset_password_cache_ttl_seconds": "0"},
            r"^Setting 'account_validation.reset_password_cache_ttl_seconds' is '0': must be 1 or more",
        ),
        ({"account_validation__email_subject": "x"}, r"^Unknown setting 'account_validation.email_subject'"),
    ],
)
async def test_settings_that_make_no_sense_stop_the_start(options: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        app(with_options(account_validation="true", **options))


async def test_a_readonly_server_sends_nothing_and_takes_no_key() -> None:
    """P19."""
    settings = replace(with_options(account_validation="true", mail__mailer="testing"), readonly=True)
    made = app(settings)

    assert not made._tasks._runs
    async with Client(made, None) as client:
        assert (await client.request("POST", f"{URL}/validate/x")).status == 405
        assert (await client.request("POST", f"{URL}/reset-password")).status == 405


async def test_what_is_sent_is_kept_as_a_digest(anybody: Client, mailbox: Mailbox) -> None:
    await sign_up(anybody)
    key = await mailbox.next_text()
    await settled(anybody)

    async with anybody.app.site.backends.begin() as tx:
        [stored] = await tx.storage.list(vault.place(ALICE))
        assert await tx.storage.list(outbox.OUTBOX) == []
    assert key not in stored.text
