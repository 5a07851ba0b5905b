"""The base of every document that hrm-trt reads back: immutable, and refusing what it does not know."""

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """A persisted document."""

    model_config = ConfigDict(frozen=True, extra="forbid")
