"""The permission oracle: random worlds and requests, their answers compared with those of the naive model.

Each object carries a canary in its data, and another among its principals. Whatever is answered (body, headers, the
token of a next page) may hold no canary but those that the model expects there, and those that the request brought.
A world is made from a seed, and so are the requests: what goes wrong is told with its seed, and can be run again.

    python -m tests.oracle.permissions --decisions 1000000 --seed 7 --plugins

Source: reliability, 3 (area D), P1 to P3, P13 to P18, P20, P24, A10; the models name their own.
"""

import argparse
import asyncio
import dataclasses
import json
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.conftest import SETTINGS
from tests.oracle.backends import Backends, Make
from tests.oracle.everything import Everything
from tests.oracle.exchange import alone, batched, expected, problem, read, tokens
from tests.oracle.plugins import AUDITOR, PluginMaker
from tests.oracle.world import SECRET, user_of
from tests.oracle.worlds import Maker, request
from tests.plugins.accounts import WITH_BASICAUTH
from tests.plugins.everything import INCLUDES

from kobako.app import App
from kobako.settings import Settings

DECISIONS_PER_WORLD = 90


class Mismatch(AssertionError):
    """The server and the model disagree: the seed, the request, and both answers."""


async def run(
    decisions: int,
    seed: int,
    backend: str,
    folder: Path,
    *,
    has_alias: bool = False,
    has_plugins: bool = False,
    make: Make | None = None,
) -> Counter[str]:
    """Ask that many requests of as many worlds as it takes; return the statuses answered. Raises Mismatch.

    `has_alias`: of worlds where some ask for their bucket as the default one. `has_plugins`: of worlds with every
    plugin on, and the alias in every other. `make` makes the databases of a backend that is not embedded.
    """
    seen: Counter[str] = Counter()
    backends = Backends(folder, make)
    await backends.migrate()
    while (left := decisions - sum(seen.values())) > 0:
        rng = random.Random(seed)
        maker = PluginMaker(rng, has_alias=seed % 2 == 0) if has_plugins else Maker(rng, has_alias=has_alias)
        seen += await _one_world(backends, backend, maker, seed, min(DECISIONS_PER_WORLD, left))
        seed += 1
    return seen


async def _one_world(backends: Backends, backend: str, maker: Maker, seed: int, decisions: int) -> Counter[str]:
    app = backends.app(backend, _settings(maker, backends.folder))
    await app.migrate()
    seen: Counter[str] = Counter()
    async with app:
        for asked in maker.building():
            await _ask(app, maker, asked, seed)
        while sum(seen.values()) < decisions:
            seen.update(await _ask(app, maker, maker.asking(), seed))
    return seen


def _settings(maker: Maker, folder: Path) -> Settings:
    """Return the settings of a server like the maker's world."""
    has_plugins = isinstance(maker, PluginMaker)
    options = WITH_BASICAUTH.plugin_options | {"attachment.base_path": str(folder / "files")} if has_plugins else {}
    return dataclasses.replace(
        WITH_BASICAUTH if has_plugins else SETTINGS,
        principals_by_permission={name: frozenset(who) for name, who in maker.world.settings.items()},
        explicit_permissions=maker.world.explicit,
        includes=INCLUDES if has_plugins else ("default_bucket",),
        plugin_options={**options, "default_bucket_hmac_secret": SECRET},
    )


async def _ask(app: App, maker: Maker, asked: list[dict[str, Any]], seed: int) -> list[str]:
    """Send a request, or several as a batch; compare each answer, and let the world follow."""
    world = maker.world
    # Once for a whole batch: a group that it changes counts in the next request only.
    who = [world.principals(each["user"], each["password"]) for each in asked]
    if len(asked) == 1:
        answers = [await read(await app.answer(alone(asked[0])))]
    else:
        response = await app.answer(batched(asked))
        if response.status != 200:
            raise Mismatch(f"seed {seed}: a batch is answered {response.status} {response.body!r}\n{_told(asked)}")
        answers = [(each["status"], each["headers"], each["body"]) for each in json.loads(response.body)["responses"]]
    for each, principals, answer in zip(asked, who, answers, strict=True):
        wanted = expected(world, each, principals, in_batch=len(asked) > 1)
        if wrong := problem(each, wanted, answer):
            objects = {uri: near for uri, near in world.objects.items() if _is_near(uri, each["path"])}
            raise Mismatch(
                f"{wrong}\nseed {seed}, explicit {world.explicit}\n"
                f"request: {_told(each)}\nof: {sorted(principals)}\n"
                f"answer: {answer}\nexpected: {wanted}\nsettings: {world.settings}\nworld: {_told(objects)}\n"
                f"batch: {_told(asked) if len(asked) > 1 else 'no'}"
            )
        if 200 <= answer[0] < 300 and each["method"] not in ("GET", "HEAD", "OPTIONS"):
            world.actor = user_of(principals)
            wanted.commit(answer)
        maker.tokens += tokens(answer[1])
    if isinstance(world, Everything):
        await _learn_history(app, world, f"seed {seed}: {_told(asked)}")
    return [f"{each['method']} {answer[0]}" for each, answer in zip(asked, answers, strict=True)]


async def _learn_history(app: App, world: Everything, where: str) -> None:
    """Let the world follow in what was recorded of a request, which is compared with what was done."""
    for bucket, due in world.entries_due().items():
        asked = request(AUDITOR, "GET", f"{bucket}/history", query={"_limit": str(len(due))})
        status, _, body = await read(await app.answer(alone(asked)))
        wrong = world.learn(bucket, due, body["data"][::-1]) if status == 200 else f"the auditor is answered {status}"
        if wrong:
            raise Mismatch(f"the history of {bucket} has {wrong}\n{where}")


def _is_near(uri: str, path: str) -> bool:
    return uri.startswith(path) or path.startswith(uri)


def _told(value: Any) -> str:
    return json.dumps(value, default=sorted, indent=1)


def main() -> None:
    """Run until a mismatch, or to the end; print the figures."""
    parser = argparse.ArgumentParser(description="Compare the server's decisions with those of a naive model.")
    parser.add_argument("--decisions", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backend", choices=("memory", "sqlite"), default="memory")
    parser.add_argument("--plugins", action="store_true", help="with every plugin on")
    options = parser.parse_args()
    # Each world is told what is strange about it.
    logging.disable(logging.WARNING)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            asked = run(options.decisions, options.seed, options.backend, Path(folder), has_plugins=options.plugins)
            seen = asyncio.run(asked)
        except Mismatch as mismatch:
            sys.exit(str(mismatch))
    print(f"{figures(seen)}; 0 mismatches, seed {options.seed}, {time.monotonic() - start:.0f} s on {options.backend}")


def figures(seen: Counter[str]) -> str:
    """Return how many decisions there were, and of which outcome."""
    statuses: Counter[str] = Counter()
    for each, count in seen.items():
        statuses[each.split()[1]] += count
    return f"{sum(seen.values())} decisions: " + ", ".join(
        f"{count} x {each}" for each, count in sorted(statuses.items())
    )


if __name__ == "__main__":
    main()
