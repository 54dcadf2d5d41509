"""Kinto from the registry, on uWSGI: two processes, connections kept alive. Its own log has warnings only."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.postgresql import PostgreSQL

from bench import dataset
from bench.contenders.base import Contender, environment, installed
from bench.contenders.kinto_api import KintoAPI, login, make_collections, records_of, user_id
from bench.wire import Client

PACKAGES = ("kinto[postgresql]==26.5.0", "uwsgi")

INI = """
[app:main]
use = egg:kinto
kinto.userid_hmac_secret = of-no-use-outside-of-a-benchmark
multiauth.policies = basicauth
multiauth.policy.basicauth.use = kinto.core.authentication.BasicAuthAuthenticationPolicy
kinto.bucket_create_principals = system.Authenticated
kinto.storage_backend = kinto.core.storage.postgresql
kinto.storage_url = {url}
kinto.permission_backend = kinto.core.permission.postgresql
kinto.permission_url = {url}
kinto.cache_backend = kinto.core.cache.postgresql
kinto.cache_url = {url}
"""

# Copies of a record that was written through the API, with their permissions: writing them all takes half an hour.
COPIES = """
    INSERT INTO objects (id, parent_id, resource_name, last_modified, data, deleted)
    SELECT 'record' || lpad(n::text, 9, '0'), parent_id, resource_name, last_modified - n * interval '1 ms',
        data || jsonb_build_object('title', 'Record ' || n, 'kind', 'kind-' || n % {kinds},
            'topic', 'topic-' || n % {kinds}, 'done', n % 2 = 0), FALSE
    FROM objects, generate_series(1, {size} - 1) AS n
    WHERE parent_id = '/buckets/bench/collections/{name}' AND resource_name = 'record'"""
GRANTS = """
    INSERT INTO access_control_entries (object_id, permission, principal)
    SELECT '/buckets/bench/collections/{name}/records/record' || lpad(n::text, 9, '0'), '{permission}', '{user}'
    FROM generate_series({first}, {size} - 1, {step}) AS n"""


class Kinto(Contender):
    """Kinto on PostgreSQL."""

    name, title = "kinto", "Kinto 26.5, PostgreSQL"
    database: PostgreSQL

    def __init__(self, database: PostgreSQL) -> None:
        self.database = database
        super().__init__()

    def install(self) -> None:
        self.programs = environment("kinto", *PACKAGES)

    def prepare(self) -> None:
        self.database.sql("CREATE DATABASE kinto")
        (self.folder / "kinto.ini").write_text(INI.format(url=self.database.url("kinto")))
        command: list[str | Path] = [self.programs / "kinto", "migrate", "--ini", self.folder / "kinto.ini"]
        subprocess.run(command, check=True, capture_output=True)

    def command(self) -> Sequence[str | Path]:
        return [self.programs / "uwsgi", "--master", "--die-on-term", "--http", f"127.0.0.1:{self.port}",
                "--http-keepalive=1", "--http-auto-chunked", "--processes", "2", "--disable-logging",
                "--need-app", "--enable-threads", "--buffer-size", "16384",
                "--virtualenv", self.programs.parent, "--paste", f"config:{self.folder}/kinto.ini"]  # fmt: skip

    def seed(self) -> None:
        client = Client(self.port, login(dataset.OWNER))
        make_collections(client)
        owner, reader = user_id(self.port, dataset.OWNER), user_id(self.port, dataset.READER)
        filled = {name: size for name, size in dataset.SIZES.items() if size}
        for name in filled:
            client.call("PUT", f"{records_of(name)}/{dataset.id_of(0)}", {"data": dataset.record(0)})
        # Copies bring their timestamps.
        self._sql("ALTER TABLE objects DISABLE TRIGGER USER")
        for name, size in filled.items():
            self._sql(COPIES, name=name, size=size, kinds=dataset.KINDS)
            self._sql(GRANTS, name=name, size=size, permission="write", user=owner, first=1, step=1)
        self._sql("ALTER TABLE objects ENABLE TRIGGER USER")
        size, step = dataset.SIZES["shared"], dataset.READABLE
        self._sql(GRANTS, name="shared", size=size, permission="read", user=reader, first=0, step=step)
        self._sql("VACUUM ANALYZE")
        self.requests = KintoAPI(self.port)

    def version(self) -> str:
        return f"Kinto {installed(self.programs, 'kinto')}, uWSGI {installed(self.programs, 'uwsgi')}"

    def _sql(self, statement: str, **values: object) -> None:
        self.database.sql(statement.format(**values), "kinto")
