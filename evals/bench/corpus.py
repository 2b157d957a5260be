"""Python's own documentation strings -> a corpus and thousands of different questions, the same on any machine with this Python."""

import ast
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "__pycache__"}
_RULER = re.compile(r"^\W{5,}$", re.MULTILINE)
"""A line of dashes is one word piece a character: it would measure nothing but itself."""
_LEAST_WORDS = 12
_ASKED = (
    "What does {name} do, and when is it used?",
    "{first}: which function or class of {module} is meant by that?",
    "How do I use {name} from the module {module}?",
    "In {module}, what has to be known about {last} before calling it?",
    "What is said about {name}: {first}?",
)
_QUESTION_WORDS = 40


@dataclass(frozen=True, slots=True)
class Described:
    """Something with a documentation string."""

    module: str
    name: str
    text: str


def described() -> list[Described]:
    """Return everything in the standard library that says enough about itself, in the order of the files."""
    library = Path(sysconfig.get_paths()["stdlib"])
    found: list[Described] = []
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).with_suffix("").parts
        if not _LEFT_OUT & set(parts):
            module = ".".join(part for part in parts if part != "__init__")
            try:
                tree = ast.parse(path.read_bytes())
            except (SyntaxError, ValueError):
                continue  # a template or a test file in an odd encoding
            found += _of(tree, module, module)
    return found


def _of(node: ast.AST, module: str, name: str) -> Iterator[Described]:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        text = _RULER.sub("", ast.get_docstring(node) or "")
        if len(text.split()) >= _LEAST_WORDS:
            yield Described(module, name, text)
    for child in ast.iter_child_nodes(node):
        inner = getattr(child, "name", "")
        yield from _of(child, module, f"{name}.{inner}" if isinstance(inner, str) and inner else name)


def write(folder: Path, items: list[Described], *, chars: int | None = None) -> int:
    """Write one page a module, each item under a heading, until ``chars`` are written; return how many pages."""
    folder.mkdir(parents=True, exist_ok=True)
    pages: dict[str, list[str]] = {}
    for item in items:
        pages.setdefault(item.module, []).append(f"## {item.name}\n\n{item.text}\n")
    written = 0
    for number, (module, parts) in enumerate(pages.items()):
        if chars is not None and written >= chars:
            return number
        page = f"# {module}\n\n" + "\n".join(parts)
        (folder / f"{module}.md").write_text(page, encoding="utf-8")
        written += len(page)
    return len(pages)


def questions(items: list[Described]) -> list[str]:
    """Return questions that are all different, of about 20 word pieces, so that no cache can answer one from another."""
    asked: dict[str, None] = {}
    for form in _ASKED:
        for item in items:
            first = re.split(r"(?<=[.!?:])\s|\n\n", item.text)[0].rstrip(".:")
            text = form.format(
                name=item.name, module=item.module, last=item.name.rpartition(".")[2], first=" ".join(first.split())
            )
            asked[" ".join(text.split()[:_QUESTION_WORDS])] = None
    return list(asked)
