# shellcheck shell=bash
# Start, stop and show the daemons, in the order in which they need each other.

start_all() {
  start_munge
  start_mariadb
  start_slurmdbd
  start_slurmctld
  start_nodes
}

start_munge() {
  if [ ! -s "$MUNGE_KEY" ]; then
    install -o munge -m 600 /dev/null "$MUNGE_KEY"
    head -c 128 /dev/urandom >"$MUNGE_KEY"
  fi
  alive "$MUNGE_PID" munged || setpriv --reuid munge --regid munge --init-groups \
    munged --socket "$MUNGE_SOCKET" --key-file "$MUNGE_KEY" --pid-file "$MUNGE_PID" \
    --seed-file "$DIR/munge/seed" --log-file "$DIR/munge/munged.log"
  wait_for 10 munged munge --no-input --socket "$MUNGE_SOCKET"
}

sql() { mariadb --no-defaults -u root -S "$MARIADB_SOCKET" -e "$1"; }

start_mariadb() {
  local data=$DIR/mariadb/data
  if [ ! -d "$data/mysql" ]; then
    mariadb-install-db --no-defaults --user=mysql --datadir="$data" --skip-test-db \
      --auth-root-authentication-method=socket >"$DIR/log/mariadb-install.log" 2>&1 ||
      die "the accounting database could not be made; see $DIR/log/mariadb-install.log"
  fi
  if ! alive "$MARIADB_PID" mariadbd; then # it does not put itself into the background
    setsid nohup mariadbd --no-defaults --user=mysql --datadir="$data" \
      --socket="$MARIADB_SOCKET" --pid-file="$MARIADB_PID" \
      --bind-address=127.0.0.1 --port="$MARIADB_PORT" --skip-name-resolve \
      --innodb-buffer-pool-size=128M --innodb-lock-wait-timeout=900 \
      </dev/null >>"$DIR/log/mariadbd.log" 2>&1 &
  fi
  wait_for 30 mariadbd sql 'select 1'
  sql "CREATE DATABASE IF NOT EXISTS slurm_acct_db;
       CREATE USER IF NOT EXISTS 'slurm'@'127.0.0.1' IDENTIFIED BY 'slurm';
       GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';"
}

known_to_accounting() { sacctmgr -n show cluster "$CLUSTER" format=cluster | grep -qw "$CLUSTER"; }

start_slurmdbd() {
  alive "$SLURMDBD_PID" slurmdbd || slurmdbd
  wait_for 30 slurmdbd sacctmgr -n show cluster
  # slurmctld does not start on a cluster that accounting has never heard of.
  known_to_accounting || sacctmgr -i add cluster "$CLUSTER" >/dev/null
}

start_slurmctld() {
  alive "$SLURMCTLD_PID" slurmctld || slurmctld
  wait_for 30 slurmctld scontrol show partition main
}

start_nodes() {
  local node
  for node in $(node_names); do
    alive "$(slurmd_pid "$node")" slurmd || slurmd -N "$node"
  done
  wait_for 60 "all of the $NODES nodes" nodes_ready
}

nodes_ready() {
  [ "$(sinfo -h -N -p main -t idle,mix,alloc -o %N | sort -u | wc -l)" -eq "$NODES" ]
}

# Before the daemons go: the processes of a job would outlive them.
cancel_jobs() {
  alive "$SLURMCTLD_PID" slurmctld || return 0
  [ -n "$(squeue -h)" ] || return 0
  log "cancelling what is in the queue"
  squeue -h -r -o %i | xargs -r scancel
  wait_for $((KILL_WAIT_S + 20)) "an empty queue" queue_is_empty
}

queue_is_empty() { [ -z "$(squeue -h)" ]; }

stop_slurm() {
  local file
  for file in "$DIR"/run/slurmd-*.pid; do
    [ ! -e "$file" ] || stop_one "$file" slurmd
  done
  stop_one "$SLURMCTLD_PID" slurmctld
  stop_one "$SLURMDBD_PID" slurmdbd
}

show_status() {
  local file name down=0
  local files=("$MUNGE_PID" "$MARIADB_PID" "$SLURMDBD_PID" "$SLURMCTLD_PID")
  for name in $(node_names); do files+=("$(slurmd_pid "$name")"); done
  for file in "${files[@]}"; do
    name=$(basename "$file" .pid)
    if alive "$file" "${name%%-*}"; then
      echo "up    $name (process $(pid_in "$file"))"
    else
      echo "DOWN  $name"
      down=1
    fi
  done
  [ "$down" = 0 ] || { log "not everything is up: '$0 up' starts what is missing"; return 1; }
  sinfo && squeue
}
