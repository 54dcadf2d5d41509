"""Settings: where they are found, which spelling counts, what their text means, and what is refused.

Source: HTTP API, section 16; objects, 24 and 26.4.
"""

import pickle
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kobako.settings import EventListener, Feature, Settings, SettingsError, names, read_address, read_settings
from kobako.settings.template import render

Read = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return what a file with these lines in [app:main] gives, with these variables."""

    def read(lines: str, /, rest: str = "", **environ: str) -> Settings:
        ini = tmp_path / "kobako.ini"
        ini.write_text(f"[app:main]\n{lines}\n{rest}")
        return read_settings(ini, environ)

    return read


# Where a setting is found


@pytest.mark.parametrize(
    ("lines", "environ", "expected"),
    [
        pytest.param("", {}, None, id="default"),
        pytest.param("cliquet.paginate_by = 1", {}, 1, id="cliquet in the file"),
        pytest.param("paginate_by = 2\ncliquet.paginate_by = 1", {}, 2, id="bare is as kinto"),
        pytest.param("cliquet.paginate_by = 1\nkinto.paginate_by = 2", {}, 2, id="kinto before cliquet"),
        pytest.param("kobako.paginate_by = 3\nkinto.paginate_by = 2", {}, 3, id="kobako before kinto"),
        pytest.param("kobako.paginate_by = 3", {"PAGINATE_BY": "4"}, 4, id="a bare variable before the file"),
        pytest.param("", {"PAGINATE_BY": "4", "CLIQUET_PAGINATE_BY": "5"}, 5, id="a prefix before a bare variable"),
        pytest.param("", {"CLIQUET_PAGINATE_BY": "5", "KINTO_PAGINATE_BY": "6"}, 6, id="KINTO before CLIQUET"),
        pytest.param("", {"KINTO_PAGINATE_BY": "6", "KOBAKO_PAGINATE_BY": "7"}, 7, id="KOBAKO before KINTO"),
    ],
)
def test_the_strongest_spelling_counts(read: Read, lines: str, environ: dict[str, str], expected: int | None) -> None:
    assert read(lines, **environ).paginate_by == expected


def test_two_spellings_of_one_rank_must_agree(read: Read) -> None:
    with pytest.raises(SettingsError, match=r"^Settings 'kinto.paginate_by', 'paginate_by' are in conflict\.$"):
        read("kinto.paginate_by = 1\npaginate_by = 2")


def test_two_spellings_that_agree_are_one(read: Read) -> None:
    assert read("kinto.paginate_by = 1\npaginate_by = 1").paginate_by == 1


def test_a_file_may_have_a_prefix_of_its_own(read: Read) -> None:
    assert read("cliquet.project_name = payments\npayments.paginate_by = 5").paginate_by == 5
    assert read("settings_prefix = money\nmoney.paginate_by = 6").paginate_by == 6


def test_dots_are_underscores_in_variables(read: Read) -> None:
    assert [each.name for each in read("", KINTO_MULTIAUTH_POLICIES="basicauth").policies] == ["basicauth"]
    assert [each.name for each in read("", MULTIAUTH_POLICIES="basicauth").policies] == ["basicauth"]


def test_a_family_is_read_from_the_environment(read: Read) -> None:
    settings = read("", KINTO_BUCKET_WRITE_PRINCIPALS="basicauth:a")

    assert settings.principals("bucket", "write") == {"basicauth:a"}


def test_other_variables_are_left_alone(read: Read) -> None:
    settings = read("", KOBAKO_PORT="tcp://10.0.0.1:80", KOBAKO_SERVICE_HOST="10.0.0.1", KOBAKO_INI="x", HOME="/")

    assert settings.warnings == read("").warnings


# Files


def test_references_are_replaced(read: Read, tmp_path: Path) -> None:
    settings = read(
        "name = shop\nkinto.project_name = %(name)s-%(stage)s-%(http_port)s-100%%\n"
        "kinto.version_json_path = %(here)s/v",
        rest="[DEFAULT]\nstage = test",
    )

    assert settings.project_name == "shop-test-8888-100%"
    assert settings.version_json_path == f"{tmp_path}/v"


def test_logging_sections_are_not_interpolated(read: Read) -> None:
    assert read("", rest="[formatter_x]\nformat = %(asctime)s %(message)s 100%").paginate_by is None


@pytest.mark.parametrize(
    "line", ["project_name = 100%", "project_name = %(nothing)s", "project_name = %(project_name)s"]
)
def test_a_reference_that_cannot_be_replaced_is_refused(read: Read, line: str) -> None:
    with pytest.raises(SettingsError, match=r"^\[app:main\] of .*kobako.ini: "):
        read(line)


def test_a_value_goes_on_in_indented_lines_between_comments(read: Read) -> None:
    settings = read("cors_origins =\n  https://a.org\n  # not this one\n  ; nor this\n  https://b.org\n")

    assert settings.cors_origins == ("https://a.org", "https://b.org")


def test_names_keep_their_case_and_may_be_repeated(read: Read) -> None:
    assert read("paginate_by = 1\npaginate_by = 2\nPaginate_By = 3").paginate_by == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("paginate_by = 1", "cannot be read"),
        ("[server:main]\nport = 1", r"has no section \[app:main\]"),
        ("[app:main]\nnonsense", "cannot be read"),
        ("[app:main]\nproject_name = \xff", "cannot be read"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    ini = tmp_path / "kobako.ini"
    ini.write_bytes(text.encode("latin-1"))

    with pytest.raises(SettingsError, match=message) as refused:
        read_settings(ini, {})

    assert "\n" not in str(refused.value)


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nothing\.ini does not exist\.$"):
        read_settings(tmp_path / "nothing.ini", {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("127.0.0.1", 6000)),
        ("[server:main]\nuse = egg:waitress\nhost = 0.0.0.0\nport = %(http_port)s\nthreads = 3", ("0.0.0.0", 6000)),
        ("[server:main]\nport = 9999", ("127.0.0.1", 9999)),
    ],
)
def test_the_address_is_that_of_the_server_section(tmp_path: Path, text: str, expected: tuple[str, int]) -> None:
    ini = tmp_path / "kobako.ini"
    ini.write_text(text)

    assert read_address(ini, 6000) == expected


def test_an_address_without_a_file_is_local() -> None:
    assert read_address(None) == ("127.0.0.1", 8888)


def test_a_port_that_is_none_is_refused(tmp_path: Path) -> None:
    ini = tmp_path / "kobako.ini"
    ini.write_text("[server:main]\nport = 99999")

    with pytest.raises(SettingsError, match="'99999'"):
        read_address(ini)


# What text means


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        pytest.param("readonly", "true", True, id="true"),
        pytest.param("readonly", "Y", True, id="Y"),
        pytest.param("readonly", "On", True, id="On"),
        pytest.param("readonly", "1", True, id="1"),
        pytest.param("readonly", "enabled", False, id="anything else is false"),
        pytest.param("readonly", "", False, id="empty is false"),
        pytest.param("paginate_by", '"25"', 25, id="a number in quotes"),
        pytest.param("paginate_by", "0", None, id="no limit as 0"),
        pytest.param("batch_max_requests", "", None, id="no limit as empty"),
        pytest.param("batch_max_requests", "null", None, id="no limit as null"),
        pytest.param("retry_after_seconds", "null", 3, id="null where a value is needed"),
        pytest.param("http_host", "null", None, id="null"),
        pytest.param("http_api_version", "1.20", "1.20", id="a version is no number"),
        pytest.param("http_api_version", '"1.23"', "1.23", id="text in quotes"),
        pytest.param("userid_hmac_secret", "0123456789", "0123456789", id="a secret of digits"),
        pytest.param("userid_hmac_secret", "1e5", "1e5", id="a secret that looks like a number"),
        pytest.param(
            "cors_origins", '["https://a.org", "https://b.org"]', ("https://a.org", "https://b.org"), id="JSON"
        ),
        pytest.param("cors_origins", "https://a.org https://b.org", ("https://a.org", "https://b.org"), id="words"),
        pytest.param("heartbeat_timeout_seconds", "0.5", 0.5, id="a fraction"),
        pytest.param("eos", "2030-01-31T10:00:00Z", datetime(2030, 1, 31, 10, tzinfo=UTC), id="a moment"),
        pytest.param("eos", "2030-01-31", datetime(2030, 1, 31).astimezone(), id="a date is local"),
    ],
)
def test_text_becomes_a_value(read: Read, name: str, raw: str, expected: Any) -> None:
    from_file, from_environment = read(f"kinto.{name} = {raw}"), read("", **{f"KINTO_{name.upper()}": raw})

    assert getattr(from_file, name) == expected
    assert getattr(from_environment, name) == expected


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("paginate_by", "many"),
        ("paginate_by", "-1"),
        ("paginate_by", "2.5"),
        ("paginate_by", "NaN"),
        ("paginate_by", "true"),
        ("storage_max_fetch_size", "0"),
        ("backoff_percentage", "101"),
        ("heartbeat_timeout_seconds", "soon"),
        ("eos", "tomorrow"),
        ("http_api_version", "latest"),
        ("record_cache_expires_seconds", "long"),
        ("record_id_generator", "mymodule.Generator"),
        ("purge_deleted_after", "soon"),
        ("purge_deleted_after", "0"),
        ("purge_deleted_after", "-1d"),
        ("record_indexes", "a b c d e f"),
        ("blog.record_indexes", "id"),
        ("blog.articles.record_indexes", "slug slug"),
    ],
)
def test_text_that_breaks_the_rule_is_refused_by_name_and_value(read: Read, name: str, raw: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(f"kinto.{name} = {raw}")

    assert str(refused.value).startswith(f"Setting 'kinto.{name}' is '{raw}': ")


def test_a_file_of_cliquets_time_may_have_python_literals(read: Read) -> None:
    settings = read("cliquet.backoff = None\nkinto.userid_hmac_secret = 'a secret'\ncliquet.readonly = ON")

    assert (settings.backoff, settings.userid_hmac_secret, settings.readonly) == (None, "a secret", True)
    assert read("kinto.userid_hmac_secret = 'a secret'").userid_hmac_secret == "'a secret'"


def test_principals_stand_between_spaces_lines_or_commas(read: Read) -> None:
    settings = read("bucket_create_principals = account:a, account:b\n  account:c")

    assert settings.principals("bucket", "create") == {"account:a", "account:b", "account:c"}


def test_whoever_is_authenticated_may_create_buckets_by_default(read: Read) -> None:
    assert read("").principals("bucket", "create") == {"system.Authenticated"}
    assert read("record_read_principals = a").principals("bucket", "create") == {"system.Authenticated"}
    assert read("bucket_create_principals =").principals("bucket", "create") == frozenset()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", None),
        ("blog_record_cache_expires_seconds = 1", 1),
        ("blog_article_record_cache_expires_seconds = 2\nblog_record_cache_expires_seconds = 1", 2),
        ("record_cache_expires_seconds = 3\nblog_article_record_cache_expires_seconds = 2", 3),
        ("blog.record_cache_expires_seconds = 4\nrecord_cache_expires_seconds = 3", 4),
        ("blog.article.record_cache_expires_seconds = 0\nblog.record_cache_expires_seconds = 4", 0),
    ],
)
def test_the_narrowest_name_says_how_long_records_are_kept(read: Read, lines: str, expected: int | None) -> None:
    assert read(lines).cache_expires_seconds("record", "blog", "article") == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", ()),
        ("record_indexes = a", ("a",)),
        ("blog.record_indexes = b, c.d\nrecord_indexes = a", ("b", "c.d")),
        ("blog.article.record_indexes = c\nblog.record_indexes = b\nrecord_indexes = a", ("c",)),
        ("blog_article_record_indexes = c\nblog_record_indexes = b", ("c",)),
        ("blog.article.record_indexes =\nrecord_indexes = a", ()),
    ],
)
def test_the_narrowest_name_says_which_fields_of_records_have_an_index(
    read: Read, lines: str, expected: tuple[str, ...]
) -> None:
    assert read(lines).record_indexes("blog", "article") == expected


@pytest.mark.parametrize(
    ("lines", "plural", "single"),
    [
        ("", True, True),
        ("plural_bucket_delete_enabled = false", False, True),
        ("object_bucket_delete_enabled = false", True, False),
        ("collection_bucket_delete_enabled = false", False, True),
        ("record_bucket_delete_enabled = false", True, False),
        ("plural_bucket_delete_enabled = true\ncollection_bucket_delete_enabled = false", True, True),
        ("object_bucket_delete_enabled = true\nrecord_bucket_delete_enabled = false", True, True),
    ],
)
def test_a_method_can_be_switched_off_by_either_name(read: Read, lines: str, plural: bool, single: bool) -> None:
    settings = read(lines)

    assert settings.is_enabled("plural", "bucket", "DELETE") is plural
    assert settings.is_enabled("object", "bucket", "DELETE") is single


def test_the_generator_of_a_type_is_stronger_than_that_of_all(read: Read) -> None:
    settings = read(
        "id_generator = kinto.core.storage.generators.UUID4\nrecord_id_generator = kinto.views.NameGenerator"
    )

    assert (settings.id_generator("mushroom"), settings.id_generator("record")) == ("uuid4", "name")


def test_the_generator_of_all_types_leaves_those_that_have_their_own(read: Read) -> None:
    assert read("kinto.id_generator = kinto.core.storage.generators.UUID4").id_generator("bucket") is None


# Backends, policies, plugins


@pytest.mark.parametrize("name", ["memory", "kinto.core.storage.memory", "cliquet.storage.memory", "storage.memory"])
def test_a_backend_is_known_by_its_names_in_other_servers(read: Read, name: str) -> None:
    settings = read(f"kinto.storage_backend = {name}")

    assert (settings.storage_backend, settings.permission_backend, settings.cache_backend) == ("memory",) * 3
    assert (settings.storage_url, settings.permission_url, settings.cache_url) == ("", "", "")


POSTGRESQL, REDIS = "postgresql://me:password@host/db", "redis://:password@host:6379/0"


@pytest.mark.parametrize(
    ("part", "name", "url", "kind"),
    [
        ("storage", "postgresql", POSTGRESQL, "postgresql"),
        ("storage", "kinto.core.storage.postgresql", "postgres://me@host/db", "postgresql"),
        ("permission", "cliquet.permission.postgresql", POSTGRESQL, "postgresql"),
        ("cache", "kinto.core.cache.postgresql", POSTGRESQL, "postgresql"),
        ("storage", "cliquet.storage.redis", REDIS, "redis"),
        ("storage", "kinto_redis.storage", REDIS, "redis"),
        ("permission", "kinto_redis.permission", "rediss://host", "redis"),
        ("cache", "kinto_redis.cache", "unix:///run/redis.sock", "redis"),
        ("cache", "kobako.cache.redis", REDIS, "redis"),
    ],
)
def test_a_backend_on_a_server_has_a_url(read: Read, part: str, name: str, url: str, kind: str) -> None:
    settings = read(f"kinto.{part}_backend = {name}\nkinto.{part}_url = {url}")

    assert (getattr(settings, f"{part}_backend"), getattr(settings, f"{part}_url")) == (kind, url)


def test_all_backends_are_on_the_server_of_the_storage(read: Read) -> None:
    settings = read(f"storage_backend = postgresql\nstorage_url = {POSTGRESQL}")

    assert (settings.permission_backend, settings.cache_backend) == ("postgresql", "postgresql")
    assert (settings.permission_url, settings.cache_url) == (POSTGRESQL, POSTGRESQL)


def test_memcached_is_known_by_its_hosts(read: Read) -> None:
    settings = read("cache_backend = kinto.core.cache.memcached\ncache_hosts = one:11211 two:11211")

    assert (settings.cache_backend, settings.cache_hosts) == ("memcached", ("one:11211", "two:11211"))


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("postgresql", ""),
        ("postgresql", "mysql://me:s3cret@host/db"),
        ("postgresql", "sqlite:///a.db"),
        ("redis", ""),
        ("redis", "http://:s3cret@host"),
        ("redis", "host:6379"),
    ],
)
def test_the_url_of_another_kind_is_refused(read: Read, kind: str, url: str) -> None:
    with pytest.raises(SettingsError, match=rf"'storage_url' is '.*': must be {kind}://") as refused:
        read(f"storage_backend = {kind}\nstorage_url = {url}")

    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("kinto.storage_backend = kinto.core.storage.couchdb", "kinto.core.storage.couchdb"),
        ("kinto.cache_backend = cliquet.cache.couchdb", "cliquet.cache.couchdb"),
        ("kinto.storage_backend = kinto.core.storage.memcached", "kinto.core.storage.memcached"),
        ("kinto.storage_backend = kinto.core.cache.redis", "kinto.core.cache.redis"),
        ("kinto.storage_url = postgresql://me:password@host/db", r"postgresql://\*\*\*@host/db"),
        ("kinto.includes = kinto.plugins.couchdb", "kinto.plugins.couchdb"),
        ("multiauth.policies = pyramid_persona", "pyramid_persona"),
    ],
)
def test_what_is_not_offered_is_refused_by_name_and_value(read: Read, line: str, value: str) -> None:
    setting = "policy.a.use" if ".a.use" in line else line.partition(" =")[0].rpartition(".")[2].replace("_url", "")

    with pytest.raises(SettingsError, match=rf"'[\w.]*{setting}[\w.]*'.*{value}") as refused:
        read(line)

    assert "password" not in str(refused.value)


def test_permissions_and_cache_are_of_the_kind_of_the_storage(read: Read) -> None:
    settings = read("storage_url = sqlite:////srv/objects.db")

    assert settings.permission_url == settings.storage_url == "sqlite:////srv/objects.db"
    assert settings.cache_url == "sqlite:///kobako-cache.db"


def test_an_empty_name_disables_a_backend(read: Read) -> None:
    settings = read("storage_backend =\ncache_backend =")

    assert (settings.storage_backend, settings.permission_backend, settings.cache_backend) == ("", "", "")
    assert (settings.storage_url, settings.permission_url, settings.cache_url) == ("", "", "")


def test_null_is_no_name_of_a_backend(read: Read) -> None:
    assert read("storage_backend = null").storage_backend == "sqlite"


def test_objects_are_not_kept_without_permissions(read: Read) -> None:
    with pytest.raises(
        SettingsError, match=r"^Setting 'permission_backend' is '': objects are not kept without permissions"
    ):
        read("permission_backend =")


def test_connections_are_those_of_the_settings(read: Read) -> None:
    settings = read("storage_pool_size = 7\nkinto.cache_max_backlog = 3\ncliquet.storage_pool_timeout = 5")

    assert (settings.storage_pool_size, settings.storage_pool_timeout, settings.storage_max_overflow) == (7, 5, 5)
    assert (settings.cache_pool_size, settings.cache_max_backlog, settings.cache_pool_recycle) == (25, 3, -1)


@pytest.mark.parametrize(
    ("lines", "warnings"),
    [
        pytest.param("storage_pool_size = 5\npermission_pool_size = 5", (), id="the same"),
        pytest.param("cache_pool_size = 5", (), id="another database"),
        pytest.param(
            "storage_pool_size = 7\nkinto.permission_pool_size = 5",
            (
                "Setting 'kinto.permission_pool_size' has no effect: storage and permission share their connections, "
                "for which 'storage_pool_size' counts (7).",
            ),
            id="differs",
        ),
        pytest.param("storage_pool_size = 7", (), id="only the first is said"),
        pytest.param("storage_backend = memory\npermission_pool_size = 5", (), id="nothing to share"),
    ],
)
def test_pool_settings_of_who_comes_later_are_ignored_with_a_warning(
    read: Read, lines: str, warnings: tuple[str, ...]
) -> None:
    assert read(lines).warnings == warnings


def test_without_a_file_basicauth_is_on() -> None:
    assert [each.kind for each in read_settings(None, {}).policies] == ["basicauth"]


def test_a_file_names_its_policies_or_has_none(read: Read) -> None:
    assert read("").policies == ()
    assert [each.kind for each in read("cliquet.readonly = no").policies] == ["basicauth"]


def test_a_policy_may_have_another_name_than_its_kind(read: Read) -> None:
    [policy] = read(
        "multiauth.policies = me\nmultiauth.policy.me.realm = Us\n"
        "multiauth.policy.me.use = cliquet.authentication.BasicAuthAuthenticationPolicy"
    ).policies

    assert (policy.name, policy.kind, policy.options["realm"]) == ("me", "basicauth", "Us")


# Unknown names


def test_an_unknown_setting_of_ours_stops_the_start_and_names_the_nearest(read: Read) -> None:
    with pytest.raises(SettingsError, match=r"Unknown setting 'kobako.pagnate_by': did you mean 'paginate_by'\?"):
        read("kobako.pagnate_by = 5")


def test_an_unknown_member_of_a_family_names_the_nearest(read: Read) -> None:
    with pytest.raises(SettingsError, match="did you mean 'bucket_create_principals'"):
        read("kobako.buckt_create_principals = system.Everyone")


@pytest.mark.parametrize("prefix", ["kinto.", "cliquet.", ""])
def test_another_unknown_setting_is_a_warning_that_names_the_nearest(read: Read, prefix: str) -> None:
    assert read(f"{prefix}pagnate_by = 5").warnings == (
        f"Unknown setting '{prefix}pagnate_by': did you mean 'paginate_by'?",
    )


def test_a_misspelt_variable_is_a_warning_that_names_the_nearest(read: Read) -> None:
    assert read("", KOBAKO_PAGNATE_BY="5").warnings == (
        "Unknown variable 'KOBAKO_PAGNATE_BY': did you mean 'paginate_by'?",
    )


def test_a_setting_of_a_resource_of_ones_own_is_known_by_its_name(tmp_path: Path) -> None:
    ini = tmp_path / "kobako.ini"
    ini.write_text("[app:main]\nkobako.mushroom_read_principals = system.Everyone")

    settings = read_settings(ini, {}, resources=["mushroom"])

    assert settings.principals("mushroom", "read") == {"system.Everyone"}
    with pytest.raises(SettingsError, match="mushroom_read_principals"):
        read_settings(ini, {})


def test_settings_of_plugins_that_are_not_included_are_let_be(read: Read) -> None:
    settings = read(
        "use = egg:kinto\naccount_create_principals = system.Everyone\nkinto.quotas.bucket_max_bytes = 5\n"
        "history.auto_trim_max_count = 3\npyramid.debug_notfound = false\nkinto.storage_pool_size = 10"
    )

    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("lines", "plugins"),
    [
        ("kinto.flush_endpoint_enabled = true", ("flush",)),
        ("kinto.flush_endpoint_enabled = true\nkinto.includes = kinto.plugins.flush", ("flush",)),
        ("flush_endpoint_enabled = False", ()),
        ("kinto.user-data_delete_principals = account:admin", ("user_data",)),
        ("kinto.user-data_delete_principals =", ()),
    ],
)
def test_some_settings_switch_a_plugin_on(read: Read, lines: str, plugins: tuple[str, ...]) -> None:
    assert read(lines).plugins == plugins


def test_what_exists_is_no_feature_still_to_come(read: Read) -> None:
    assert read("kinto.experimental_permissions_endpoint = true").warnings == ()
    assert names.WITHOUT_EFFECT.isdisjoint(names.FIXED)


def test_that_a_request_is_one_transaction_cannot_be_switched_off(read: Read) -> None:
    assert read("kinto.transaction_per_request = true").warnings == ()
    assert read("kinto.transaction_per_request = false").warnings == (
        "Setting 'kinto.transaction_per_request' is off, and has no effect: each request is one transaction.",
    )


STEPS_OF_KINTO = """
    initialization.setup_request_bound_data initialization.setup_json_serializer
    initialization.restrict_http_methods_if_readonly initialization.setup_csp_headers initialization.setup_logging
    initialization.setup_storage initialization.setup_permission initialization.setup_cache
    initialization.setup_requests_scheme initialization.setup_version_redirection initialization.setup_deprecation
    initialization.setup_authentication initialization.setup_backoff initialization.setup_sentry
    initialization.setup_listeners initialization.setup_metrics events.setup_transaction_hook
