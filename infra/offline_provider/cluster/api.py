"""Requests to the API server, and how they fail.

Objects travel as plain JSON: the client's typed models would drop what they don't know.
"""

import json
import logging
import threading
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import quote

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException

from infra.offline_provider.kubeconfig import Access
from infra.offline_provider.objects import Object
from infra.offline_provider.settings import ProviderSettingsError

Method = Literal["GET", "PATCH", "DELETE"]

TIMEOUT: Final = (5.0, 60.0)
"""Seconds to connect, and for an answer: the API server itself gives up after 60."""
ATTEMPTS: Final = 5
BUSY: Final = frozenset({429, 503})
"""Answers of a server that did nothing yet: starting, electing a leader, or throttling."""
BUSY_WAIT_S: Final = 1.0
CONNECTIONS: Final = 32  # the engine works on 16 objects, and each may ask for its pods as well
APPLY: Final = "application/apply-patch+yaml"  # JSON is YAML
JSON: Final = "application/json"
NOT_FOUND: Final = 404
CREATED: Final = 201
OK: Final = range(200, 300)


class UnreachableError(Exception):
    """The cluster does not answer."""


class ApiError(Exception):
    """The API server refused a request; `status` is its Status object."""

    def __init__(self, code: int, status: Mapping[str, Any]) -> None:
        super().__init__(status.get("message") or status.get("reason") or f"HTTP status {code}")
        self.code = code
        self.status = status

    @property
    def details(self) -> Mapping[str, Any]:
        """Return the Status's details: which object, and what about it."""
        return self.status.get("details") or {}

    @property
    def causes(self) -> list[Mapping[str, Any]]:
        """Return the single reasons, each with a message and mostly a field."""
        return self.details.get("causes") or []


class Api:
    """Speaks with one API server; may be used from several threads."""

    def __init__(self, access: Access, stop: threading.Event) -> None:
        self.server = access.server
        self._stop = stop
        self._client = _client(access)

    def get(self, path: str, **query: str) -> Object:
        """Return the object or the list there; raise ApiError or UnreachableError."""
        return self._request("GET", path, query)[1]

    def find(self, path: str) -> Object | None:
        """Return the object there, or None if there is none."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.code == NOT_FOUND:
                return None
            raise

    def apply(
        self, path: str, wanted: Object, manager: str, *, dry_run: bool, force: bool
    ) -> tuple[Object, bool]:
        """Apply on the server's side; return the object, and whether it was made just now."""
        query = {
            "fieldManager": manager,
            "force": "true" if force else "false",
            "fieldValidation": "Strict",  # a misspelt field is an error, and not dropped in silence
            **({"dryRun": "All"} if dry_run else {}),
        }
        code, live = self._request("PATCH", path, query, wanted, APPLY)
        return live, code == CREATED

    def delete(self, path: str, propagation: str) -> None:
        """Ask for the object's end; finalizers may put it off."""
        self._request("DELETE", path, {}, {"propagationPolicy": propagation}, JSON)

    def _request(
        self,
        method: Method,
        path: str,
        query: Mapping[str, str],
        body: Object | None = None,
        content_type: str = JSON,
    ) -> tuple[int, Object]:
        headers = {"Accept": JSON, "Content-Type": content_type}
        for attempt in range(ATTEMPTS):
            code, answer = self._once(method, path, query, headers, body)
            if code in OK:
                return code, answer
            if code not in BUSY or attempt == ATTEMPTS - 1 or self._stop.wait(BUSY_WAIT_S):
                raise ApiError(code, answer)
        raise AssertionError("the last attempt returns or raises")

    def _once(
        self,
        method: Method,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: Object | None,
    ) -> tuple[int, Object]:
        request = self._client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params=dict(headers),
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = self._client.call_api(*request, _request_timeout=TIMEOUT)
            text = answer.read()
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(f"{self.server} does not answer: {_said(error)}") from error
        return answer.status, _status(text)


def _client(access: Access) -> client.ApiClient:
    # It warns of each attempt by itself, in the middle of the engine's output.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    settings = client.Configuration()
    settings.connection_pool_maxsize = CONNECTIONS
    settings.retries = False
    try:
        if access.config is None:
            config.load_incluster_config(client_configuration=settings)
        else:
            config.load_kube_config_from_dict(
                access.config, client_configuration=settings, persist_config=False
            )
    except (ConfigException, OSError, ValueError) as error:
        raise ProviderSettingsError(f"kubeconfig: {error}") from error
    return client.ApiClient(settings)


def _status(text: bytes) -> Object:
    """Return an answer's object; what is no JSON comes from something in between."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if isinstance(answer, dict):
        return answer
    return {"message": text.decode("utf-8", "replace")[:200]}


def _said(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).split())


def path_segment(text: str) -> str:
    """Return a name as it stands in a path."""
    return quote(text, safe=":")
