#!/bin/sh
# Runs a program as the first process of a container, about as systemd-nspawn would, by unshare:
#   unshared.sh TREE GROUP LAYER PROGRAM [OUTSIDE INSIDE]...
#
# TREE     what the container sees as its root; it stays as it is
# GROUP    directory of the control group whose new member `payload` becomes the container's root
# LAYER    an empty folder, in which what the container writes is kept in memory
# PROGRAM  a path in the tree
# OUTSIDE  a folder of this machine that the container sees, read-only, as INSIDE
#
# If NOTIFY_SOCKET is set, the program gets that socket as its own.
set -eu

if [ "$1" != --inside ]; then
  mkdir -p "$2/payload"
  echo 0 >"$2/payload/cgroup.procs"
  exec unshare --mount --pid --net --ipc --uts --cgroup --fork --kill-child \
    /bin/sh "$0" --inside "$@"
fi

tree=$2 layer=$4 program=$5
shift 5

hostname debian
mount -t tmpfs -o mode=755 tmpfs "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay -o "lowerdir=$tree,upperdir=$layer/upper,workdir=$layer/work" overlay "$layer/root"
cd "$layer/root"

mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
mkdir run/host
if [ -n "${NOTIFY_SOCKET-}" ]; then
  : >run/host/notify
  mount --bind "$NOTIFY_SOCKET" run/host/notify
fi
while [ $# -gt 0 ]; do
  mkdir -p ".$2"
  mount --bind "$1" ".$2"
  mount -o remount,bind,ro ".$2"
  shift 2
done

mount -t tmpfs -o mode=755,nosuid tmpfs dev
for node in "null 3" "zero 5" "full 7" "random 8" "urandom 9"; do
  mknod -m 666 "dev/${node% *}" c 1 "${node#* }"
done
mknod -m 666 dev/tty c 5 0
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr

# Nothing may cover a part of it, as on a real machine: else no sandbox could mount one of its own.
mount -t proc -o nosuid,nodev,noexec proc proc
ln -s /dev/null etc/systemd/system/systemd-sysctl.service # /proc/sys is that of the whole machine
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup

mkdir .outside
pivot_root . .outside
umount --lazy /.outside
rmdir /.outside
# systemd expects that mounts of the root appear in the namespaces of its services.
mount --make-rshared /
exec env -i container=unshare ${NOTIFY_SOCKET:+NOTIFY_SOCKET=/run/host/notify} \
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  setpriv --bounding-set=-sys_module,-sys_rawio,-sys_time,-syslog "$program"
