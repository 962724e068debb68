import secrets
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.retries.standard import ExponentialBackoff

from shardwriter.s3 import S3Store
from tests.s3.builders import make_source, s3_store
from tests.s3.fault_proxy import FaultProxy
from tests.s3.weed import ACCESS_KEY, BUCKET, OPEN_BUCKET, SECRET_KEY, running_weed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.s3)


@pytest.fixture(scope="session")
def s3_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running_weed(tmp_path_factory.mktemp("weed")) as port:
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            config=Config(retries={"mode": "standard", "total_max_attempts": 10}),
        )
        for bucket in (BUCKET, OPEN_BUCKET):
            client.create_bucket(Bucket=bucket)
            # The gateway answers before the volumes behind it are ready: the first puts fail.
            for _ in range(50):
                try:
                    client.put_object(Bucket=bucket, Key="warm-up", Body=b"x")
                    break
                except ClientError as err:
                    if err.response["ResponseMetadata"]["HTTPStatusCode"] != 500:
                        raise
        yield port


@pytest.fixture(scope="session")
def session_proxy(s3_port: int) -> Iterator[FaultProxy]:
    with FaultProxy(s3_port).serving() as proxy:
        yield proxy


@pytest.fixture
def proxy(session_proxy: FaultProxy) -> Iterator[FaultProxy]:
    session_proxy.script()
    yield session_proxy
    session_proxy.script()
    session_proxy.on_request = lambda request: None


@pytest.fixture(autouse=True)
def aws_environment(
    s3_port: int, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings that a user would have, and nothing of this machine's."""
    absent = tmp_path_factory.getbasetemp() / "no-such-file"
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE", "AWS_MAX_ATTEMPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(absent))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(absent))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3_port}")


@pytest.fixture(autouse=True)
def botocore_retries_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda self, context: 0.0)


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A prefix of its own for each test."""
    return f"{request.node.originalname[:40]}-{secrets.token_hex(3)}"


@pytest.fixture
def url(prefix: str) -> str:
    return f"s3://{BUCKET}/{prefix}"


@pytest.fixture
def near(prefix: str) -> S3Store:
    """A store at the server itself."""
    return s3_store(prefix)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"))
