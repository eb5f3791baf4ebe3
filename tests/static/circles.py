"""No files of a crate import each other in a circle.

What must stay true: whoever reads a file can first read what it depends on. A file imports another file if it names an
item of that file outside of its tests, by `use` or by a path. Declaring a module is no import. Neither is re-exporting
a name that the file does not use itself (`pub use`): whoever imports that name imports the file that defines it. Cargo
itself refuses circles of crates.

The modules of a crate are found as the compiler finds them, from `lib.rs`, `main.rs` and `bin/`. The files are read as
text, and macros are not expanded. At the end, a few made-up crates show what the check finds and what it allows.
"""

import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A string may hold something like a comment and the other way round, so both are read in one pass.
COMMENT_OR_TEXT = re.compile(r"""//[^\n]*|/\*.*?\*/|\bb?r(#*)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\[^']+|[^'\\])'""", re.S)
OF_TESTS = re.compile(r"#\[cfg\((?:test\)|all\(test,)[^\n]*\]")
# A visibility is no import.
VISIBLE = re.compile(r"\bpub\((?:crate|super|self|in [\w:]+)\)")
DECLARED = re.compile(r"\bmod (\w+);")
USE = re.compile(r"(\bpub )?\buse ([^;]+);")
PATH = re.compile(r"\b((?:crate|self|super)(?:::\w+)+)")


def code(text):
    """A file without its comments, strings, and code that is compiled only for tests."""
    text = VISIBLE.sub("pub", COMMENT_OR_TEXT.sub("", text))
    while found := OF_TESTS.search(text):
        text = text[: found.start()] + text[end_of_item(text, found.end()) :]
    return text


def end_of_item(text, start):
    depth = 0
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0 and text[at] in "};":
            return at + 1
    return len(text)


def leaves(tree):
    """The paths that a `use` names, each as [step], with the name that the file uses for it."""
    head, brace, rest = tree.strip().partition("{")
    if not brace:
        path, _, name = head.partition(" as ")
        steps = [step for step in path.strip().split("::") if step != "self" or path.startswith("self")]
        return [(steps, name.strip() or steps[-1])]
    found, part, depth = [], "", 0
    for letter in rest.rpartition("}")[0] + ",":
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter != "," or depth:
            part += letter
            continue
        for steps, name in leaves(part) if part.strip() else []:
            before = [step for step in head.strip().split("::") if step]
            found.append((before + (steps if steps != ["self"] else []), name if name != "self" else before[-1]))
        part = ""
    return found


class File:
    """A file of a crate: its module, the modules that it declares, and the names that it uses."""

    def __init__(self, path, module):
        self.path, self.module = path, module
        text = code(path.read_text())
        self.children = DECLARED.findall(text)
        uses = [(bool(public), *leaf) for public, tree in USE.findall(text) for leaf in leaves(tree)]
        own = DECLARED.sub("", USE.sub("", text))
        # The names that it re-exports, and those that it uses itself.
        self.handed_on = {name: steps for public, steps, name in uses if public}
        self.named = [steps for public, steps, name in uses if not public or re.search(rf"(?<![.\w]){name}\b", own)]
        paths = PATH.findall(own)
        for child in self.children:
            paths += re.findall(rf"(?<!:)\b({child}(?:::\w+)+)", own)
        self.named += [path.split("::") for path in paths]

    def beneath(self):
        """The folder of the modules that it declares."""
        is_root = self.path.name in ("lib.rs", "main.rs", "mod.rs") or self.path.parent.name == "bin"
        return self.path.parent if is_root else self.path.with_suffix("")


def crate(root):
    """The files of the crate with this root, by module."""
    files, left = {}, [(root, ())]
    while left:
        path, module = left.pop()
        files[module] = File(path, module)
        for child in files[module].children:
            folder = files[module].beneath()
            there = [file for file in (folder / f"{child}.rs", folder / child / "mod.rs") if file.exists()]
            if not there:
                raise SystemExit(f"circles: {path} declares {child}, which is no file")
            left.append((there[0], (*module, child)))
    return files


