"""moto's S3 server on this machine's loopback, in a process of its own."""

import os
import subprocess
import sys
import time
import urllib.request

import boto3


class Server:
    """One server; stopped and started again it is empty."""

    def __init__(self, port: int) -> None:
        self.port, self.url = port, f"http://127.0.0.1:{port}"
        self._process: subprocess.Popen | None = None
        self.start()

    def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        for _ in range(600):
            try:
                urllib.request.urlopen(self.url, timeout=1).close()  # noqa: S310
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise TimeoutError

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def client(self):
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1")

    def bucket(self, name: str, *, locked: bool = False) -> str:
        """A new bucket with versioning, and with object lock where wanted."""
        client = self.client()
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locked)
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name
