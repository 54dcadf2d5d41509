"""Plugins that the settings name, their options, and what else is named by a dotted name of one's own.

Source: objects, 27.1, 27.2 and 27.5; HTTP API, 16.15.
"""

import asyncio
import importlib
import logging
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import msgspec
import pytest
from click.testing import CliRunner
from examples import forest
from tests.conftest import SETTINGS

from kobako import (
    EVERYONE,
    App,
    Call,
    Filter,
    Forbidden,
    IdGenerator,
    ListQuery,
    Operator,
    Plugin,
    Policy,
    Request,
    Resource,
    Response,
    Selection,
    SettingsError,
    Site,
    Sort,
    Step,
    View,
    cli,
    encode,
    json_response,
    objects,
    policy_options,
    read_option,
    read_options,
    read_settings,
    require,
    rerouted,
)
from kobako.logs import configure
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing.client import Client

Read = Callable[..., Settings]

SHELF = Resource(name="shelf", path="/shelves")


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return the settings of these lines, on memory."""

    def read(*lines: str, **environ: str) -> Settings:
        ini = tmp_path / "kobako.ini"
        backends = "kobako.storage_backend = memory", "kobako.cache_backend = memory"
        ini.write_text("\n".join(["[app:main]", *backends, "multiauth.policies = basicauth", *lines]))
        return read_settings(ini, environ)

    return read


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of one's own, `mine`, to put things in."""
    module = ModuleType("mine")
    monkeypatch.setitem(sys.modules, "mine", module)
    return module


# Loading


@pytest.mark.parametrize("name", ["examples.forest", "examples.forest.plugin"])
async def test_a_plugin_is_named_by_its_module_or_its_function(read: Read, name: str) -> None:
    settings = read(f"kobako.includes = {name}")
    async with Client(App(settings, [*RESOURCES, forest.TRAIL, forest.SPOT])) as client:
        assert "trails" in (await client.get("/")).json["capabilities"]
        assert (await client.get("/trails/long/added")).status == 403


async def test_a_plugin_of_an_installed_package_is_named_by_its_entry_point(
    read: Read, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    about = tmp_path / "site" / "walks-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: walks\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[kobako.plugins]\nwalks = examples.forest:plugin\nlost = not_there:plugin\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    importlib.invalidate_caches()

    async with Client(App(read("kobako.includes = walks"), RESOURCES)) as client:
        assert "trails" in (await client.get("/")).json["capabilities"]
    with pytest.raises(
        SettingsError, match=r"^Setting 'includes' has 'lost', which cannot be imported: No module named"
    ):
        App(read("kobako.includes = lost"), RESOURCES)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("not_there", "does not exist"),
        ("examples.forest.nothing", "does not exist"),
        ("examples.folder_cache", "is a module without a function 'plugin'"),
        ("mine.number", "cannot be called"),
        ("mine.empty", "returned None, which is no Plugin"),
        ("mine.broken", "failed: IndexError: list index out of range"),
    ],
)
def test_what_is_no_plugin_stops_the_start(read: Read, mine: ModuleType, name: str, problem: str) -> None:
    mine.__dict__.update(number=3, empty=lambda settings: None, broken=lambda settings: [][1])

    with pytest.raises(SettingsError, match=f"^Setting 'includes' has '{re.escape(name)}', which {problem}"):
        App(read(f"kobako.includes = {name}"), RESOURCES)


@pytest.mark.parametrize(
    ("plugin", "problem"),
    [
        (Plugin(name="a", resources=[Resource(name="bucket", path="/b")]), "resource: 'bucket'"),
        (Plugin(name="a", capabilities={"basicauth": {}}), "capability: 'basicauth'"),
        (Plugin(name="a", views=[View(name="a", path="/buckets", methods={})]), "URL: '/buckets'"),
        (Plugin(name="a", heartbeats={"storage": lambda: None}), "heartbeat: 'storage'"),  # type: ignore[dict-item, return-value]
    ],
)
def test_nothing_is_there_twice(plugin: Plugin, problem: str) -> None:
    with pytest.raises(SettingsError, match=f"^There are two of one {problem}"):
        App(SETTINGS, RESOURCES, plugins=[plugin])