def absolute(file, steps):
    """A path from the root of its crate, or None if it leads to another crate."""
    first, *rest = steps
    if first in file.children:
        return (*file.module, *steps)
    if first == "crate":
        return tuple(rest)
    if first == "self":
        return (*file.module, *rest)
    if first == "super":
        base = file.module[:-1]
        while rest and rest[0] == "super":
            base, rest = base[:-1], rest[1:]
        return (*base, *rest)
    return None


def where(files, path, seen=()):
    """The file that a path leads to: the module of its longest prefix, and from there through re-exports."""
    module = next(path[:length] for length in range(len(path), -1, -1) if path[:length] in files)
    rest = path[len(module) :]
    if rest and rest[0] in files[module].handed_on and (module, rest[0]) not in seen:
        further = absolute(files[module], files[module].handed_on[rest[0]])
        if further is not None:
            return where(files, (*further, *rest[1:]), (*seen, (module, rest[0])))
    return module


def imports(files):
    """{module: the modules of the files that it imports}"""
    found = {}
    for module, file in files.items():
        paths = [path for steps in file.named if (path := absolute(file, steps)) is not None]
        found[module] = {where(files, path) for path in paths} - {module}
    return found


def circles(arrows):
    """The groups of modules that import each other: Tarjan's strongly connected components."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(arrows[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(group)

    for node in arrows:
        if node not in index:
            visit(node)
    return found


def problems(root, base):
    """A line for each circle of the crate with this root."""
    files = crate(root)
    arrows = imports(files)
    for group in circles(arrows):
        lines = [
            f"{files[one].path.relative_to(base)} -> {files[other].path.relative_to(base)}"
            for one in sorted(group)
            for other in sorted(arrows[one] & set(group))
        ]
        yield "a circle: " + "; ".join(lines)


def roots(base):
    for manifest in sorted(base.rglob("Cargo.toml")):
        source = manifest.parent / "src"
        if "target" not in manifest.relative_to(base).parts:
            yield from (file for file in (source / "lib.rs", source / "main.rs") if file.exists())
            yield from sorted([*source.glob("bin/*.rs"), *source.glob("bin/*/main.rs")])


# A made-up crate, and whether the check must find a circle in it.
MADE_UP = [
    ({"lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B;", "b.rs": "pub struct B;"}, False),
    ({"lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B;", "b.rs": "fn f() { crate::a::g() }"}, True),
    ({"lib.rs": "mod a; mod b; mod c;", "a.rs": "use crate::{b::{self, B}};", "b.rs": "use super::c;", "c.rs": "use super::a::A;"}, True),
    ({"lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B;", "b.rs": "#[cfg(test)]\nmod tests { use crate::a::A; }"}, False),
    ({"lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B;", "b.rs": '// crate::a\nconst A: &str = "crate::a::A";'}, False),
    # A parent that re-exports an item of its child is no circle. A parent that uses the item is one.
    ({"lib.rs": "mod a;", "a.rs": "mod b; mod c; pub use self::b::B;", "a/b.rs": "pub struct B;", "a/c.rs": "use super::B;"}, False),
    ({"lib.rs": "mod a;", "a.rs": "mod b; use self::b::B;\npub struct A(B);", "a/b.rs": "use super::A;"}, True),
    ({"lib.rs": "mod a; fn f() { a::g() }", "a.rs": "use crate::f;"}, True),
    ({"lib.rs": "mod a; mod b; pub use a::A;", "a.rs": "use crate::b::B;", "b.rs": "use crate::A;"}, True),
]


def main():
    failed = number = 0
    for files, is_circle in MADE_UP:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = Path(folder) / name
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
            found = list(problems(Path(folder) / "lib.rs", Path(folder)))
        if bool(found) != is_circle:
            print(f"FAILED of {files} it finds {found}")
            failed += 1
    for root in roots(ROOT):
        number += 1
        for problem in problems(root, ROOT):
            print(f"FAILED {problem}")
            failed += 1
    print(f"circles: {number} crates, {failed} problems")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
