"""The URLs for who has no password yet, or no longer: the validation of an address, and a temporary password.

Source: objects, 14.5.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from kobako import Call, Forbidden, Request, Resource, Response, Target, View, encode, json_response, objects
from kobako.plugins.accounts import vault
from kobako.plugins.accounts.letters import Letters

SENT: Final = {"message": "A temporary reset password has been sent by mail"}


class Views(msgspec.Struct, frozen=True):
    """What answers them."""

    account: Resource
    letters: Letters

    def all(self) -> list[View]:
        """Return the views."""
        return [
            View(
                name="account-validate",
                path="/accounts/{account_id}/validate/{key}",
                methods={"POST": self.validate},
                writes=self._account,
            ),
            View(
                name="account-reset-password",
                path="/accounts/{account_id}/reset-password",
                methods={"POST": self.reset_password},
                writes=self._account,
            ),
        ]

    async def validate(self, call: Call) -> Response:
        """Validate the address of an account by the key that was sent there, and return the account."""
        tx, variables = call.tx, call.target.variables
        [target] = self._account(call.request, variables)
        account = await objects.find(tx, target)
        secret = await vault.find_to_write(tx.storage, variables["account_id"]) if account else None
        key = secret.activation if secret else None
        if account is None or key is None or not key.is_for(variables["key"], tx.now):
            raise Forbidden("Account ID and activation key do not match")
        # Written as any change is: the key is gone with it.
        new = await objects.write(tx, target, {**account.data(), "validated": True}, old=account, by=None)
        await self.letters.confirmation(tx, new.data())
        return json_response(new.json())

    async def reset_password(self, call: Call) -> Response:
        """Send a temporary password to an account, if there is one."""
        tx, id = call.tx, call.target.variables["account_id"]
        self.letters.require_address(id, "path", "id")
        [target] = self._account(call.request, call.target.variables)
        account = await objects.find(tx, target)
        secret = await vault.find_to_write(tx.storage, id) if account else None
        if account and secret and not secret.is_pending:
            token = await self.letters.reset(tx, account.data())
            await vault.keep(tx.storage, id, replace(secret, reset=token))
        return json_response(encode(SENT))

    def _account(self, request: Request, variables: Mapping[str, str]) -> Iterable[Target]:
        return [self.account.target("/accounts", variables["account_id"])]
