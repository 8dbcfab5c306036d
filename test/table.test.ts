import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, expect, test } from 'vitest'
import { numberAt, rowsById } from '../src/evaluation/table.js'
import { filledCells, readTable } from '../src/table.js'

const folder = mkdtempSync(join(tmpdir(), 'semgen-table-'))
afterAll(() => rmSync(folder, { recursive: true }))

function written(content: string): string {
  writeFileSync(join(folder, 'a.csv'), content)
  return join(folder, 'a.csv')
}

test.each(['\n', '\r\n'])('rows know their line in the file, whatever lines are empty (%j)', async (end) => {
  const table = await readTable(written(['\ufeffid,score', '', 'a,1', 'b, ', '', '', '"c, d",x', ''].join(end)))
  expect(table).toMatchObject({
    columns: ['id', 'score'],
    rows: [
      ['a', '1'],
      ['b', ''],
      ['c, d', 'x'],
    ],
  })
  expect(table.lines).toEqual([3, 4, 7])
  expect(filledCells(table, 1)).toEqual({ id: 'b' })
  expect(() => numberAt(table, 2, 1)).toThrow(/a\.csv, row 7: score is "x", and a finite number is expected/)
})

test('what reads tables names the line of a mistake', async () => {
  const table = await readTable(written('id,score\n\na,1\n\n,2\n'))
  expect(() => rowsById(table)).toThrow(/a\.csv, row 5: id is empty/)
})

test('a file of nothing is a table without columns; two columns of one name are refused', async () => {
  expect(await readTable(written(''))).toMatchObject({ columns: [], rows: [], lines: [] })
  await expect(readTable(written('id,id\n'))).rejects.toMatchObject({ code: 'BAD_FILE' })
})

test('of many columns, the one that is there twice is found', async () => {
  const names = Array.from({ length: 100_000 }, (_, i) => `c${i}`)
  expect((await readTable(written(names.join()))).columns).toHaveLength(100_000)
  await expect(readTable(written([...names, 'c7'].join()))).rejects.toThrow(/two columns named "c7"/)
})

test('a compressed table is read, and a cut one is a bad file', async () => {
  const path = join(folder, 'a.csv.gz')
  const bytes = gzipSync('id,score\na,1\n')
  writeFileSync(path, bytes)
  expect(await readTable(path)).toMatchObject({ columns: ['id', 'score'], rows: [['a', '1']] })
  writeFileSync(path, bytes.subarray(0, 15))
  await expect(readTable(path)).rejects.toMatchObject({ code: 'BAD_FILE' })
})
