"""A look at the start: are there accounts whose names have rights, and which anybody could still take?"""

import logging

from kobako import EVERYONE, App, attempts
from kobako.plugins.accounts.account import ACCOUNTS
from kobako.plugins.accounts.options import KIND

_log = logging.getLogger("kobako.accounts")


async def warn(app: App) -> None:
    """Warn of each account that the settings give rights to, and that whoever signs up first will have."""
    settings = app.settings
    if EVERYONE not in settings.principals("account", "create"):
        return
    named = {each for principals in settings.principals_by_permission.values() for each in principals}
    names = sorted(each.removeprefix(f"{KIND}:") for each in named if each.startswith(f"{KIND}:"))
    for attempt in attempts():
        async with attempt, app.site.backends.begin() as tx:
            vacant = [name for name in names if await tx.storage.get(ACCOUNTS, name) is None]
    for name in vacant:
        _log.warning(
            "Account '%s' has rights by the settings, and does not exist: `kobako create-user -u %s` makes it before "
            "somebody else signs up under that name.",
            name,
            name,
        )
