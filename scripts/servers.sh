#!/usr/bin/env bash
# Unpacks the mail servers that tests and demo run into .servers/: Dovecot 2.3 at its top, Cyrus 3.6
# and Courier 5.0 in folders of their own, all of Debian 12.
#
#   scripts/servers.sh [DIR]      default: .servers at the top of the project
#
# Nothing is installed and no service is started; root is not needed. Running it again is quick.
# Needs a Debian 12 with its package lists (apt-get, dpkg), a way to the package mirror and a C compiler.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${1:-$top/.servers}
# Raise this when the way of unpacking changes: an older folder is then made anew.
recipe=2
stamp=$target/ready-$recipe

fail() {
    printf 'scripts/servers.sh: %s\n' "$*" >&2
    exit 1
}

if [ -e "$stamp" ]; then
    exit 0
fi

for tool in apt-get apt-cache dpkg dpkg-query ldd cc; do
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

# Unpacks what was fetched into a folder.
unpack() { # ROOT
    local package
    for package in "$work"/packages/*.deb; do
        dpkg -x "$package" "$1"
        rm -f "$package"
    done
}

# Where the libraries of a server lie.
libraries() { # ROOT
    local paths
    paths=$(find "$1" -type d \( -name '*-linux-gnu*' -o -path '*/usr/lib' -o -path '*/usr/lib/dovecot' \) ! -path '*/share/*' -printf '%p:')
    printf '%s' "${paths%:}"
}

# The libraries that none of the programs finds.
missing() { # ROOT PROGRAM...
    local root=$1 program
    shift
    for program in "$@"; do
        [ -e "$root/$program" ] || fail "the packages have no $program; is this Debian 12?"
        LD_LIBRARY_PATH=$(libraries "$root") ldd "$root/$program"
        # A name without a version is a plugin that another one loads first.
    done | sed -n 's/^\s*\(\S*\.so\.[0-9.]*\) => not found.*/\1/p' | sort -u
}

installed() { # PACKAGE
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

# Library packages that the system lacks are unpacked as well.
complete() { # ROOT PACKAGE... -- PROGRAM...
    local root=$1 package still wanted=()
    shift
    while [ "$1" != -- ]; do
        installed "$1" || wanted+=("$1")
        shift
    done
    shift
    if [ -n "$(missing "$root" "$@")" ]; then
        [ "${#wanted[@]}" -gt 0 ] || fail "libraries are missing and no package has them: $(missing "$root" "$@" | tr '\n' ' ')"
        fetch "${wanted[@]}"
        unpack "$root"
        still=$(missing "$root" "$@" | tr '\n' ' ')
        [ -z "$still" ] || fail "libraries are still missing: $still"
    fi
}

# Writes down where the libraries are, and leaves nothing that is not needed.
finish() { # ROOT
    local paths
    paths=$(libraries "$1")
    printf '%s' "${paths//"$1"/@ROOT@}" >"$1/libraries"
    rm -rf "$1"/{etc,var,usr/share,usr/include,lib/systemd}
    chmod -R go+rX "$1"
}

# Servers look for their files under paths fixed when they were built. The copies look below their
# working folder instead, by a path of the same length, so that nothing in the file moves; whoever
# starts them puts the files or links there.
repoint() { # ROOT FROM TO
    local file
    [ "${#2}" = "${#3}" ] || fail "$3 has not the length of $2"
    while read -r file; do
        LC_ALL=C sed -i "s|$2|$3|g" "$file"
    done < <(find "$1/usr" -type f ! -path '*/share/*' -exec grep -l -a -F "$2" {} + || true)
}

root=$work/root
fetch dovecot-core dovecot-imapd
unpack "$root"
# What our services load; full-text search, Lua and the like are left out.
dovecot=(usr/sbin/dovecot usr/bin/doveconf usr/lib/dovecot/{anvil,auth,config,imap,imap-login,log,stats}
    usr/lib/dovecot/modules/libssl_iostream_openssl.so usr/lib/dovecot/modules/lib{10_quota,11_imap_quota}_plugin.so)
wanted=()
if [ -n "$(missing "$root" "${dovecot[@]}")" ]; then
    # Packages do not say which library files they hold before they are there: every library package
    # among the dependencies, as far as the mirror has it.
    mapfile -t wanted < <(
        apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
            --no-enhances dovecot-core dovecot-imapd |
            sed -n 's/^\(lib[a-z0-9.+-]*\)$/\1/p' | sort -u |
            while read -r package; do
                policy=$(apt-cache policy "$package")
                [[ $policy =~ Candidate:\ [0-9] ]] && printf '%s\n' "$package"
            done
    )
fi
complete "$root" "${wanted[@]}" -- "${dovecot[@]}"
# Without this there would be no TLS, short of installing the package.
repoint "$root" /usr/lib/dovecot/modules .//////////////./modules
finish "$root"

# Of Cyrus only the server itself: no tools, which need Perl. All its paths can be configured.
fetch cyrus-imapd cyrus-common libsasl2-modules
unpack "$work/cyrus"
complete "$work/cyrus" libcom-err2 libdb5.3 libffi8 libgmp10 libgnutls30 libgssapi-krb5-2 libical3 libicu72 libidn2-0 libjansson4 libk5crypto3 \
    libkeyutils1 libkrb5-3 libkrb5support0 libldap-2.5-0 libnettle8 libhogweed6 libnsl2 libp11-kit0 libpcre3 libpq5 \
    libsasl2-2 libsasl2-modules-db libsqlite3-0 libssl3 libtasn1-6 libtirpc3 libunistring2 libuuid1 libwrap0 libxapian30 \
    libxml2 -- usr/lib/cyrus/bin/{imapd,master}
find "$work/cyrus/usr/lib/cyrus/bin" -type f ! -name imapd ! -name master -delete
rm -rf "$work/cyrus"/usr/{bin,sbin} "$work/cyrus"/usr/lib/*/perl5
finish "$work/cyrus"
mv "$work/cyrus" "$root/cyrus"

fetch courier-imap courier-base courier-authlib courier-authlib-pipe libcourier-unicode4
unpack "$work/courier"
# Courier would have a daemon watch files for it, which would outlive the tests.
cc -shared -fPIC -O -Wl,-soname,libfam.so.0 -o "$work/courier/usr/lib/libfam.so.0" "$top/tests/servers/fam.c"
complete "$work/courier" libgdbm6 libidn12 libltdl7 libpcre3 -- usr/sbin/couriertcpd usr/bin/imapd \
    usr/lib/courier/courier/imaplogin usr/lib/courier/courier-authlib/authdaemond usr/lib/courier-authlib/libauthpipe.so
repoint "$work/courier" /run/courier/ .////////////
repoint "$work/courier" /etc/courier/ .////////////
repoint "$work/courier" /usr/lib/courier-authlib .////////////////authlib
finish "$work/courier"
mv "$work/courier" "$root/courier"

: >"$root/ready-$recipe"
# Two callers at once: the first one wins, and both are the same.
rm -rf "$target"
mv -T "$root" "$target" 2>/dev/null || [ -e "$stamp" ] || fail "could not write $target"
printf 'scripts/servers.sh: Dovecot, Cyrus and Courier are in %s\n' "$target" >&2
