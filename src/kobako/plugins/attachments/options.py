"""The settings of attachments: where files are kept, which are taken, and what they are called.

Source: objects, 17.7.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from kobako import Settings, SettingsError, read_options

GROUPS: Final[Mapping[str, str]] = {
    "documents": "pdf rtf odf ods gnumeric abw doc docx xls xlsx",
    "text": "txt",
    "images": "jpg jpe jpeg png gif svg bmp tiff",
    "data": "csv ini json plist xml yaml yml",
    "audio": "wav mp3 aac ogg oga flac",
    "video": "mpeg 3gp avi divx dvr flv mp4 wmv",
    "scripts": "js php pl py rb sh",
    "archives": "gz bz2 zip tar tgz txz 7z",
    "executables": "so exe dll",
}
"""Extensions by the name of their group."""

DEFAULT: Final = "documents+text+images+data"
ANY: Final = "any"


class Extra(msgspec.Struct, frozen=True):
    """What the capability says in place of what is so: for clients that reach the files by another URL."""

    base_url: str = ""


class Aws(msgspec.Struct, frozen=True):
    """A bucket of S3, or of what speaks its protocol at an `endpoint`."""

    bucket_name: str = ""
    access_key: str = ""
    secret_key: str = ""
    region: str = ""
    endpoint: str = ""
    host: str = ""
    port: str = ""
    is_secure: bool = True
    acl: str = ""
    use_path_style: str = ""
    num_retries: str = ""
    timeout: str = ""


class GoogleCloud(msgspec.Struct, frozen=True):
    """A bucket of Google Cloud Storage: `credentials` is the file of a service account."""

    bucket_name: str = ""
    credentials: str = ""
    project: str = ""
    acl: str = ""
    auto_create_bucket: str = ""
    cache_control: str = ""
    uniform_bucket_level_access: str = ""


class Azure(msgspec.Struct, frozen=True):
    """A container of Azure's blob storage."""

    container_name: str = ""
    account_name: str = ""
    account_key: str = ""
    sas_token: str = ""
    endpoint: str = ""
    cache_control: str = ""


class Rules(msgspec.Struct, frozen=True):
    """What may be otherwise for a bucket, or a collection: `max_size_bytes` 0 is no limit."""

    randomize: bool = True
    keep_old_files: bool = False
    filename_pattern: str = ""
    max_size_bytes: int = 0


class Options(msgspec.Struct, frozen=True):
    """The settings `attachment.*`. `grace_seconds` is how long an upload may take, and how old an orphan has to be."""

    base_path: str = ""
    aws: Aws = Aws()
    gcloud: GoogleCloud = GoogleCloud()
    azure: Azure = Azure()
    base_url: str = ""
    extra: Extra = Extra()
    folder: str = "{bucket_id}/{collection_id}"
    randomize: bool = True
    keep_old_files: bool = False
    filename_pattern: str = ""
    max_size_bytes: int = 0
    extensions: str = "default"
    mimetypes: str = ".pem:application/x-pem-file;.geojson:application/geojson"
    signed_url_seconds: int = 3600
    grace_seconds: int = 24 * 3600
    resources: dict[str, str] = {}

    @property
    def prefix(self) -> str:
        """What a stored path has before it in a `location`: empty, or a URL with a slash at its end."""
        return _with_slash(self.base_url)

    @property
    def shown_prefix(self) -> str | None:
        """The same as the capability says it, None for none."""
        return _with_slash(self.extra.base_url or self.base_url) or None


class Rulebook:
    """Which rules hold where: those of the collection, else of its bucket, else of all."""

    def __init__(self, options: Options) -> None:
        names = Rules.__struct_fields__
        self._general = {name: getattr(options, name) for name in names}
        self._by_place: dict[tuple[str, ...], dict[str, object]] = {}
        for key, raw in options.resources.items():
            *place, name = key.split(".")
            if name not in names or len(place) not in (1, 2):
                ends = ", ".join(names)
                raise SettingsError(
                    f"Unknown setting 'attachment.resources.{key}': behind a bucket, or a bucket and a collection, "
                    f"there is {ends}."
                )
            self._by_place.setdefault(tuple(place), {})[name] = _converted(key, name, raw)

    def of(self, bucket: str, collection: str) -> Rules:
        """Return the rules for a collection."""
        of_bucket, of_collection = (self._by_place.get(place, {}) for place in ((bucket,), (bucket, collection)))
        return msgspec.convert({**self._general, **of_bucket, **of_collection}, Rules)


def read(settings: Settings) -> Options:
    """Return the settings of the plugin. Raises SettingsError."""
    options = read_options(settings, "attachment", Options)
    try:
        options.folder.format(bucket_id="b", collection_id="c")
        options.filename_pattern.format(datetime="d", rid="r", filename="f")
    except (KeyError, ValueError, IndexError) as error:
        raise SettingsError(
            f"Setting 'attachment.folder' or 'attachment.filename_pattern' has a place for what there is not: {error}."
        ) from error
    if options.grace_seconds <= 0 or options.signed_url_seconds <= 0:
        raise SettingsError("Settings 'attachment.grace_seconds' and 'attachment.signed_url_seconds' are above 0.")
    return options


def extensions(text: str) -> frozenset[str] | None:
    """Return which extensions are allowed, None for all.

    >>> sorted(extensions("text+audio+.PEM"))
    ['aac', 'flac', 'mp3', 'oga', 'ogg', 'pem', 'txt', 'wav']
    """
    allowed: set[str] = set()
    for name in text.replace("default", DEFAULT).lower().split("+"):
        if name.strip() == ANY:
            return None
        allowed.update(GROUPS[name.strip()].split() if name.strip() in GROUPS else [name.strip().lstrip(".")])
    return frozenset(allowed - {""})


def mimetypes(text: str) -> dict[str, str]:
    """Return types by extension. Raises SettingsError.

    >>> mimetypes(".pem:application/x-pem-file;.geojson:application/geojson")
    {'.pem': 'application/x-pem-file', '.geojson': 'application/geojson'}
    """
    found = {}
    for each in filter(None, map(str.strip, text.split(";"))):
        extension, colon, type_ = (part.strip() for part in each.partition(":"))
        if not (extension.startswith(".") and colon and "/" in type_):
            raise SettingsError(f"Setting 'attachment.mimetypes' has '{each}', which is not as '.ext:type/subtype'.")
        found[extension.lower()] = type_
    return found


def _converted(key: str, name: str, raw: str) -> object:
    one = Settings(plugin_options={f"rules.{name}": raw})
    try:
        return getattr(read_options(one, "rules", Rules), name)
    except SettingsError as error:
        raise SettingsError(str(error).replace(f"rules.{name}", f"attachment.resources.{key}")) from None


def _with_slash(url: str) -> str:
    return url.rstrip("/") + "/" if url else ""
