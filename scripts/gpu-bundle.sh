#!/usr/bin/env bash
# Packs what a machine with a card needs to test and measure the CUDA engine, so that a driver is all it must have: Node,
# the addons and their libraries, compiled TypeScript, tests, benchmarks. There, build/gpu-bundle/run.sh unpacks and runs
# bench/card.ts, in at most eight minutes: a table at the end, and card.json.
#
#   scripts/gpu-bundle.sh [engine]      cuda (takes nvcc some twenty minutes); sim packs what a smoke test needs
set -euo pipefail
cd "$(dirname "$0")/.."
engine=${1:-cuda}
bash scripts/setup.sh

say() { printf '[bundle] %s\n' "$*" >&2; }

say "building the $engine engine, where its sources have changed"
npm run --silent "build:$engine" >&2

bundle=build/gpu-bundle
rm -rf "$bundle"
mkdir -p "$bundle/semgen/lib"
inside=$bundle/semgen

cp -r bin dist src bench test package.json tsconfig.json vitest.config.ts "$inside"
rm -rf "$inside"/test/{volumes,report,phantom,cli}
for name in cpu "$engine"; do
  mkdir -p "$inside/native/$name/build/Release"
  strip -o "$inside/native/$name/build/Release/semgen.node" "native/$name/build/Release/semgen.node"
done
# What the CPU engine loads, but for what every Linux has.
ldd native/cpu/build/Release/semgen.node | awk '/dnnl|gomp|OpenCL/ { print $3 }' | xargs -I{} cp -L {} "$inside/lib"
cp -L "$(command -v node)" "$inside/node"
strip "$inside/node"

# Packages of the program and of its tests; not those that build and check it.
tar -c --exclude=@biomejs --exclude=@types --exclude=typescript --exclude=playwright-core --exclude=.cache \
  --exclude='*-linuxmusl-*' --exclude='*.map' node_modules | tar -x -C "$inside"

cat >"$bundle/run.sh" <<'RUN'
#!/usr/bin/env bash
# Tests and measures the CUDA engine on this machine: run.sh [options of bench/card.ts]. Leaves card.json where it is called.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
unpacked=${SEMGEN_BUNDLE_FOLDER:-$(mktemp -d)}
tar -xJf "$here/semgen.tar.xz" -C "$unpacked"
export SEMGEN_OUTER_LIBRARY_PATH=${LD_LIBRARY_PATH:-}
export LD_LIBRARY_PATH=$unpacked/semgen/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PATH=$unpacked/semgen:$PATH
status=0
"$unpacked/semgen/node" "$unpacked/semgen/dist/bench/card.js" --out "$PWD/card.json" "$@" || status=$?
[ -n "${SEMGEN_BUNDLE_FOLDER:-}" ] || rm -rf "$unpacked"
exit $status
RUN
chmod +x "$bundle/run.sh"

say "compressing"
tar -C "$bundle" -c --sort=name --owner=0 --group=0 semgen | xz -6 -T0 >"$bundle/semgen.tar.xz"
rm -rf "$inside"
size=$(du -sb "$bundle" | cut -f1)
say "$bundle: $((size >> 20)) MiB. On the machine with the card: $bundle/run.sh"
((size < 60 << 20)) || { say "That is over 60 MiB."; exit 1; }
