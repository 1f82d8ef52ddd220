"""The way to a cluster's API: proxy, certificates and credentials, and a look at each reply before it is believed."""

from __future__ import annotations

import json
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from kfp_server_api import ApiClient, ApiException, Configuration
from kfp_server_api.rest import RESTClientObject, RESTResponse
from requests.utils import get_environ_proxies, select_proxy
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    MaxRetryError,
    NewConnectionError,
    ProxyError,
    ProxySchemeUnknown,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util import make_headers

from data.errors import InputError
from pipeline.kubeflow.api_methods import api_method

TOKEN_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"  # noqa: S105
"""The name that KFP's own client has for it."""

COOKIES_VARIABLE = "KF_PIPELINES_COOKIES_FILE"
CERTIFICATES_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")

_SECONDS = (10.0, 120.0)
"""To connect, and to wait for a reply."""

_CREDENTIALS = "give credentials with --token-file or --cookies-file (docs/kubeflow.md)"
_LONGEST_QUOTE = 200
_REASON = re.compile(r"^.*?Failed to establish a new connection: (?:\[Errno -?\d+\] )?")


@dataclass(frozen=True)
class Connection:
    """How a cluster's API is reached.

    Attributes
    ----------
    host
        URL of the API server, or of what stands before it.
    namespace
        The user's, on a cluster with several users; None on others.
    proxy
        URL; None for what `http_proxy`, `https_proxy` and `no_proxy` say.
    certificates
        File of the authorities that are trusted; None for what `SSL_CERT_FILE` or `REQUESTS_CA_BUNDLE` names, or
        those that come with the client.
    token_file
        Holds a bearer token, and is read anew for each request; None for what `KF_PIPELINES_SA_TOKEN_PATH` names.
    cookies_file
        Holds the value of a `Cookie` header; None for what `KF_PIPELINES_COOKIES_FILE` names.
    """

    host: str
    namespace: str | None = None
    proxy: str | None = None
    certificates: Path | None = None
    token_file: Path | None = None
    cookies_file: Path | None = None


class Api:
    """The API of a cluster: requests of the generated client, and replies that were looked at.

    Parameters
    ----------
    connection
        How it is reached.

    Raises
    ------
    InputError
        A part of the connection can't be used, or the host is not the API of Kubeflow Pipelines.
    """

    def __init__(self, connection: Connection) -> None:
        host = connection.host.rstrip("/")
        if not host.startswith(("http://", "https://")) or not _has_host(host):
            raise InputError(
                f"the host {connection.host!r} is not a URL: it starts with http:// or https://", code="K10"
            )
        self.host = host
        configuration = Configuration(host=host)
        proxy = connection.proxy or select_proxy(host, get_environ_proxies(host))
        if proxy is not None:
            configuration.proxy, configuration.proxy_headers = _proxy(proxy)
        certificates = connection.certificates or _path_in(*CERTIFICATES_VARIABLES)
        if certificates is not None:
            configuration.ssl_ca_cert = _checked_certificates(certificates)
        if (token_file := connection.token_file or _path_in(TOKEN_VARIABLE)) is not None:
            _use_token(configuration, token_file)
        cookies_file = connection.cookies_file or _path_in(COOKIES_VARIABLE)
        cookies = None if cookies_file is None else _read_header(cookies_file, "cookies")
        self.client = ApiClient(configuration, cookie=cookies)
        self._rest = self.client.rest_client = _CheckedRest(configuration, host)

    def ask(self, service: type, operation: str, *arguments: object, **options: object) -> dict[str, Any]:
        """Ask for an operation of the API, and return the reply's JSON object.

        Parameters
        ----------
        service
            The class of the generated client, such as `RunServiceApi`.
        operation
            Its method, such as `create_run`.
        arguments, options
            The method's own; what is sent stands last among the arguments.

        Raises
        ------
        InputError
            The host can't be reached, refuses the request, or answers with something else.
        """
        # The generated client would make objects of the reply, of whatever kind it is.
        method = api_method(service(self.client), operation)
        reply = method(*arguments, **options, _preload_content=False)
        return self._rest.read_object(reply)

    def require_id(self, reply: Mapping[str, Any], field: str, of_what: str) -> str:
        """Return an id from a reply.

        Raises
        ------
        InputError
            It has none, so that nothing is known to have been made.
        """
        found = reply.get(field)
        if not isinstance(found, str) or not found.strip():
            raise InputError(
                f"{self.host} answers without the id of {of_what} ({_quote(json.dumps(reply))}): it is not the API of "
                "Kubeflow Pipelines, or something stands before it",
                code="K11",
            )
        return found


