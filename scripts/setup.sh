#!/usr/bin/env bash
# Everything between a clone and a working build. What is already done is skipped, so a repeated call takes seconds.
set -euo pipefail
cd "$(dirname "$0")/.."
export npm_config_fund=false npm_config_audit=false npm_config_update_notifier=false

say() { printf '[setup] %s\n' "$*" >&2; }

node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' 2>/dev/null ||
  { say "Node 20 or later is needed, and $(node --version 2>/dev/null || echo none) is here."; exit 1; }

# System packages: compiler, oneDNN (CPU engine), libdeflate (.nii.gz).
packages=(g++ make cmake libdnnl-dev libdeflate-dev)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
  install=(apt-get install -y --no-install-recommends "${missing[@]}")
  if [ "$(id -u)" = 0 ]; then as=(); elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as=(sudo); else
    say "Please install what is missing, then call this again: sudo ${install[*]}"; exit 1
  fi
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  { "${as[@]}" apt-get update && "${as[@]}" "${install[@]}"; } >"$log" 2>&1 || { tail -20 "$log" >&2; exit 1; }
  rm -f "$log"
fi

mkdir -p .setup
done_before() { [ -e ".setup/$1" ] && [ "$(cat ".setup/$1")" = "$2" ]; }

lock=$(cat package.json package-lock.json | sha256sum)
if [ ! -d node_modules ] || ! done_before npm "$lock"; then
  say "npm ci"
  npm ci --loglevel=error >&2
  echo "$lock" >.setup/npm
fi

build_engine() { # its name, what it is, its own sources
  local name=$1 what=$2 sources log
  shift 2
  sources=$(find engine binding "$@" CMakeLists.txt -type f | LC_ALL=C sort | xargs sha256sum | sha256sum)
  if ! compgen -G "native/$name/build/Release/*.node" >/dev/null || ! done_before "$name" "$sources"; then
    say "building $what"
    log=$(mktemp)
    npm run --silent "build:$name" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
    rm -f "$log"
    echo "$sources" >".setup/$name"
  fi
}
build_engine cpu "the CPU engine"
# Cards are rare where this is built and tested: the simulator stands in. The engine for cards takes nvcc some twenty
# minutes: npm run build:cuda.
build_engine sim "the CUDA engine for the simulator" cuda test/simulator

code=$(find src bench scripts tsconfig*.json -type f | LC_ALL=C sort | xargs sha256sum | sha256sum)
if [ ! -d dist ] || ! done_before typescript "$code"; then
  say "building TypeScript"
  npm run --silent build:ts >&2
  echo "$code" >.setup/typescript
fi
