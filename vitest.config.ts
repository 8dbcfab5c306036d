import { defineConfig } from 'vitest/config'

// One process a file: a crash in native code stays in its file, and each engine gets its own threads.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // Against hanging; a machine that is busy otherwise takes several times as long as an idle one.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    reporters: ['default', './test/closing-line.ts'],
  },
})