class _CheckedRest(RESTClientObject):
    """Sends requests, and says in one line what went wrong with one."""

    def __init__(self, configuration: Configuration, host: str) -> None:
        # A host that does not listen now won't in a moment; what was sent must not be sent twice.
        configuration.retries = urllib3.Retry(total=None, connect=0, read=0, redirect=3, status=0, other=0)
        super().__init__(configuration)
        proxy = configuration.proxy
        self._host = host
        self._through = host if proxy is None else f"{host} (through the proxy {_without_password(proxy)})"

    def request(self, method: str, url: str, *arguments: Any, **options: Any) -> RESTResponse:
        """Send a request, with time limits, and return the whole reply."""
        options.update(_preload_content=True, _request_timeout=options.get("_request_timeout") or _SECONDS)
        try:
            reply = super().request(method, url, *arguments, **options)
        except ApiException as error:
            raise self._refusal(error, url) from error
        except (HTTPError, OSError) as error:
            raise self._unreachable(error) from error
        self._check_no_redirect(reply.urllib3_response, url)
        return reply

    def read_object(self, reply: RESTResponse) -> dict[str, Any]:
        """Return the JSON object that a reply holds."""
        try:
            content = json.loads(reply.data)
        # Brackets can be nested deeper than the parser goes.
        except (ValueError, RecursionError) as error:
            text = reply.data.decode("utf-8", errors="replace")
            raise InputError(
                f"{self._through} answers with something else in place of the API ({_quote(text)}): if a login stands "
                f"before it, {_CREDENTIALS}",
                code="K12",
            ) from error
        if not isinstance(content, dict):
            raise InputError(
                f"{self._through} answers with JSON that is no object ({_quote(json.dumps(content))}): it is not the "
                "API of Kubeflow Pipelines",
                code="K11",
            )
        return content

    def _check_no_redirect(self, response: urllib3.HTTPResponse, url: str) -> None:
        history = getattr(response.retries, "history", ())
        if not history:
            return
        reached = history[-1].redirect_location or ""
        there = urlsplit(reached)
        if there.netloc and there.path == urlsplit(url).path:
            raise InputError(
                f"{self._host} redirects to {there.scheme}://{there.netloc}: give that as --host", code="K14"
            )
        raise InputError(
            f"{self._through} answers with the page {reached.partition('?')[0]} in place of the API: a login stands "
            f"before it; {_CREDENTIALS}",
            code="K12",
        )

    def _refusal(self, error: ApiException, url: str) -> InputError:
        if not error.status:
            return self._not_trusted(error.reason)
        body = error.body.decode("utf-8", errors="replace") if isinstance(error.body, bytes) else error.body
        reason = _quote(_message_in(body or "") or error.reason or "no reason given")
        if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return InputError(
                f"{self._through} refuses the request ({error.status}: {reason}); {_CREDENTIALS}", code="K13"
            )
        if error.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return InputError(
                f"{self._through}: the proxy asks for a password; write it into its URL, http://USER:PASSWORD@PROXY",
                code="K15",
            )
        if error.status == HTTPStatus.NOT_FOUND and url.endswith("/healthz"):
            return InputError(
                f"{self._host} is no API server of Kubeflow Pipelines: it has no {urlsplit(url).path}", code="K11"
            )
        return InputError(f"{self._through} refused the request ({error.status}): {reason}", code="K16")

    def _not_trusted(self, reason: object) -> InputError:
        if "WRONG_VERSION_NUMBER" in str(reason):
            return InputError(f"{self._through} does not speak TLS: write http:// in place of https://", code="K17")
        return InputError(
            f"{self._through} can't be trusted ({_reason(reason)}): name its authority's certificates with --ca-cert, "
            "and the host as the certificate does",
            code="K18",
        )

    def _unreachable(self, error: BaseException) -> InputError:
        cause = error.reason if isinstance(error, MaxRetryError) and error.reason is not None else error
        if isinstance(cause, SSLError):
            return self._not_trusted(cause)
        if isinstance(cause, ProxyError):
            cause = getattr(cause, "original_error", cause)
        if isinstance(cause, ConnectTimeoutError) and not isinstance(cause, NewConnectionError):
            return InputError(f"{self._through} can't be reached: no answer within {_SECONDS[0]:g} s", code="K19")
        if isinstance(cause, ReadTimeoutError):
            return InputError(
                f"{self._through} does not answer within {_SECONDS[1]:g} s; what was asked may have been done",
                code="K20",
            )
        return InputError(f"{self._through} can't be reached: {_reason(cause)}", code="K19")


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _proxy(url: str) -> tuple[str, dict[str, str] | None]:
    """Return a proxy's URL without its password, and the headers that carry that."""
    # As in the environment of many: curl takes it so, too.
    url = url if "://" in url else f"http://{url}"
    shown = _without_password(url)
    try:
        parts = urllib3.util.parse_url(url)
        if parts.scheme not in ("http", "https") or not parts.host:
            raise ProxySchemeUnknown(parts.scheme)
    except (LocationParseError, ProxySchemeUnknown) as error:
        raise InputError(f"the proxy {shown!r} is not an http:// or https:// URL", code="K21") from error
    bare = urllib3.util.Url(parts.scheme, None, parts.host, parts.port).url
    return bare, make_headers(proxy_basic_auth=parts.auth) if parts.auth else None


