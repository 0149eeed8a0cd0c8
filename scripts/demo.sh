#!/usr/bin/env bash
# One migration from start to end between two throwaway Dovecots: `/` without a prefix to `.` with
# the prefix `INBOX.`. Every command is shown before it runs; nothing stays behind.
#
#   scripts/demo.sh [MESSAGES]     sample mail in the largest folder, default 200
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
messages=${1:-200}
[[ $messages =~ ^[1-9][0-9]{0,5}$ ]] || {
    printf 'usage: scripts/demo.sh [MESSAGES]\n' >&2
    exit 64
}

bash "$top/scripts/servers.sh"
(cd "$top" && cargo build --locked --quiet)
# The folder of the program may have been moved by the environment.
target=$(cd "$top" && cargo metadata --locked --no-deps --format-version=1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')

# Short: the servers keep sockets in it. Open: root's servers run as another user.
work=$(mktemp -d /tmp/mf-demo-XXXXXX)
chmod 755 "$work"
finish() {
    bash "$top/scripts/dovecot.sh" stop "$work/old" || true
    bash "$top/scripts/dovecot.sh" stop "$work/new" || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

say() {
    printf '\n# %s\n' "$*"
}

# Shows a command and runs it; the exit code that it should have comes first.
run() {
    local expected=$1 code=0
    shift
    printf '\n$ %s\n' "$*"
    PATH="$target/debug:$PATH" "$@" || code=$?
    printf '(exit code %s)\n' "$code"
    if [ "$code" != "$expected" ]; then
        printf 'scripts/demo.sh: expected exit code %s\n' "$expected" >&2
        exit 1
    fi
}

# maildir PATH: makes a folder on disk.
maildir() {
    mkdir -p "$1/cur" "$1/new" "$1/tmp"
}

# mail MAILDIR NUMBER FLAGS SUBJECT: writes one message on disk.
mail() {
    local file
    printf -v file '%s/cur/%d.M%dP1.demo:2,%s' "$1" $((1600000000 + $2 * 3600)) "$2" "$3"
    printf 'Date: %s\r\nFrom: Ann Example <ann@example.org>\r\nTo: Bob Example <bob@example.net>\r\nSubject: %s\r\nMessage-ID: <%s.%s@example.org>\r\n\r\nMessage %s of the demo.\r\n' \
        "$(printf '%(%a, %d %b %Y %H:%M:%S +0000)T' $((1600000000 + $2 * 3600)))" "$4" "$2" "${1##*/}" "$2" >"$file"
    touch -d "@$((1600000000 + $2 * 3600))" "$file"
}

say "Two servers: the old one with / and no prefix, the new one with . and INBOX."
read -r _ old_host old_port _ < <(LC_ALL=C bash "$top/scripts/dovecot.sh" start "$work/old")
read -r _ new_host new_port _ < <(LC_ALL=C bash "$top/scripts/dovecot.sh" start "$work/new" --sep . --prefix INBOX. --storage sdbox)
printf 'old: %s:%s   new: %s:%s\n' "$old_host" "$old_port" "$new_host" "$new_port"

say "Sample mail for ann on the old server: $messages messages in Archive/2020, a few elsewhere"
export LC_ALL=C TZ=UTC
home=$work/old/mail/ann/Maildir
for folder in "" /Sent /Drafts /Archive/2020 "/Projects &- Plans"; do
    maildir "$home$folder"
done
for ((number = 1; number <= messages; number++)); do
    mail "$home/Archive/2020" "$number" S "Archived $number"
done
for number in 1 2 3; do
    mail "$home" "$number" "" "News $number"
    mail "$home/Sent" "$number" S "Answer $number"
    mail "$home/Projects &- Plans" "$number" FS "Plan $number"
done
mail "$home/Drafts" 1 DS "To be written"
# A true duplicate: it is one at the destination, too.
cp -p "$home/cur/1600003600.M1P1.demo:2," "$home/cur/1600003600.M99P1.demo:2,"
chown -R --reference="$work/old/mail" "$work/old/mail/ann"

# count HOST PORT FOLDER: asks a server itself, past mailferry.
count() {
    local line
    exec 3<>"/dev/tcp/$1/$2"
    printf 'a LOGIN ann pass\r\nb STATUS "%s" (MESSAGES)\r\nc LOGOUT\r\n' "$3" >&3
    while read -r -t 10 line <&3; do
        if [[ $line == *"(MESSAGES "* ]]; then
            line=${line##*(MESSAGES }
            printf '%s' "${line%%)*}"
        fi
    done
    exec 3>&-
}

mkdir "$work/job"
cd "$work/job"
cat >mailferry.toml <<MANIFEST
version = 1

[source]
host = "$old_host"
port = $old_port
user = "ann"
password = { env = "DEMO_PASSWORD" }
tls.mode = "none"

[destination]
host = "$new_host"
port = $new_port
user = "ann"
password = { env = "DEMO_PASSWORD" }
tls.mode = "none"
MANIFEST
export DEMO_PASSWORD=pass

say "The manifest"
cat mailferry.toml
say "Is it right?"
run 0 mailferry validate
say "What is to be done? Nothing is changed by this."
run 0 mailferry plan -o migration.plan
say "Do exactly that."
run 0 mailferry apply migration.plan
say "Is every message there, octet for octet?"
run 0 mailferry verify
say "Once more: nothing is left to do, and nothing is doubled."
run 0 mailferry apply migration.plan
run 0 mailferry plan --detailed-exitcode
say "What the servers say themselves:"
printf '%-20s %10s %10s\n' folder old new
while IFS='|' read -r old new; do
    here=$(count "$old_host" "$old_port" "$old")
    there=$(count "$new_host" "$new_port" "$new")
    printf '%-20s %10s %10s\n' "$old" "${here:--}" "${there:--}"
    [ -n "$here" ] && [ "$here" = "$there" ] || {
        printf 'scripts/demo.sh: %s and %s differ\n' "$old" "$new" >&2
        exit 1
    }
done <<'FOLDERS'
INBOX|INBOX
Sent|INBOX.Sent
Drafts|INBOX.Drafts
Archive/2020|INBOX.Archive.2020
Projects &- Plans|INBOX.Projects &- Plans
FOLDERS
say "Done."
