#!/usr/bin/env bash
# Measures mailferry beside other tools and beside a floor, between two throwaway Dovecots: a maildir is
# copied to an empty sdbox account, and then once more with nothing to do. The tools take turns, so that
# whatever else the machine does hits all of them; what counts are the ratios.
# docs/performance.md says how to read the figures.
#
#   scripts/bench.sh [option...]
#
#   --size S|M|L|H       1,000 messages; 10,000; 100,000 small ones; one of 50 MB (default M)
#   --rounds N           how often each tool runs, after one round that is thrown away (default 5)
#   --peers LIST         who runs, with commas between (default mailferry,mbsync,floor)
#                          mailferry     the release build of this project
#                          other         another build, see --other
#                          mbsync        as it comes; mbsync-plain: without COMPRESS=DEFLATE
#                          doveadm       doveadm backup: writes the destination's files itself
#                          floor         everything pipelined, no state, no safety
#                          floor-2 floor-4   the same over so many connections to each side
#                          floor-single  the same with one message in each APPEND
#   --other PROGRAM      another build of mailferry, as the peer `other`
#   --set KEY=VALUE      goes to mailferry and to `other`; may be repeated
#   --rtt MS             round trip to either server, in milliseconds (default 0: no proxy)
#   --rate MB            10^6 octets a second, each connection and direction (default 0: no limit)
#   --tls                TLS on all connections
#   --compress           both servers offer COMPRESS=DEFLATE
#   --again no           leaves out the second run
#   --seed N             other mail of the same kind (default 1)
#   --limit S            seconds that one run may take (default 900)
#   --notes FILE         where each run is written down, for scripts (default: thrown away)
#   --servers DIR        where the servers are unpacked (default .servers)
#   --work DIR           where mail and state lie (default: in memory where there is plenty, else /tmp)
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() {
    printf 'scripts/bench.sh: %s\n' "$*" >&2
    exit 1
}

usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
}

number() { # OPTION VALUE
    [[ $2 =~ ^(0|[1-9][0-9]{0,8})$ ]] || fail "$1 takes a whole number, not '$2'"
}

size=M rounds=5 names=mailferry,mbsync,floor other='' rtt=0 rate=0 tls=no compress=no again=yes seed=1 limit=900 notes='' parent=''
servers=$top/.servers
sets=()
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h)
            usage
            exit 0
            ;;
        --tls)
            tls=yes
            shift
            continue
            ;;
        --compress)
            compress=yes
            shift
            continue
            ;;
    esac
    [ $# -ge 2 ] || fail "option $1 needs a value, or is not known; see --help"
    case $1 in
        --size) size=$2 ;;
        --rounds) rounds=$2 ;;
        --peers) names=$2 ;;
        --other) other=$2 ;;
        --set) sets+=(--set "$2") ;;
        --rtt) rtt=$2 ;;
        --rate) rate=$2 ;;
        --again) again=$2 ;;
        --seed) seed=$2 ;;
        --limit) limit=$2 ;;
        --notes) notes=$2 ;;
        --servers) servers=$2 ;;
        --work) parent=$2 ;;
        *) fail "unknown option $1; see --help" ;;
    esac
    shift 2
done
[[ $size =~ ^[SMLH]$ ]] || fail "--size is S, M, L or H, not '$size'"
[ "$again" = yes ] || [ "$again" = no ] || fail "--again is yes or no, not '$again'"
number --rounds "$rounds"
number --rtt "$rtt"
number --rate "$rate"
number --seed "$seed"
number --limit "$limit"
[ "$rounds" -gt 0 ] || fail "--rounds is 1 or more"
IFS=, read -r -a peers <<<"$names"
[ "${#peers[@]}" -gt 0 ] || fail "--peers names nobody"
for peer in "${peers[@]}"; do
    case $peer in
        mailferry | mbsync | mbsync-plain | doveadm | floor | floor-2 | floor-4 | floor-single) ;;
        other) [ -n "$other" ] || fail "the peer 'other' needs --other PROGRAM" ;;
        *) fail "unknown peer '$peer'; see --help" ;;
    esac
