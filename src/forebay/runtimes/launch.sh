#!/bin/sh
# Prepares the ground for one instance, then runs its program. Started by processes.py as
#   launch.sh mode private-tmp code-dir data-limit-kb program arguments...
# mode: plain         run it as it is
#       namespace     inside mount and PID namespaces: the code is read-only, as on Lambda
#       namespace-tmp the same, and private-tmp stands at /tmp
# In a namespace this shell stays as process 1: it reaps what the program leaves behind, and when it ends, the
# kernel kills everything that the program has started.
mode=$1 tmp=$2 code=$3 data=$4
shift 4

# When the machine runs out of memory, functions go before the node does.
{ echo 500 > /proc/self/oom_score_adj; } 2>/dev/null
[ "$data" = 0 ] || ulimit -d "$data"
ulimit -c 0

if [ "$mode" = plain ]; then
    cd "$code" && unset OLDPWD && exec "$@"
    exit 127
fi

# Refused in a user namespace when the file system has flags of its own (nodev, nosuid): then the code stays writable.
{ mount --bind "$code" "$code" && mount -o remount,bind,ro "$code"; } 2>/dev/null
if [ "$mode" = namespace-tmp ]; then
    mount --bind "$tmp" /tmp || exit 126
fi
# Entered only now, so that the working directory lies on the read-only mount.
cd "$code" || exit 126
unset OLDPWD
"$@"
exit $?
