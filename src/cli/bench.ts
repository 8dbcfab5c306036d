import { existsSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { type Benchmark, benchmarks, measureRuns, plannedRuns, usualBenchmarks } from '../../bench/index.js'
import {
  choice,
  chosen,
  engineOptions,
  extents,
  flag,
  group,
  option,
  positional,
  several,
  text,
  whole,
} from '../config/index.js'
import { SemgenError } from '../errors.js'
import { command } from './command.js'

const names = Object.keys(benchmarks) as Benchmark[]
const { device, precision, threads, tiles } = engineOptions

export const bench = command({
  name: 'bench',
  summary: 'Measure how fast this machine is at the parts of the work.',
  details: [
    ...names.map((name) => `${name}: ${benchmarks[name].what}.`),
    'The tables, with machine, versions and commit, are printed and saved as Markdown and JSON.',
  ].join(' '),
  examples: [
    'bench',
    'bench step --batch 1 --precision bf16',
    'bench data --json',
    'bench tune --device cuda --batch 64 --tiles tiles.json',
    'bench kernels --device sim --batch 1 --base-width 8 --patch 16x16x16',
  ],
  options: {
    what: positional(
      option(several({ ...choice(...names), placeholder: 'WHAT' }), usualBenchmarks, 'What to measure.'),
    ),
    json: option(flag, false, 'Print JSON for programs.'),
    out: chosen(
      text('DIR', 'a folder'),
      'bench/results of a checkout, the current folder of an installed package',
      'Folder for the tables.',
    ),
    force: option(flag, false, "Overwrite another run's tables."),
    ...group('Step, kernels and tune', {
      device,
      precision: { ...precision, automatic: 'float32 and, where the engine has it, bfloat16 for a step' },
      threads,
      batch: chosen(whole(1, 65536), '1 and 4 for a step, 1 for kernels', 'Cubes a step.'),
      baseWidth: chosen(whole(1, 1024), '32', 'Channels of the first conv unit.'),
      patch: chosen(extents(4, 512), '64x64x32', 'Voxels of a cube.'),
      tiles: {
        ...tiles,
        automatic: 'none; tiles.json for tune',
        description: 'Tile shapes for this card: tune writes or adds to the table, the others take it.',
      },
    }),
  },
  async run(
    { what, json, out, force, device, precision, threads, batch, baseWidth, patch, tiles },
    { progress, signal, print },
  ) {
    const { checkFree, makeFolder, pytorchVersion, reportPath, runText, saveReport, usualFolder } = await import(
      '../../bench/report.js'
    )
    const { examineSurroundings } = await import('../../bench/surroundings.js')
    const given = {
      device: device === 'auto' ? undefined : device,
      precision,
      threads,
      batch,
      'base-width': baseWidth,
      patch: patch?.join('x'),
      tiles,
    }
    const words = Object.entries(given).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name}`, String(value)],
    )
    const { surroundings, engine, bf16 } = await examineSurroundings(device)
    if (engine === 'cpu' && (tiles !== undefined || what.includes('tune')))
      throw new SemgenError(
        'BAD_OPTION',
        'Tile shapes are tuned, and taken from a table, on a card (--device cuda): on the CPU, oneDNN chooses by itself how it computes.',
      )
    if (tiles !== undefined && !(what.includes('tune') && !existsSync(tiles))) {
      const { readTiles } = await import('../engine/index.js')
      readTiles(tiles)
    }
    const date = new Date().toISOString()
    const folder = out ?? usualFolder()
    const usual = what.join() === usualBenchmarks.join()
    const path = reportPath(folder, {
      date,
      machine: surroundings.machine,
      // Of a table of tiles its name, wherever it lies.
      what: [...(usual ? ['all'] : what), ...words.map((word) => (word === tiles ? basename(word) : word))],
    })
    if (!force) checkFree(path)
    // Before minutes of tuning, not after.
    if (tiles !== undefined && what.includes('tune')) await makeFolder(dirname(tiles))

    const runs = await measureRuns(plannedRuns(what, words, bf16), signal, (run) => {
      if (!json) print(runText(run))
    })
    const command = ['semgen-native bench', ...(usual ? [] : what), ...words].join(' ')
    const versions = { ...surroundings.versions, pytorch: pytorchVersion(runs) }
    const report = { version: 1, date, command, ...surroundings, versions, runs } as const
    await saveReport(folder, path, report)
    if (json) print(JSON.stringify(report, null, 2))
    progress.say(`The tables are in ${path}.md, the figures in ${path}.json.`)
    const failed = runs.filter((run) => run.failed !== undefined).map(({ program }) => program)
    if (failed.length > 0)
      throw new SemgenError('NATIVE', `Of the benchmarks ${failed.join(', ')} failed; the others are saved.`)
  },
})