done
if [ -n "$other" ]; then
    [ -x "$other" ] || fail "$other is no program"
    other=$(cd "$(dirname "$other")" && pwd)/${other##*/}
fi
if [ -n "$notes" ]; then
    : >"$notes" || fail "cannot write $notes"
    notes=$(cd "$(dirname "$notes")" && pwd)/${notes##*/}
fi
command -v cargo >/dev/null || fail "cargo is missing; install Rust 1.95 (https://rustup.rs) and gcc"

bash "$top/scripts/servers.sh" "$servers"
servers=$(cd "$servers" && pwd)
mbsync=$servers/isync/usr/bin/mbsync
if [[ " ${peers[*]} " == *" mbsync"* ]]; then bash "$top/scripts/peers.sh" "$servers"; fi
# Where a library lies below the unpacked packages.
libraries_of() { # DIR
    local libraries
    libraries=$(cat "$1/libraries")
    printf '%s' "${libraries//@ROOT@/$1}"
}

printf 'Building the release, and the tools of the benchmark...\n' >&2
cd "$top"
ground=$(cargo bench --locked --quiet --no-run --bench ground --message-format=json |
    sed -n 's/.*"name":"ground".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
# After that, which leaves a program there that has what tests need. The folder may have been moved by the
# environment.
cargo build --locked --quiet --release --bin mailferry
mailferry=$(cargo metadata --locked --no-deps --format-version=1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/release/mailferry
[ -x "$mailferry" ] && [ -x "$ground" ] || fail "no program was built"

# In memory: the disk of the machine is not what is measured. Short: servers keep sockets in it.
if [ -z "$parent" ]; then
    parent=/tmp
    free=$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')
    if [ -w /dev/shm ] && [ "${free:-0}" -gt $((4 * 1024 * 1024)) ]; then parent=/dev/shm; fi
fi
work=$(mktemp -d "$parent/mf-bench-XXXXXX") || fail "cannot make a folder in $parent"
# Open: root's servers run as another user.
chmod 755 "$work"

# Whoever builds meanwhile changes nothing here.
cp "$ground" "$work/ground"
cp "$mailferry" "$work/mailferry"
ground=$work/ground mailferry=$work/mailferry

running=''
keepers=()
inlets=()
finish() {
    local code=$? inlet
    trap '' INT TERM HUP
    if [ -n "$running" ]; then kill -TERM -- "-$running" 2>/dev/null || true; fi
    for inlet in ${inlets[@]+"${inlets[@]}"}; do exec {inlet}>&-; done
    wait ${keepers[@]+"${keepers[@]}"} 2>/dev/null || true
    rm -rf "$work"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Two servers. Both have `/` and no prefix: tools differ in how they change names, and that is not
# measured.
certificate=()
ca=''
if [ "$tls" = yes ]; then
    "$ground" certificate "$work"
    certificate=(--cert "$work/cert.pem" --key "$work/key.pem")
    ca=$work/ca.pem
fi
# keep COMMAND...: starts what prints a line "ready ..." and ends with its standard input, which is when
# this script ends, by whatever death. Sets `answer` to the rest of that line.
keep() {
    local inlet
    mkfifo "$work/inlet" "$work/outlet"
    LC_ALL=C "$@" <"$work/inlet" >"$work/outlet" &
    keepers+=($!)
    exec {inlet}>"$work/inlet"
    inlets+=("$inlet")
    read -r _ answer <"$work/outlet" || fail "did not start: $*"
    rm "$work/inlet" "$work/outlet"
}
# server DIR STORAGE: sets `address` to where it listens.
server() {
    local host plain secure
    keep bash "$top/scripts/dovecot.sh" run "$1" --servers "$servers" --storage "$2" --compress "$compress" \
        ${certificate[@]+"${certificate[@]}"}
    read -r host plain secure <<<"$answer"
    if [ "$tls" = yes ]; then plain=$secure; fi
    address=$host:$plain
}
server "$work/old" maildir
old=$address
server "$work/new" sdbox
new=$address

printf 'Writing mail...\n' >&2
mkdir "$work/old/mail/ann"
corpus=$("$ground" corpus "$size" "$work/old/mail/ann/Maildir" --seed "$seed")
chown -R --reference="$work/old/mail" "$work/old/mail/ann"

# How the tools reach the servers, which are asked directly what has arrived.
old_way=$old new_way=$new
if [ "$rtt" -gt 0 ] || [ "$rate" -gt 0 ]; then
    line=(--rtt-ms "$rtt" --rate $((rate * 1000000)))
    keep "$ground" proxy "$old" "${line[@]}"
    old_way=127.0.0.1:$answer
    keep "$ground" proxy "$new" "${line[@]}"
    new_way=127.0.0.1:$answer
fi

manifest() { # USER
    local words end
    printf 'version = 1\n'
    for words in "source ${old_way/:/ } ann" "destination ${new_way/:/ } $1"; do
        read -r -a end <<<"$words"
        printf '\n[%s]\nprofile = "dovecot"\nhost = "%s"\nport = %s\nuser = "%s"\npassword = { env = "BENCH_PASSWORD" }\n' "${end[@]}"
        if [ "$tls" = yes ]; then printf 'tls.ca = "%s"\n' "$ca"; else printf 'tls.mode = "none"\n'; fi
    done
}
export BENCH_PASSWORD=pass

mbsyncrc() { # USER [LINE]: `far` is the source
    local words end
    for words in "far ${old_way/:/ } ann" "near ${new_way/:/ } $1"; do
        read -r -a end <<<"$words"
        # It finds no address in a certificate.
        if [ "$tls" = yes ]; then end[1]=localhost; fi
        printf 'IMAPAccount %s\nHost %s\nPort %s\nUser %s\nPass pass\nAuthMechs LOGIN\nTimeout 0\n' "${end[@]}"
        if [ "$tls" = yes ]; then printf 'SSLType IMAPS\nCertificateFile %s\n' "$ca"; else printf 'SSLType None\n'; fi
        printf '%s\n\nIMAPStore %s\nAccount %s\n\n' "${2:-}" "${end[0]}" "${end[0]}"
    done
    printf 'Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Near\nSync Pull\nCopyArrivalDate yes\nSyncState %s/\n' "$PWD/state"
}

# prepare PEER USER PHASE: in the peer's own folder; sets `command`.
prepare() {
    local floor=(--from "$old_way" --from-user ann --to "$new_way" --to-user "$2")
    local imapc=no
    if [ -n "$ca" ]; then
        floor+=(--ca "$ca")
        imapc=imaps
    fi
    case $1 in
        mailferry | other)
            [ -e mailferry.toml ] || manifest "$2" >mailferry.toml
            command=("$mailferry" apply mailferry.toml --yes ${sets[@]+"${sets[@]}"})
            if [ "$1" = other ]; then command[0]=$other; fi
            ;;
        mbsync | mbsync-plain)
            mkdir -p state
            if [ "$1" = mbsync ]; then mbsyncrc "$2"; else mbsyncrc "$2" "DisableExtension COMPRESS=DEFLATE"; fi >mbsyncrc
            command=(env LD_LIBRARY_PATH="$(libraries_of "$servers/isync")" "$mbsync" -q -c "$PWD/mbsyncrc" all)
            ;;
        doveadm)
            # Where it looks for the library that speaks TLS, after it has gone to the user's home.
            if [ "$tls" = yes ] && [ ! -e "$work/new/mail/$2" ]; then
                mkdir "$work/new/mail/$2"
                ln -s "$servers/usr/lib/dovecot/modules" "$work/new/mail/$2/modules"
                chown -R -h --reference="$work/new/mail" "$work/new/mail/$2"
            fi
            command=(env LD_LIBRARY_PATH="$(libraries_of "$servers")" "$servers/usr/bin/doveadm" -c "$work/new/dovecot.conf"
                -o "imapc_host=${old_way%:*}" -o "imapc_port=${old_way#*:}" -o imapc_user=ann -o imapc_password=pass
                -o "imapc_features=rfc822.size fetch-headers search" -o mail_prefetch_count=50
                -o "imapc_ssl=$imapc" -o "ssl_client_ca_file=$ca" backup -R -u "$2" imapc:)
            ;;
        floor*)
            command=("$ground" floor "${floor[@]}")
            case $3/$1 in
                again/*) command+=(--look) ;;
                */floor-single) command+=(--single) ;;
                */floor-[24]) command+=(--connections "${1#floor-}") ;;
            esac
            ;;
    esac
}

