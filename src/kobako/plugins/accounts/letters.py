"""What is written to the owners of accounts, and the keys in it: each is made here, and kept as a digest only.

Source: objects, 14.5.
"""

import re
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from kobako import JsonObject, Transaction, invalid
from kobako.plugins.accounts import outbox, vault
from kobako.plugins.accounts.options import Validation
from kobako.plugins.accounts.outbox import Mail
from kobako.plugins.accounts.vault import Token


class Letters(msgspec.Struct, frozen=True):
    """Writes mails, and puts them into the outbox, in the transaction of what they tell of."""

    options: Validation

    def require_address(self, id: str, location: str, name: str) -> None:
        """Raise InvalidParameters if the name of an account is no address."""
        if not re.search(self.options.email_regexp, id):
            raise invalid(location, name, f"User ID should match {self.options.email_regexp}")

    async def activation(self, tx: Transaction, account: JsonObject) -> Token:
        """Send the key that validates the address; return how it is kept."""
        given = self.options
        key = str(uuid.uuid4())
        subject, body = given.email_subject_template, given.email_body_template
        await self._send(tx, account, subject, body, {"activation-key": key})
        return vault.token(key, tx.now + given.validation_key_cache_ttl_seconds * 1000)

    async def confirmation(self, tx: Transaction, account: JsonObject) -> None:
        """Tell that the account is active."""
        given = self.options
        subject, body = given.email_confirmation_subject_template, given.email_confirmation_body_template
        await self._send(tx, account, subject, body, {})

    async def reset(self, tx: Transaction, account: JsonObject) -> Token:
        """Send a temporary password; return how it is kept."""
        given = self.options
        password = str(uuid.uuid4())
        subject, body = given.email_reset_password_subject_template, given.email_reset_password_body_template
        await self._send(tx, account, subject, body, {"reset-password": password})
        return vault.token(password, tx.now + given.reset_password_cache_ttl_seconds * 1000)

    async def _send(self, tx: Transaction, account: JsonObject, subject: str, body: str, more: dict[str, str]) -> None:
        context = account.get("email-context")
        values = {**(context if isinstance(context, dict) else {}), **account, **more}
        del values["password"]
        # A subject is one line, whatever the account says.
        line = " ".join(filled(subject, values).split())
        await outbox.put(tx.storage, Mail(self.options.email_sender, account["id"], line, filled(body, values)))


def filled(template: str, values: Mapping[str, Any]) -> str:
    """Return a template with its names replaced; those that are not known stay.

    >>> filled("Dear {name}, {your-key} {x}", {"name": "Alice", "your-key": 12})
    'Dear Alice, 12 {x}'
    """
    return re.sub(r"\{([^{}]*)\}", lambda found: str(values.get(found[1], found[0])), template)
