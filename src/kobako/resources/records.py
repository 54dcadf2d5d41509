"""Records: what clients store and synchronise. Source: objects, 6."""

from typing import Final

from kobako import RELAXED_UUID, Resource
from kobako.resources.collections import COLLECTION

RECORD: Final = Resource(
    name="record",
    path="/buckets/{bucket_id}/collections/{collection_id}/records",
    parent=COLLECTION,
    ids=RELAXED_UUID,
    tells_missing_parent=True,
    expires_with_parent=True,
)
