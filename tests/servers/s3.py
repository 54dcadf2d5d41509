"""A server that speaks the protocol of S3, in threads of this process (moto), for the tests of attachments."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ACCESS, SECRET = "AKIATEST", "secret"


class S3:
    """A server that runs, and a client of its own to look into it."""

    def __init__(self, url: str) -> None:
        import boto3

        self.url = url
        about = {"endpoint_url": url, "aws_access_key_id": ACCESS, "aws_secret_access_key": SECRET}
        self.client: Any = boto3.client("s3", region_name="us-east-1", **about)

    def make_bucket(self, name: str) -> None:
        """Make a bucket."""
        self.client.create_bucket(Bucket=name)

    def files(self, bucket: str) -> dict[str, bytes]:
        """Return what is in a bucket."""
        keys = [each["Key"] for each in self.client.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return {key: self.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def unfinished(self, bucket: str) -> list[str]:
        """Return the uploads in parts that were begun, and neither finished nor given up."""
        return [each["Key"] for each in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]

    def options(self, bucket: str) -> dict[str, str]:
        """Return the settings of attachments that name a bucket."""
        found = {"bucket_name": bucket, "access_key": ACCESS, "secret_key": SECRET, "endpoint": self.url}
        return {f"attachment.aws.{name}": value for name, value in found.items()}


@contextmanager
def serving() -> Iterator[S3]:
    """Start a server on a free port, and stop it afterwards."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield S3("http://{}:{}".format(*server.get_host_and_port()))
    finally:
        server.stop()
