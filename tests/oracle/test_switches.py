"""The permission oracle can fail: each of these ways to break the server is seen at once.

Source: reliability, 3.1 ("Test the tests").
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.oracle.permissions import Mismatch, run

from kobako.http import checks, lists, pipeline
from kobako.model import access, objects
from kobako.model.transaction import Transaction
from kobako.permission.memory import MemoryPermission
from kobako.plugins.accounts import vault
from kobako.plugins.accounts.rights import AccountRights
from kobako.plugins.attachments import downloads, uploads
from kobako.plugins.attachments.cascades import Cascades
from kobako.plugins.history import entries, recording, snapshots
from kobako.protocol.errors import ModifiedMeanwhile

DECISIONS = 5_000
Patch = pytest.MonkeyPatch


def batches_are_not_checked(patch: Patch) -> None:
    in_batch: list[bool] = []
    handle_all, have = pipeline.handle_all, access.Rights._have

    async def in_a_batch(*arguments: Any) -> Any:
        in_batch.append(True)
        try:
            return await handle_all(*arguments)
        finally:
            in_batch.clear()

    patch.setattr(pipeline, "handle_all", in_a_batch)
    patch.setattr(access.Rights, "_have", lambda self, right: bool(in_batch) or have(self, right))


def write_grants_nothing_below(patch: Patch) -> None:
    have = access.Rights._have

    def without_parents(self: access.Rights, right: Any) -> bool:
        own = self.target.uri if self.target.id is not None else None
        held = {each for each in self.held if each[1] != "write" or each[0] == own}
        return have(access.Rights(self.caller, self.target, held, self.by_settings), right)

    patch.setattr(access.Rights, "_have", without_parents)


def shared_lists_are_whole(patch: Patch) -> None:
    listed_ids = access.listed_ids

    async def whole(*arguments: Any) -> None:
        await listed_ids(*arguments)

    patch.setattr(access, "listed_ids", whole)


def totals_are_of_the_whole_list(patch: Patch) -> None:
    count = objects.count

    async def whole(tx: Any, target: Any, query: Any, ids: Any, sift: Any) -> int:
        return await count(tx, target, query, None)

    patch.setattr(objects, "count", whole)


def acls_are_shown_to_readers(patch: Patch) -> None:
    patch.setattr(access.Rights, "shows_acl", property(lambda self: True))


def acls_are_shown_to_writers_by_inheritance(patch: Patch) -> None:
    patch.setattr(checks, "visible", lambda rights, acl: acl)


def a_412_shows_what_there_is(patch: Patch) -> None:
    def open_hearted(stored: Any, rights: Any, timestamp: int) -> ModifiedMeanwhile:
        return ModifiedMeanwhile(details={"existing": stored.data()} if stored else None)

    patch.setattr(checks, "modified", open_hearted)


def a_post_shows_any_object_of_its_id(patch: Patch) -> None:
    post, require = lists.OPERATIONS["POST"], access.Rights.require_on_object
    posting: list[bool] = []

    async def posts(call: Any) -> Any:
        posting.append(True)
        try:
            return await post(call)
        finally:
            posting.clear()

    patch.setitem(lists.OPERATIONS, "POST", posts)
    patch.setattr(access.Rights, "require_on_object", lambda self, action: posting or require(self, action))


def settings_are_inherited_by_children(patch: Patch) -> None:
    def of_any_kind(self: Transaction, resource: str, principals: frozenset[str]) -> set[Any]:
        kinds = {resource, "bucket"}
        return {action for kind in kinds for action in self.backends.settings_grants(kind, principals)}

    patch.setattr(Transaction, "settings_grants", of_any_kind)


def groups_stay_in_acls(patch: Patch) -> None:
    async def only_the_acls(self: MemoryPermission, uris: Any) -> None:
        for uri in list(self._acls):
            if any(f"{uri}/".startswith(f"{each}/") for each in uris):
                self._journal.remove(self._acls, uri)

    patch.setattr(MemoryPermission, "forget", only_the_acls)


def writers_are_not_added(patch: Patch) -> None:
    patch.setattr(checks, "owner", lambda call, rights: None)


def members_are_read_at_each_part(patch: Patch) -> None:
    async def now(self: Transaction, user: str) -> Any:
        return await self.permission.groups(user)

    patch.setattr(Transaction, "groups_of", now)


@pytest.mark.parametrize(
    "switch",
    [
        batches_are_not_checked,
        write_grants_nothing_below,
        shared_lists_are_whole,
        totals_are_of_the_whole_list,
        acls_are_shown_to_readers,
        acls_are_shown_to_writers_by_inheritance,
        a_412_shows_what_there_is,
        a_post_shows_any_object_of_its_id,
        settings_are_inherited_by_children,
        groups_stay_in_acls,
        writers_are_not_added,
        members_are_read_at_each_part,
    ],
    ids=lambda switch: switch.__name__,
)
async def test_the_oracle_sees(
    switch: Callable[[Patch], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    switch(monkeypatch)

    with pytest.raises(Mismatch) as caught:
        await run(DECISIONS, 1, "memory", tmp_path)

    # Not by breaking altogether.
    assert "answered 500" not in str(caught.value)
    print(switch.__name__, str(caught.value)[:60])


def history_is_shown_to_who_lost_the_right(patch: Patch) -> None:
    async def whatever(tx: Any, caller: Any, targets: Any) -> Any:
        return {each.uri for each in targets}

    patch.setattr(entries, "readable", whatever)


def rights_of_today_open_the_history(patch: Patch) -> None:
    patch.setattr(recording, "_readers", lambda done, acls: {"system.Authenticated"})


def snapshots_are_for_who_reads_by_settings(patch: Patch) -> None:
    async def everybody(*arguments: Any) -> int:
        return 0

    patch.setattr(snapshots, "_known_since", everybody)


def snapshots_show_former_collections(patch: Patch) -> None:
    known_since = snapshots._known_since

    async def always(*arguments: Any) -> int:
        await known_since(*arguments)
        return 0

    patch.setattr(snapshots, "_known_since", always)


async def _nothing(*arguments: Any, **options: Any) -> None:
    return None


def files_are_sent_to_whoever_asks(patch: Patch) -> None:
    patch.setattr(downloads, "require", _nothing)


def files_are_taken_from_whoever_sends(patch: Patch) -> None:
    patch.setattr(uploads, "require", _nothing)


def files_outlive_their_record(patch: Patch) -> None:
    patch.setattr(Cascades, "delete", _nothing)


def accounts_are_listed_to_all(patch: Patch) -> None:
    permits = AccountRights.permits

    def lists_too(self: AccountRights, of: Any, action: Any) -> bool:
        return (self.caller.user is not None and (of, action) == ("list", "read")) or permits(self, of, action)

    patch.setattr(AccountRights, "permits", lists_too)


def accounts_are_there_for_others(patch: Patch) -> None:
    patch.setattr(AccountRights, "seen", lambda self, stored: stored)


def accounts_may_be_taken_over(patch: Patch) -> None:
    seen = AccountRights.seen
    patch.setattr(AccountRights, "seen", lambda self, stored: self.caller.user and seen(self, stored))


def passwords_outlive_their_account(patch: Patch) -> None:
    patch.setattr(vault, "forget", _nothing)


@pytest.mark.parametrize(
    "switch",
    [
        history_is_shown_to_who_lost_the_right,
        rights_of_today_open_the_history,
        snapshots_are_for_who_reads_by_settings,
        snapshots_show_former_collections,
        files_are_sent_to_whoever_asks,
        files_are_taken_from_whoever_sends,
        files_outlive_their_record,
        accounts_are_listed_to_all,
        accounts_are_there_for_others,
        accounts_may_be_taken_over,
        passwords_outlive_their_account,
    ],
    ids=lambda switch: switch.__name__,
)
async def test_the_oracle_sees_it_of_plugins(
    switch: Callable[[Patch], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    switch(monkeypatch)

    with pytest.raises(Mismatch) as caught:
        await run(DECISIONS, 1, "memory", tmp_path, has_plugins=True)

    assert "answered 500" not in str(caught.value)
    print(switch.__name__, str(caught.value)[:60])


async def test_the_oracle_sees_an_alias_that_opens_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    have = access.Rights._have
    monkeypatch.setattr(access.Rights, "_have", lambda self, right: bool(self.caller.creates) or have(self, right))

    with pytest.raises(Mismatch, match='"door": "default"'):
        await run(DECISIONS, 1, "memory", tmp_path, has_alias=True)
