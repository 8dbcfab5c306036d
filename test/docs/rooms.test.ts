import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { root } from '../cli/run.js'

const source = join(root, 'src')

/** What each room may use, as docs/architecture.md says. */
const allowed = new Map(
  [...readFileSync(join(root, 'docs/architecture.md'), 'utf8').matchAll(/^\| `src\/(\w+)` \|[^|]*\|([^|]*)\|$/gm)].map(
    ([, room, used]) => [room!, used!.split(',').flatMap((word) => word.trim() || [])],
  ),
)

/** The rooms that a room's files import from; types of what crosses into the addon are no arrows. */
function imported(room: string): Set<string> {
  const rooms = new Set<string>()
  const files = readdirSync(join(source, room), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  )
  for (const path of files.map((name) => join(source, room, name)))
    for (const [, type, from, later] of readFileSync(path, 'utf8').matchAll(
      /^(?:import|export)( type)? [^'"]*from '(\.[^']*)'|import\('(\.[^']*)'\)/gm,
    )) {
      const [other, ...rest] = relative(source, resolve(dirname(path), (from ?? later)!)).split('/')
      if (rest.length > 0 && other !== '..' && other !== room && !(room === 'engine' && type)) rooms.add(other!)
    }
  return rooms
}

it('architecture.md tells of every room, and no other', () => {
  const rooms = readdirSync(source, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  expect([...allowed.keys()].sort()).toEqual(rooms.map(({ name }) => name).sort())
})

it.each([...allowed.keys()])('src/%s uses what architecture.md lets it use, and nothing else', (room) => {
  expect([...imported(room)].sort()).toEqual([...allowed.get(room)!].sort())
})

it('arrows run one way', () => {
  const reached = (from: string, seen = new Set<string>()): Set<string> => {
    for (const room of allowed.get(from) ?? []) if (!seen.has(room)) reached(room, seen.add(room))
    return seen
  }
  for (const room of allowed.keys()) expect(reached(room).has(room), room).toBe(false)
})
