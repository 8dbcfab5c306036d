import { type NetworkShape, stateLayout } from '../nn/index.js'

/**
 * Floating-point operations of one cube's forward pass, a multiply-add counted as two: convolutions, transposed
 * convolutions and linear layers, which are all but a thousandth of the work. The published Y-Net: 251.5e9.
 */
export function forwardFlops(
  shape: NetworkShape,
  parts: { readonly decoder: boolean; readonly head: boolean },
): number {
  const voxels = shape.patch[0] * shape.patch[1] * shape.patch[2]
  let flops = 0
  for (const { key, shape: extents } of stateLayout(shape)) {
    const weights = extents.reduce((product, extent) => product * extent, 1)
    const [, name, level] = /^(down_tr|up_tr|out_tr|clc_out|fc)(\d*)/.exec(key)!
    if (!/(conv1|up_conv|final_conv|fc1|fc)\.weight$/.test(key)) continue
    const decodes = name === 'up_tr' || name === 'out_tr'
    if ((decodes && !parts.decoder) || ((name === 'clc_out' || name === 'fc') && !parts.head)) continue
    if (key.includes('fc')) flops += 2 * weights
    else {
      const depth = name === 'clc_out' ? shape.depth - 1 : name === 'out_tr' ? 0 : Math.log2(Number(level) / 64)
      // Each input voxel of an up-convolution meets every weight once: an eighth of the output's voxels.
      flops += (2 * weights * voxels) / 8 ** (key.includes('up_conv') ? depth + 1 : depth)
    }
  }
  return flops
}

/** Operations of one cube in a training step: forward, and twice as much backward. */
export function trainingFlops(
  shape: NetworkShape,
  losses: { readonly restorationWeight: number; readonly classificationWeight: number },
): number {
  return 3 * forwardFlops(shape, { decoder: losses.restorationWeight > 0, head: losses.classificationWeight > 0 })
}
