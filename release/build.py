"""Makes a release: the functions' archives, the template that names them, a bill of materials, licences, checksums.

What must stay true: the same commit gives the same template, definitions, bill and licences, and archives that differ only
where the compiler does; nothing in the folder points out of it, so that it is deployed by `sam deploy` alone; the bill is
valid CycloneDX by the schema that CycloneDX publishes.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[1]
TARGETS = {"arm64": "aarch64-unknown-linux-gnu", "x86_64": "x86_64-unknown-linux-gnu"}
# Of every function, by their manifests.
PACKAGES = [re.search(r'^name = "(.+)"$', path.read_text(), re.M)[1] for path in sorted(ROOT.glob("functions/*/Cargo.toml"))]
CODE = re.compile(r"CodeUri: target/lambda/([a-z-]+)/")


def run(*command, **options):
    done = subprocess.run(command, cwd=ROOT, check=False, **options)
    if done.returncode:
        raise SystemExit(f"release: {' '.join(command[:3])} … failed with {done.returncode}")
    return done.stdout


def build(arch, target):
    """Compiles every function with the release profile, for Amazon Linux 2023's C library."""
    run("cargo", "lambda", "build", "--release", "--locked", "--target", target + ".2.34", "--lambda-dir", f"target/lambda-{arch}",
        *[word for package in PACKAGES for word in ("-p", package)])
    return ROOT / f"target/lambda-{arch}"


def archive(binary, path):
    """One executable `bootstrap`, with a time that says nothing."""
    entry = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o100755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(entry, binary.read_bytes(), compresslevel=9)


def dependencies(target):
    """The packages that the functions are linked of, as cargo resolves them."""
    tree = ["cargo", "tree", "--locked", "--edges", "normal", "--target", target, "--prefix", "none", "--format", "{p}|{l}"]
    lines = run(*tree, *[word for package in PACKAGES for word in ("-p", package)], stdout=subprocess.PIPE, text=True)
    found = set()
    for line in filter(None, lines.splitlines()):
        described, _, licence = line.partition("|")
        name, version, *rest = described.split()
        # Those of this repository have their folder beside the version; macros run while it is compiled.
        if not any(word.startswith("(/") for word in rest) and "(proc-macro)" not in rest:
            found.add((name, version.removeprefix("v"), licence.replace(" (*)", "").strip()))
    return sorted(found)


def checksums():
    """SHA-256 of each package, as Cargo.lock has it."""
    text = (ROOT / "Cargo.lock").read_text()
    entry = re.compile(r'name = "([^"]+)"\nversion = "([^"]+)"\nsource = "[^"]+"\nchecksum = "([0-9a-f]{64})"')
    return {(name, version): checksum for name, version, checksum in entry.findall(text)}


def bill(packages, version):
    known = checksums()
    components = []
    for name, number, licence in packages:
        component = {
            "type": "library",
            "bom-ref": f"pkg:cargo/{name}@{number}",
            "name": name,
            "version": number,
            "purl": f"pkg:cargo/{name}@{number}",
        }
        if licence:
            component["licenses"] = [{"expression": licence.replace("/", " OR ")}]
        if checksum := known.get((name, number)):
            component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        components.append(component)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": "landfall", "name": "landfall", "version": version}},
        "components": components,
    }


def main():
    parser = argparse.ArgumentParser(prog="release/build.sh", description=__doc__.splitlines()[0])
    parser.add_argument("--arch", action="append", choices=TARGETS, help="may be given twice; both unless given")
    parser.add_argument("--out", type=Path, default=ROOT / "target/landfall/release")
    parser.add_argument("--built", type=Path, help="a folder of binaries that were built already, for a single --arch")
    arguments = parser.parse_args()
    archs = arguments.arch or list(TARGETS)
    if arguments.built and len(archs) != 1:
        parser.error("--built needs a single --arch")
    manifest = (ROOT / "Cargo.toml").read_text()
    version = re.search(r'^version = "([^"]+)"', manifest, re.M)[1]

    template = (ROOT / "template.yaml").read_text()
    names = CODE.findall(template)
    shutil.rmtree(arguments.out, ignore_errors=True)
    for arch in archs:
        folder = arguments.out / arch
        folder.mkdir(parents=True)
        built = arguments.built or build(arch, TARGETS[arch])
        for name in names:
            binary = built / name
            archive(binary / "bootstrap" if binary.is_dir() else binary, folder / f"{name}.zip")
        default = re.compile(r"(\n  Architecture:\n(?:    .*\n)*?    Default: )\S+")
        of_arch, found = default.subn(rf"\g<1>{arch}", CODE.sub(r"CodeUri: \1.zip", template))
        if found != 1:
            raise SystemExit("release: the template has no parameter Architecture")
        (folder / "template.yaml").write_text(of_arch)
        shutil.copytree(ROOT / "statemachine", folder / "statemachine")
        shutil.copy(ROOT / "samconfig.example.toml", folder)
        shutil.copy(ROOT / "LICENSE", folder)
        packages = dependencies(TARGETS[arch])
        text = json.dumps(bill(packages, version), indent=1, ensure_ascii=False) + "\n"
        if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
            raise SystemExit(f"release: the bill of materials is wrong: {error}")
        (folder / "bom.cdx.json").write_text(text)
        (folder / "LICENSES.txt").write_text("".join(f"{name} {number}: {licence}\n" for name, number, licence in packages))

    files = sorted(path for path in arguments.out.rglob("*") if path.is_file())
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(arguments.out)}\n" for path in files]
    (arguments.out / "SHA256SUMS").write_text("".join(sums))
    for arch in archs:
        for path in sorted((arguments.out / arch).glob("*.zip")):
            print(f"{path.stat().st_size / 1e6:6.2f} MB  {path.relative_to(arguments.out)}")
    print(f"release: {arguments.out}")


if __name__ == "__main__":
    sys.exit(main())
