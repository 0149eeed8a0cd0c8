#!/usr/bin/env bash
# Runs every check of the project: form, lints, documents, all tests, and as root the integration tests that
# differ by user once more as an ordinary one. Works without a terminal, on a fresh Debian 12 with Rust and a
# C compiler. Ends with what `cargo test` says.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

step() {
    printf '\n== %s\n' "$*"
}

for tool in cargo cc; do
    command -v "$tool" >/dev/null || {
        printf 'scripts/test.sh: %s is missing; install Rust 1.95 (https://rustup.rs) and gcc\n' "$tool" >&2
        exit 1
    }
done
# util-linux and coreutils are there on any Debian; said early rather than by a test that fails.
command -v setpriv >/dev/null && command -v setsid >/dev/null || {
    printf 'scripts/test.sh: setpriv and setsid are missing; install util-linux\n' >&2
    exit 1
}

step "servers"
bash scripts/servers.sh

step "scripts"
for script in scripts/*.sh .ci/run; do
    bash -n "$script"
done

step "cargo fmt"
cargo fmt --check

step "cargo clippy"
cargo clippy --locked --all-targets --all-features -- -D warnings

step "cargo doc"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

# The tests of what differs by user: servers, modes of secret files, locks, paths. They run from a
# copy, because the project may lie where only root can read. The longest of those that are the same for every
# user are left to root's turn.
alike=(apply:: drip:: faults:: planning_memory:: real::bulk:: trust::)
as_nobody() {
    local program tests copy
    cargo build --locked
    tests=$(cargo test --locked --no-run --test it --message-format=json 2>/dev/null |
        sed -n 's/.*"name":"it".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    program=$(cargo metadata --locked --no-deps --format-version=1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/debug/mailferry
    [ -x "$tests" ] && [ -x "$program" ] || {
        printf 'scripts/test.sh: no test program was built\n' >&2
        return 1
    }
    copy=$(mktemp -d /tmp/mailferry-test-XXXXXX)
    # shellcheck disable=SC2064
    trap "rm -rf '$copy'" EXIT
    mkdir "$copy/project" "$copy/home"
    for part in src tests benches scripts schemas examples docs .ci .servers .cargo ./*.md ./*.toml Cargo.lock; do
        [ -e "$part" ] && cp -a "$part" "$copy/project/"
    done
    cp "$tests" "$copy/it"
    cp "$program" "$copy/mailferry"
    chown -R nobody: "$copy"
    chmod -R u+rwX,go+rX "$copy"
    (
        cd "$copy/project"
        env -u CARGO_HOME -u RUSTUP_HOME HOME="$copy/home" TMPDIR="$copy/home" XDG_STATE_HOME= XDG_CONFIG_HOME= XDG_RUNTIME_DIR= \
            MAILFERRY_TEST_PROJECT="$copy/project" MAILFERRY_TEST_PROGRAM="$copy/mailferry" \
            INSTA_WORKSPACE_ROOT="$copy/project" INSTA_UPDATE=no \
            setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups "$copy/it" "${alike[@]/#/--skip=}"
    )
    rm -rf "$copy"
    trap - EXIT
}

if [ "$(id -u)" = 0 ]; then
    step "integration tests as nobody"
    as_nobody
fi

step "cargo test"
cargo test --locked
