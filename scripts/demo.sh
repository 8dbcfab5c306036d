#!/usr/bin/env bash
# The main job from nothing: makes a cohort of synthetic torso CTs, discovers patterns, pre-trains, is stopped once as by
# Ctrl-C and resumed, and writes a report. scripts/setup.sh has built what it needs. About six minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."

semgen() { node bin/semgen-native.js "$@"; }

semgen phantom --out runs/demo-cohort --count 24 --seed 7
semgen inspect runs/demo-cohort/images --out runs/demo-cohort/cohort.json

train=(train runs/demo-cohort/images --out runs/demo --seed 7)
echo "[demo] training, to be stopped after 100 seconds"
stopped=0
timeout --foreground --signal=INT 100 node bin/semgen-native.js "${train[@]}" --max-time 4m --force || stopped=$?
# 124: timeout sent the signal; 130: the command says it was stopped by one.
case $stopped in 0 | 124 | 130) ;; *) exit "$stopped" ;; esac
echo "[demo] resuming"
semgen "${train[@]}" --resume
semgen report runs/demo
echo "[demo] a few steps of the CUDA engine, in the simulator of a card"
semgen train runs/demo-cohort/images --out runs/demo-simulated --force --device sim --base-width 4 --depth 2 --patch 16x16x16 \
  --classes 4 --batch 2 --epochs 2 --cubes 4 --embedding-width 4 --embedding-input 16x16x16 --embedding-epochs 1
echo "[demo] done: open runs/demo/report.html"