def _without_password(url: str) -> str:
    return re.sub(r"//[^/]*@", "//", url)


def _path_in(*variables: str) -> Path | None:
    """Return the path in the first of some environment variables that is set."""
    return next((Path(os.environ[name]).expanduser() for name in variables if os.environ.get(name)), None)


def _checked_certificates(file: Path) -> str:
    try:
        ssl.create_default_context(cafile=str(file))
    except OSError as error:
        # A file that holds no certificate is an error of OpenSSL, which names no file.
        reason = error.strerror if error.filename or isinstance(error, FileNotFoundError) else "holds no certificate"
        raise InputError(f"the certificates {file} can't be used: {reason}", code="K22") from error
    return str(file)


def _use_token(configuration: Configuration, file: Path) -> None:
    """Have a bearer token sent that is read anew each time: in a cluster it changes within the hour."""

    def read(target: Configuration) -> None:
        target.api_key["authorization"] = _read_header(file, "token")

    read(configuration)
    configuration.api_key_prefix["authorization"] = "Bearer"
    configuration.refresh_api_key_hook = read


def _read_header(file: Path, what: str) -> str:
    """Return what a file holds for a header of HTTP, which is one line; messages never quote it."""
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise InputError(f"the {what} in {file} can't be read: {error.strerror}", code="K23") from error
    except UnicodeDecodeError as error:
        raise InputError(f"the {what} in {file} holds signs beyond ASCII, which no header takes", code="K23") from error
    if not text or not text.isprintable():
        raise InputError(f"the {what} in {file} must be one line of text", code="K23")
    return text


def _message_in(body: str) -> str:
    """Return what an API says for an error: its message, or else all of it."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if isinstance(content, dict):
        for field in ("error", "message", "error_details"):
            if isinstance(reason := content.get(field), str) and reason.strip():
                return reason
    return body


def _reason(cause: object) -> str:
    return _quote(_REASON.sub("", " ".join(str(cause).split())))


def _quote(text: str) -> str:
    """Return the beginning of a text as one line."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]} …"
