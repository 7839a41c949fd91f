"""Request and response models of the HTTP API."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from restore.batch import Naming, Output

__all__ = [
    "Group",
    "Health",
    "ImageView",
    "JobOptions",
    "JobView",
    "ModelView",
    "PlanView",
    "State",
    "Submission",
    "Token",
]

State = Literal["queued", "running", "done", "failed", "canceled"]

Group = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{16,64}$")]
"""A random text by which a client finds its jobs again. Whoever knows it sees them."""

Size = tuple[int, int]


class JobOptions(BaseModel):
    """How to restore an image; the parameters of `restore upscale`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field("auto", max_length=200, description="A model of /api/models; `auto` chooses one.")
    scale: float | None = Field(
        None, ge=1, le=16, description="Enlarge by this factor; 1 removes noise and compression only."
    )
    width: int | None = Field(None, ge=1, le=65_535, description="Of the result in pixels.")
    height: int | None = Field(None, ge=1, le=65_535, description="Of the result in pixels.")
    strength: float = Field(1.0, ge=0, le=4, description="How much noise and compression to remove.")
    format: str | None = Field(None, max_length=5, description="Such as `png`; default: that of the input.")
    quality: int | None = Field(None, ge=1, le=100, description="Of lossy formats.")
    strip: bool = Field(False, description="Leave out metadata; keep the color profile.")

    @field_validator("scale", "width", "height", "format", "quality", mode="before")
    @classmethod
    def _nothing(cls, value: object) -> object:
        """Take an empty field of a form as one that was not given."""
        return None if value == "" else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.scale is not None and (self.width is not None or self.height is not None):
            raise ValueError("`scale` and `width` or `height` set the size twice; pass one of them")
        self.naming("")
        return self

    @property
    def options(self) -> JobOptions:
        """These alone, without what a request has beside them."""
        return JobOptions(**self.model_dump(include=set(JobOptions.model_fields)))

    @property
    def output(self) -> Output:
        """The size and encoding of the result."""
        return Output(self.width, self.height, self.quality, strip=self.strip)

    def naming(self, suffix: str) -> Naming:
        """How results are named."""
        return Naming(suffix, format=self.format)


class Submission(JobOptions):
    """A job for an image that was uploaded before."""

    image: str = Field(description="The `id` of an image.", max_length=64)
    group: Group | None = None


class Token(BaseModel):
    """What the page exchanges for a cookie."""

    token: str = Field(max_length=1000)


class ModelView(BaseModel):
    """A model that can be used."""

    name: str
    title: str = Field(description="What the page calls it.")
    summary: str = Field(description="When to use it.")
    purpose: Literal["auto", "enlarge", "clean"] = Field(
        description="What it does; `auto` decides for each image."
    )
    strength: bool = Field(description="Whether the option `strength` changes its results.")
    scales: list[int] | None = Field(description="Factors of the model itself; null is any.")
    license: str


class ImageView(BaseModel):
    """An uploaded image with what was found in it."""

    id: str
    name: str
    bytes: int
    size: Size = Field(description="Width and height in pixels.")
    findings: list[str] = Field(description="Compression, noise, blur and an earlier enlargement.")
    degradations: list[str] = Field(description="Those that are strong enough to be seen.")


class PlanView(BaseModel):
    """What a job would do."""

    model: str = Field(description="Empty where the image would be left unchanged.")
    reason: str = Field(description="Why `auto` chooses this model.")
    beyond: bool = Field(description="The image is more degraded than those that the model was trained on.")
    size: Size = Field(description="Width and height of the result in pixels.")
    seconds: float
    memory: int = Field(description="Estimated peak in bytes.")
    notes: list[str]


class JobView(BaseModel):
    """A job with its state and result."""

    id: str
    image: str
    name: str = Field(description="Of the uploaded file.")
    result: str = Field(description="Name of the result.")
    state: State
    progress: float = Field(description="From 0 to 1.")
    position: int = Field(description="Jobs before this one; 0 if it does not wait.")
    size: Size | None = None
    bytes: int | None = None
    seconds: float | None = None
    model: str = ""
    notes: list[str] = []
    reason: str = Field("", description="Why it failed.")


class Health(BaseModel):
    """The state of the server."""

    status: Literal["ok", "stopping"]
    version: str
    waiting: int
    running: int
