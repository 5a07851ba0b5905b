"""A running Triton server: what it has, what it serves, and its model-control API, over HTTP or gRPC."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hrm.errors import MissingError, ServerError, UnreachableError, UsageError, missing_package

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

READY, UNLOADING = "READY", "UNLOADING"
"""States of a version: it takes requests; it takes no more, and still answers some."""
_ENDED = {"", "UNAVAILABLE"}
"""States of a version that holds nothing: never loaded, refused, or unloaded after its last request."""
PROMPT_SECONDS = 10.0
"""How long a question that needs no work may take."""
RELOAD = "its log says more; `hrm-trt repository load REPOSITORY --server URL` loads again what does not answer"
_SCHEMES = {"http": (False, False), "https": (False, True), "grpc": (True, False), "grpcs": (True, True)}
"""URL schemes: whether it is gRPC, and whether it is encrypted."""
_NO_SUCH_MODEL = "hrm-trt-asks-whether-models-can-be-unloaded"


@dataclass(frozen=True)
class Held:
    """One line of a server's repository index."""

    model: str
    version: int | None
    """None for a model that the server never tried to load."""
    state: str
    reason: str


@dataclass(frozen=True)
class Signature:
    """A loaded model's tensors by name, with their sizes; the batch's is -1."""

    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Answer:
    """What a model answered, and which version of it."""

    version: int
    outputs: Mapping[str, npt.NDArray[Any] | None]
    """None for a tensor whose values did not arrive."""


@dataclass(frozen=True)
class Control:
    """A server; ``connect`` finds it. Each call has a connection of its own: threads may share one of these.

    Every method raises:
        ServerError: the server refuses, or does not answer in time.
    """

    url: str
    _grpc: bool = field(repr=False)
    _secure: bool = field(repr=False)
    _address: str = field(repr=False)

    def metadata(self) -> Mapping[str, Any]:
        """The server's name, version and extensions."""
        return dict(self._read("say what it is", "get_server_metadata"))

    def index(self) -> tuple[Held, ...]:
        """Every model in the server's repositories, and every version that it has tried to load."""
        found = self._read("list its models", "get_model_repository_index")
        return tuple(map(_held, found.get("models", ()) if self._grpc else found))

    def ready(self, model: str) -> tuple[int, ...]:
        """The versions of ``model`` that take requests, ascending."""
        return versions_of(self.index(), model, READY)

    def busy(self, model: str) -> tuple[int, ...]:
        """The versions of ``model`` that take requests, are being loaded, or still answer requests; ascending."""
        index = self.index()
        return versions_of(index, model, *({held.state for held in index} - _ENDED))

    def signature(self, model: str) -> Signature:
        """The tensors of a loaded model."""
        found = self._read(f"describe {model}", "get_model_metadata", model)
        return Signature(_sizes(found.get("inputs", ())), _sizes(found.get("outputs", ())))

    def load(self, model: str, seconds: float) -> None:
        """Have the server read ``model`` again and serve the versions that its configuration names.

        What was served before is served until the new is ready, and further if it never is. A version whose files
        did not change is kept as it is, even one whose process has died.
        """
        self._call(f"load {model}", seconds, "load_model", model)

    def unload(self, model: str) -> None:
        """Have the server take no more requests for ``model``; returns before those that it has are answered."""
        self._call(f"unload {model}", PROMPT_SECONDS, "unload_model", model)

    def infer(self, model: str, feeds: Mapping[str, npt.NDArray[Any]], seconds: float) -> Answer:
        """The answer of the version that clients get; a solver takes it ahead of what waits in its queue."""
        how = {"parameters": {"queue_priority": 1}, "timeout": int(seconds * 1e6)}
        result = self._call(f"answer through {model}", seconds, "infer", model, self._tensors(feeds), **how)
        response = result.get_response()
        if self._grpc:
            version, names = response.model_version, [each.name for each in response.outputs]
        else:
            version, names = response["model_version"], [each["name"] for each in response["outputs"]]
        return Answer(int(version), {name: result.as_numpy(name) for name in names})

    def require_model_control(self) -> None:
        """Make sure that models can be loaded and unloaded, by unloading one that does not exist.

        Raises:
            MissingError: the server was started without that.
        """
        try:
            self.unload(_NO_SUCH_MODEL)
        except ServerError as error:
            if "not allowed" not in error.why:
                raise
            raise MissingError(
                f"the server at {self.url} does not load or unload models on request",
                why=f"it runs without explicit model control; it says: {error.why}",
                hint="start tritonserver with --model-control-mode=explicit, or leave --server out and restart it",
            ) from error

    def _tensors(self, feeds: Mapping[str, npt.NDArray[Any]]) -> list[Any]:
        from tritonclient.utils import np_to_triton_dtype

        tensors = []
        for name, value in feeds.items():
            tensor = self._protocol().InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype))
            tensor.set_data_from_numpy(value)
            tensors.append(tensor)
        return tensors

    def _read(self, what: str, method: str, *arguments: str) -> Any:
        return self._call(what, PROMPT_SECONDS, method, *arguments, **({"as_json": True} if self._grpc else {}))

    def _call(self, what: str, seconds: float, method: str, *arguments: Any, **options: Any) -> Any:
        from tritonclient.utils import InferenceServerException

        if self._grpc:
            options["client_timeout"] = seconds
        try:
            with contextlib.closing(self._client(seconds)) as client:
                return getattr(client, method)(*arguments, **options)
        except TimeoutError as error:
            raise self._refusal(what, f"no answer in {seconds:g} seconds") from error
        except InferenceServerException as error:
            raise self._refusal(what, error.message()) from error
        except HTTPException as error:
            raise self._refusal(what, "what answers there does not speak HTTP") from error
        except OSError as error:
            raise self._refusal(what, error.strerror or str(error)) from error

    def _client(self, seconds: float) -> Any:
        if self._grpc:
            return self._protocol().InferenceServerClient(self._address, ssl=self._secure)
        from gevent import get_hub
        from gevent.ssl import create_default_context

        get_hub().exception_stream = None  # it would print the trace of an interrupt, which is raised here all the same
        return self._protocol().InferenceServerClient(
            self._address,
            connection_timeout=min(seconds, PROMPT_SECONDS),
            network_timeout=seconds,
            ssl=self._secure,
            ssl_context_factory=create_default_context,
        )

    def _protocol(self) -> Any:
        try:
            if self._grpc:
                from tritonclient import grpc as protocol
            else:
                from tritonclient import http as protocol
        except ImportError as error:
            raise missing_package("tritonclient", "triton", "talking to a Triton server") from error
        return protocol

    def _refusal(self, what: str, why: str) -> ServerError:
        return ServerError(
            f"the server at {self.url} did not {what}",
            why=" ".join(why.split()),
            hint=RELOAD,
        )


