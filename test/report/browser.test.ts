import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeReport } from '../../src/report/index.js'
import { writeFakeRun } from './fake-run.js'

const executablePath = '/usr/bin/chromium'
if (!existsSync(executablePath))
  console.warn(`The report is not opened in a browser here: there is no ${executablePath}.`)

describe.skipIf(!existsSync(executablePath))('the report in headless Chromium', () => {
  let folder: string
  let browser: Browser
  let path: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'semgen-browser-'))
    await writeFakeRun(folder)
    path = await writeReport(folder)
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  })
  afterAll(async () => {
    await browser?.close()
    await rm(folder, { recursive: true })
  })

  it.each(['light', 'dark'] as const)(
    'opens by itself, %s: no request, no error, everything is seen',
    async (colorScheme) => {
      const view = await browser.newPage({ viewport: { width: 1280, height: 900 }, colorScheme })
      const trouble: string[] = []
      view.on('console', (message) => trouble.push(message.text()))
      view.on('pageerror', (error) => trouble.push(String(error)))
      view.on('dialog', (dialog) => trouble.push(dialog.message()))
      view.on('request', (request) => {
        if (!request.url().startsWith('data:') && request.url() !== `file://${path}`) trouble.push(request.url())
      })
      await view.goto(`file://${path}`)
      // Evaluated in the page, whose types are not this project's.
      const seen = await view.evaluate<{
        images: number[]
        lines: number[]
        wide: boolean
        paper: string
        ink: string
      }>(`({
      images: [...document.images].map((image) => image.naturalWidth * image.getBoundingClientRect().height),
      lines: [...document.querySelectorAll('polyline')].map((line) => line.getTotalLength()),
      wide: document.documentElement.scrollWidth > innerWidth,
      paper: getComputedStyle(document.body).backgroundColor,
      ink: getComputedStyle(document.body).color,
    })`)
      expect(trouble).toEqual([])
      // Three samples of three cubes in three planes, and three montages.
      expect(seen.images).toHaveLength(3 * 3 * 3 + 3)
      expect(Math.min(...seen.images)).toBeGreaterThan(0)
      expect(seen.lines.length).toBeGreaterThanOrEqual(10)
      expect(Math.min(...seen.lines)).toBeGreaterThan(100)
      expect(seen.wide).toBe(false)
      expect([seen.paper, seen.ink]).toEqual(
        colorScheme === 'light' ? ['rgb(255, 255, 255)', 'rgb(26, 30, 36)'] : ['rgb(20, 23, 28)', 'rgb(228, 231, 236)'],
      )
      await view.close()
    },
  )

  it('fits a phone', async () => {
    const view = await browser.newPage({ viewport: { width: 360, height: 700 } })
    await view.goto(`file://${path}`)
    expect(await view.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360)
    await view.close()
  })
})
