#!/bin/sh
# Debian's Slurm for tests/slurm, installed where that needs no question: as root, with apt. Elsewhere those tests skip.
set -u
packages="munge slurmctld slurmd slurm-client slurmdbd mariadb-server mariadb-client"
PATH="$PATH:/usr/sbin:/sbin"

missing=""
for program in munged slurmctld slurmd sbatch slurmdbd mariadbd mariadb-install-db; do
    command -v "$program" > /dev/null || missing="$missing $program"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "tests/slurm will be skipped: missing$missing, and installing them needs root and apt"
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # several packages are meant
if ! { apt-get update --quiet --quiet && apt-get install --quiet --yes --no-install-recommends $packages > /dev/null; }; then
    echo "WARNING: Slurm could not be installed; tests/slurm will be skipped"
fi
