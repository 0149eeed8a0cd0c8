# What the scripts that run a throwaway server share; sourced, not run. The caller sets `name` (the
# script's own) and `servers` (where its server was unpacked).

fail() {
    printf 'scripts/%s: %s\n' "$name" "$*" >&2
    exit 1
}

# Makes the folder of a server, and lends root's server the user `mail`: none of them serves as root.
# Sets `dir`, `as` (what goes before each command), `user`, `uid` and `gid`.
prepare() { # DIR PROGRAM FOLDER...
    local program=$2 folder
    mkdir -p "$1"
    dir=$(cd "$1" && pwd -P)
    shift 2
    servers=$(cd "$servers" && pwd -P)
    [ "${#dir}" -le 60 ] || fail "$dir is too long for the sockets in it: choose a shorter one"
    as=(env)
    user=$(id -un)
    if [ "$(id -u)" = 0 ]; then
        user=mail
        as=(setpriv --reuid="$(id -u mail)" --regid="$(id -g mail)" --clear-groups)
        chmod 755 "$dir"
        if ! "${as[@]}" test -x "$servers/$program"; then
            # The project lies where only root may read.
            cp -a "$servers" "$dir/servers"
            servers=$dir/servers
        fi
    fi
    uid=$(id -u "$user") gid=$(id -g "$user")
    for folder in "$@"; do mkdir -p "$dir/$folder"; done
    [ "$(id -u)" != 0 ] || chown -R "$uid:$gid" "$dir"
    libraries=$(cat "$servers/libraries")
    export LD_LIBRARY_PATH=${libraries//@ROOT@/$servers}
}

# Below the range from which the system itself gives out ports, so that no client holds one.
free_port() { # HOST
    local port
    while :; do
        port=$((10240 + (RANDOM * 32768 + RANDOM) % 22000))
        (exec 3<>"/dev/tcp/$1/$port") 2>/dev/null || break
    done
    printf '%s' "$port"
}

# Waits until the server says a greeting with this word in it.
greets() { # PORT WORD
    local line turn
    for turn in {1..100}; do
        line=''
        if { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null; then
            read -r -t 10 line <&3 || true
            exec 3>&-
            [[ $line == '* OK '*"$2"* ]] && return 0
        fi
        sleep 0.05
    done
    return 1
}

# Starts a process at the head of a group of its own, and remembers it.
started=()
start() { # LOG COMMAND...
    local log=$1
    shift
    "${as[@]}" setsid "$@" </dev/null >>"$log" 2>&1 &
    started+=("$!")
}

# Ends what was started, with all that it started in turn.
end() {
    local leader
    for leader in "${started[@]}"; do
        # Already gone is as good.
        kill -KILL -- "-$leader" 2>/dev/null || true
        wait "$leader" 2>/dev/null || true
    done
    started=()
}

# Says that the server is ready, and keeps it until whoever started us goes away, by whatever death.
keep() { # PORT
    printf 'ready 127.0.0.1 %s 0\n' "$1"
    cat >/dev/null
}