broken=0
# measure ROUND PEER PHASE: one run, and one line about it.
measure() {
    local user=$2.$1 code=0
    local ends=(--from "$old" --from-user ann --to "$new" --to-user "$user")
    if [ -n "$ca" ]; then ends+=(--ca "$ca"); fi
    mkdir -p "$work/run/$user"
    cd "$work/run/$user"
    prepare "$2" "$user" "$3"
    # A group of its own, which can be ended whole; in the background, so that a signal is heard at once.
    set -m
    "$ground" measure "${ends[@]}" --notes "$work/notes" --peer "$2" --phase "$3" --round "$1" --folder "$PWD" \
        --log "$PWD/log" --limit "$limit" -- "${command[@]}" </dev/null &
    running=$!
    set +m
    wait "$running" || code=$?
    running=''
    cd "$top"
    [ "$code" = 0 ] || broken=$((broken + 1))
}

machine() {
    printf 'mailferry %s, %s, Linux %s, %s cores, load %s\n' "$(git -C "$top" rev-parse --short HEAD 2>/dev/null || printf 'without git')" \
        "$(date -u +%Y-%m-%d)" "$(uname -r)" "$(nproc)" "$(cut -d ' ' -f 1 /proc/loadavg)"
    printf 'Corpus %s: %s\n' "$size" "$corpus"
    printf 'Dovecot maildir to Dovecot sdbox, on %s; RTT %s ms, %s MB/s (0: no limit), TLS %s, COMPRESS %s; %s rounds\n' \
        "$(stat -f -c %T "$work")" "$rtt" "$rate" "$tls" "$compress" "$rounds"
}
machine
printf '\n'

for ((round = 0; round <= rounds; round++)); do
    phases=(first-copy)
    if [ "$again" = yes ]; then phases+=(again); fi
    for phase in "${phases[@]}"; do
        # Each round begins with another one, so that nobody always comes after the same neighbour.
        for ((turn = 0; turn < ${#peers[@]}; turn++)); do
            peer=${peers[(turn + round) % ${#peers[@]}]}
            # All floors are one where nothing is copied.
            case $phase/$peer in again/floor-*) continue ;; esac
            measure "$round" "$peer" "$phase"
        done
    done
    # The next round's users are fresh ones.
    rm -rf "$work/run"
    for peer in "${peers[@]}"; do rm -rf "$work/new/mail/$peer.$round"; done
done

if [ -n "$notes" ]; then cp "$work/notes" "$notes"; fi
"$ground" table "$work/notes"
[ "$broken" = 0 ] || fail "$broken runs were broken: their figures are not in the table"
