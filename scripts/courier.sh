#!/usr/bin/env bash
# Runs a throwaway Courier on the loopback as the calling user; any user may log in with any
# password, and has an INBOX from then on.
#
#   scripts/courier.sh run DIR [--servers DIR]   starts one in DIR, keeps it until standard input
#                                                ends, then ends it and removes DIR
#
# DIR is made here and must be short (sockets live in it). The delimiter is ".", the prefix "INBOX.".
# Prints one line when it answers: "ready HOST IMAP_PORT 0".
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
name=courier.sh servers=$top/.servers/courier
# shellcheck source=scripts/serving.sh
source "$top/scripts/serving.sh"

[ "${1:-}" = run ] && [ $# -ge 2 ] || fail "usage: run DIR [--servers DIR]"
if [ "${3:-}" = --servers ]; then servers=$4; fi
[ -x "$servers/usr/bin/imapd" ] || fail "no server in $servers: run scripts/servers.sh"
prepare "$2" usr/bin/imapd run/authdaemon mail
trap 'end; rm -rf "$dir"' EXIT
trap 'exit 1' TERM INT HUP

# The working folder of all that is started: scripts/servers.sh made Courier look there.
cd "$dir/run"
ln -s "$servers/usr/lib/courier-authlib" authlib
cat >authdaemonrc <<EOF
authmodulelist="authpipe"
authmodulelistorig="authpipe"
daemons=4
authdaemonvar=$dir/run/authdaemon
DEBUG_LOGIN=0
DEFAULTOPTIONS=""
LOGGEROPTS=""
EOF
# The program that knows all users. It is asked by lines: "PRE . SERVICE USER", or "AUTH LENGTH" and
# so many octets of four lines, of which the third is the user.
cat >authProg <<EOF
#!/bin/bash
LC_ALL=C
known() {
    [ -d "$dir/mail/\$1/Maildir" ] || mkdir -p "$dir/mail/\$1/Maildir/"{cur,new,tmp}
    printf '%s\n' UID=$uid GID=$gid "HOME=$dir/mail/\$1" "MAILDIR=$dir/mail/\$1/Maildir" "ADDRESS=\$1" .
}
while read -r verb first rest; do
    case \$verb in
        PRE) known "\${rest#* }" ;;
        AUTH)
            read -r -N "\$first" data
            mapfile -t lines <<<"\$data"
            known "\${lines[2]}"
            ;;
        *) echo FAIL ;;
    esac
done
EOF
chmod 755 authProg

start "$dir/log" "$servers/usr/lib/courier/courier-authlib/authdaemond"
capabilities="IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE"
export IMAP_CAPABILITY=$capabilities IMAP_KEYWORDS=1 IMAP_ACL=1 IMAP_STARTTLS=NO IMAP_TLS_REQUIRED=0 \
    IMAP_IDLE_TIMEOUT=60 IMAP_MAILBOX_SANITY_CHECK=0 IMAP_CHECK_ALL_FOLDERS=0 IMAP_OBSOLETE_CLIENT=0 \
    IMAP_USELOCKS=1 IMAP_ENHANCEDIDLE=0 IMAP_TRASHFOLDERNAME=Trash IMAP_EMPTYTRASH='' IMAP_UMASK=022 \
    IMAP_MOVE_EXPUNGE_TO_TRASH=0 MAILDIRPATH=Maildir HEADERFROM=X-IMAP-Sender
port=$(free_port 127.0.0.1)
start "$dir/log" "$servers/usr/sbin/couriertcpd" -address=127.0.0.1 -maxprocs=300 -maxperip=300 \
    -nodnslookup -noidentlookup -stderr="$dir/run/log" "$port" \
    "$servers/usr/lib/courier/courier/imaplogin" "$servers/usr/bin/imapd" Maildir
greets "$port" Courier || {
    cat "$dir/log" "$dir/run/log" >&2
    fail "Courier does not answer"
}
# Those who log in first find the one who knows them.
for _ in {1..100}; do
    [ ! -S authdaemon/socket ] || break
    sleep 0.05
done
keep "$port"
