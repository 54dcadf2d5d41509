"""Which store the settings name. What is missing for it is told at the start.

Source: objects, 17.7.
"""

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

from kobako import SettingsError
from kobako.plugins.attachments.options import Aws, Azure, GoogleCloud, Options
from kobako.plugins.attachments.stores import Files

_log = logging.getLogger("kobako.attachments")


def open_files(options: Options) -> Files:
    """Return the files of the one store that is configured. Raises SettingsError."""
    try:
        import obstore.store
        import python_multipart  # noqa: F401
    except ImportError as error:
        raise SettingsError(
            f"Attachments need the package '{error.name}': pip install 'kobako[attachments]'."
        ) from error
    named = {
        "attachment.base_path": options.base_path,
        "attachment.gcloud.bucket_name": options.gcloud.bucket_name,
        "attachment.aws.bucket_name": options.aws.bucket_name,
        "attachment.azure.container_name": options.azure.container_name,
    }
    given = [name for name, value in named.items() if value]
    if len(given) != 1:
        are = ", ".join(given) or "none"
        raise SettingsError(f"Of {', '.join(named)}, one says where attachments are; set: {are}.")
    try:
        return _opened(given[0], options)
    except (obstore.exceptions.BaseError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise SettingsError(f"Setting '{given[0]}' leads to no store for attachments: {reason}") from error


def _opened(setting: str, options: Options) -> Files:
    if setting == "attachment.base_path":
        return _folder(Path(options.base_path))
    if setting == "attachment.gcloud.bucket_name":
        return _google(options.gcloud)
    return _s3(options.aws) if setting == "attachment.aws.bucket_name" else _azure(options.azure)


def _folder(path: Path) -> Files:
    from obstore.store import LocalStore

    root = path.absolute()
    return Files(LocalStore(root, mkdir=True, automatic_cleanup=True), root=root.resolve())


def _s3(aws: Aws) -> Files:
    from obstore.store import S3Store

    _ignored("aws", {"acl": aws.acl, "num_retries": aws.num_retries, "timeout": aws.timeout})
    host = aws.host and f"{'https' if aws.is_secure else 'http'}://{aws.host}{f':{aws.port}' if aws.port else ''}"
    endpoint = aws.endpoint or host
    config = {
        "access_key_id": aws.access_key,
        "secret_access_key": aws.secret_key,
        "region": aws.region or ("us-east-1" if endpoint else ""),
        "endpoint": endpoint,
    }
    return Files(S3Store(aws.bucket_name, config=_given(config), **_connection(endpoint)))  # type: ignore[arg-type]


def _google(google: GoogleCloud) -> Files:
    from obstore.store import GCSStore

    _ignored(
        "gcloud",
        {
            "acl": google.acl,
            "auto_create_bucket": google.auto_create_bucket,
            "uniform_bucket_level_access": google.uniform_bucket_level_access,
        },
    )
    config = _given({"service_account": google.credentials})
    store = GCSStore(google.bucket_name, config=config, **_connection())  # type: ignore[arg-type]
    return Files(store, cache_control=google.cache_control)


def _azure(azure: Azure) -> Files:
    from obstore.store import AzureStore

    config = {
        "account_name": azure.account_name,
        "account_key": azure.account_key,
        "sas_token": azure.sas_token,
        "endpoint": azure.endpoint,
    }
    store = AzureStore(azure.container_name, config=_given(config), **_connection(azure.endpoint))  # type: ignore[arg-type]
    return Files(store, cache_control=azure.cache_control)


def _given(config: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in config.items() if value}


def _connection(endpoint: str = "") -> dict[str, Any]:
    """Return how to connect: clients wait no longer for a store that does not answer than for a database."""
    retry = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}
    return {"retry_config": retry, "client_options": {"allow_http": endpoint.startswith("http://")}}


def _ignored(table: str, options: dict[str, str]) -> None:
    for name, value in options.items():
        if value:
            _log.warning("Setting 'attachment.%s.%s' has no effect: say so in the bucket's own policy.", table, name)
