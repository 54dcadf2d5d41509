"""How mails are sent: by a mail server, or, while one develops, not at all.

Source: objects, 14.5 (`mail.*`).
"""

import logging
from email.message import EmailMessage
from typing import Final

import msgspec

from kobako import Settings, SettingsError, read_options
from kobako.plugins.accounts.outbox import Mail, Send

TIMEOUT_S: Final = 30.0

_log = logging.getLogger("kobako.accounts")


class Server(msgspec.Struct, frozen=True):
    """`mail....`: the mail server; `tls` begins in the open (STARTTLS), `ssl` does not.

    `mailer` is `debug` (mails are logged) or `testing` (mails are thrown away). The rest are names that files for Kinto
    may have, and mean nothing here.
    """

    host: str = "localhost"
    port: int | None = None
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ssl: bool = False
    mailer: str | None = None
    default_sender: str | None = None
    keyfile: str | None = None
    certfile: str | None = None
    queue_path: str | None = None
    debug: str | None = None
    debug_include_bcc: str | None = None
    sendmail_app: str | None = None
    sendmail_template: str | None = None


def mailer(settings: Settings) -> Send:
    """Return what sends mails as the settings say. Raises SettingsError."""
    server = read_options(settings, "mail", Server)
    if server.mailer in (None, ""):
        return _by_smtp(server)
    offered = {"debug": _log_it, "testing": _throw_away}
    if server.mailer not in offered:
        raise SettingsError(f"Setting 'mail.mailer' is '{server.mailer}': there is debug, testing, or none of them.")
    return offered[server.mailer]


def _by_smtp(server: Server) -> Send:
    import aiosmtplib

    async def send(mail: Mail) -> None:
        await aiosmtplib.send(
            _message(mail),
            sender=mail.sender,
            recipients=[mail.to],
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.ssl,
            start_tls=True if server.tls else None,
            timeout=TIMEOUT_S,
        )

    return send


async def _log_it(mail: Mail) -> None:
    """Log a mail, with the keys in it: for who develops."""
    _log.info("Mail to %s: %s\n%s", mail.to, mail.subject, mail.body)


async def _throw_away(mail: Mail) -> None:
    """Do nothing."""


def _message(mail: Mail) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = mail.sender, mail.to, mail.subject
    message.set_content(mail.body)
    return message
