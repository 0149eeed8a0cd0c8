#!/usr/bin/env bash
# Unpacks the tool that scripts/bench.sh compares with, mbsync of Debian's package isync.
#
#   scripts/peers.sh [DIR]      default: .servers at the top of the project; it comes into DIR/isync
#
# Nothing is installed; root is not needed. Running it again is quick. Needs what scripts/servers.sh
# needs, and goes by the same package lists.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
servers=${1:-$top/.servers}
# Raise this when the way of unpacking changes: an older folder is then made anew.
recipe=1

fail() {
    printf 'scripts/peers.sh: %s\n' "$*" >&2
    exit 1
}

mkdir -p "$servers" || fail "could not make $servers"
target=$(cd "$servers" && pwd)/isync
stamp=$target/ready-$recipe

if [ -e "$stamp" ]; then
    exit 0
fi

for tool in apt-get apt-cache dpkg dpkg-query ldd; do
    command -v "$tool" >/dev/null || fail "'$tool' is missing: mbsync comes from a Debian package; run this on Debian 12"
done

work=$(mktemp -d "$(dirname "$target")/.isync-new-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkdir "$work/packages"
# Lets apt's own user write here, so that apt stays quiet when root calls.
chmod 755 "$work"
chmod 777 "$work/packages"

known() {
    # Read whole first: with pipefail a grep that stops early would count as a failure.
    local policy
    policy=$(apt-cache policy isync 2>/dev/null)
    [[ $policy =~ Candidate:\ [0-9] ]]
}

if ! known && [ "$(id -u)" != 0 ]; then
    # An ordinary user keeps lists of their own.
    mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
    export APT_CONFIG="$work/apt/apt.conf"
    printf 'Dir::State::Lists "%s";\nDir::Cache "%s";\n' "$work/apt/lists" "$work/apt/cache" >"$APT_CONFIG"
fi
known || apt-get update -qq || true
known || fail "no package isync is known here; on Debian 12 run 'apt-get update' as root and look at /etc/apt"

# fetch PACKAGE...: downloads and unpacks.
fetch() {
    local package
    (cd "$work/packages" && apt-get download -qq "$@" >"$work/apt.log" 2>&1) || {
        cat "$work/apt.log" >&2
        fail "could not download $*; check the way to the package mirror and run this again"
    }
    for package in "$work"/packages/*.deb; do
        dpkg -x "$package" "$work/root"
        rm -f "$package"
    done
}

# Folders with libraries, below @ROOT@.
libraries() {
    find "$work/root" -name '*.so*' -printf '@ROOT@/%P\n' | sed 's|/[^/]*$||' | sort -u | paste -s -d :
}

missing() {
    local found
    found=$(libraries)
    LD_LIBRARY_PATH=${found//@ROOT@/$work/root} ldd "$work/root/usr/bin/mbsync" |
        sed -n 's/^\s*\(\S*\) => not found.*/\1/p'
}

fetch isync
[ -x "$work/root/usr/bin/mbsync" ] || fail "the package has no usr/bin/mbsync; is this Debian 12?"
if [ -n "$(missing)" ]; then
    # Every library package that it names and the system lacks.
    mapfile -t wanted < <(
        apt-cache depends --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances isync |
            sed -n 's/^ *Depends: \(lib[a-z0-9.+-]*\)$/\1/p' | sort -u |
            while read -r package; do
                state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
                [ "$state" = installed ] || printf '%s\n' "$package"
            done
    )
    [ "${#wanted[@]}" -gt 0 ] || fail "libraries are missing and no package has them: $(missing | tr '\n' ' ')"
    fetch "${wanted[@]}"
    still=$(missing | tr '\n' ' ')
    [ -z "$still" ] || fail "libraries are still missing: $still"
fi

libraries >"$work/root/libraries"
rm -rf "$work/root/usr/share" "$work/root/etc"
chmod -R go+rX "$work/root"
: >"$work/root/ready-$recipe"
# Two callers at once: the first one wins, and both are the same.
rm -rf "$target"
mv -T "$work/root" "$target" 2>/dev/null || [ -e "$stamp" ] || fail "could not write $target"
printf 'scripts/peers.sh: mbsync is in %s\n' "$target" >&2
