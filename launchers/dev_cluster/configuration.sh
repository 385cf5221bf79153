# shellcheck shell=bash
# Folders, fake GPUs and SLURM's configuration files.

readonly ETC=/etc/slurm
readonly OURS="# Written by gradsweep's launchers/dev_cluster/cluster.sh; changes are overwritten."
# Nobody wants to wait half a minute for a test's job.
readonly QUICK_TURNS=(
  batch_sched_delay=1 sched_interval=2 sched_min_interval=200000 bf_interval=2
  preempt_youngest_first
)
CONFIGURATION_CHANGED=0

write_configuration() {
  local file
  for file in slurm gres slurmdbd; do refuse_foreign "$ETC/$file.conf"; done
  refuse_second
  own_folder
  getent hosts "$HOST" >/dev/null || echo "127.0.0.1 $HOST # gradsweep dev_cluster" >>/etc/hosts
  make_folders
  make_gpus
  mkdir -p "$ETC"
  put "$ETC/slurm.conf" < <(slurm_conf)
  put "$ETC/gres.conf" < <(gres_conf)
  # slurmdbd insists that nobody else can read its password.
  [ -e "$ETC/slurmdbd.conf" ] || install -o slurm -g slurm -m 600 /dev/null "$ETC/slurmdbd.conf"
  put "$ETC/slurmdbd.conf" < <(slurmdbd_conf)
}

refuse_foreign() { # refuse_foreign FILE: it is there, and of another cluster
  if [ -s "$1" ] && [ "$(head -n 1 "$1")" != "$OURS" ]; then
    die "$1 belongs to another cluster and is left alone; move it away if that cluster is of no use"
  fi
}

# One at a time: they would share ports and configuration.
refuse_second() {
  local other
  [ -e "$ETC/slurm.conf" ] || return 0
  other=$(sed -n 's|^StateSaveLocation=\(.*\)/controller$|\1|p' "$ETC/slurm.conf")
  if [ "$other" != "$DIR" ] && alive "$other/run/slurmctld.pid" slurmctld; then
    die "the dev cluster in $other is up: stop it first, with DEV_CLUSTER_DIR=$other $0 stop"
  fi
}

remove_configuration() {
  local file
  for file in "$ETC"/{slurm,gres,slurmdbd}.conf; do
    if [ -e "$file" ] && [ "$(head -n 1 "$file")" = "$OURS" ]; then rm -f "$file"; fi
  done
}

put() { # put FILE: stdin becomes the file's content; notes whether that changed it
  local new
  new=$(echo "$OURS" && cat)
  if [ ! -e "$1" ] || [ "$new" != "$(cat "$1")" ]; then
    printf '%s\n' "$new" >"$1"
    CONFIGURATION_CHANGED=1
  fi
}

make_folders() {
  local node
  mkdir -p "$DIR"/{log,gpu}
  install -d -o slurm "$DIR"/{run,controller}
  install -d -o mysql "$DIR/mariadb"
  install -d -o munge "$DIR/munge"
  for node in $(node_names); do mkdir -p "$DIR/spool/$node"; done
  chown slurm: "$DIR/log"
}

# slurmd wants one character device per GPU; copies of /dev/null do.
make_gpus() {
  local i
  for ((i = 0; i < GPUS; i++)); do
    [ -c "$DIR/gpu/nvidia$i" ] || mknod -m 666 "$DIR/gpu/nvidia$i" c 1 3 ||
      die "this machine does not let root make device files: set DEV_CLUSTER_GPUS=0"
  done
}

gres_conf() {
  [ "$GPUS" = 0 ] || echo "NodeName=node[1-$NODES] Name=gpu File=$DIR/gpu/nvidia[0-$((GPUS - 1))]"
}

slurm_conf() {
  daemons_conf
  scheduling_conf
  nodes_conf
}

daemons_conf() {
  cat <<CONF
ClusterName=$CLUSTER
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$SLURMCTLD_PORT
SlurmUser=slurm
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# cred_expire is also how long a requeued job waits before it may start.
AuthInfo=socket=$MUNGE_SOCKET,cred_expire=$REQUEUE_S
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
MpiDefault=none
MailProg=/bin/true
# No cgroups.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5
# Several slurmd on one host; %n is the node's name.
SlurmdParameters=config_overrides
SlurmdPidFile=$(slurmd_pid %n)
SlurmdLogFile=$DIR/log/slurmd-%n.log
SlurmdSpoolDir=$DIR/spool/%n
SlurmctldPidFile=$SLURMCTLD_PID
SlurmctldLogFile=$DIR/log/slurmctld.log
StateSaveLocation=$DIR/controller
ReturnToService=2
SlurmdTimeout=300
MessageTimeout=30
KillWait=$KILL_WAIT_S
JobRequeue=1
# Accounting, so that sacct works.
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$SLURMDBD_PORT
# The socket of munge, as in AuthInfo: accounting looks for it here.
AccountingStoragePass=$MUNGE_SOCKET
CONF
}

scheduling_conf() {
  cat <<CONF
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=500
SchedulerType=sched/backfill
SchedulerParameters=$(IFS=,; echo "${QUICK_TURNS[*]}")
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
CONF
  [ "$OOM_KILL" = 0 ] || echo "JobAcctGatherParams=OverMemoryKill"
}

nodes_conf() {
  local node port=$FIRST_SLURMD_PORT gres=""
  if [ "$GPUS" != 0 ]; then
    printf 'GresTypes=gpu\nAccountingStorageTRES=gres/gpu\n'
    gres="Gres=gpu:$GPUS"
  fi
  for node in $(node_names); do
    echo "NodeName=$node NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$((port++))" \
      "CPUs=$CPUS Sockets=1 CoresPerSocket=$CPUS ThreadsPerCore=1 RealMemory=$MEMORY_MB $gres"
  done
  cat <<CONF
PartitionName=DEFAULT Nodes=ALL MaxTime=INFINITE DefaultTime=60 State=UP
PartitionName=main PriorityTier=10 PreemptMode=OFF Default=YES
PartitionName=low PriorityTier=1 PreemptMode=REQUEUE GraceTime=30
PartitionName=high PriorityTier=100 PreemptMode=OFF
CONF
}

slurmdbd_conf() {
  cat <<CONF
AuthType=auth/munge
AuthInfo=socket=$MUNGE_SOCKET
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$SLURMDBD_PORT
CommunicationParameters=NoInAddrAny
SlurmUser=slurm
DebugLevel=info
LogFile=$DIR/log/slurmdbd.log
PidFile=$SLURMDBD_PID
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$MARIADB_PORT
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
CONF
}
