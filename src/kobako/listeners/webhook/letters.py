"""What the command line does with queued and dead messages, in the database of the settings.

The server may run meanwhile: it looks at the queues every second.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from kobako.databases.base import Database
from kobako.listeners.webhook.queue import LISTS, Queue, Waiting
from kobako.settings import Settings, SettingsError, dotted

MODULE: Final = "kobako.listeners.webhook"


class _Event(msgspec.Struct):
    action: str
    uri: str


def queues(settings: Settings, database: Database) -> list[Queue]:
    """Return the queues of the webhooks that the settings name. Raises SettingsError if there are none."""
    found = [Queue(each.name, database) for each in settings.event_listeners if dotted.listener(each.use) == MODULE]
    if not found:
        raise SettingsError("Setting 'event_listeners' names no webhook.")
    return found


async def lines(queues: Iterable[Queue], *, dead: bool) -> list[str]:
    """Return a line for each message, those of one webhook after those of another."""
    return [_line(each) for queue in queues for each in await (queue.dead() if dead else _waiting(queue))]


async def replay(queues: Iterable[Queue], ids: Sequence[str] | None) -> list[str]:
    """Queue dead messages again, all if no ids are given; return the ids of those that were."""
    done = []
    for queue in queues:
        wanted = [each.letter.id for each in await queue.dead()] if ids is None else ids
        done += [id for id in wanted if await queue.replay(id)]
    return done


async def drop(queues: Iterable[Queue], ids: Sequence[str]) -> list[str]:
    """Forget messages, dead or waiting; return the ids of those that were there."""
    return [id for queue in queues for id in ids if await queue.drop(id)]


async def _waiting(queue: Queue) -> list[Waiting]:
    return [each for number in range(LISTS) for each in await queue.waiting(number)]


def _line(waiting: Waiting) -> str:
    letter = waiting.letter
    event = msgspec.json.decode(letter.body, type=_Event)
    about = f"{letter.id}  {letter.attempts} attempts  {event.action} {event.uri}"
    return f"{about}  ({letter.problem})" if letter.problem else about
