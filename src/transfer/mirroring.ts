/** Along which axes of a scan its windows are mirrored, and the answers averaged: left and right only, or all three. */
export type Mirror = 'none' | 'sides' | 'all'

/** By axis: -1 where mirrored. */
export type Signs = readonly [number, number, number]

const straight: Signs = [1, 1, 1]

/** Each is predicted in turn. The first axis of a prepared scan goes from left to right. */
export const mirrorings: Readonly<Record<Mirror, readonly Signs[]>> = {
  none: [straight],
  sides: [straight, [-1, 1, 1]],
  all: Array.from({ length: 8 }, (_, i): Signs => [i & 4 ? -1 : 1, i & 2 ? -1 : 1, i & 1 ? -1 : 1]),
}
