"""Question + passages -> chat messages, from an immutable template version in prompts/."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.core import markers
from app.core.errors import Misconfigured, PromptUnknown
from app.core.tags import escape
from app.core.types import Message, Passage

RENDERER = "renderer/1"
"""Part of the release: change it when the same template and inputs would render differently."""

_SECTION = re.compile(r"^# (system|user)[ \t]*$", re.MULTILINE)
_FRONT = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)


class ModelParameters(BaseModel):
    """Parameters that a prompt sets for its model; what it leaves out is the setting's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, gt=0, le=100_000)


class FrontMatter(BaseModel):
    """What stands above a template. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    owners: tuple[str, ...]
    input: dict[str, Any]
    output: dict[str, Any] | None = None
    model: ModelParameters = ModelParameters()
    budget: int = Field(gt=0, le=200_000)
    """Most tokens that the passages may take."""
    abstain: str = Field(min_length=1)
    """What the model says, as its first sentence, when the passages hold no answer."""
    changelog: str
    tests: tuple[dict[str, Any], ...] = ()


class Data(str):
    """A value that prints itself between its tags, with these tags escaped inside: to a model it is data, not instructions."""

    __slots__ = ()


@dataclass(frozen=True)
class PassageView:
    """A passage as a template sees it; printed whole it carries its own tags."""

    n: int
    title: Data
    heading: Data
    text: Data

    def __str__(self) -> str:
        title, heading = (value.replace('"', "&quot;") for value in (self.title, self.heading))
        return f'<passage n="{self.n}" title="{title}" heading="{heading}">\n{self.text}\n</passage>'


@dataclass(frozen=True)
class PromptVersion:
    """One template version: ``answer@1``."""

    name: str
    version: int
    sha256: str
    front: FrontMatter
    sections: Mapping[str, str]
    """``system`` and ``user``: Jinja source."""

    @property
    def ref(self) -> str:
        """How it is named everywhere: ``answer@1``."""
        return f"{self.name}@{self.version}"

    @cached_property
    def _templates(self) -> dict[str, Template]:
        # Sandboxed and strict: a template reaches no attribute it was not given, and a missing variable is an error.
        environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=False, trim_blocks=True)
        return {role: environment.from_string(source) for role, source in self.sections.items()}

    def render(
        self, question: str, passages: Sequence[Passage], *, today: date, history: Sequence[Message] = ()
    ) -> list[Message]:
        """Fill the template: system, earlier turns, user.

        The same inputs give the same bytes, so a stored answer's prompt can be rebuilt from its passages.

        Raises:
            Misconfigured: The template uses something it is not given.
        """
        values = {
            "question": Data(f"<question>{escape(question)}</question>"),
            "abstain": Data(f"<abstain>{escape(self.front.abstain)}</abstain>"),
            "passages": [_view(passage) for passage in passages],
            "today": today.isoformat(),
        }
        try:
            system, user = (self._templates[role].render(values).strip() for role in ("system", "user"))
        except TemplateError as error:
            raise Misconfigured(f"The prompt {self.ref} does not render: {error}.") from None
        turns = [Message(turn.role, escape(turn.content)) for turn in history]
        return [Message("system", system), *turns, Message("user", user)]


def load_prompt(folder: Path, name: str, label: str = "stable") -> PromptVersion:
    """Return the version that a label of a prompt names.

    Raises:
        PromptUnknown: No such prompt or label, or the version's file is missing.
        Misconfigured: A file is malformed, or a published version was edited.
    """
    path = folder / "labels.yaml"
    try:
        labels = yaml.safe_load(path.read_text(encoding="utf-8"))
        version = labels[name][label]
    except OSError:
        raise Misconfigured("CITEWELL_PROMPTS_DIR holds no labels.yaml.", detail=str(path)) from None
    except (yaml.YAMLError, KeyError, TypeError):
        raise PromptUnknown(f"labels.yaml names no version for the label `{label}` of the prompt `{name}`.") from None
    return load_version(folder, name, version)


def load_version(folder: Path, name: str, version: int) -> PromptVersion:
    """Return one version of a prompt, compared with prompts.lock.

    Raises:
        PromptUnknown: There is no such version.
        Misconfigured: The file is malformed, is not locked, or was edited after it was published.
    """
    path = f"{name}/v{version}.prompt.md"
    try:
        data = (folder / path).read_bytes()
    except OSError:
        raise PromptUnknown(f"There is no prompt {name}@{version}.", detail=path) from None
    digest = hashlib.sha256(data).hexdigest()
    locked = read_lock(folder).get(path)
    if locked != digest:
        how = "is not in prompts.lock" if locked is None else "was edited after it was published"
        raise Misconfigured(f"The prompt {name}@{version} {how}. A version never changes: make the edit a new version.")
    return parse_prompt(name, version, data.decode(), digest)


def parse_prompt(name: str, version: int, source: str, digest: str) -> PromptVersion:
    """Read a prompt file: front matter and the sections ``# system`` and ``# user``.

    Raises:
        Misconfigured: It is malformed; the message says where.
    """
    found = _FRONT.match(source)
    if not found:
        raise Misconfigured(f"The prompt {name}@{version} does not begin with front matter between two `---` lines.")
    try:
        front = FrontMatter.model_validate(yaml.safe_load(found[1]))
    except (yaml.YAMLError, ValidationError) as error:
        raise Misconfigured(f"The front matter of {name}@{version} is wrong: {error}") from None
    _, *parts = _SECTION.split(found[2])
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    if list(sections) != ["system", "user"]:
        raise Misconfigured(f"The prompt {name}@{version} needs the sections `# system` and `# user`, in this order.")
    prompt = PromptVersion(name, version, digest, front, sections)
    _lint(prompt)
    return prompt


def read_lock(folder: Path) -> dict[str, str]:
    """Return the sha256 of each published version by path; the file is one that ``sha256sum -c`` reads."""
    try:
        lines = (folder / "prompts.lock").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    return {path: digest for digest, _, path in (line.partition("  ") for line in lines)}


def _lint(prompt: PromptVersion) -> None:
    for variable in ("question", "abstain"):
        shown = sum(len(re.findall(rf"\{{\{{-?\s*{variable}\s*-?\}}\}}", source)) for source in prompt.sections.values())
        if shown != 1:
            raise Misconfigured(f"The prompt {prompt.ref} shows {{{{ {variable} }}}} {shown} times; it must once.")
    rendered = prompt.render("Which?", (), today=date(2026, 1, 1))
    if "<question>Which?</question>" not in "".join(message.content for message in rendered):
        raise Misconfigured(f"The prompt {prompt.ref} alters the question.")


def _view(passage: Passage) -> PassageView:
    chunk = passage.chunk
    heading = " > ".join(chunk.heading)
    title, heading, text = (Data(escape(markers.strip(value))) for value in (chunk.document.title, heading, chunk.text))
    return PassageView(passage.n, title, heading, text)
