"""Accounts: users who sign up, with passwords (docs/accounts.md).

An account is an object like others, at `/accounts/{username}`, with an ACL of its own. The hash of its password is not
in it but beside it (vault.py), in a list that no URL, event or query leads to: where the password would stand, the
account has a text that only says so.

Source: objects, 14.
"""

from functools import partial
from typing import Final

from kobako import Listener, ObjectsChanged, Plugin, Settings, SettingsError, Transaction
from kobako.plugins.accounts import options
from kobako.plugins.accounts.options import Options, read_validation

DESCRIPTION: Final = {
    "description": "Manage user accounts.",
    "url": "https://kinto.readthedocs.io/en/latest/api/1.x/accounts.html",
}


def plugin(settings: Settings) -> Plugin:
    """Return the plugin. Raises SettingsError for what does not go together, or is not installed."""
    options.check(settings)
    given = options.read(settings)
    try:
        return _made(settings, given)
    except ImportError as error:
        raise SettingsError(
            f"Setting 'includes' has 'accounts', which needs {error.name}: pip install 'kobako[accounts]'."
        ) from error


def _made(settings: Settings, given: Options) -> Plugin:
    # Hashing and mailing have libraries of their own, which not every server has.
    from kobako.plugins.accounts import account, login, mailer, outbox, vacant
    from kobako.plugins.accounts.hashing import Hasher
    from kobako.plugins.accounts.letters import Letters
    from kobako.plugins.accounts.views import Views

    hasher = Hasher(given)
    letters = Letters(read_validation(settings)) if given.validation else None
    accounts = account.resource(hasher, letters)

    sending = [partial(outbox.keep_sending, send=mailer.mailer(settings))] if letters else []

    async def forget_verified(tx: Transaction, event: ObjectsChanged) -> None:
        for change in event.changes:
            await tx.backends.cache.delete(login.verified_key(settings, change.new.id))

    return Plugin(
        name="accounts",
        resources=[accounts],
        policies={options.KIND: login.policy(settings, given, hasher)},
        listeners=[Listener(forget_verified, ["update", "delete"], [accounts.name], after_commit=True)],
        capabilities={"accounts": {**DESCRIPTION, "validation_enabled": given.validation}},
        views=Views(accounts, letters).all() if letters else [],
        tasks=[vacant.warn, *sending] if not settings.readonly else [],
    )
