"""A real S3 server on this machine, for tests: localbucket's, which keeps a bucket's objects as files."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING

import localbucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
"""What every client needs, fsspec's as well as Triton's; the server takes anything."""
NAME = "bucket"


@dataclass
class Bucket:
    """A bucket, its server's address, and the directory that shows what is in it."""

    address: str
    directory: Path
    before_change: Callable[[], bool] = lambda: True
    """Called before each change that a client asks for; whether it is to be made."""

    @property
    def environment(self) -> dict[str, str]:
        """What tells clients of fsspec where the bucket is."""
        return ENVIRONMENT | {"AWS_ENDPOINT_URL": f"http://{self.address}"}

    def url(self, path: str) -> str:
        """What hrm-trt calls ``path`` in the bucket."""
        return f"s3://{NAME}/{path}"

    def triton_url(self, path: str) -> str:
        """What tritonserver calls it."""
        return f"s3://http://{self.address}/{NAME}/{path}"


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[Bucket]:
    """A server with an empty bucket below ``directory``."""
    (directory / NAME).mkdir(parents=True)
    bucket = Bucket("", directory / NAME)

    class Handler(localbucket.S3Handler):
        data_root = directory
        disable_nagle_algorithm = True  # or each answer waits 40 ms for an acknowledgement

        def _dispatch(self, action: Callable[..., None]) -> None:
            if self.command in ("PUT", "POST", "DELETE") and not bucket.before_change():
                self.close_connection = True
                return
            super()._dispatch(action)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        bucket.address = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield bucket
        server.shutdown()
        thread.join()
