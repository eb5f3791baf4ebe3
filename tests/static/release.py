"""Runs the release script with empty binaries, and checks the result.

What must stay true: the folder matches its own checksums. Its template is valid and names archives beside it, each with
one executable `bootstrap`, and nothing in it points outside. The script itself checks that the bill of materials is
valid CycloneDX.
"""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
own = Path(sys.argv[1]).resolve()
sam = Path(sys.executable).with_name("sam")
names = sorted(set(re.findall(r"CodeUri: target/lambda/([a-z-]+)/", (ROOT / "template.yaml").read_text())))
assert len(names) >= 10, names

binaries, made = own / "binaries", own / "made"
binaries.mkdir(parents=True, exist_ok=True)
for name in names:
    (binaries / name).write_text(f"#!/bin/sh\necho {name}\n")
script = [ROOT / "release/build.sh", "--arch", "x86_64", "--built", binaries, "--out", made]
subprocess.run(script, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=made, check=True)
folder = made / "x86_64"
listed = {line.split("  ", 1)[1] for line in (made / "SHA256SUMS").read_text().splitlines()}
there = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()} - {"SHA256SUMS"}
assert listed == there, listed ^ there

template = (folder / "template.yaml").read_text()
archives = re.findall(r"CodeUri: (\S+)", template)
assert sorted(set(archives)) == [f"{name}.zip" for name in names], archives
for name in names:
    with zipfile.ZipFile(folder / f"{name}.zip") as archive:
        (entry,) = archive.infolist()
        assert (entry.filename, entry.external_attr >> 16) == ("bootstrap", 0o100755), entry
        assert archive.read(entry).decode().endswith(f"echo {name}\n")
for uri in re.findall(r"DefinitionUri: (\S+)", template):
    assert (folder / uri).is_file(), uri
assert re.search(r"\n  Architecture:\n(?:    .*\n)*?    Default: x86_64\n", template)
for path in folder.iterdir():
    if path.suffix in {".yaml", ".json", ".txt", ".toml"}:
        assert str(ROOT) not in path.read_text(), path
licences = (folder / "LICENSES.txt").read_text().splitlines()
assert any(line.startswith("lambda_runtime ") for line in licences)
unnamed = [line for line in licences if line.endswith(": ")]
assert not unnamed, unnamed
validate = [sam, "validate", "--lint", "--language-extensions", "--template-file", folder / "template.yaml"]
subprocess.run(validate, check=True, stdout=subprocess.DEVNULL, env=os.environ)
print(f"release: {len(names)} archives, {len(licences)} licences")
