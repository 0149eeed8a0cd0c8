#!/usr/bin/env bash
# Runs a throwaway Cyrus on the loopback as the calling user; any user may log in with any password,
# and has an INBOX from then on.
#
#   scripts/cyrus.sh run DIR [--servers DIR]   starts one in DIR, keeps it until standard input ends,
#                                              then ends it and removes DIR
#
# DIR is made here and must be short (sockets live in it). The delimiter is "/", without a prefix.
# Prints one line when it answers: "ready HOST IMAP_PORT 0".
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
name=cyrus.sh servers=$top/.servers/cyrus
# shellcheck source=scripts/serving.sh
source "$top/scripts/serving.sh"

[ "${1:-}" = run ] && [ $# -ge 2 ] || fail "usage: run DIR [--servers DIR]"
if [ "${3:-}" = --servers ]; then servers=$4; fi
[ -x "$servers/usr/lib/cyrus/bin/imapd" ] || fail "no server in $servers: run scripts/servers.sh"
prepare "$2" usr/lib/cyrus/bin/imapd conf/{db,socket,proc,log,lock} spool
trap 'end; rm -rf "$dir"' EXIT
trap 'exit 1' TERM INT HUP
# Mechanisms from the packages, whatever the system has.
SASL_PATH=$(printf '%s:' "$servers"/usr/lib/*/sasl2)
export SASL_PATH=${SASL_PATH%:}

cat >"$dir/imapd.conf" <<EOF
configdirectory: $dir/conf
defaultpartition: default
partition-default: $dir/spool
proc_path: $dir/conf/proc
mboxname_lockpath: $dir/conf/lock
cyrus_user: $user
cyrus_group: $(id -gn "$user")
servername: localhost
unixhierarchysep: yes
altnamespace: yes
allowplaintext: yes
sasl_pwcheck_method: alwaystrue
sasl_mech_list: PLAIN
autocreate_quota: 0
autocreate_post: yes
anyoneuseracl: no
conversations: no
expunge_mode: immediate
delete_mode: immediate
specialusealways: yes
EOF

port=$(free_port 127.0.0.1)
cat >"$dir/cyrus.conf" <<EOF
START {
}
SERVICES {
  imap cmd="$servers/usr/lib/cyrus/bin/imapd -U 200 -C $dir/imapd.conf" listen="127.0.0.1:$port" prefork=1 maxchild=300
}
EVENTS {
}
EOF
start "$dir/log" "$servers/usr/lib/cyrus/bin/master" -C "$dir/imapd.conf" -M "$dir/cyrus.conf" \
    -p "$dir/conf/master.pid" -L "$dir/conf/log/own" -D
greets "$port" Cyrus || {
    cat "$dir/log" "$dir/conf/log/own" >&2
    fail "Cyrus does not answer"
}
keep "$port"
