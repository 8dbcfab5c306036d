import { expect, it } from 'vitest'
import {
  type Crop,
  classPurity,
  dominantOrgan,
  type LabelMap,
  labelOf,
  makeScan,
  measurePurity,
  planScan,
} from '../../src/phantom/index.js'

const [liver, spleen, fat] = [labelOf('liver'), labelOf('spleen'), labelOf('fat')]

/** 8 x 4 x 4 voxels: liver where x < 3, fat at 3 and 4, spleen beyond, but for one corner of background. */
const map: LabelMap = {
  shape: [8, 4, 4],
  data: Uint8Array.from({ length: 128 }, (_, i) => {
    const x = Math.floor(i / 16)
    return i === 127 ? 0 : x < 3 ? liver : x < 5 ? fat : spleen
  }),
}
const maps = new Map([['a', map]])
const crop = (start: Crop['start'], size: Crop['size'] = [3, 2, 2]): Crop => ({ scan: 'a', start, size })

it('the dominant organ is the most frequent label that is one', () => {
  expect(dominantOrgan(crop([0, 0, 0]), map)).toBe(liver)
  expect(dominantOrgan(crop([5, 0, 0]), map)).toBe(spleen)
  // Two of three slices are fat, which says nothing of the place.
  expect(dominantOrgan(crop([2, 0, 0]), map)).toBe(liver)
  expect(dominantOrgan(crop([3, 0, 0], [2, 4, 4]), map)).toBeUndefined()
  // As much of both: the lower label.
  expect(dominantOrgan(crop([2, 0, 0], [4, 2, 2]), map)).toBe(Math.min(liver, spleen))
})

it('a crop over the border counts the nearest voxels again, as crops are cut', () => {
  // Within the border, liver and spleen tie; one more slice beyond it is the last slice of spleen once more.
  expect(dominantOrgan(crop([0, 0, 0], [8, 2, 2]), map)).toBe(Math.min(liver, spleen))
  expect(dominantOrgan(crop([0, 0, 0], [9, 2, 2]), map)).toBe(spleen)
  expect(dominantOrgan(crop([-2, -1, -1], [9, 2, 2]), map)).toBe(liver)
})

it('the purity of a class is the share of its most frequent organ, and crops of none count against it', () => {
  const [inLiver, inSpleen, inFat] = [crop([0, 0, 0]), crop([5, 0, 0]), crop([3, 0, 0], [2, 2, 2])]
  expect(classPurity([inLiver, inLiver, inLiver, inSpleen], maps)).toEqual({ organ: 'liver', purity: 0.75, crops: 4 })
  expect(classPurity([inSpleen, inFat], maps)).toEqual({ organ: 'spleen', purity: 0.5, crops: 2 })
  expect(classPurity([inFat], maps)).toEqual({ organ: undefined, purity: 0, crops: 1 })
  const measured = measurePurity(
    [
      [inLiver, inLiver],
      [inLiver, inSpleen],
    ],
    maps,
    { seed: 1, repeats: 300 },
  )
  expect(measured.mean).toBe(0.75)
  // 6 starts along x: three show liver, three spleen. Of two fair draws the larger share is 1 or 1/2 alike often: 3/4,
  // with a standard error of 0.25 / sqrt(600).
  expect(measured.random).toBeGreaterThan(0.75 - 0.05)
  expect(measured.random).toBeLessThan(0.75 + 0.05)
  expect(measurePurity([[inLiver]], maps, { seed: 1 })).toEqual(measurePurity([[inLiver]], maps, { seed: 1 }))
})

it('refuses what has no purity', () => {
  expect(() => measurePurity([], maps, { seed: 1 })).toThrow(/no classes/)
  expect(() => measurePurity([[]], maps, { seed: 1 })).toThrow(/without crops/)
  expect(() => classPurity([{ ...crop([0, 0, 0]), scan: 'b' }], maps)).toThrow(/no label map of scan b/)
})

it('the same place in the body shows the same organ in most phantoms, and a random place does not', async () => {
  const count = 10
  const bodies = new Map<string, LabelMap>()
  const boxes = new Map<string, readonly (readonly [number, number])[]>()
  for (let index = 1; index <= count; index++) {
    const { labels, shape } = await makeScan(planScan(11, index, 0, [64, 48, 48]))
    bodies.set(String(index), { shape, data: labels })
    boxes.set(String(index), bodyBox(labels, shape))
  }
  const places = [0.25, 0.5, 0.75].flatMap((x) => [0.3, 0.6].flatMap((y) => [0.15, 0.5, 0.8].map((z) => [x, y, z])))
  const size = [14, 12, 10] as const
  const classes = places.map((place) =>
    [...bodies.keys()].map((scan): Crop => {
      const box = boxes.get(scan)!
      const start = place.map((part, axis) => {
        const [low, high] = box[axis]!
        return Math.round(low + part * (high - low) - size[axis]! / 2)
      })
      return { scan, start: start as unknown as Crop['start'], size }
    }),
  )
  const { mean, random } = measurePurity(classes, bodies, { seed: 1, repeats: 5 })
  console.log(`purity of places in the body's box: ${mean.toFixed(2)}; of random crops: ${random.toFixed(2)}`)
  expect(mean).toBeGreaterThan(0.8)
  expect(mean).toBeGreaterThan(random + 0.25)
  // There is something left for discovery to gain.
  expect(mean).toBeLessThan(1)
})

function bodyBox(labels: Uint8Array, [X, Y, Z]: readonly [number, number, number]): [number, number][] {
  const box: [number, number][] = [
    [X, 0],
    [Y, 0],
    [Z, 0],
  ]
  for (const [index, label] of labels.entries()) {
    if (label === 0) continue
    const at = [Math.floor(index / (Y * Z)), Math.floor(index / Z) % Y, index % Z]
    for (const [axis, value] of at.entries()) {
      const range = box[axis]!
      range[0] = Math.min(range[0], value)
      range[1] = Math.max(range[1], value)
    }
  }
  return box
}
