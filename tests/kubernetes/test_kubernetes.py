"""The digits through `--workflow-profile profiles/kubernetes`: pods with no disk in common, files in S3.

The cluster's API is a stand-in (tests/kubernetes/api.py), S3 is moto on loopback, and Snakemake,
its plugins and what runs in the pods are the real ones.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import yaml

from darkroom import ROOT
from tests.kubernetes.api import Api, serving
from tests.support.workspace import Workspace, make_workspace

SNAKEMAKE = ROOT / ".venv-kubernetes/bin/snakemake"
KEY = "AKIADARKROOM"
SMALL: dict[str, Any] = {
    "run": {"datasets": ["digits"], "models": ["cnn"], "features": ["hog"],
            "classifiers": ["forest"]},
    "datasets": {"digits": {"shards": 2}},
    "models": {"cnn": {"seeds": [0], "epochs": 4}},
    "classifiers": {"forest": {"kind": "random_forest", "settings": {"n_estimators": 9}}},
}  # fmt: skip

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("moto") is None, reason="no S3 on loopback: make kubernetes-test"
    ),
]


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 that has a bucket named `bucket`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("s3") / "log").open("wb")
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(words, stdout=log, stderr=log) as process:
        address = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                assert requests.put(f"{address}/bucket", timeout=5).ok
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        else:
            raise AssertionError(f"{address} does not answer")
        yield address
        process.terminate()


@dataclass
class Pods:
    """A clone whose jobs are pods."""

    workspace: Workspace
    api: Api
    env: dict[str, str]
    s3: str

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        words = ["--workflow-profile", "profiles/kubernetes", "--configfile", "overlay.yaml"]
        return subprocess.Popen(
            [str(SNAKEMAKE), *words, "--seconds-between-status-checks", "2", *arguments],
            cwd=self.workspace.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        process = self.start(*arguments)
        printed, _ = process.communicate()
        assert process.returncode == 0, printed
        return printed

    def stored(self, path: str) -> bytes:
        """A file in the bucket."""
        boto3 = importlib.import_module("boto3")
        keys = {"aws_access_key_id": KEY, "aws_secret_access_key": "secret"}
        client = boto3.client("s3", endpoint_url=self.s3, region_name="us-east-1", **keys)
        content: bytes = client.get_object(Bucket="bucket", Key=f"here/{path}")["Body"].read()
        return content


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory, bucket: str) -> Iterator[Pods]:
    folder = tmp_path_factory.mktemp("kubernetes")
    clone = folder / "clone"
    clone.mkdir()
    workspace = make_workspace(clone)
    (workspace.root / "overlay.yaml").write_text(yaml.safe_dump(SMALL))
    (workspace.root / ".gitignore").write_text(".snakemake/\n.cache/\n__pycache__/\n")
    me = ["-c", "user.name=x", "-c", "user.email=x@localhost"]
    for words in (["init", "-q"], ["add", "-A"], [*me, "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=workspace.root, check=True)
    api = Api(folder / "pods", str(SNAKEMAKE.parent))
    with serving(api) as address:
        named = {"cluster": {"server": address}, "name": "here"}
        context = {"context": {"cluster": "here", "user": "me"}, "name": "here"}
        kube = {"clusters": [named], "users": [{"name": "me", "user": {}}], "contexts": [context]}
        (folder / "kubeconfig").write_text(yaml.safe_dump(kube | {"current-context": "here"}))
        env = workspace.environment() | {
            "KUBECONFIG": str(folder / "kubeconfig"),
            "DARKROOM_BUCKET": "s3://bucket/here",
            "DARKROOM_IMAGE": "darkroom",
            "VERBOSE": "1",  # what Snakemake says is read
            "SNAKEMAKE_STORAGE_S3_ACCESS_KEY": KEY,
            "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "secret",
            "SNAKEMAKE_STORAGE_S3_ENDPOINT_URL": bucket,
        }
        yield Pods(workspace, api, env, bucket)


@pytest.fixture(scope="module")
def printed(pods: Pods) -> str:
    """The whole chain, while the pod of the training is killed once."""
    process = pods.start()
    killed = False
    while process.poll() is None and not killed:
        for pod in pods.api.started:
            if pod.rules == "train_model":
                pod.kill()
                killed = True
        time.sleep(0.1)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert killed
    return said


def test_the_chain_ends_in_the_bucket_though_a_pod_was_killed(pods: Pods, printed: str) -> None:
    assert "(100%) done" in printed
    assert len(pods.stored("results/digits/report.html")) > 10_000
    runs = pods.stored("results/digits/metrics.csv").decode().splitlines()
    assert sum(",test," in run for run in runs) == 3  # the head, a forest on it, one on HOG
    assert not (pods.workspace.root / "results").exists()


def test_no_rule_is_taken_for_another(printed: str) -> None:
    """Snakemake says so where the wildcards of a file in storage have lost what they may be."""
    assert "InputFunctionException" not in printed
    assert "Traceback" not in printed


def test_a_pod_has_what_its_job_asks_for_and_more_at_the_second_try(
    pods: Pods, printed: str
) -> None:
    first, second = (
        pod.container["resources"] for pod in pods.api.started if pod.rules == "train_model"
    )
    assert first["requests"]["memory"] == first["limits"]["memory"]
    asked = [int(r["limits"]["memory"].removesuffix("M")) for r in (first, second)]
    assert asked[1] == 2 * asked[0]


def test_what_reads_the_unpacked_files_is_one_pod(pods: Pods, printed: str) -> None:
    readers = [pod for pod in pods.api.started if "index_shard" in pod.rules]
    assert len(readers) == 1 and "download_source" in readers[0].rules


def test_no_secret_is_in_a_command(pods: Pods, printed: str) -> None:
    commands = [pod.container["args"][1] for pod in pods.api.started]
    assert commands and not any(KEY in command for command in commands)


def test_a_second_run_does_nothing_and_a_changed_setting_only_what_follows(
    pods: Pods, printed: str
) -> None:
    assert "Nothing to be done" in pods.run()
    planned = pods.run("-n", "--config", "report={samples: 3}")
    rules = set(re.findall(r"^(?:local)?rule (\w+):", planned, re.M))
    assert rules == {"all", "write_report"}
