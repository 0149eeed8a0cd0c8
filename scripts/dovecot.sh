#!/usr/bin/env bash
# Starts and stops throwaway Dovecots on the loopback; any user may log in with the password "pass".
#
#   scripts/dovecot.sh start DIR [option...]   starts one in DIR, returns when it answers
#   scripts/dovecot.sh stop DIR                ends it; its mail stays in DIR
#   scripts/dovecot.sh run DIR [option...]     starts one, keeps it until standard input ends, then
#                                              ends it and removes DIR
#
# DIR is made here and must be short (sockets live in it). Options:
#   --sep CHARACTER    hierarchy delimiter, default /
#   --prefix TEXT      namespace prefix, default none
#   --storage KIND     maildir (default) or sdbox
#   --special yes|no   folders with a special use announced (default yes); none is made
#   --cert FILE --key FILE   TLS on a port of its own
#   --plaintext yes|no no: LOGINDISABLED on the plain port (default yes); the server is then on
#                      127.0.0.2, because Dovecot trusts a peer that has its own address
#   --quota OCTETS     refuses mail above it
#   --hidden yes|no    access rights hide every folder from everybody (default no)
#   --compress yes|no  COMPRESS=DEFLATE is offered after login (default no)
#   --servers DIR      where scripts/servers.sh unpacked, default .servers
# Prints one line when it answers: "ready HOST IMAP_PORT IMAPS_PORT" (port 0: none).
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

name=dovecot.sh
# shellcheck source=scripts/serving.sh
source "$top/scripts/serving.sh"

[ $# -ge 2 ] || fail "usage: start|run|stop DIR [option...]"
command=$1
dir=$2
shift 2

sep=/ prefix='' storage=maildir special=yes cert='' key='' plaintext=yes quota='' hidden=no compress=no servers=$top/.servers
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || fail "option $1 needs a value"
    case $1 in
        --sep) sep=$2 ;;
        --prefix) prefix=$2 ;;
        --storage) storage=$2 ;;
        --special) special=$2 ;;
        --cert) cert=$2 ;;
        --key) key=$2 ;;
        --plaintext) plaintext=$2 ;;
        --quota) quota=$2 ;;
        --hidden) hidden=$2 ;;
        --compress) compress=$2 ;;
        --servers) servers=$2 ;;
        *) fail "unknown option $1" ;;
    esac
    shift 2
done

# The number may have gone to another process since, and a dead one may wait for its parent to look.
lives() {
    tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -q -F -- "-c $dir/dovecot.conf"
} 2>/dev/null

stop() { # SIGNAL
    local master turn
    master=$(cat "$dir/run/master.pid" 2>/dev/null) || return 0
    lives "$master" || return 0
    # Every process of it, in the group that the master leads. TERM lets it end in order, which
    # takes a second.
    kill "-$1" -- "-$master" 2>/dev/null || return 0
    for turn in {1..150}; do
        lives "$master" || return 0
        sleep 0.02
    done
    fail "process $master does not end"
}

if [ "$command" = stop ]; then
    dir=$(cd "$dir" 2>/dev/null && pwd -P) || exit 0
    stop TERM
    exit 0
fi
[ "$command" = start ] || [ "$command" = run ] || fail "unknown command $command"
[ -x "$servers/usr/sbin/dovecot" ] || fail "no server in $servers: run scripts/servers.sh"
mkdir -p "$dir"
dir=$(cd "$dir" && pwd -P)
servers=$(cd "$servers" && pwd -P)
[ "${#dir}" -le 60 ] || fail "$dir is too long for the sockets in it: choose a shorter one"

# Dovecot serves no mail as root, so root lends it the user `mail`; all else is the same.
as=()
user=$(id -un)
if [ "$(id -u)" = 0 ]; then
    user=mail
    as=(setpriv --reuid="$(id -u mail)" --regid="$(id -g mail)" --clear-groups)
    chmod 755 "$dir"
    if ! "${as[@]}" test -x "$servers/usr/sbin/dovecot" -a -r "$servers/usr/lib/dovecot/libdovecot.so.0"; then
        # The project lies where only root may read.
        mkdir "$dir/servers"
        cp -a "$servers"/{usr,lib,libraries} "$dir/servers/"
        servers=$dir/servers
    fi
fi
uid=$(id -u "$user") gid=$(id -g "$user")
group=$(id -gn "$user")
mkdir -p "$dir/run" "$dir/mail"
ln -sfn "$servers/usr/lib/dovecot/modules" "$dir/run/modules"
if [ "${#as[@]}" -gt 0 ]; then chown "$uid:$gid" "$dir" "$dir/run" "$dir/mail"; fi

case $storage in
    # LAYOUT=fs lets folder names hold any character but the slash.
    maildir) location='maildir:~/Maildir:LAYOUT=fs' ;;
    sdbox) location='sdbox:~/sdbox' ;;
    *) fail "unknown storage $storage" ;;
