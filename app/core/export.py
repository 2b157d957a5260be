"""A sentence-transformers model -> one ONNX file, checked against torch. Run as a process of its own: it imports torch."""

import os
import sys
import warnings
from pathlib import Path

SAMPLES = ["", "x", "How long are audit logs kept?", "Logs are kept for 365 days. " * 60, "Größe 😀 数据 " * 5]


def export(folder: Path, target: Path) -> None:
    """Write ``target`` whole or not at all.

    The graph is the model's own pipeline (encoder, pooling, normalising), so that it holds for any of them.

    Raises:
        ValueError: The exported model differs from torch by more than 1e-5 somewhere.
    """
    import numpy as np

    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # it reports to its maker unless told not to, before its import
    import onnxruntime
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu").eval()

    class Pipeline(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.model({"input_ids": input_ids, "attention_mask": attention_mask})["sentence_embedding"]
            return out

    features = model.tokenize(SAMPLES[1:3])
    example = (features["input_ids"], features["attention_mask"])
    axes = {0: "batch", 1: "pieces"}
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(f".{os.getpid()}.tmp")
    try:
        torch.onnx.export(
            Pipeline().eval(),
            example,
            str(draft),
            dynamo=False,  # one file in 1.3 s; the newer exporter takes 8 s and writes two
            opset_version=17,
            input_names=["input_ids", "attention_mask"],
            output_names=["embedding"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "embedding": {0: "batch"}},
        )
        session = onnxruntime.InferenceSession(str(draft), providers=["CPUExecutionProvider"])
        for text in SAMPLES:
            tokens = model.tokenize([text])
            inputs = {name: tokens[name].numpy() for name in ("input_ids", "attention_mask")}
            (found,) = session.run(["embedding"], inputs)
            wanted = model.encode([text], convert_to_numpy=True)
            if not np.allclose(found, wanted, atol=1e-5):
                raise ValueError(f"the exported model differs from torch by {float(np.abs(found - wanted).max())}")
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    export(Path(sys.argv[1]), Path(sys.argv[2]))
