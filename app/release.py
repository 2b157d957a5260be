"""Everything that decides an answer -> one id."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import rfc8785

from app import expand, guard, pack, prompt, retrieve, verify
from app.core import sentences
from app.core.config import Settings
from app.core.snapshot import Snapshot
from app.model.gateway import Parameters, Route
from app.prompt import PromptVersion


@dataclass(frozen=True, slots=True)
class Release:
    """The hash of its body, and the few parts that answers show."""

    id: str
    body: str
    """Canonical JSON (RFC 8785)."""
    prompt: str
    snapshot: str
    model: str

    def shown(self, arm: str) -> dict[str, str]:
        """Return it as an answer shows it."""
        return {"id": self.id, "arm": arm, "prompt": self.prompt, "snapshot": self.snapshot, "model": self.model}


def compute(
    settings: Settings,
    snapshot: Snapshot,
    template: PromptVersion,
    route: Route,
    parameters: Parameters,
    reranker: Mapping[str, object] | None = None,
    dense: Mapping[str, object] | None = None,
) -> Release:
    """Return the release that these parts make.

    Prices, keys, base URLs and time limits are left out: they do not decide an answer.
    """
    content: dict[str, Any] = {
        "format": 1,
        "collection": snapshot.collection,
        "snapshot": snapshot.snapshot_id,
        "embedder": dict(snapshot.manifest["embedder"]),
        "retrieve": {
            "identity": retrieve.IDENTITY,
            **settings.retrieve.model_dump(exclude={"reranker"}),  # where it lies decides nothing; what it is does
            "reranker": dict(reranker) if reranker else None,
            **({"dense": dict(dense)} if dense else {}),
        },
        "pack": {"identity": [pack.IDENTITY, expand.IDENTITY], **settings.pack.model_dump(), "budget": template.front.budget},
        "prompt": {"ref": template.ref, "sha256": template.sha256, "renderer": prompt.RENDERER},
        "model": {"name": route.name, "weights": route.weights, "parameters": asdict(parameters)},
        "segmenter": sentences.IDENTITY,
        "verifier": verify.identity(),
        "guard": guard.POLICY,
    }
    canonical = rfc8785.dumps(content)
    return Release(
        id="rel_" + hashlib.sha256(canonical).hexdigest()[:16],
        body=canonical.decode(),
        prompt=template.ref,
        snapshot=snapshot.snapshot_id,
        model=route.name,
    )
