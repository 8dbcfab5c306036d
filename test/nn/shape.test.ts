import { expect, test } from 'vitest'
import { publishedUNet, publishedYNet, stateLayout } from '../../src/nn/index.js'

const parameters = (layout: ReturnType<typeof stateLayout>) =>
  layout
    .filter((tensor) => tensor.trainable)
    .reduce((sum, tensor) => sum + tensor.shape.reduce((product, extent) => product * extent, 1), 0)

test('the published U-Net 3D has its 106 keys and 19,073,665 parameters', () => {
  const layout = stateLayout(publishedUNet())
  expect(layout).toHaveLength(106)
  expect(parameters(layout)).toBe(19_073_665)
})

test('the published Y-Net 3D has its 115 keys, 70 trainable tensors and 33,277,613 parameters', () => {
  const layout = stateLayout(publishedYNet(44))
  expect(layout).toHaveLength(115)
  expect(layout.filter((tensor) => tensor.trainable)).toHaveLength(70)
  expect(parameters(layout)).toBe(33_277_613)
  const shapes = new Map(layout.map((tensor) => [tensor.key, tensor.shape]))
  expect(shapes.get('down_tr64.ops.0.conv1.weight')).toEqual([32, 1, 3, 3, 3])
  expect(shapes.get('up_tr256.up_conv.weight')).toEqual([512, 512, 2, 2, 2])
  expect(shapes.get('up_tr256.ops.0.conv1.weight')).toEqual([256, 768, 3, 3, 3])
  expect(shapes.get('out_tr.final_conv.weight')).toEqual([1, 64, 1, 1, 1])
  expect(shapes.get('clc_out.fc1.weight')).toEqual([44, 1024])
})
