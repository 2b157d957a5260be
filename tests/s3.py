"""S3's protocol on loopback, by moto: storage that many machines share, with users and their rights."""

import json
import logging
import secrets
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

_KEYS = {
    "AWS_ACCESS_KEY_ID": "citewell-test",
    "AWS_SECRET_ACCESS_KEY": "citewell-test-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",  # nobody looks for keys on the network
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


@dataclass(frozen=True)
class Bucket:
    """One empty bucket, and the environment that leads to it."""

    name: str
    env: dict[str, str]

    @property
    def url(self) -> str:
        return f"s3://{self.name}/indexes"

    def client(self, service: str = "s3") -> Any:
        keys = {"aws_access_key_id": self.env["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": self.env["AWS_SECRET_ACCESS_KEY"]}
        return boto3.client(service, endpoint_url=self.env["AWS_ENDPOINT_URL"], **keys)

    def objects(self) -> dict[str, bytes]:
        """Return every object below the URL, by key."""
        client, start = self.client(), "indexes/"
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=start)
        names = [row["Key"] for page in pages for row in page.get("Contents", ())]
        return {name.removeprefix(start): client.get_object(Bucket=self.name, Key=name)["Body"].read() for name in names}

    def write(self, key: str, data: bytes) -> None:
        """Put an object below the URL."""
        self.client().put_object(Bucket=self.name, Key=f"indexes/{key}", Body=data)

    @contextmanager
    def allowing(self, monkeypatch: pytest.MonkeyPatch, *actions: str) -> Iterator[dict[str, str]]:
        """Be a user who may do these things alone; whatever else is asked, the server refuses."""
        iam, name = self.client("iam"), "u" + secrets.token_hex(6)
        iam.create_user(UserName=name)
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        self._asks_who_calls("0")
        try:
            with monkeypatch.context() as patch:
                for variable, value in keys.items():
                    patch.setenv(variable, value)
                yield {**self.env, **keys}
        finally:
            self._asks_who_calls("inf")

    def _asks_who_calls(self, after: str) -> None:
        request = urllib.request.Request(self.env["AWS_ENDPOINT_URL"] + "/moto-api/reset-auth", data=after.encode())
        request.add_header("Content-Type", "text/plain")
        urllib.request.urlopen(request).close()


@contextmanager
def running() -> Iterator[str]:
    """Serve S3 on a free port of loopback; yields its address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def bucket(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """Make a bucket, with its keys in the environment."""
    env = {**_KEYS, "AWS_ENDPOINT_URL": address}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    made = Bucket("b" + secrets.token_hex(6), env)
    made.client().create_bucket(Bucket=made.name)
    yield made
