"""kinto-http, the Python client, with an account: it has no methods for them, so it sends what its documentation tells.

Source: objects, 14 and 29.3.
"""

import pytest
from kinto_http import Client, KintoException

pytestmark = pytest.mark.clients


def test_an_account_is_created_used_and_given_another_password(accounts_url: str, bucket: str):
    anybody = Client(server_url=accounts_url)
    made, _ = anybody.session.request("put", f"/accounts/{bucket}", data={"password": "first"})
    user = Client(server_url=accounts_url, auth=(bucket, "first"))
    user.create_bucket(id=bucket)

    user.session.request("patch", f"/accounts/{bucket}", data={"password": "second"})

    assert (made["data"]["id"], made["permissions"]) == (bucket, {"write": [f"account:{bucket}"]})
    assert anybody.server_info()["capabilities"]["accounts"]["validation_enabled"] is False
    with pytest.raises(KintoException, match="401"):
        user.get_bucket(id=bucket)
    again = Client(server_url=accounts_url, auth=(bucket, "second"))
    assert again.get_bucket(id=bucket)["data"]["id"] == bucket
    assert again.server_info()["user"]["id"] == f"account:{bucket}"
