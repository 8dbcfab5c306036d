/** y = offset + slope x. */
export interface Line {
  readonly offset: number
  readonly slope: number
}

/**
 * The line of least squares through points, each weighted.
 * @param weight of a point's squared deviation; relative deviations are what 1/y² weighs
 * @throws RangeError with fewer than two different x
 */
export function lineFit(
  points: readonly (readonly [x: number, y: number])[],
  weight: (y: number) => number = () => 1,
): Line {
  const sum = (of: (x: number, y: number) => number) => points.reduce((all, [x, y]) => all + weight(y) * of(x, y), 0)
  const all = sum(() => 1)
  const [x0, y0] = [sum((x) => x) / all, sum((_, y) => y) / all]
  const spread = sum((x) => (x - x0) ** 2)
  if (!(spread > 0)) throw new RangeError('A line needs points at two different places at least.')
  const slope = sum((x, y) => (x - x0) * (y - y0)) / spread
  return { offset: y0 - slope * x0, slope }
}

/** The exponent p of y ~ xᵖ over positive points: the slope of their logarithms, from the first size to the last. */
export function growthExponent(points: readonly (readonly [x: number, y: number])[]): number {
  return lineFit(points.map(([x, y]) => [Math.log(x), Math.log(y)])).slope
}