esac
if [ "$special" = yes ]; then
    special=$(printf '  mailbox %s {\n    special_use = \\%s\n    auto = no\n  }\n' Drafts Drafts Junk Junk Trash Trash Sent Sent Archive Archive)
else
    special=''
fi
plugins='' imap_plugins='' quota_block=''
if [ -n "$quota" ]; then
    plugins=quota imap_plugins=imap_quota
    quota_block=$(printf 'plugin {\n  quota = count:User quota\n  quota_rule = *:bytes=%s\n  quota_grace = 0\n  quota_vsizes = yes\n}' "$quota")
fi
if [ "$compress" = yes ]; then
    plugins="$plugins zlib" imap_plugins="$imap_plugins imap_zlib"
fi
if [ "$hidden" = yes ]; then
    plugins="$plugins acl"
    # A line for the owner without any right.
    printf '* owner\n* authenticated\n* anyone\n' >"$dir/acl"
    quota_block=$(printf '%s\nplugin {\n  acl = vfile:%s\n}' "$quota_block" "$dir/acl")
fi
ssl=no ssl_files=''
if [ -n "$cert" ]; then
    ssl=yes
    ssl_files=$(printf 'ssl_cert = <%s\nssl_key = <%s\nssl_min_protocol = TLSv1.2' "$dir/cert.pem" "$dir/key.pem")
    [ "$cert" -ef "$dir/cert.pem" ] || cp "$cert" "$dir/cert.pem"
    [ "$key" -ef "$dir/key.pem" ] || cp "$key" "$dir/key.pem"
    if [ "${#as[@]}" -gt 0 ]; then chown "$uid:$gid" "$dir/cert.pem" "$dir/key.pem"; fi
fi
disable=no host=127.0.0.1
if [ "$plaintext" = no ]; then disable=yes host=127.0.0.2; fi

libraries=$(cat "$servers/libraries")
export LD_LIBRARY_PATH=${libraries//@ROOT@/$servers}

configure() {
    local text
    text=$(<"$top/tests/servers/dovecot.conf.in")
    text=${text//@DIR@/"$dir"}
    text=${text//@HOST@/"$host"}
    text=${text//@ROOT@/"$servers"}
    text=${text//@USER@/"$user"}
    text=${text//@GROUP@/"$group"}
    text=${text//@UID@/"$uid"}
    text=${text//@GID@/"$gid"}
    text=${text//@DISABLE_PLAINTEXT@/"$disable"}
    text=${text//@SSL@/"$ssl"}
    text=${text//@SSL_FILES@/"$ssl_files"}
    text=${text//@LOCATION@/"$location"}
    text=${text//@PLUGINS@/"$plugins"}
    text=${text//@IMAP_PLUGINS@/"$imap_plugins"}
    text=${text//@SEPARATOR@/"$sep"}
    text=${text//@PREFIX@/"$prefix"}
    text=${text//@SPECIAL@/"$special"}
    text=${text//@QUOTA@/"$quota_block"}
    text=${text//@IMAP_PORT@/"$imap_port"}
    text=${text//@IMAPS_PORT@/"$imaps_port"}
    printf '%s\n' "$text" >"$dir/dovecot.conf"
}

answers() {
    local line=''
    exec 3<>"/dev/tcp/$host/$imap_port" || return 1
    read -r -t 10 line <&3 || true
    exec 3>&-
    [[ $line == '* OK '* ]]
}

for attempt in 1 2 3 4 5; do
    imap_port=$(free_port "$host")
    imaps_port=0
    [ "$ssl" = no ] || imaps_port=$(free_port "$host")
    configure
    : >"$dir/start.log"
    # doveconf goes first with -e: dovecot itself would look for it under /usr/bin.
    if (cd "$dir/run" && exec "${as[@]}" setsid "$servers/usr/bin/doveconf" -c "$dir/dovecot.conf" -m master -f service=master \
        -e "$servers/usr/sbin/dovecot" -c "$dir/dovecot.conf") </dev/null >>"$dir/start.log" 2>&1; then
        break
    fi
    grep -q 'in use' "$dir/start.log" "$dir/dovecot.log" 2>/dev/null && [ "$attempt" -lt 5 ] && continue
    cat "$dir/start.log" "$dir/dovecot.log" >&2 2>/dev/null || true
    fail "Dovecot does not start"
done

answers || {
    cat "$dir/dovecot.log" >&2
    stop KILL
    fail "Dovecot does not answer"
}
printf 'ready %s %s %s\n' "$host" "$imap_port" "$imaps_port"
[ "$command" = run ] || exit 0

finish() {
    stop KILL
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' TERM INT HUP
# Ends when whoever started us goes away, by whatever death.
cat >/dev/null
