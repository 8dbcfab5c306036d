import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { z } from 'zod'
import { type PatternSet, readPatterns } from '../discovery/index.js'
import { reason, SemgenError } from '../errors.js'
import { readJson } from '../files.js'
import { type Cohort, parseCohort } from '../volumes/index.js'
import { type Course, readMetrics } from './metrics.js'
import { type RunConfiguration, runConfiguration, type SamplesFile, samplesFile } from './run-files.js'
import type { Cube } from './slices.js'

/** What a run's folder holds. A part that is missing or cannot be read is a reason instead. */
export interface Run {
  readonly name: string
  readonly folder: string
  readonly configuration: Part<RunConfiguration>
  readonly cohort: Part<Cohort>
  readonly course: Part<Course>
  readonly samples: Part<Samples>
  readonly patterns: Part<PatternSet>
  readonly montages: Part<readonly Montage[]>
}

/** A part of a run, or one sentence why it is not there. */
export type Part<T> = { readonly value: T } | { readonly missing: string }

export interface Samples {
  readonly step: number
  readonly samples: readonly (SamplesFile['samples'][number] & {
    readonly original: Cube
    readonly perturbed: Cube
    readonly restored: Cube
  })[]
}

export interface Montage {
  readonly file: string
  readonly png: Uint8Array
}

/**
 * Reads what there is of a run, finished or not.
 * @throws SemgenError IO or BAD_FILE when the folder is no run's
 */
export async function readRun(folder: string): Promise<Run> {
  const present = await stat(folder).catch(() => undefined)
  if (!present?.isDirectory()) throw new SemgenError('IO', `${folder} is no folder: give the folder of a run.`)
  const part = async <T>(file: string, read: (path: string) => Promise<T>): Promise<Part<T>> => {
    try {
      return { value: await read(join(folder, file)) }
    } catch (error) {
      const absent = codeOf(error) === 'ENOENT' || codeOf((error as Error).cause) === 'ENOENT'
      return { missing: absent ? `The run has no ${file} (yet).` : reason(error) }
    }
  }
  const [configuration, cohort, course, samples, patterns, montages] = await Promise.all([
    part('config.json', (path) => readAs(path, runConfiguration)),
    part('cohort.json', async (path) => parseCohort(path, await readJson(path))),
    part('metrics.jsonl', readMetrics),
    part('samples.json', readSamples),
    part('patterns.json', readPatterns),
    part('montages', readMontages),
  ])
  if ('missing' in configuration && 'missing' in course)
    throw new SemgenError('BAD_FILE', `${folder} holds no run: ${configuration.missing} ${course.missing}`)
  return {
    name: basename(resolve(folder)),
    folder: resolve(folder),
    configuration,
    cohort,
    course,
    samples,
    patterns,
    montages,
  }
}

const codeOf = (error: unknown): unknown => (error as NodeJS.ErrnoException | undefined)?.code

/** @throws SemgenError BAD_FILE naming the first field that is not as it should be */
async function readAs<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  const parsed = schema.safeParse(await readJson(path))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new SemgenError('BAD_FILE', `${path} is not as expected at "${issue?.path.join('.')}": ${issue?.message}.`)
}

async function readSamples(path: string): Promise<Samples> {
  const { step, shape, samples } = await readAs(path, samplesFile)
  const size = shape[0] * shape[1] * shape[2]
  const bin = path.replace(/json$/, 'bin')
  const { size: length } = await stat(bin)
  if (size === 0 || length !== samples.length * 3 * size)
    throw new SemgenError('BAD_FILE', `${bin} has ${length} bytes, and ${path} tells of ${samples.length * 3 * size}.`)
  const voxels = new Uint8Array(await readFile(bin))
  const cube = (index: number, spacing: Cube['spacing']): Cube => ({
    shape,
    spacing,
    voxels: voxels.subarray(index * size, (index + 1) * size),
  })
  return {
    step,
    samples: samples.map((sample, i) => ({
      ...sample,
      original: cube(3 * i, sample.spacing),
      perturbed: cube(3 * i + 1, sample.spacing),
      restored: cube(3 * i + 2, sample.spacing),
    })),
  }
}

async function readMontages(folder: string): Promise<Montage[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.png') && !file.startsWith('.'))
  files.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  return Promise.all(files.map(async (file) => ({ file, png: await readFile(join(folder, file)) })))
}
