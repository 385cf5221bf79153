#!/usr/bin/env bash
# A real SLURM cluster of several nodes on one machine, to develop against. See --help.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE

readonly DIR=${DEV_CLUSTER_DIR:-/tmp/gradsweep_dev_cluster}
readonly NODES=${DEV_CLUSTER_NODES:-4}
readonly CPUS=${DEV_CLUSTER_CPUS:-2}
readonly MEMORY_MB=${DEV_CLUSTER_MEMORY_MB:-4000}
readonly GPUS=${DEV_CLUSTER_GPUS:-2}
readonly REQUEUE_S=${DEV_CLUSTER_REQUEUE_S:-10}
readonly KILL_WAIT_S=${DEV_CLUSTER_KILL_WAIT_S:-2}
readonly OOM_KILL=${DEV_CLUSTER_OOM_KILL:-0}

export PATH=$PATH:/usr/sbin:/sbin # where the daemons are; not on every user's path

# shellcheck source=settings.sh
. "$HERE/settings.sh"
# shellcheck source=processes.sh
. "$HERE/processes.sh"
# shellcheck source=packages.sh
. "$HERE/packages.sh"
# shellcheck source=configuration.sh
. "$HERE/configuration.sh"
# shellcheck source=daemons.sh
. "$HERE/daemons.sh"

show_help() {
  cat <<HELP
A real SLURM cluster of $NODES nodes on this one machine: munge, MariaDB, slurmdbd, slurmctld and
one slurmd per node, so that sbatch, squeue, sacct, requeue and preemption behave as on a cluster.
It needs root and Debian 12, installs Debian's packages where they are missing, uses neither
systemd nor cgroups, and listens on 127.0.0.1 only.

usage: cluster.sh VERB

  up       install, configure and start what is not there yet; returns when every node is idle
  status   the daemons, the nodes and the queue; exit status 1 unless everything is up
  restart  stop the SLURM daemons and start them again; running jobs live on
  stop     cancel every job and stop every daemon; accounting and job numbers are kept
  wipe     stop, then delete all of it except the packages

A first session:

  sudo $0 up
  sinfo
  srun --nodes 2 printenv SLURMD_NODENAME
  python -m gradsweep -m cot=none,detailed hydra/launcher=submitit_slurm hydra.launcher.mem_gb=2
  squeue; sacct -X
  sudo $0 stop

Partitions: main (default), low (what runs there is preempted: USR2, 30 s of grace, requeue) and
high (preempts low, as main does).

Settings, by environment variable; give the same ones to every verb:

  DEV_CLUSTER_NODES=$NODES         nodes, called node1, node2, …
  DEV_CLUSTER_CPUS=$CPUS          CPUs of a node      \ claims: nothing checks that the machine
  DEV_CLUSTER_MEMORY_MB=$MEMORY_MB  memory of a node    / has them or that a job keeps to its share
  DEV_CLUSTER_GPUS=$GPUS          GPUs of a node; they are device files that do nothing
  DEV_CLUSTER_OOM_KILL=$OOM_KILL      1: kill a step that uses more memory than it asked for
  DEV_CLUSTER_REQUEUE_S=$REQUEUE_S    seconds until a requeued job may start (SLURM's own: 120)
  DEV_CLUSTER_KILL_WAIT_S=$KILL_WAIT_S   seconds from TERM to KILL of a job (SLURM's own: 30)
  DEV_CLUSTER_DIR=$DIR   state, logs and pid files

Outside that folder it writes /etc/slurm/{slurm,gres,slurmdbd}.conf (never over another cluster's)
and, where the machine's own name does not resolve, a line in /etc/hosts.

When a daemon does not come up, its log in $DIR/log says why.
HELP
}

up() {
  install_packages
  write_configuration
  if [ "$CONFIGURATION_CHANGED" = 1 ] && alive "$SLURMCTLD_PID" slurmctld; then
    log "the configuration has changed: restarting SLURM"
    stop_slurm
  fi
  start_all
  sinfo
}

restart() {
  require_own_folder
  stop_slurm
  write_configuration
  start_all
  sinfo
}

stop() {
  [ -e "$OWN_MARK" ] || { log "nothing to stop: there is no dev cluster in $DIR"; return 0; }
  cancel_jobs
  stop_slurm
  stop_one "$MARIADB_PID" mariadbd
  stop_one "$MUNGE_PID" munged
  log "stopped"
}

wipe() {
  [ -e "$DIR" ] || { log "nothing to wipe: there is no $DIR"; return 0; }
  require_own_folder # it is deleted whole
  stop
  remove_configuration
  rm -rf "$DIR"
  log "deleted $DIR"
}

case "${1:-}" in
  up | restart | stop | wipe)
    [ "$(id -u)" = 0 ] || die "'$1' needs root: sudo $0 $1"
    [ $# = 1 ] || die "'$1' takes no argument, and '$2' was given; for settings see $0 --help"
    check_settings
    "$1"
    ;;
  status) show_status ;;
  help | -h | --help) show_help ;;
  "") show_help >&2; exit 2 ;;
  *) die "there is no verb '$1'; there are up, stop, restart, status, wipe; see $0 --help" ;;
esac
