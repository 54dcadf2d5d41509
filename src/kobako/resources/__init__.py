"""The kinds of objects of the stock server, written with the toolkit."""

from kobako import Resource, Settings
from kobako.resources.buckets import BUCKET
from kobako.resources.collections import COLLECTION
from kobako.resources.groups import GROUP
from kobako.resources.indexes import with_indexes
from kobako.resources.records import RECORD
from kobako.resources.schemas import with_schemas

RESOURCES = (BUCKET, GROUP, COLLECTION, RECORD)


def chosen(settings: Settings) -> tuple[Resource, ...]:
    """Return the resources that a server with these settings has."""
    found = with_schemas(RESOURCES) if settings.experimental_collection_schema_validation else RESOURCES
    return with_indexes(found, settings) if settings.indexes else found
