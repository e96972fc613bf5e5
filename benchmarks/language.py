"""Count what makes the source hard to read: banned words, untyped records, packed parameters, names defined twice.

python benchmarks/language.py            this checkout
python benchmarks/language.py DIRECTORY  another checkout, for a comparison
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

WORDS = {
    "people, person": r"people|persons?",
    "somebody, nobody, everybody": r"somebody|nobody|everybody",
    "knob": r"knobs?",
    "said, says, told, heard": r"said|says|told|heard|unheard",
    "learnt, took, asked": r"learnt|took|asked",
    "stands, settle, zoo, stranger": r"stands|settled?|zoo|strangers?",
}


def sources(root: Path) -> dict[Path, str]:
    return {path: path.read_text(encoding="utf-8") for path in sorted((root / "src" / "matinee").rglob("*.py"))}


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def is_kernel(function: ast.FunctionDef) -> bool:
    return any("kernel" in ast.unparse(one) for one in function.decorator_list)


def packed(function: ast.FunctionDef) -> int:
    """Parameters that are tuples of unlike types, such as `tuple[Plan, Goal, Context]`."""
    count = 0
    for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs):
        kind = one.annotation
        if isinstance(kind, ast.Subscript) and ast.unparse(kind.value) in ("tuple", "Tuple"):
            parts = kind.slice.elts if isinstance(kind.slice, ast.Tuple) else [kind.slice]
            count += len({ast.unparse(part) for part in parts if ast.unparse(part) != "..."}) > 1
    return count


def string_keyed(tree: ast.Module) -> int:
    """Reads such as `run.said["metrics"]` or `said["mean"]`: a record that no type describes."""
    count = 0
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and isinstance(node.slice.value, str)
        ):
            owner = node.value
            while isinstance(owner, ast.Subscript):
                owner = owner.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            count += name in ("said", "record")
    return count


def defined_twice(trees: dict[Path, ast.Module], package: Path) -> list[str]:
    """Public functions and classes that two packages define; commands name the function they run."""
    homes: dict[str, set[str]] = defaultdict(set)
    for path, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].add(str(path.relative_to(package)))
    one_per_kind = {"models", "rules", "choosers", "weight_searches", "gates", "readers", "cli", "split", "metrics"}

    def family(place: str) -> str:
        return next((part for part in Path(place).parts[:-1] if part in one_per_kind), place)

    places = {name: {family(place) for place in files} - {"cli"} for name, files in homes.items()}
    return sorted(name for name, families in places.items() if len(families) > 1)


def main() -> None:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent
    texts = sources(root)
    trees = {path: ast.parse(text) for path, text in texts.items()}
    everything = "\n".join(texts.values())
    words = Counter(
        {name: len(re.findall(rf"\b(?:{rule})\b", everything, re.IGNORECASE)) for name, rule in WORDS.items()}
    )
    for name, count in words.items():
        print(f"{count:6d}  {name}")
    print(f"{sum(words.values()):6d}  banned words in all")
    print(f"{sum(map(string_keyed, trees.values())):6d}  string-keyed reads of run records")
    tuples = sum(packed(one) for tree in trees.values() for one in functions(tree) if not is_kernel(one))
    print(f"{tuples:6d}  packed parameters of functions that are no kernels")
    twice = defined_twice(trees, root / "src" / "matinee")
    print(f"{len(twice):6d}  public names defined in two modules: {', '.join(twice)}")


if __name__ == "__main__":
    main()
