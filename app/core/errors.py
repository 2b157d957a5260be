"""Every error this project raises on purpose.

    CitewellError
    ├── RequestError                       the caller can mend it
    │   ├── MalformedBody            400   not JSON, or not UTF-8
    │   ├── Unauthenticated          401   no key, or not a valid one
    │   ├── Forbidden                403   the key lacks the scope
    │   ├── NotFound                 404   no such answer, document or route, or not yours to see
    │   ├── CollectionUnknown        404   no collection of that name for this caller
    │   ├── ReleaseUnknown           404   no release of that id
    │   ├── PromptUnknown            404   no prompt, version or label of that name
    │   ├── MethodNotAllowed         405   the route has other methods
    │   ├── BodyTooLarge             413   over the byte limit
    │   ├── UnsupportedMediaType     415   not application/json
    │   ├── InvalidRequest           422   a field is missing, unknown, of the wrong type or out of range
    │   ├── QuestionEmpty            422   nothing visible to answer
    │   ├── QuestionTooLong          422   over the limit in characters or tokens
    │   ├── FilterUnknown            422   no document has such a field
    │   └── SourceErased             410   a document that the answer used was deleted
    ├── ServiceError                       the operator can mend it, or time will
    │   ├── IndexMissing             503   no live snapshot to search
    │   ├── IndexUnusable            503   the snapshot is damaged, of another embedder, or not all in Milvus
    │   ├── ModelUnpriced            503   the model is not in the price book
    │   ├── ModelUnavailable         503   down or over its own limits            (retryable)
    │   ├── ModelRejected            502   the provider refused our call
    │   ├── ModelBadResponse         502   the provider answered nonsense         (retryable)
    │   ├── ModelTimeout             504   first token, between tokens, or total  (retryable)
    │   ├── Overloaded               503   more requests than the limit           (retryable)
    │   ├── ShuttingDown             503   the server is stopping                 (retryable)
    │   ├── LedgerUnavailable        503   the books can't be written             (retryable)
    │   └── StorageUnavailable       503   object storage can't be used           (retryable)
    ├── InternalError              500   a bug
    ├── Misconfigured                      a setting, prompt or price file is wrong: nothing starts
    └── DocumentRefused                    one document can't be indexed; the others go on

Anything else that escapes is a bug: it is shown as ``internal_error`` and the log keeps its traceback.
"""

from typing import ClassVar


class CitewellError(Exception):
    """Base class: one message for the person, one detail for the log.

    Args:
        message: Safe to show to a caller. Says what happened and the next thing to try. Never
            holds document text, prompts, keys or paths of the server.
        detail: For the log only.
        **extra: Members of the problem document beside the standard ones, e.g. ``retry_after_s``.
    """

    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, detail: str | None = None, **extra: object) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.extra = extra

    def problem(self, request_id: str) -> dict[str, object]:
        """Return the RFC 9457 problem document: the half that a caller may read."""
        return {
            "type": f"/handbook/errors#{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.message,
            "code": self.code,
            "request_id": request_id,
            "retryable": self.retryable,
            **self.extra,
        }


class InternalError(CitewellError):
    """A bug: the log has its traceback under the request's id."""

    def __init__(self) -> None:
        super().__init__("Something went wrong here. The log has the details under this request_id; please report it.")


class RequestError(CitewellError):
    """The caller asked for something that can't be done as asked."""


class MalformedBody(RequestError):
    """The body is not JSON, or not UTF-8."""

    code, title, status = "malformed_body", "Malformed body", 400


class Unauthenticated(RequestError):
    """No key, or an unknown, expired or revoked one (which of them is not told)."""

    code, title, status = "unauthenticated", "Unauthenticated", 401


class Forbidden(RequestError):
    """The key lacks the scope."""

    code, title, status = "forbidden", "Forbidden", 403


class NotFound(RequestError):
    """No such answer, document or route, or it is not the caller's to see."""

    code, title, status = "not_found", "Not found", 404


class CollectionUnknown(RequestError):
    """No collection of that name is visible to the caller."""

    code, title, status = "collection_unknown", "Unknown collection", 404


class ReleaseUnknown(RequestError):
    """There is no release of that id."""

    code, title, status = "release_unknown", "Unknown release", 404


