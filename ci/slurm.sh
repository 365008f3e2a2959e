#!/usr/bin/env bash
# A Slurm cluster on this machine, for tests: one controller and two nodes, node1 and node2.
#
#   ci/slurm.sh start DIRECTORY    in an empty or new directory; prints the variables to set
#   ci/slurm.sh stop DIRECTORY     ends all that is left of it
#
# Everything lives in DIRECTORY, and nothing outside of it is read: a key of its own, ports
# that are free, neither systemd nor control groups. Needs munge and slurm-wlm, and root.
#
#   eval "$(ci/slurm.sh start /tmp/slurm)" && srun --nodelist=node2 hostname
set -euo pipefail

usage() {
    sed -n '2,9s/^# \?//p' "$0" >&2
    exit 2
}

[ $# -eq 2 ] || usage
export PATH="$PATH:/usr/sbin:/sbin"
action=$1
directory=$(mkdir -p "$2" && cd "$2" && pwd)
conf=$directory/slurm.conf
nodes=(node1 node2)

fail() {
    echo "ci/slurm.sh: $1" >&2
    tail -n 5 "$directory"/*.log >&2 2>/dev/null || true
    stop
    exit 1
}

# Waits until a command succeeds; at most 20 seconds.
until_true() {
    local what=$1
    shift
    for _ in $(seq 200); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    fail "$what did not come up in 20 s"
}

free_ports() {
    python3 - "$1" <<'PYTHON'
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for one in sockets:
    one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))
PYTHON
}

configure() {
    local ports host cores memory
    read -r -a ports <<<"$(free_ports 3)"
    host=$(hostname -s)
    cores=$(nproc)
    memory=$(awk '/^MemTotal:/ { print int($2 / 1024 / 2) }' /proc/meminfo)
    mkdir -p "$directory"/{state,munge}
    head -c 1024 /dev/urandom >"$directory/munge/key"
    chmod 700 "$directory/munge"
    chmod 400 "$directory/munge/key"
    # Nothing here uses control groups; version 1 is the one that does not look for them.
    touch "$directory/plugstack.conf"
    cat >"$directory/cgroup.conf" <<<"CgroupPlugin=cgroup/v1"
    cat >"$conf" <<CONF
ClusterName=hallux
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$directory/munge/socket
CredType=cred/munge
StateSaveLocation=$directory/state
SlurmctldPidFile=$directory/slurmctld.pid
SlurmctldLogFile=$directory/slurmctld.log
SlurmdSpoolDir=$directory/spool-%n
SlurmdPidFile=$directory/%n.pid
SlurmdLogFile=$directory/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
PlugStackConfig=$directory/plugstack.conf
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
InactiveLimit=0
KillWait=2
MinJobAge=300
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=10000,batch_sched_delay=0,bf_interval=1
NodeName=node1 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[1]} CPUs=$cores RealMemory=$memory
NodeName=node2 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[2]} CPUs=$cores RealMemory=$memory
PartitionName=all Nodes=node1,node2 Default=YES OverSubscribe=YES MaxTime=INFINITE State=UP
CONF
}

start() {
    for tool in munged slurmctld slurmd srun; do
        command -v "$tool" >/dev/null ||
            fail "$tool is missing (apt-get install munge slurm-wlm)"
    done
    configure
    export SLURM_CONF=$conf
    # Not as a daemon, so that their numbers are known and they cannot outlive `stop`.
    launch munged munged --foreground --force --key-file="$directory/munge/key" \
        --socket="$directory/munge/socket" --pid-file="$directory/munge/pid" \
        --log-file="$directory/munge/log" --seed-file="$directory/munge/seed"
    until_true munged test -S "$directory/munge/socket"
    launch slurmctld slurmctld -D -i
    until_true slurmctld scontrol ping
    for node in "${nodes[@]}"; do
        mkdir -p "$directory/spool-$node"
        launch "$node" slurmd -D -N "$node"
    done
    until_true "both nodes" both_are_idle
    echo "export SLURM_CONF='$conf'"
}

both_are_idle() {
    [ "$(sinfo --noheader --Node --states=idle --format=%N | sort -u | wc -l)" -eq 2 ]
}

launch() {
    local name=$1
    shift
    setsid "$@" >"$directory/$name.out" 2>&1 </dev/null &
    echo $! >"$directory/$name.process"
}

stop() {
    export SLURM_CONF=$conf
    local name processes=()
    # What runs belongs to the nodes' sessions no longer; only Slurm can end it.
    if timeout 5 scancel --state=PENDING 2>/dev/null && timeout 5 scancel --signal=KILL --full \
        --state=RUNNING 2>/dev/null; then
        for _ in $(seq 50); do
            [ -n "$(timeout 5 squeue --noheader 2>/dev/null)" ] || break
            sleep 0.1
        done
    fi
    for name in "${nodes[@]}" slurmctld munged; do
        [ -f "$directory/$name.process" ] || continue
        processes+=("$(cat "$directory/$name.process")")
        rm -f "$directory/$name.process"
    done
    [ ${#processes[@]} -gt 0 ] || return 0
    kill "${processes[@]}" 2>/dev/null || true
    for _ in $(seq 50); do
        any_runs "${processes[@]}" || break
        sleep 0.1
    done
    # Each leads a session of its own, which has its number.
    kill -KILL -- "${processes[@]/#/-}" 2>/dev/null || true
}

# False if all have ended, also if nobody has asked yet how.
any_runs() {
    local process
    for process in "$@"; do
        grep -qs '^State:[[:space:]]*[^Z]' "/proc/$process/status" && return
    done
    return 1
}

case $action in
start) start ;;
stop) stop ;;
*) usage ;;
esac
