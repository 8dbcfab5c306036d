import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { findScans } from '../../src/volumes/index.js'

const root = mkdtempSync(join(tmpdir(), 'semgen-files-'))
afterAll(() => rmSync(root, { recursive: true }))
let made = 0

/** A folder of these empty files: finding them opens none. */
function folderOf(...names: readonly string[]): string {
  const folder = join(root, `f${made++}`)
  mkdirSync(folder)
  for (const name of names) {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), '')
  }
  return folder
}

const found = async (folder: string, source: string, most?: number): Promise<string[]> =>
  (await findScans([join(folder, source)], most)).files.map(({ path }) => path.slice(folder.length + 1))

function listIn(folder: string, name: string, content: string): string {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

describe('globs', () => {
  test('* and ? stay in a folder, ** crosses folders, braces and brackets choose', async () => {
    const folder = folderOf('a.nii', 'b.nii', 'notes.txt', 'x/a.nii', 'x/y/a.nii', 'x/y/c.nii.gz')
    expect(await found(folder, '*.nii')).toEqual(['a.nii', 'b.nii'])
    expect(await found(folder, '*')).toEqual(['a.nii', 'b.nii'])
    expect(await found(folder, '*/?.nii')).toEqual(['x/a.nii'])
    expect(await found(folder, '**/a.nii')).toEqual(['a.nii', 'x/a.nii', 'x/y/a.nii'])
    expect(await found(folder, 'x/**')).toEqual(['x/a.nii', 'x/y/a.nii', 'x/y/c.nii.gz'])
    expect(await found(folder, '{a,x/y/c}.nii*')).toEqual(['a.nii', 'x/y/c.nii.gz'])
    expect(await found(folder, '[!a].nii')).toEqual(['b.nii'])
  })

  test('links to folders are followed once, and those that lead back or nowhere are left alone', async () => {
    const [folder, other] = [folderOf('a.nii'), folderOf('b.nii')]
    symlinkSync(other, join(folder, 'linked'))
    symlinkSync(folder, join(folder, 'round'))
    symlinkSync(join(folder, 'none'), join(folder, 'lost.nii'))
    expect(await found(folder, '**/*.nii')).toEqual(['a.nii', 'linked/b.nii'])
    expect(await found(folder, 'linked/*.nii')).toEqual(['linked/b.nii'])
  })

  test.each(['[z-a].nii', 'scan[1.nii', '{a,[z-a]}.nii', '[\\].nii'])('%s is refused in one sentence', async (glob) => {
    await expect(found(folderOf('a.nii'), glob)).rejects.toMatchObject({
      code: 'BAD_OPTION',
      message: expect.stringMatching(/^The glob "[^\n]+" cannot be read: brackets choose among letters/),
    })
  })

  test('more files than a cohort has are refused, of globs as of folders', async () => {
    const folder = folderOf('a.nii', 'b.nii', 'x/c.nii')
    for (const source of ['', '**/*.nii']) {
      expect(await found(folder, source, 3)).toHaveLength(3)
      await expect(found(folder, source, 2)).rejects.toMatchObject({
        code: 'BAD_OPTION',
        message: `${join(folder, source)} holds more than 2 scans: name a smaller folder or a manifest.`,
      })
    }
    expect(await found(folder, '*.nii', 2)).toHaveLength(2)
  })
})

describe('manifests', () => {
  test.each<[string, string, RegExp]>([
    ['null', 'null', /was expected, or an object with such a list as "scans", not null\.$/],
    ['a number', '7', /not 7\.$/],
    ['an object without scans', '{"files":[]}', /not \{"files":\[\]\}\.$/],
    ['a list of null', '[{"path":"a.nii"},null]', /entry 2, the whole: .*Each row has a path/],
    ['a part that is none', '[{"path":"a.nii","split":"all"}]', /entry 1, split: /],
  ])('JSON that is %s is refused in one sentence', async (_, content, sentence) => {
    const list = listIn(folderOf('a.nii'), 'list.json', content)
    const refusal = await findScans([list]).catch((error) => error)
    expect(refusal).toMatchObject({ code: 'BAD_FILE', message: expect.stringMatching(sentence) })
    expect(refusal.message).toMatch(/list\.json is no manifest: /)
  })

  test('a row is called by its line in the file, also after empty lines', async () => {
    const folder = folderOf('a.nii')
    const first = listIn(folder, 'first.csv', 'path,split\na.nii,none\n')
    await expect(findScans([first])).rejects.toThrow(/first\.csv is no manifest: row 2, split: /)
    const later = listIn(folder, 'later.csv', 'path,split\n\na.nii,train\n\n,test\n')
    await expect(findScans([later])).rejects.toThrow(/later\.csv is no manifest: row 5, path: /)
  })

  test('one that is not there, and one that is no table, are named', async () => {
    const folder = folderOf('a.nii')
    await expect(findScans([join(folder, 'none.csv')])).rejects.toMatchObject({ code: 'IO' })
    const uneven = listIn(folder, 'uneven.csv', 'path,split\na.nii\n')
    await expect(findScans([uneven])).rejects.toMatchObject({
      code: 'BAD_FILE',
      message: expect.stringMatching(/uneven\.csv could not be read as a table: .*line 2/),
    })
  })

  test('a split.json that is null or a word says nothing', async () => {
    for (const content of ['null', '"train"']) {
      const folder = folderOf('a.nii')
      listIn(folder, 'split.json', content)
      expect((await findScans([folder])).files).toEqual([{ path: join(folder, 'a.nii') }])
    }
  })
})
