"""``make soak``: a random seed, some minutes; exits 1 on the first difference."""

import argparse
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from app.core.embed import ensure_onnx, find_embedder
from tests.soak.run import Difference, Soak


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=None, help="a random one, which is printed, when not given")
    parser.add_argument("--workers", type=int, default=2, help="processes that serve")
    args = parser.parse_args()
    seed = secrets.randbelow(10**6) if args.seed is None else args.seed
    exported = Path(tempfile.gettempdir()) / f"citewell-test-cache-{os.getuid()}"
    ensure_onnx(find_embedder("minilm"), exported)
    folder = Path(tempfile.mkdtemp(prefix="citewell-soak-"))
    sys.stdout.write(f"Soaking for {args.minutes:g} minutes with seed {seed} in {folder}\n")
    soak = Soak(folder, exported, seed=seed, out=sys.stdout, workers=args.workers)
    try:
        soak.run(seconds=args.minutes * 60)
    except Difference as difference:
        sys.stdout.write(f"\nDIFFERENCE\n{difference}\n\n{soak.summary()}\n\nEverything lies in {folder}.\n")
        return 1
    sys.stdout.write(f"\n{soak.summary()}\n")
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
