// What nvcc says of the kernels: registers, static shared memory, stack and spills, by architecture.
//
//   node scripts/kernel-resources.mjs --write                          all kernels, into cuda/resources.json
//   node scripts/kernel-resources.mjs --arch sm_90 cuda/conv3d/*.cu    some, as JSON
import { execFile, execFileSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { arch: { type: 'string', default: 'sm_80,sm_90,sm_120' }, write: { type: 'boolean', default: false } },
})

/** Kernels of one file: "ptxas info" lines, a function and what it uses after one another. */
async function resources(file, architecture) {
  const words = [
    `-arch=${architecture}`,
    '-std=c++20',
    '-O3',
    `-I${root}`,
    '-Xptxas',
    '-v',
    '-cubin',
    '-o',
    '/dev/null',
    file,
  ]
  const { stderr } = await promisify(execFile)('nvcc', words, { cwd: root, maxBuffer: 2 ** 26 })
  const found = {}
  let kernel
  for (const line of demangled(stderr).split('\n')) {
    kernel = /Compiling entry function '(.*)' for/.exec(line)?.[1] ?? kernel
    if (!kernel) continue
    const entry = (found[shortName(kernel)] ??= {})
    const frame = /(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line)
    if (frame) Object.assign(entry, { stack: Number(frame[1]), spilled: Number(frame[2]) + Number(frame[3]) })
    const used = /Used (\d+) registers/.exec(line)
    if (used)
      Object.assign(entry, { registers: Number(used[1]), shared: Number(/(\d+) bytes smem/.exec(line)?.[1] ?? 0) })
  }
  return found
}

const demangled = (text) => execFileSync('c++filt', { input: text, encoding: 'utf8', maxBuffer: 2 ** 26 })

/** "void semgen::cuda::(anonymous namespace)::f<semgen::cuda::T<1> >(int)" -> "f<T<1> >", as the simulator calls it. */
function shortName(name) {
  const plain = name
    .replace(/^void /, '')
    .replaceAll('__nv_bfloat16', 'bf16')
    .replace(/_GLOBAL__N__\w+::|\(anonymous namespace\)::|semgen::cuda::/g, '')
  // The arguments are the last parenthesis outside of angle brackets.
  let depth = 0
  for (let i = 0; i < plain.length; i++) {
    if (plain[i] === '<') depth++
    else if (plain[i] === '>') depth--
    else if (plain[i] === '(' && depth === 0) return plain.slice(0, i)
  }
  return plain
}

const files =
  positionals.length > 0
    ? positionals
    : readdirSync(join(root, 'cuda'), { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('.cu'))
        .sort()
        .map((path) => join('cuda', path))
const work = values.arch.split(',').flatMap((architecture) => files.map((file) => ({ architecture, file })))
const kernels = {}
await Promise.all(
  Array.from({ length: availableParallelism() }, async () => {
    for (let next = work.shift(); next; next = work.shift()) {
      for (const [name, used] of Object.entries(await resources(next.file, next.architecture))) {
        kernels[name] ??= {}
        kernels[name][next.architecture] = used
      }
    }
  }),
)
const sorted = (table) => Object.fromEntries(Object.entries(table).sort(([a], [b]) => (a < b ? -1 : 1)))
const nvcc = /release ([\d.]+)/.exec(execFileSync('nvcc', ['--version'], { encoding: 'utf8' }))[1]
const table = {
  nvcc,
  kernels: sorted(Object.fromEntries(Object.entries(kernels).map(([name, by]) => [name, sorted(by)]))),
}
// A line a kernel: differences can be read.
const lines = Object.entries(table.kernels).map(([name, by]) => `  ${JSON.stringify(name)}: ${JSON.stringify(by)}`)
const text = `{ "nvcc": "${nvcc}", "kernels": {\n${lines.join(',\n')}\n} }\n`
if (values.write) writeFileSync(join(root, 'cuda/resources.json'), text)
else process.stdout.write(text)