class PromptUnknown(RequestError):
    """There is no prompt, version or label of that name."""

    code, title, status = "prompt_unknown", "Unknown prompt", 404


class MethodNotAllowed(RequestError):
    """The route exists, with other methods."""

    code, title, status = "method_not_allowed", "Method not allowed", 405


class BodyTooLarge(RequestError):
    """The body is over the byte limit; it was not read to its end."""

    code, title, status = "body_too_large", "Body too large", 413


class UnsupportedMediaType(RequestError):
    """The body is not ``application/json``."""

    code, title, status = "unsupported_media_type", "Unsupported media type", 415


class InvalidRequest(RequestError):
    """A field is missing, unknown, of the wrong type or out of range; ``errors`` lists them all."""

    code, title, status = "invalid_request", "Invalid request", 422


class QuestionEmpty(RequestError):
    """Nothing visible is left of the question."""

    code, title, status = "question_empty", "Empty question", 422


class QuestionTooLong(RequestError):
    """The question is over the limit."""

    code, title, status = "question_too_long", "Question too long", 422


class FilterUnknown(RequestError):
    """No document that the caller may read has the field that a filter names."""

    code, title, status = "filter_unknown", "Unknown filter", 422


class SourceErased(RequestError):
    """A document that the answer used was deleted: while it was being written, or since."""

    code, title, status = "source_erased", "Source erased", 410


class ServiceError(CitewellError):
    """The request was fine; the service can't serve it now."""

    status = 503


class IndexMissing(ServiceError):
    """There is no live snapshot to search."""

    code, title = "index_missing", "No index"


class IndexUnusable(ServiceError):
    """A snapshot is damaged, or built with another embedder; or its vectors, where they are elsewhere, can't be searched."""

    code, title = "index_unusable", "Index unusable"


class ModelUnpriced(ServiceError):
    """The model has no row in the price book, so a call could not be accounted for."""

    code, title = "model_unpriced", "Model without a price"


class ModelUnavailable(ServiceError):
    """The model is down or over its own limits."""

    code, title, retryable = "model_unavailable", "Model unavailable", True


class ModelRejected(ServiceError):
    """The provider refused our call: credentials, or the request itself."""

    code, title, status = "model_rejected", "Model rejected the call", 502


class ModelBadResponse(ServiceError):
    """The provider answered something that is no answer, or broke off."""

    code, title, status, retryable = "model_bad_response", "Bad response from the model", 502, True


class ModelTimeout(ServiceError):
    """The first token, the next token, or the whole answer took too long."""

    code, title, status, retryable = "model_timeout", "Model timed out", 504, True


class Overloaded(ServiceError):
    """More requests at once than the limit; nothing was called."""

    code, title, retryable = "overloaded", "Overloaded", True


class ShuttingDown(ServiceError):
    """The server is stopping."""

    code, title, retryable = "shutting_down", "Shutting down", True


class LedgerUnavailable(ServiceError):
    """The books can't be written, so nothing may be spent."""

    code, title, retryable = "ledger_unavailable", "Ledger unavailable", True


class StorageUnavailable(ServiceError):
    """The object storage that snapshots lie on refused, or can't be reached."""

    code, title, retryable = "storage_unavailable", "Storage unavailable", True


class Misconfigured(CitewellError):
    """A setting, a prompt or the price book is wrong; the message names it and the way to mend it."""

    code, title = "misconfigured", "Misconfigured"


class DocumentRefused(CitewellError):
    """One document can't be indexed.

    Args:
        reason: A refusal code of the contract: ``empty``, ``binary``, ``undecodable``, ``too_large``,
            ``encrypted``, ``corrupt``, ``no_text``, ``parser_timeout``, ``parser_memory``,
            ``unsupported_type``, ``duplicate``, ``metadata_invalid``, ``unreadable``, ``erased``,
            ``fetch_refused``, ``fetch_failed``.
        message: What a data owner should know or do.
    """

    code, title, status = "document_refused", "Document refused", 422

    def __init__(self, reason: str, message: str, *, detail: str | None = None) -> None:
        super().__init__(message, detail=detail)
        self.reason = reason