"""
STEPS_OF_CLIQUET = """
    initialization.setup_request_bound_data initialization.setup_json_serializer initialization.setup_logging
    initialization.setup_storage initialization.setup_permission initialization.setup_cache
    initialization.setup_requests_scheme initialization.setup_vary_headers
    initialization.setup_trailing_slash_redirection initialization.setup_version_redirection
    initialization.setup_deprecation initialization.setup_authentication initialization.setup_backoff
    initialization.setup_statsd initialization.setup_listeners events.setup_transaction_hook
"""
CURRENT, CLIQUET = STEPS_OF_KINTO.split(), STEPS_OF_CLIQUET.split()


def sequence(package: str, steps: Iterable[str]) -> str:
    """Return the line that lists these steps."""
    return "kinto.initialization_sequence = " + "\n  ".join(f"{package}.{step}" for step in steps)


@pytest.mark.parametrize("lines", ["", "initialization_sequence =", sequence("kinto.core", CURRENT)])
def test_the_steps_of_kinto_leave_nothing_out(read: Read, lines: str) -> None:
    settings = read(lines)

    assert (settings.features, settings.warnings) == (frozenset(Feature), ())


def test_the_steps_of_cliquet_leave_out_what_it_did_not_have(read: Read) -> None:
    settings = read(sequence("cliquet", CLIQUET))

    assert set(Feature) - settings.features == {Feature.READONLY, Feature.CSP_HEADERS, Feature.SENTRY}
    assert settings.warnings == (
        "Setting 'kinto.initialization_sequence' leaves out restrict_http_methods_if_readonly, setup_csp_headers, "
        "setup_sentry: what they bring is off.",
    )


@pytest.mark.parametrize(("package", "steps"), [("kinto.core", CURRENT), ("kobako", CURRENT), ("cliquet", CLIQUET)])
def test_each_step_that_is_missing_turns_off_what_it_brings(read: Read, package: str, steps: list[str]) -> None:
    everything = read(sequence(package, steps)).features
    brought = {step: everything - read(sequence(package, set(steps) - {step})).features for step in steps}

    assert {each.rpartition(".")[2] for each, features in brought.items() if not features} == {
        *("setup_request_bound_data", "setup_json_serializer"),
        *(["setup_vary_headers"] if package == "cliquet" else []),
    }
    assert sorted(feature for features in brought.values() for feature in features) == sorted(
        # Only Cliquet's own lists say whether slashes are redirected.
        everything - ({Feature.TRAILING_SLASH_REDIRECTION} if package != "cliquet" else set())
    )


@pytest.mark.parametrize("name", ["mine.setup_cache", "mine", "kinto.core.initialization.setup_magic"])
def test_an_unknown_step_of_the_start_is_a_warning_that_names_it(read: Read, name: str) -> None:
    settings = read(sequence("kinto.core", CURRENT) + f"\n  {name}")

    assert settings.warnings == (
        f"Setting 'kinto.initialization_sequence' has '{name}', which is no step that is known: it is not done.",
    )


@pytest.mark.parametrize(
    ("name", "problem"), [("sys.maxsize", "cannot be called"), ("broken_step.run", "cannot be imported: half done")]
)
def test_a_step_of_ones_own_that_cannot_be_is_refused(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, problem: str
) -> None:
    (tmp_path / "broken_step.py").write_text("raise RuntimeError('half done')")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(SettingsError, match=rf"^Setting 'initialization_sequence' has '{name}', which {problem}\.$"):
        read(f"initialization_sequence = {name}")


SPEC_NAMES = """
    project_name project_version project_docs http_api_version error_info_link version_json_path
    version_prefix_redirect_enabled version_prefix_redirect_ttl_seconds trailing_slash_redirect_enabled
    trailing_slash_redirect_ttl_seconds http_scheme http_host settings_prefix

    readonly batch_max_requests paginate_by pagination_token_validity_seconds explicit_permissions id_generator
    bucket_id_generator collection_id_generator group_id_generator record_id_generator
    experimental_collection_schema_validation experimental_permissions_endpoint includes transaction_per_request
    tm.annotate_user json_renderer heartbeat_timeout_seconds initialization_sequence available_languages
    pyramid.default_locale_name handle_exceptions

    storage_backend permission_backend cache_backend storage_url permission_url cache_url
    storage_pool_size permission_pool_size cache_pool_size storage_max_overflow permission_max_overflow
    cache_max_overflow storage_pool_recycle permission_pool_recycle cache_pool_recycle storage_pool_timeout
    permission_pool_timeout cache_pool_timeout storage_max_backlog permission_max_backlog cache_max_backlog
    storage_poolclass permission_poolclass cache_poolclass storage_max_fetch_size cache_prefix
    cache_max_size_bytes cache_hosts

    userid_hmac_secret multiauth.policies multiauth.policy.basicauth.use multiauth.policy.basicauth.realm
    multiauth.groupfinder multiauth.authorization_policy default_bucket_hmac_secret account_create_principals
    account_write_principals account_read_principals account_cache_ttl_seconds multiauth.policy.google.issuer
    multiauth.policy.ipauth.ipaddrs fxa-oauth.oauth_uri

    bucket_create_principals bucket_write_principals bucket_read_principals collection_create_principals
    collection_write_principals group_create_principals record_create_principals record_read_principals
    permissions_read_principals history_read_principals

    cors_origins cors_max_age_seconds cornice.always_cors

    bucket_cache_expires_seconds group_cache_expires_seconds collection_cache_expires_seconds
    record_cache_expires_seconds blog.record_cache_expires_seconds blog.articles.record_cache_expires_seconds
    blog_record_cache_expires_seconds blog_articles_record_cache_expires_seconds root_cache_expires_seconds

    backoff backoff_percentage retry_after_seconds eos eos_message eos_url

    statsd_backend statsd_url statsd_prefix metrics_matchdict_fields prometheus_prefix
    prometheus_disabled_metrics prometheus_histogram_buckets prometheus_created_metrics_enabled newrelic_config
    newrelic_env sentry_dsn sentry_env sentry_breadcrumbs_min_level sentry_events_min_level profiler_enabled
    profiler_dir logging_renderer

    plural_record_delete_enabled object_bucket_put_enabled collection_record_delete_enabled
    record_bucket_put_enabled flush_endpoint_enabled admin_assets_path history.auto_trim_max_count
    history.auto_trim_threshold history.auto_trim_user_ids history.exclude_user_ids history.exclude_resources
    event_listeners event_listeners.redis.use event_listeners.redis.actions event_listeners.redis.resources
