"""Tells Kubernetes how much a pod has at work, so that scaling in takes idle pods first.

The annotation `controller.kubernetes.io/pod-deletion-cost` orders a replica set's pods for deletion (Kubernetes,
"ReplicaSet", pod deletion cost). It is written at most every few seconds, because each write is a request to the API
server. The pod's role must allow `patch` on `pods`; without it the worker says so once
and works on.
"""

import json
import logging
import os
import ssl
import threading
import urllib.request
from collections.abc import Mapping
from pathlib import Path

_log = logging.getLogger("forebay.worker")
_ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PAUSE_SECONDS = 2.0
_TIMEOUT_SECONDS = 5.0


class PodApi:
    """One pod as its API server knows it, reached as the pod's service account."""

    def __init__(self, url: str, token_file: Path, ca_file: Path | None) -> None:
        self.url = url
        self._token_file = token_file
        self._tls = ssl.create_default_context(cafile=ca_file) if url.startswith("https:") else None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, account: Path = _ACCOUNT) -> "PodApi | None":
        """Return the pod this process runs in, or None where it runs in none.

        `POD_NAME` and `POD_NAMESPACE` (downward API) win over the host name and the service account's namespace.
        `KUBERNETES_SERVICE_URL` names another API server than the cluster's own: Forebay's local one sets it.
        """
        server = environment.get("KUBERNETES_SERVICE_URL")
        host = environment.get("KUBERNETES_SERVICE_HOST")
        if server is None and host is None:
            return None
        if server is None:
            bare = f"[{host}]" if ":" in (host or "") else host
            server = f"https://{bare}:{environment.get('KUBERNETES_SERVICE_PORT', '443')}"
        name = environment.get("POD_NAME") or environment.get("HOSTNAME")
        space = environment.get("POD_NAMESPACE") or _text(account / "namespace")
        if not name or not space:
            return None
        ca_file = account / "ca.crt"
        url = f"{server}/api/v1/namespaces/{space}/pods/{name}"
        return cls(url, account / "token", ca_file if ca_file.exists() else None)

    def annotate(self, cost: int) -> None:
        """Write the pod's deletion cost.

        Raises:
            OSError: the API server is out of reach or refuses (`urllib.error.HTTPError` says how).
        """
        body = json.dumps({"metadata": {"annotations": {_ANNOTATION: str(cost)}}}).encode()
        headers = {"Content-Type": "application/merge-patch+json"}
        token = _text(self._token_file)  # read each time: it is renewed by the cluster
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.url, body, headers, method="PATCH")  # noqa: S310 - a URL of the cluster
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS, context=self._tls):  # noqa: S310 - as above
            pass


class DeletionCost:
    """Keeps a pod's deletion cost at the number of messages at work."""

    def __init__(self, pod: PodApi) -> None:
        self._pod = pod
        self._wanted = 0
        self._changed = threading.Condition()
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="forebay-worker-deletion-cost", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write no more."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        self._thread.join()

    def set(self, busy: int) -> None:
        """Say how many messages are at work; it is written soon."""
        with self._changed:
            if busy != self._wanted:
                self._wanted = busy
                self._changed.notify()

    def _run(self) -> None:
        written = 0
        is_quiet = False
        while (wanted := self._next(written)) is not None:
            try:
                self._pod.annotate(wanted)
                is_quiet = False
            except OSError as error:
                if not is_quiet:
                    _log.warning("the pod's deletion cost cannot be written: %s", error)
                is_quiet = True
            written = wanted
            with self._changed:
                self._changed.wait_for(lambda: self._is_stopped, _PAUSE_SECONDS)

    def _next(self, written: int) -> int | None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or self._wanted != written)
            return None if self._is_stopped else self._wanted


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
