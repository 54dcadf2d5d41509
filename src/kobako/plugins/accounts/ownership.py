"""What a user owns: objects that nobody else may write go with the user, and from the rest the user's rights do.

Source: objects, 13.3.
"""

from kobako import App, Target, Transaction, objects
from kobako.plugins.accounts.options import KIND


async def targets(app: App, name: str) -> list[Target]:
    """Return the objects that a user has rights on, by permissions of their own: those above before those below."""
    async with app.site.backends.begin() as tx:
        return await _held(tx, name)


async def dispossess(tx: Transaction, name: str) -> int:
    """Delete what only this user may write, take the user's rights on the rest; return how many were deleted.

    What is below a deleted object goes with it, whosever it is.
    """
    principal, deleted = f"{KIND}:{name}", 0
    for target in await _held(tx, name):
        acl = await tx.permission.acl(target.uri)
        stored = await objects.find(tx, target)
        if stored and set(acl.get("write", ())) == {principal}:
            await objects.delete(tx, target, [stored], by=None)
            deleted += 1
        else:
            left = {each: [one for one in principals if one != principal] for each, principals in acl.items()}
            await tx.permission.replace(target.uri, left)
    for group in await tx.permission.groups(principal):
        await tx.permission.leave(group, [principal])
    return deleted


async def _held(tx: Transaction, name: str) -> list[Target]:
    uris = {uri for uri, _ in await tx.permission.held({f"{KIND}:{name}"})}
    found = [tx.resources.target(uri) for uri in sorted(uris, key=lambda uri: (uri.count("/"), uri))]
    return [each for each in found if each]