"""


@pytest.mark.parametrize("name", SPEC_NAMES.split())
def test_every_setting_of_the_specification_is_known(name: str) -> None:
    assert names.exists(name, names.STOCK_RESOURCES)


# The generated file


@pytest.mark.parametrize(
    ("backend", "cache_backend"), [("postgresql", "postgresql"), ("postgresql", "redis"), ("redis", "memcached")]
)
def test_the_generated_configuration_names_servers(tmp_path: Path, backend: str, cache_backend: str) -> None:
    ini = tmp_path / "kobako.ini"
    ini.write_text(render(backend, cache_backend, "0.0.0.0"))

    settings = read_settings(ini, {})

    assert (settings.storage_backend, settings.permission_backend) == (backend, backend)
    assert (settings.storage_url, settings.cache_backend) == (settings.permission_url, cache_backend)
    assert settings.storage_url.partition(":")[0] == backend
    assert settings.cache_hosts == (("127.0.0.1:11211", "127.0.0.2:11211") if cache_backend == "memcached" else ())


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
def test_the_generated_configuration_gives_the_defaults(tmp_path: Path, backend: str) -> None:
    ini = tmp_path / "kobako.ini"
    ini.write_text(render(backend, backend, "0.0.0.0"))

    settings = read_settings(ini, {})

    assert settings.storage_backend == settings.cache_backend == backend
    assert (settings.paginate_by, settings.warnings) == (None, ())
    assert len(settings.userid_hmac_secret) == 64
    assert read_address(ini, 7777) == ("0.0.0.0", 7777)


def test_each_default_in_the_generated_configuration_reads_as_the_default(tmp_path: Path) -> None:
    text = render("sqlite", "sqlite", "127.0.0.1")
    plain, spelt_out = tmp_path / "plain.ini", tmp_path / "spelt_out.ini"
    plain.write_text(text)
    spelt_out.write_text(text.replace("# kobako.", "kobako."))

    assert read_settings(spelt_out, {}) == read_settings(plain, {})


def test_settings_travel_to_worker_processes() -> None:
    assert pickle.loads(pickle.dumps(Settings(paginate_by=3))) == Settings(paginate_by=3)


# Listeners of events (section 14.5)


def test_a_listener_is_read_with_its_defaults_and_its_own_options(read: Read) -> None:
    settings = read(
        "kinto.event_listeners = audit mine.bell\n"
        "kinto.event_listeners.audit.use = mine.audit\n"
        "kinto.event_listeners.audit.actions = create read\n"
        "kinto.event_listeners.audit.resources = record\n  collection\n"
        "kinto.event_listeners.audit.url = redis://host/1\n"
        "kinto.event_listeners.audit.pool.size = 25\n"
        "kobako.event_listeners.mine.bell.tone = high\n"
    )

    assert settings.event_listeners == (
        EventListener(
            "audit",
            "mine.audit",
            ("create", "read"),
            ("record", "collection"),
            {"url": "redis://host/1", "pool.size": "25"},
        ),
        EventListener("mine.bell", "mine.bell", ("create", "update", "delete"), (), {"tone": "high"}),
    )
    assert not [each for each in settings.warnings if "listener" in each]


def test_a_listener_may_be_described_by_the_environment(read: Read) -> None:
    variables = {
        "KINTO_EVENT_LISTENERS": "mail-er",
        "KOBAKO_EVENT_LISTENERS_MAIL_ER_USE": "mine.mail",
        "KINTO_EVENT_LISTENERS_MAIL_ER_ACTIONS": "delete",
        "CLIQUET_EVENT_LISTENERS_MAIL_ER_RESOURCES": "bucket",
        "KINTO_EVENT_LISTENERS_MAIL_ER_URL": "its own options stand in the file",
    }

    assert read("", **variables).event_listeners == (EventListener("mail-er", "mine.mail", ("delete",), ("bucket",)),)


def test_the_environment_wins_over_what_the_file_says_of_a_listener(read: Read) -> None:
    lines = "event_listeners = x\nevent_listeners.x.actions = read\nevent_listeners.x.url = a"

    [listener] = read(lines, KINTO_EVENT_LISTENERS_X_ACTIONS="create", KINTO_EVENT_LISTENERS_X_URL="b").event_listeners

    assert (listener.actions, listener.options) == (("create",), {"url": "b"})


def test_empty_settings_of_a_listener_are_as_if_not_there(read: Read) -> None:
    lines = "event_listeners = x\nevent_listeners.x.use =\nevent_listeners.x.actions =\nevent_listeners.x.resources ="

    assert read(lines).event_listeners == (EventListener("x", "x"),)
    assert read("event_listeners =").event_listeners == ()


@pytest.mark.parametrize(
    ("lines", "environ", "message"),
    [
        (
            "kinto.event_listeners = x\nkinto.event_listeners.x.actions = create destroy",
            {},
            r"^Setting 'kinto\.event_listeners\.x\.actions' is 'create destroy': 'destroy' is none of create, update, ",
        ),
        (
            "kinto.event_listeners = x",
            {"KINTO_EVENT_LISTENERS_X_ACTIONS": "CREATE"},
            r"^Setting 'KINTO_EVENT_LISTENERS_X_ACTIONS' is 'CREATE': 'CREATE' is none of ",
        ),
    ],
)
def test_a_listener_that_can_not_be_is_refused(read: Read, lines: str, environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read(lines, **environ)
