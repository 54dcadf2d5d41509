"""Every plugin that comes with Kobako, on at once: settings of any test, with all of them on."""

from dataclasses import replace
from pathlib import Path

from kobako.plugins.accounts.options import KIND
from kobako.settings import Policy, Settings

INCLUDES = ("default_bucket", "accounts", "history", "quotas", "attachments", "flush", "counters")

QUICK_HASHES = {"account_argon2_memory_kib": "8", "account_argon2_rounds": "1"}


def with_every_plugin(settings: Settings, folder: Path) -> Settings:
    """Return settings with every plugin on, whatever they include; files go into a folder."""
    first = [] if any(each.name == KIND for each in settings.policies) else [Policy(KIND, "account")]
    others = [each for each in INCLUDES if f"kinto.plugins.{each}" not in settings.includes]
    files = {} if "attachments" in settings.includes else {"attachment.base_path": str(folder)}
    return replace(
        settings,
        includes=tuple(dict.fromkeys([*others, *settings.includes])),
        policies=(*first, *settings.policies),
        plugin_options={**QUICK_HASHES, **files, **settings.plugin_options},
    )
