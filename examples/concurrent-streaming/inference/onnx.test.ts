/** `onnxruntime-node` is not installed with the repository, so a small stand-in of its interface takes its place. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import makeOnnx, { normalized, scoresOf } from './onnx.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-onnx-'))
const home = process.cwd()
afterAll(() => {
  process.chdir(home)
  rmSync(folder, { recursive: true, force: true })
})

/** Its session answers with the mean of each channel as three logits. */
const RUNTIME = `
exports.listSupportedBackends = () => [{ name: 'cpu' }, { name: 'cuda' }]
exports.Tensor = class { constructor(type, data, dims) { Object.assign(this, { type, data, dims }) } }
exports.InferenceSession = {
  async create(path, { executionProviders }) {
    if (executionProviders[0] !== 'cpu') throw new Error('no such library\\nand more')
    return {
      inputNames: ['pixels'], outputNames: ['logits'], inputMetadata: [{ shape: ['batch', 3, 4, 6] }],
      async run({ pixels }) {
        if (pixels.dims.join() !== '1,3,4,6') throw new Error('dims ' + pixels.dims)
        const size = 24
        const mean = (c) => pixels.data.slice(c * size, (c + 1) * size).reduce((a, b) => a + b) / size
        return { logits: { data: Float32Array.from([mean(0), mean(1), mean(2)]), dims: [1, 3] } }
      },
    }
  },
}
`

describe('an ONNX file', () => {
  it('without the runtime says how to add it', async () => {
    const file = join(folder, 'model.onnx')
    writeFileSync(file, '')
    process.chdir(folder)
    await expect(makeOnnx({ name: 'mine', path: file })).rejects.toThrow(
      /needs onnxruntime-node, which is not installed\. Add it with: npm install .*--ignore-scripts onnxruntime-node/,
    )
  })

  it('that is not there is named', async () => {
    await expect(makeOnnx({ name: 'mine', path: '/nowhere/m.onnx' })).rejects.toThrow(
      '/nowhere/m.onnx, which is not there',
    )
  })

  it('runs on the CPU and says why not on the GPU; labels lie beside it', async () => {
    const file = join(folder, 'model.onnx')
    writeFileSync(file, '')
    writeFileSync(`${file}.txt`, 'red\ngreen\nblue\n')
    writeFileSync(join(folder, 'package.json'), '{}')
    mkdirSync(join(folder, 'node_modules/onnxruntime-node'), { recursive: true })
    writeFileSync(join(folder, 'node_modules/onnxruntime-node/index.js'), RUNTIME)
    process.chdir(folder)
    const { info, recognize } = await makeOnnx({ name: 'mine', path: file, mean: [0, 0, 0], std: [0.5, 0.5, 0.5] })
    expect(info).toEqual({
      ...{ name: 'mine', task: 'classification', provider: 'cpu', classes: 3, inputSize: [6, 4] },
      note: 'not on cuda: no such library',
    })
    const pixels = new Uint8Array(10 * 10 * 3).map((_, i) => (i % 3 === 2 ? 255 : 0))
    const { scores } = await recognize({ name: 'blue', width: 10, height: 10, pixels })
    // Logits 0, 0 and 2.
    expect(scores.map(({ class: name, score }) => [name, score.toFixed(4)])).toEqual([
      ['red', '0.1065'],
      ['green', '0.1065'],
      ['blue', '0.7870'],
    ])
  })
})

describe('pixels for a model', () => {
  it('are less the mean and by the deviation of their channel, in the layout of the file', () => {
    const pixels = Float32Array.from([255, 0, 51, 0, 255, 51])
    const apart = { width: 2, height: 1, isInterleaved: false }
    const as = (layout: typeof apart) =>
      [...normalized(pixels, layout, [0, 0.5, 0], [1, 0.5, 0.1])].map((x) => +x.toFixed(4))
    expect(as(apart)).toEqual([1, 0, -1, 1, 2, 2])
    expect(as({ ...apart, isInterleaved: true })).toEqual([1, -1, 2, 0, 1, 2])
  })
})

describe('outputs of a model', () => {
  it('are taken as they are when they are probabilities', () => {
    expect(scoresOf([0.25, 0.75], []).map(({ class: name, score }) => [name, score])).toEqual([
      ['class 0', 0.25],
      ['class 1', 0.75],
    ])
  })

  it('are made probabilities otherwise, without overflow', () => {
    const [a, b] = scoresOf([1000, 1000 + Math.log(3)], [])
    expect([a.score.toFixed(6), b.score.toFixed(6)]).toEqual(['0.250000', '0.750000'])
  })
})
