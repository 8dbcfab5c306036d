#!/usr/bin/env node
// prebuildify drives node-gyp: it calls `<program> rebuild --arch=... --release` in --cwd and takes the .node that lies in
// build/Release after. This builds with cmake-js instead.
const { spawnSync } = require('node:child_process')
const path = require('node:path')

const root = path.join(__dirname, '..')
const arch = (process.argv.find((word) => word.startsWith('--arch=')) ?? `--arch=${process.arch}`).slice(
  '--arch='.length,
)
const engine = process.env.SEMGEN_ENGINE ?? 'cpu'
const cmakeJs = require.resolve('cmake-js/bin/cmake-js', { paths: [root] })
const words = [
  'compile',
  '--directory',
  root,
  '--out',
  path.join(process.cwd(), 'build'),
  '--arch',
  arch,
  `--CDSEMGEN_ENGINE=${engine}`,
]
const { status } = spawnSync(process.execPath, [cmakeJs, ...words], { stdio: 'inherit', cwd: root })
process.exit(status ?? 1)