def connect(url: str) -> Control:
    """The server at ``url``: http://host:port (what is meant without a scheme), https://, grpc:// or grpcs://.

    Raises:
        UsageError: that is no such URL.
        UnreachableError: no Triton server answers there.
        MissingError: tritonclient is not installed.
    """
    control = _parse(url)
    try:
        control.metadata()
    except ServerError as error:
        raise UnreachableError(
            f"no Triton server answers at {control.url}",
            why=error.why,
            hint="check host and port: tritonserver's are 8000 for HTTP (http://) and 8001 for gRPC (grpc://)",
        ) from error
    return control


def versions_of(index: tuple[Held, ...], model: str, *states: str) -> tuple[int, ...]:
    """The versions of ``model`` that are in one of ``states``, ascending."""
    found = (held.version for held in index if held.model == model and held.state in states)
    return tuple(sorted(version for version in found if version is not None))


def _parse(url: str) -> Control:
    whole = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(whole)
        known, host, _ = parts.scheme in _SCHEMES, parts.hostname, parts.port
    except ValueError:
        known, host = False, None
    if not known or not host:
        raise UsageError(
            f"{url!r} is not the URL of a server",
            why=f"it needs a host, a port, and one of {', '.join(f'{scheme}://' for scheme in _SCHEMES)}",
            hint="for example http://localhost:8000",
        )
    grpc, secure = _SCHEMES[parts.scheme]
    return Control(whole, grpc, secure, f"{parts.netloc}{parts.path.rstrip('/')}")


def _held(row: Mapping[str, str]) -> Held:
    version = row.get("version")
    return Held(row["name"], int(version) if version else None, row.get("state", ""), row.get("reason", ""))


def _sizes(tensors: Any) -> dict[str, tuple[int, ...]]:
    return {each["name"]: tuple(map(int, each.get("shape", ()))) for each in tensors}
