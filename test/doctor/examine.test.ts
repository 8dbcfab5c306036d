import { describe, expect, it } from 'vitest'
import { findings } from '../../src/doctor/examine.js'
import { parseCards, parseDriverVersion } from '../../src/doctor/gpu.js'
import { cpuFeatures } from '../../src/doctor/machine.js'

describe('what the system says', () => {
  it('CPU flags, x86 and ARM', () => {
    expect(cpuFeatures('processor\t: 0\nflags\t\t: fpu avx2 fma avx512f avx512_bf16 amx_tile amx_bf16\n')).toEqual([
      'AVX2',
      'FMA',
      'AVX-512',
      'AVX512_BF16',
      'AMX',
      'AMX_BF16',
    ])
    expect(cpuFeatures('Features\t: fp asimd evtstrm sve bf16\n')).toEqual(['NEON', 'SVE', 'BF16'])
    expect(cpuFeatures('')).toEqual([])
  })

  it('the driver’s version, closed and open kernel module', () => {
    const closed =
      'NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\nGCC version: 12\n'
    const open =
      'NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder@U22)  Thu Jan 23\n'
    expect(parseDriverVersion(closed)).toBe('535.183.01')
    expect(parseDriverVersion(open)).toBe('570.86.15')
    expect(parseDriverVersion('')).toBeUndefined()
  })

  it('cards, whatever they withhold', () => {
    expect(parseCards('NVIDIA H200, 143771, 140000, 9.0\nTesla K80, [N/A], [N/A], [N/A]\n\n')).toEqual([
      { name: 'NVIDIA H200', memoryBytes: 143771 * 2 ** 20, freeBytes: 140000 * 2 ** 20, computeCapability: '9.0' },
      { name: 'Tesla K80' },
    ])
  })
})

describe('findings', () => {
  const works = { works: true as const, library: 'oneDNN 2.6.3', instructions: 'AVX2', bf16: false }
  const fine: Parameters<typeof findings>[0] = {
    version: '0.1.0',
    node: '20.0.0',
    machine: {
      system: 'Debian',
      kernel: 'Linux',
      architecture: 'x64',
      glibc: '2.36',
      cpu: { model: 'a', cores: 2, usableCores: 2, features: ['AVX2'] },
      memory: { totalBytes: 2 ** 34, availableBytes: 2 ** 33, limitBytes: undefined },
      disk: { folder: '/', totalBytes: 2 ** 40, freeBytes: 2 ** 39 },
    },
    engines: [{ engine: 'cpu', ...works }],
    gpus: { driver: undefined, cards: [], source: 'no NVIDIA driver is loaded' },
    packages: [{ name: 'zod', wanted: '4', installed: '4' }],
  }

  it('has none where all is well', () => expect(findings(fine)).toEqual([]))

  it('says what is missing and how to get it', () => {
    const found = findings({
      ...fine,
      machine: { ...fine.machine, memory: { ...fine.machine.memory, limitBytes: 2 ** 30 } },
      engines: [
        { engine: 'cpu', works: false, why: 'The cpu engine is not built here.' },
        { engine: 'cuda', works: false, why: 'It is not built here.' },
      ],
      gpus: { driver: '570.86.15', cards: [{ name: 'NVIDIA H200' }], source: 'nvidia-smi' },
      packages: [{ name: 'zod', wanted: '4', installed: undefined }],
    })
    expect(found.map(({ level, message }) => `${level}: ${message}`)).toEqual([
      'problem: Not installed: zod.',
      'problem: The cpu engine is not built here.',
      'note: There is NVIDIA H200, and no CUDA engine: It is not built here.',
      'note: Only 1.0 GiB of memory are available.',
    ])
    for (const { remedy } of found) expect(remedy).toMatch(/\.$/)
  })
})
