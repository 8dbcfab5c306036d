import type { Reporter, TestModule } from 'vitest/node'

/** Prints the plain closing line, `N passed, N failed, N skipped`, after vitest's own summary. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const count = { passed: 0, failed: errors.length, skipped: 0 }
    for (const module of modules) {
      let tests = 0
      for (const test of module.children.allTests()) {
        tests++
        const { state } = test.result()
        if (state === 'passed') count.passed++
        else if (state === 'skipped') count.skipped++
        else count.failed++
      }
      if (tests === 0 && !module.ok()) count.failed++
    }
    // After the default reporter's summary, which is written in the same tick.
    process.on('exit', () => console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`))
  }
}
