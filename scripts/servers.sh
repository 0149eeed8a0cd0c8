#!/usr/bin/env bash
# Unpacks the mail server that tests and demo run, Dovecot 2.3 of Debian 12, into .servers/.
#
#   scripts/servers.sh [DIR]      default: .servers at the top of the project
#
# Nothing is installed and no service is started; root is not needed. Running it again is quick.
# Needs a Debian 12 with its package lists (apt-get, dpkg) and a way to the package mirror.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${1:-$top/.servers}
# Raise this when the way of unpacking changes: an older folder is then made anew.
recipe=1
stamp=$target/ready-$recipe

fail() {
    printf 'scripts/servers.sh: %s\n' "$*" >&2
    exit 1
}

if [ -e "$stamp" ]; then
    exit 0
fi

for tool in apt-get apt-cache dpkg dpkg-query ldd; do
    command -v "$tool" >/dev/null || fail "'$tool' is missing: the servers come from Debian packages; run this on Debian 12, for instance in a container of debian:bookworm"
done

mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$(dirname "$target")/.servers-new-XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir "$work/packages"
# Lets apt's own user write here, so that apt stays quiet when root calls.
chmod 777 "$work/packages"

known() {
    # Read whole first: with pipefail a grep that stops early would count as a failure.
    local policy
    policy=$(apt-cache policy dovecot-core 2>/dev/null)
    [[ $policy == *'Candidate: 1:2.3.'* ]]
}

if ! known; then
    if [ "$(id -u)" = 0 ]; then
        apt-get update -qq || true
    else
        # An ordinary user keeps lists of their own.
        mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
        export APT_CONFIG="$work/apt/apt.conf"
        printf 'Dir::State::Lists "%s";\nDir::Cache "%s";\n' "$work/apt/lists" "$work/apt/cache" >"$APT_CONFIG"
        apt-get update -qq || true
    fi
fi
known || fail "no package dovecot-core 2.3 is known here; on Debian 12 run 'apt-get update' as root and look at /etc/apt"

fetch() {
    (cd "$work/packages" && apt-get download -qq "$@" >"$work/apt.log" 2>&1) || {
        cat "$work/apt.log" >&2
        fail "could not download $*; check the way to the package mirror and run this again"
    }
}

unpack() {
    local package
    for package in "$work"/packages/*.deb; do
        dpkg -x "$package" "$work/root"
        rm -f "$package"
    done
}

libraries() {
    local paths
    paths=$(find "$work/root" -type d \( -name '*-linux-gnu*' -o -path '*/usr/lib' -o -path '*/usr/lib/dovecot' \) ! -path '*/share/*' -printf '%p:')
    printf '%s' "${paths%:}"
}

# What our services load; full-text search, Lua and the like are left out.
missing() {
    local program
    for program in usr/sbin/dovecot usr/bin/doveconf usr/lib/dovecot/{anvil,auth,config,imap,imap-login,log,stats} \
        usr/lib/dovecot/modules/libssl_iostream_openssl.so usr/lib/dovecot/modules/lib{10_quota,11_imap_quota}_plugin.so; do
        [ -e "$work/root/$program" ] || fail "the packages have no $program; is this Debian 12?"
        LD_LIBRARY_PATH=$(libraries) ldd "$work/root/$program"
        # A name without a version is a plugin that another one loads first.
    done | sed -n 's/^\s*\(\S*\.so\.[0-9.]*\) => not found.*/\1/p' | sort -u
}

fetch dovecot-core dovecot-imapd
unpack
if [ -n "$(missing)" ]; then
    # Packages do not say which library files they hold before they are there: take every library
    # package among the dependencies that the system lacks.
    mapfile -t wanted < <(
        apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
            --no-enhances dovecot-core dovecot-imapd |
            sed -n 's/^\(lib[a-z0-9.+-]*\)$/\1/p' | sort -u |
            while read -r package; do
                state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
                [ "$state" = installed ] && continue
                policy=$(apt-cache policy "$package")
                [[ $policy =~ Candidate:\ [0-9] ]] && printf '%s\n' "$package"
            done
    )
    [ "${#wanted[@]}" -gt 0 ] || fail "libraries are missing and no package has them: $(missing | tr '\n' ' ')"
    fetch "${wanted[@]}"
    unpack
    still=$(missing | tr '\n' ' ')
    [ -z "$still" ] || fail "libraries are still missing: $still"
fi

# Dovecot looks for its plugins under a path fixed when it was built. The copy looks below its
# working folder instead (same length, so that nothing in the file moves); scripts/dovecot.sh puts a
# link there. Without this there would be no TLS, short of installing the package.
while read -r library; do
    LC_ALL=C sed -i 's|/usr/lib/dovecot/modules|.//////////////./modules|g' "$library"
done < <(find "$work/root/usr" -type f \( -name 'libdovecot*.so*' -o -path '*/usr/lib/dovecot/*' -o -name doveconf -o -name dovecot \) -exec grep -l -F /usr/lib/dovecot/modules {} + || true)

libraries=$(libraries)
printf '%s' "${libraries//"$work/root"/@ROOT@}" >"$work/root/libraries"
rm -rf "$work/root/etc" "$work/root/usr/share" "$work/root/lib/systemd" "$work/root/var"
chmod -R go+rX "$work/root"
: >"$work/root/ready-$recipe"
# Two callers at once: the first one wins, and both are the same.
rm -rf "$target"
mv -T "$work/root" "$target" 2>/dev/null || [ -e "$stamp" ] || fail "could not write $target"
printf 'scripts/servers.sh: Dovecot is in %s\n' "$target" >&2
