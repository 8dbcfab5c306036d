import type { Examination } from '../doctor/index.js'
import { bytes } from '../format.js'
import type { Colours } from './colours.js'

/** An examination for people: one fact a line, then what was found. */
export function doctorReport(seen: Examination, colours: Colours): string {
  const { machine, engines, gpus, packages, findings } = seen
  const { cpu, memory, disk } = machine
  const lines: [string, string][] = [
    ['semgen-native', seen.version],
    ['Node', seen.node],
    [
      'System',
      [machine.system, machine.kernel, machine.architecture, machine.glibc && `glibc ${machine.glibc}`]
        .filter(Boolean)
        .join(', '),
    ],
    ['CPU', cpu.model],
    ['', `${cpu.usableCores} of ${cpu.cores} cores; ${cpu.features.join(', ') || 'no known vector instructions'}`],
    [
      'Memory',
      `${bytes(memory.availableBytes)} available of ${bytes(memory.totalBytes)}${memory.limitBytes ? `, limited to ${bytes(memory.limitBytes)}` : ''}`,
    ],
    ['Disk', `${bytes(disk.freeBytes)} free of ${bytes(disk.totalBytes)} at ${disk.folder}`],
    ...engines.map((state): [string, string] => [
      `Engine ${state.engine}`,
      state.works
        ? `${colours.green('works')}: ${state.library}, ${state.instructions}${state.bf16 ? ', bf16' : ''}`
        : `${colours.dim('not here')}: ${state.why}`,
    ]),
    ...(gpus.cards.length > 0 ? gpus.cards : [undefined]).map((card): [string, string] => [
      'GPU',
      card
        ? [
            card.name,
            card.memoryBytes && bytes(card.memoryBytes),
            card.freeBytes !== undefined && `${bytes(card.freeBytes)} free`,
            card.computeCapability && `compute capability ${card.computeCapability}`,
            gpus.driver && `driver ${gpus.driver}`,
          ]
            .filter(Boolean)
            .join(', ')
        : `none: ${gpus.source}`,
    ]),
    ['Packages', packages.map(({ name, installed }) => `${name} ${installed ?? colours.red('missing')}`).join(', ')],
  ]
  const width = Math.max(...lines.map(([label]) => label.length)) + 2
  const facts = lines.map(([label, fact]) => `${label.padEnd(width)}${fact}`)
  const verdict = findings.map(
    ({ level, message, remedy }) =>
      `${level === 'problem' ? colours.red('problem') : colours.yellow('note')}: ${message} ${remedy}`,
  )
  return [...facts, '', ...(verdict.length > 0 ? verdict : [colours.green('Nothing is missing.')])].join('\n')
}
