"""Attachments: files of records, in a folder or in an object store (docs/attachments.md).

`POST .../records/{id}/attachment` is Kinto's one file of a record. Beyond it `.../attachments/{name}` are several, and
whoever may read the record may download them.

Source: objects, 17.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Final

from kobako import Listener, Plugin, Request, Settings, Target, View
from kobako.plugins.attachments import described
from kobako.plugins.attachments import options as reading
from kobako.plugins.attachments.cascades import Cascades
from kobako.plugins.attachments.downloads import Downloads
from kobako.plugins.attachments.links import slot_of
from kobako.plugins.attachments.opening import open_files
from kobako.plugins.attachments.stores import Files
from kobako.plugins.attachments.uploads import Uploads

RECORD: Final = "/buckets/{bucket_id}/collections/{collection_id}/records/{record_id}"


def plugin(settings: Settings) -> Plugin:
    """Return the plugin. Raises SettingsError."""
    options = reading.read(settings)
    files = open_files(options)
    cascades = Cascades(options, files)
    about = {
        "description": "Add file attachments to records",
        "url": "https://github.com/Kinto/kinto-attachment/",
        "version": version("kobako"),
        "base_url": options.shown_prefix,
    }

    async def check() -> bool:
        return settings.readonly or await files.check()

    return Plugin(
        name="attachments",
        views=list(_views(Uploads(settings, options, files), Downloads(settings, options, files))),
        listeners=[
            Listener(cascades.protect, actions=["update"], resources=["record"]),
            Listener(cascades.delete, actions=["delete"], resources=["record", "collection", "bucket"]),
        ],
        capabilities={"attachments": about},
        heartbeats={"attachments": check},
    )


def _views(uploads: Uploads, downloads: Downloads) -> Iterable[View]:
    yield View(
        name="attachment",
        path=f"{RECORD}/attachment",
        streams={"POST": uploads.post},
        methods={"DELETE": uploads.delete},
        writes=_writes,
        describes=described.WRITES,
    )
    yield View(
        name="attachment-named",
        path=f"{RECORD}/attachments/{{name}}",
        streams={"GET": downloads.get, "POST": uploads.post},
        methods={"DELETE": uploads.delete},
        writes=_writes,
        describes=described.FILE,
    )
    if downloads.signs:
        url = f"{RECORD}/attachments/{{name}}/url"
        yield View(name="attachment-url", path=url, methods={"GET": downloads.url}, describes=described.URL)


def _writes(request: Request, variables: Mapping[str, str]) -> Iterable[Target]:
    return [slot_of(variables).target()]


__all__ = ["Files", "plugin"]
