#!/bin/sh
# Debian's Chromium for tests/browser, installed where that needs no question: as root, with apt. Elsewhere those tests
# skip.
set -u
command -v chromium > /dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "tests/browser will be skipped: chromium is missing, and installing it needs root and apt"
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update --quiet --quiet && apt-get install --quiet --yes --no-install-recommends chromium > /dev/null; }; then
    echo "WARNING: Chromium could not be installed; tests/browser will be skipped"
fi
