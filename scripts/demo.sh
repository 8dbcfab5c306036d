#!/usr/bin/env bash
# The main job from nothing: makes a cohort of synthetic torso CTs. scripts/setup.sh has built what it needs.
set -euo pipefail
cd "$(dirname "$0")/.."

node bin/semgen-native.js phantom --out runs/demo-cohort --count 24 --seed 7