def test_importing_every_module_registers_nothing() -> None:
    program = """
import importlib, pkgutil, sys
from kobako import App, Settings, encode
from kobako.http.openapi import document
from kobako.resources import RESOURCES
memory = dict(storage_backend="memory", permission_backend="memory", cache_backend="memory")
def made():
    site = App(Settings(**memory, storage_url="", permission_url="", cache_url=""), RESOURCES).site
    return encode(document(site)), site.capabilities, [*site.heartbeats], len(site.authenticators), site.listeners._all
before = made()
import kobako, examples.forest, examples.folder_cache, examples.file_database
for each in pkgutil.walk_packages(kobako.__path__, "kobako."):
    if each.name != "kobako.__main__":
        importlib.import_module(each.name)
assert len([name for name in sys.modules if name.startswith("kobako.")]) > 100
assert made() == before
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[1], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr


async def test_a_heartbeat_and_a_task_of_a_plugin() -> None:
    ran = []

    async def run(app: App) -> None:
        ran.append(app)

    async def is_down() -> bool:
        return False

    plugin = Plugin(name="a", heartbeats={"mail": is_down}, tasks=[run])
    async with Client(App(SETTINGS, RESOURCES, plugins=[plugin])) as client:
        heartbeat = await client.get("/__heartbeat__")

        assert (heartbeat.status, heartbeat.json["mail"]) == (503, False)
        assert ran == [client.app]


async def test_a_plugin_has_something_else_done_in_the_place_of_a_request() -> None:
    async def arrive(site: Site, step: Step) -> Step:
        if step.sender.identity is None:
            raise Forbidden("Nobody comes in.")
        if step.uri != "/buckets/mine":
            return step
        implied = site.backends.resources.target("/buckets/b")
        assert implied
        return msgspec.structs.replace(rerouted(site, step, "/buckets/b", step.request.body), implies=(implied,))

    async with Client(App(SETTINGS, RESOURCES, plugins=[Plugin(name="a", arrive=arrive)])) as client:
        answers = [
            await client.get("/buckets/mine"),
            await client.get("/buckets/b"),
            await client.anonymous().get("/buckets/b"),
        ]
        in_batch = await client.batch({"path": "/buckets/mine"}, {"path": "/buckets/other"})

        assert [each.status for each in answers] == [200, 200, 403]
        assert answers[0].data["id"] == answers[1].data["id"] == "b"
        assert [each["status"] for each in in_batch.json["responses"]] == [200, 403]


async def test_what_a_plugin_opens_is_open_while_the_app_is() -> None:
    did = []

    @asynccontextmanager
    async def connected(app: App) -> AsyncIterator[None]:
        did.append("open")
        yield
        did.append("closed")

    async def note(call: Call) -> Response:
        did.append("asked")
        return json_response("{}")

    plugin = Plugin(name="a", lifespans=[connected], views=[View(name="a", path="/a", methods={"GET": note})])
    async with Client(App(SETTINGS, RESOURCES, plugins=[plugin])) as client:
        await client.get("/a")
    assert did == ["open", "asked", "closed"]


async def test_what_a_plugin_cannot_open_stops_the_start_and_leaves_nothing_open() -> None:
    did = []

    @asynccontextmanager
    async def connected(app: App) -> AsyncIterator[None]:
        try:
            yield
        finally:
            did.append("closed")

    @asynccontextmanager
    async def failing(app: App) -> AsyncIterator[None]:
        raise SettingsError("There is nobody there.")
        yield

    app = App(SETTINGS, RESOURCES, plugins=[Plugin(name="a", lifespans=[connected, failing])])
    with pytest.raises(SettingsError, match="There is nobody there"):
        await app.__aenter__()
    assert did == ["closed"]


async def test_a_view_may_answer_before_any_transaction_also_in_a_batch() -> None:
    async def wait(request: Request, variables: Mapping[str, str]) -> Response:
        """Wait for somebody else."""
        async with asyncio.timeout(60):
            # What the batch itself writes is not locked yet.
            await client.put(f"/buckets/{variables['name']}")
        return json_response(encode({"waited": variables["name"], "query": request.query}))

    plugin = Plugin(name="a", views=[View(name="a", path="/wait/{name}/now", offline=wait)])
    async with Client(App(SETTINGS, RESOURCES, plugins=[plugin])) as client:
        alone = await client.get("/wait/b/now?a=1")
        batch = await client.batch({"path": "/buckets", "method": "POST"}, {"path": "/wait/c/now"})
        refused = await client.post("/wait/b/now", data={})
        described = (await client.get("/__api__")).json["paths"]["/wait/{name}/now"]

        assert alone.json == {"waited": "b", "query": "a=1"}
        assert [each["status"] for each in batch.json["responses"]] == [201, 200]
        assert batch.json["responses"][1]["body"]["waited"] == "c"
        assert (await client.head("/wait/b/now")).status == 200
        assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
        assert described["get"]["summary"] == "Wait for somebody else"
    with pytest.raises(ValueError, match="view 'a' has methods, and answers without them"):
        View(name="a", path="/a", methods={"GET": wait}, offline=wait)  # type: ignore[dict-item]


async def test_a_view_lists_pages() -> None:
    async def titles(call: Call) -> Response:
        """Tell the titles of a page of books."""
        target = SHELF.target("/shelves")
        await require(call, "read", target)
        query = ListQuery(Selection(filters=(Filter("n", Operator.MIN, 2),), sort=(Sort("n"), Sort("id"))), limit=2)
        page = await objects.page(call.tx, target, query, None, 0)
        return json_response(
            encode({"data": [each.data()["n"] for each in page.objects], "more": bool(page.following)})
        )

    view = View(name="titles", path="/titles", methods={"GET": titles})
    grants = dict.fromkeys(("shelf_read", "shelf_create"), frozenset({EVERYONE}))
    settings = replace(SETTINGS, principals_by_permission=grants)
    async with Client(App(settings, [SHELF], plugins=[Plugin(name="a", views=[view])])) as client:
        for n in (4, 3, 1, 2):
            await client.post("/shelves", data={"n": n})

        assert (await client.get("/titles")).json == {"data": [2, 3], "more": True}


# Options


class Options(msgspec.Struct):
    most: int = 3
    is_open: bool = False
    names: tuple[str, ...] = ()
    place: str | None = None


def test_options_come_from_the_file_and_the_environment(read: Read) -> None:
    settings = read(
        "kobako.includes = mypackage.stats",
        "kobako.stats.most = 5",
        "stats.names = a b",
        KOBAKO_STATS_MOST="7",
        KOBAKO_STATS_IS_OPEN="yes",
    )

    assert read_options(settings, "stats", Options) == Options(most=7, is_open=True, names=("a", "b"))
    assert read_options(SETTINGS, "stats", Options) == Options()


class Host(msgspec.Struct, frozen=True):
    url: str = ""
    secret_key: str = ""


class Nested(msgspec.Struct):
    most: int = 10
    host: Host = Host()
    limits: dict[str, str] = {}


def test_options_have_tables_of_their_own(read: Read) -> None:
    lines = ["stats.host.url = http://a", "stats.limits.blog.most = 3", "stats.limits.wiki = 4"]
    settings = read("kobako.includes = mypackage.stats", *lines, KOBAKO_STATS_HOST_SECRET_KEY="s")

    options = read_options(settings, "stats", Nested)

    assert options == Nested(host=Host("http://a", "s"), limits={"blog.most": "3", "wiki": "4"})


def test_an_unknown_option_in_a_table_is_named(read: Read) -> None:
    with pytest.raises(SettingsError, match=r"^Unknown setting 'stats.host.port': there is stats.host.url, stats"):
        read_options(read("kobako.includes = mypackage.stats", "stats.host.port = 1"), "stats", Nested)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("stats.most = many", r"^Setting 'stats\.most' is 'many': must be a whole number\.$"),
        ("stats.moost = 3", r"^Unknown setting 'stats\.moost': there is stats\.most, "),
    ],
)
def test_options_that_make_no_sense_are_refused(read: Read, line: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        read_options(read("kobako.includes = mypackage.stats", f"kobako.{line}"), "stats", Options)


def test_an_option_whose_name_depends_on_what_it_is_for_is_read_alone(read: Read) -> None:
    settings = read(
        "kobako.includes = mypackage.stats", "stats.most_of_a-b = 5", "stats.few_of_c = x", KOBAKO_STATS_MOST_OF_A_B="7"
    )

    assert read_option(settings, "stats.most_of_a-b", int) == 7
    assert read_option(settings, "stats.most_of_c", int) is None
    with pytest.raises(SettingsError, match=r"^Setting 'stats\.few_of_c' is 'x': must be a whole number\.$"):
        read_option(settings, "stats.few_of_c", int)


def test_options_of_what_is_not_included_are_unknown(read: Read) -> None:
    with pytest.raises(SettingsError, match=r"^Unknown setting 'kobako\.stats\.most'"):
        read("kobako.stats.most = 5")


async def test_settings_by_type_hold_for_resources_of_plugins(read: Read, mine: ModuleType) -> None:
    mine.__dict__["plugin"] = lambda settings: Plugin(name="mine", resources=[SHELF])
    settings = read("kobako.includes = mine", "kobako.shelf_create_principals = system.Everyone")

    async with Client(App(settings, RESOURCES)) as client:
        assert (await client.anonymous().post("/shelves", data={})).status == 201


@pytest.fixture
def shelves(mine: ModuleType) -> None:
    """A plugin with a kind of object."""
    mine.__dict__["plugin"] = lambda settings: Plugin(name="mine", resources=[SHELF])


async def test_they_come_from_the_environment_too(read: Read, shelves: None) -> None:
    settings = read("kobako.includes = mine", KOBAKO_SHELF_CREATE_PRINCIPALS="system.Everyone")

    async with Client(App(settings, RESOURCES)) as client:
        assert (await client.anonymous().post("/shelves", data={})).status == 201
        assert client.app.warnings == []


def test_the_environment_may_say_itself_that_there_is_a_plugin(read: Read, shelves: None) -> None:
    settings = read(KOBAKO_INCLUDES="mine", KOBAKO_SHELF_ID_GENERATOR="uuid4", OTHERS_ID_GENERATOR="snowflake")

    assert settings.id_generators == {"shelf": "uuid4"}
    assert App(settings, RESOURCES).warnings == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("buket_create_principals", "bucket_create_principals"),
        ("shelv_create_principals", "shelf_create_principals"),
        ("shelv_id_generator", "shelf_id_generator"),
    ],
)
def test_a_kind_of_object_that_no_plugin_brings_is_told(read: Read, shelves: None, name: str, meant: str) -> None:
    value = "uuid4" if name.endswith("generator") else "system.Everyone"
    warning = f"did you mean '{meant}'?"

    with pytest.raises(SettingsError, match=rf"^Unknown setting 'kobako\.{name}': did you mean '{meant}'\?$"):
        App(read("kobako.includes = mine", f"kobako.{name} = {value}"), RESOURCES)
    for settings in (
        read("kobako.includes = mine", f"kinto.{name} = {value}"),
        read("kobako.includes = mine", **{f"KOBAKO_{name.upper()}": value}),
    ):
        assert settings.warnings == ()
        [told] = App(settings, RESOURCES).warnings
        assert told.endswith(warning)


def test_a_parent_is_among_the_resources_of_the_app() -> None:
    with pytest.raises(SettingsError, match=r"^The parent of resource 'spot' is 'trail', which the app has not\.$"):
        App(SETTINGS, RESOURCES, plugins=[Plugin(name="a", resources=[forest.SPOT])])


def test_the_start_tells_which_migrations_were_not_run(
    tmp_path: Path, mine: ModuleType, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def migrate(app: App) -> None:
        pass

    monkeypatch.chdir(tmp_path)
    names = ["one"]
    mine.__dict__["plugin"] = lambda settings: Plugin(name="mine", migrations=dict.fromkeys(names, migrate))
    ini = tmp_path / "kobako.ini"
    ini.write_text("[app:main]\nkobako.includes = mine\n")

    def told() -> list[str]:
        caplog.clear()
        asyncio.run(cli._prepare(read_settings(ini, {})))
        return [each.getMessage() for each in caplog.records if each.name == "kobako"]

    of_a_new_file = told()
    names += ["two", "three"]
    of_a_new_version = told()
    CliRunner().invoke(cli.cli, ["migrate", "--ini", str(ini)], catch_exceptions=False)

    assert of_a_new_file == []
    assert of_a_new_version == [f"Not run yet, by `kobako migrate`: plugin mine: {each}." for each in names[1:]]
    assert told() == []


class Named(msgspec.Struct):
    most: Annotated[int, msgspec.Meta(ge=1)]
    level: str = msgspec.field(name="log.level", default="info")


def test_options_may_have_dots_bounds_and_no_default(read: Read) -> None:
    def options(*lines: str) -> Named:
        return read_options(read("kobako.includes = mypackage.stats", *lines), "stats", Named)

    assert options("stats.most = 5", "stats.log.level = debug") == Named(most=5, level="debug")
    with pytest.raises(SettingsError, match=r"^Setting 'stats\.most' is '0': Expected `int` >= 1"):
        options("stats.most = 0")
    with pytest.raises(SettingsError, match=r"^Setting 'stats\.most' is missing\.$"):
        options("stats.log.level = debug")
    with pytest.raises(SettingsError, match=r"^Unknown setting 'stats\.level': there is stats\.most, stats\.log"):
        options("stats.most = 5", "stats.level = debug")


def test_options_of_a_policy_are_typed_as_well() -> None:
    assert policy_options(Policy("robots", "mine", {"most": "5"}), Named) == Named(most=5)
    with pytest.raises(SettingsError, match=r"^Setting 'multiauth\.policy\.robots\.most' is 'many': must be a whole"):
        policy_options(Policy("robots", "mine", {"most": "many"}), Named)
    with pytest.raises(SettingsError, match=r"^Unknown setting 'multiauth\.policy\.robots\.moost': there is multiauth"):
        policy_options(Policy("robots", "mine", {"most": "5", "moost": "6"}), Named)


# Ids and renderers


async def test_a_generator_of_ids_of_ones_own(read: Read, mine: ModuleType) -> None:
    mine.__dict__["dated"] = IdGenerator(re.compile(r"\d{4}-\w+"), lambda: "2026-abc")
    settings = read("kobako.record_id_generator = mine.dated", "kobako.bucket_create_principals = system.Everyone")

    async with Client(App(settings, RESOURCES)) as client:
        await client.put("/buckets/b", data={})
        await client.put("/buckets/b/collections/c", data={})
        made = await client.post("/buckets/b/collections/c/records", data={})

        assert made.data["id"] == "2026-abc"
        assert (await client.put("/buckets/b/collections/c/records/other", data={})).status == 400


def test_a_generator_that_refuses_its_own_ids_stops_the_start(read: Read, mine: ModuleType) -> None:
    mine.__dict__.update(wrong=IdGenerator(re.compile(r"\d+"), lambda: "abc"), number=3)

    with pytest.raises(SettingsError, match=r"^The id generator of 'record' made 'abc', which it does not accept"):
        App(read("kobako.record_id_generator = mine.wrong"), RESOURCES)
    with pytest.raises(
        SettingsError, match=r"^Setting 'record_id_generator' is 'mine.number', which is no IdGenerator"
    ):
        App(read("kobako.record_id_generator = mine.number"), RESOURCES)


def test_a_renderer_of_ones_own(read: Read, mine: ModuleType, capsys: Any) -> None:
    class Shouting(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return record.getMessage().upper()

    mine.__dict__["Shouting"] = Shouting
    settings = read("kobako.logging_renderer = mine.Shouting")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure(logging.INFO, settings.logging_renderer)
        logging.getLogger("kobako.test").info("hello")
    finally:
        root.handlers[:], root.level = handlers, level

    assert capsys.readouterr().err == "HELLO\n"


# Hooks


async def test_a_list_is_restricted_and_a_patch_is_looked_at() -> None:
    from kobako import Caller, Filter, Forbidden, JsonObject, Operator, Target, Transaction

    async def published(tx: Transaction, target: Target, caller: Caller) -> list[Filter]:
        return [] if caller.user else [Filter("draft", Operator.NOT, True)]

    def keep_title(target: Target, before: JsonObject, after: JsonObject) -> JsonObject:
        if before.get("title") != after.get("title"):
            raise Forbidden("A title stays.")
        return {**after, "edits": before.get("edits", 0) + 1}

    page = Resource(name="page", path="/pages", creators=("system.Everyone",), restrict=published, patch=keep_title)
    settings = replace(SETTINGS, principals_by_permission={"page_read": frozenset({"system.Everyone"})})
    async with Client(App(settings, [page])) as client:
        made = await client.post("/pages", data={"title": "a", "draft": True})
        await client.post("/pages", data={"title": "b"})
        anybody, path = client.anonymous(), f"/pages/{made.data['id']}"

        assert [len((await each.get("/pages")).data) for each in (client, anybody)] == [2, 1]
        assert (await anybody.head("/pages")).headers["Total-Objects"] == "1"
        assert (await client.patch(path, data={"title": "c"})).json["message"] == "A title stays."
        assert (await client.patch(path, data={"draft": False})).data["edits"] == 1
        assert len((await anybody.get("/pages")).data) == 2


def test_users_own_lists_not_what_is_below_others() -> None:
    own = Resource(name="own", path="/own", owned=True)

    with pytest.raises(ValueError, match=r"'own' is owned by users: it has no parent"):
        Resource(name="own", path="/shelves/{shelf_id}/own", owned=True, parent=Resource(name="shelf", path="/shelves"))
    with pytest.raises(ValueError, match=r"'leaf' has a parent that is owned by users"):
        Resource(name="leaf", path="/own/{own_id}/leaves", parent=own)
    with pytest.raises(ValueError, match=r"view 'a' has the path 'a', which has to begin with a slash"):
        View(name="a", path="a", methods={})
    assert json_response("{}").status == 200
