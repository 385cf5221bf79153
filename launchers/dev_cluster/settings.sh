# shellcheck shell=bash
# What follows from the settings of cluster.sh, and their checks.

# shellcheck disable=SC2034  # read by the other files
readonly CLUSTER=dev SLURMCTLD_PORT=6817 SLURMDBD_PORT=6819 MARIADB_PORT=13306 \
  FIRST_SLURMD_PORT=17001
# shellcheck disable=SC2034
readonly MUNGE_SOCKET=$DIR/munge/socket MUNGE_KEY=$DIR/munge/key MARIADB_SOCKET=$DIR/mariadb/socket
readonly MUNGE_PID=$DIR/munge/munged.pid MARIADB_PID=$DIR/mariadb/mariadbd.pid
readonly SLURMDBD_PID=$DIR/run/slurmdbd.pid SLURMCTLD_PID=$DIR/run/slurmctld.pid
readonly OWN_MARK=$DIR/.gradsweep_dev_cluster

HOST=$(hostname -s)
readonly HOST

log() { echo "dev_cluster: $*" >&2; }
die() {
  log "error: $*"
  exit 1
}

slurmd_pid() { echo "$DIR/run/slurmd-$1.pid"; } # slurmd_pid NODE
node_names() { seq -f "node%.0f" "$NODES"; }

check_number() { # check_number NAME VALUE LEAST
  [[ $2 =~ ^[0-9]{1,6}$ ]] && [ "$2" -ge "$3" ] ||
    die "$1 must be a whole number of at least $3, and is '$2'"
}

check_settings() {
  check_number DEV_CLUSTER_NODES "$NODES" 1
  check_number DEV_CLUSTER_CPUS "$CPUS" 1
  check_number DEV_CLUSTER_MEMORY_MB "$MEMORY_MB" 1
  check_number DEV_CLUSTER_GPUS "$GPUS" 0
  check_number DEV_CLUSTER_REQUEUE_S "$REQUEUE_S" 1
  check_number DEV_CLUSTER_KILL_WAIT_S "$KILL_WAIT_S" 1
  [[ $OOM_KILL =~ ^[01]$ ]] || die "DEV_CLUSTER_OOM_KILL must be 0 or 1, and is '$OOM_KILL'"
  [[ $DIR =~ ^/[A-Za-z0-9/._-]+$ ]] ||
    die "DEV_CLUSTER_DIR must be an absolute path of letters, digits and /._-, and is '$DIR'"
  # Unix sockets lie in it, whose paths may have 107 characters.
  [ ${#DIR} -le 80 ] ||
    die "DEV_CLUSTER_DIR must have at most 80 characters, and '$DIR' has ${#DIR}"
}

# Nothing is written into, or deleted from, a folder that this script has not made.
own_folder() {
  if [ ! -e "$OWN_MARK" ] && [ -d "$DIR" ] && [ -n "$(ls -A "$DIR")" ]; then
    die "$DIR holds files of somebody else: set DEV_CLUSTER_DIR to a new or empty folder"
  fi
  mkdir -p "$DIR"
  chmod 755 "$DIR"
  : >"$OWN_MARK"
}
require_own_folder() {
  [ -e "$OWN_MARK" ] ||
    die "there is no dev cluster in $DIR: set DEV_CLUSTER_DIR to the folder that 'up' had"
}
