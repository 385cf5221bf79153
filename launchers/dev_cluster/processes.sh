# shellcheck shell=bash
# Daemons by pid file. Pids get reused, so a pid counts only together with its command's name.

running() { # running PID: it exists and is no zombie, which a container's init may leave for long
  local state
  state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 1
  [ -n "$state" ] && [ "$state" != Z ] && [ "$state" != X ]
}

pid_in() { tr -dc 0-9 <"$1"; } # pid_in PIDFILE

alive() { # alive PIDFILE COMMAND
  local pid
  [ -s "$1" ] || return 1
  pid=$(pid_in "$1")
  [ -n "$pid" ] && running "$pid" && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ]
}

stop_one() { # stop_one PIDFILE COMMAND: TERM, and KILL after 20 s
  local pid
  alive "$1" "$2" || { rm -f "$1"; return 0; }
  pid=$(pid_in "$1")
  kill -TERM "$pid"
  for _ in $(seq 200); do
    running "$pid" || break
    sleep 0.1
  done
  if running "$pid"; then
    log "$2 (process $pid) does not end on TERM: killing it"
    kill -KILL "$pid" || true # it may have ended just now
  fi
  rm -f "$1"
}

# Until COMMAND succeeds; if it never does, its complaint is shown.
wait_for() { # wait_for SECONDS WHAT COMMAND...
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$end" ]; then
      "$@" >&2 || true
      die "waited in vain for $what; see the logs in $DIR/log, then try '$0 stop' and '$0 up'"
    fi
    sleep 0.2
  done
}
