"""The kinds of objects of the stock server, written with the toolkit."""

from kobako.resources.buckets import BUCKET
from kobako.resources.collections import COLLECTION
from kobako.resources.groups import GROUP
from kobako.resources.records import RECORD

RESOURCES = (BUCKET, GROUP, COLLECTION, RECORD)
