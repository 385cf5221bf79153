# shellcheck shell=bash
# Debian's packages.

readonly PACKAGES=(munge mariadb-server slurmctld slurmd slurmdbd slurm-client)

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'; }

install_packages() {
  local package missing=()
  command -v apt-get >/dev/null ||
    die "there is no apt-get here: the dev cluster needs Debian 12, for example in a container"
  for package in "${PACKAGES[@]}"; do
    installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  log "installing ${missing[*]}"
  without_services apt_install "${missing[@]}"
}

apt_install() {
  local said
  if ! said=$(apt-get update -qq 2>&1 &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" 2>&1); then
    echo "$said" >&2
    return 1
  fi
}

# Run a command while packages may not start the services that they bring: ours are started here.
without_services() {
  local policy=/usr/sbin/policy-rc.d status=0
  if [ -e "$policy" ]; then
    "$@" || status=$?
  else
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    "$@" || status=$?
    rm -f "$policy"
  fi
  [ "$status" = 0 ] || die "apt-get could not install them; its words are above"
}
