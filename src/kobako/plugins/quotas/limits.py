"""Limits: what the settings allow, for one bucket or collection or for all; and the refusals.

Source: objects, 12.1 and 12.3.
"""

import re
from functools import lru_cache
from typing import Final

import msgspec

from kobako import ApiError, Settings, SettingsError, read_option
from kobako.plugins.quotas.usage import Usage

NAMES: Final = ("max_bytes", "max_items", "max_bytes_per_item")
FORM: Final = re.compile(rf"quotas[._](?:bucket|collection)_(?:.+_)?(?:{'|'.join(NAMES)})", re.IGNORECASE)

KEPT: Final = 10_000
"""Of how many buckets and collections the limits are remembered."""


class Insufficient(ApiError):
    """A quota is exceeded."""

    status, errno, error = 507, 121, "Insufficient Storage"


class Quota(msgspec.Struct, frozen=True):
    """The limits of one bucket, or collection; None for none."""

    max_bytes: int | None
    max_items: int | None
    max_bytes_per_item: int | None


class Limits:
    """The quotas of all buckets and collections."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.of = lru_cache(KEPT)(self._of)

    def _of(self, bucket: str, collection: str | None = None) -> Quota:
        """Return the quota of a collection, or of a bucket without one; the first setting that exists counts."""
        scopes = [f"bucket_{bucket}", "bucket"]
        if collection is not None:
            scopes = [f"collection_{bucket}_{collection}", f"collection_{bucket}", "collection"]
        return Quota(*(self._first([f"quotas.{scope}_{name}" for scope in scopes]) for name in NAMES))

    def _first(self, names: list[str]) -> int | None:
        found = (read_option(self._settings, name, int) for name in names)
        return next((each for each in found if each is not None), None)

    def require_size(self, size: int, bucket: str, collection: str | None) -> None:
        """Raise Insufficient if an object is too large: of the limits of its collection and its bucket, one counts."""
        most = self.of(bucket).max_bytes_per_item
        if collection is not None and (own := self.of(bucket, collection).max_bytes_per_item) is not None:
            most = own
        if most is not None and size > most:
            # Kinto's text, with the quotes that slipped into it.
            raise Insufficient(f'Maximum bytes per object exceeded " "({size} > {most} Bytes.')

    def require_bucket(self, bucket: str, before: Usage, after: Usage) -> None:
        """Raise Insufficient if a bucket holds too much, and more than before."""
        quota = self.of(bucket)
        told = "Bucket maximum total size exceeded ({} > {} Bytes). "
        _require(told, before.storage_size, after.storage_size, quota.max_bytes)
        told = "Bucket maximum number of objects exceeded ({} > {} objects)."
        _require(told, before.record_count, after.record_count, quota.max_items)

    def require_collection(self, bucket: str, collection: str, before: Usage, after: Usage) -> None:
        """Raise Insufficient if a collection holds too much, and more than before."""
        quota = self.of(bucket, collection)
        told = "Collection maximum size exceeded ({} > {} Bytes)."
        _require(told, before.storage_size, after.storage_size, quota.max_bytes)
        told = "Collection maximum number of objects exceeded ({} > {} objects)."
        _require(told, before.record_count, after.record_count, quota.max_items)


def read_limits(settings: Settings) -> Limits:
    """Return the limits that the settings name. Raises SettingsError for a name or value that is none."""
    for name in settings.plugin_options:
        if not name.startswith(("quotas.", "QUOTAS_")):
            continue
        if not FORM.fullmatch(name):
            forms = "quotas.bucket_[<bucket>_]<limit>, quotas.collection_[<bucket>_[<collection>_]]<limit>"
            raise SettingsError(f"Unknown setting '{name}': there is {forms}, where <limit> is {' or '.join(NAMES)}.")
        if (given := read_option(settings, name, int)) is not None and given < 0:
            raise SettingsError(f"Setting '{name}' is '{given}': no quota is less than 0.")
    return Limits(settings)


def _require(told: str, before: int, after: int, most: int | None) -> None:
    # Where a quota was lowered below what is there, whatever does not add to it is allowed.
    if most is not None and after > most and after > before:
        raise Insufficient(told.format(after, most))
