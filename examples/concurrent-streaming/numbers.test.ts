import { describe, expect, it } from 'vitest'
import { planned } from './clock.ts'
import { mean, roundEven, variance } from './numbers.ts'

describe('rounding', () => {
  it('takes ties to the even digit', () => {
    expect([0.125, 0.375, 2.5, 3.5, -0.125, -2.5].map((value) => roundEven(value, value % 0.5 === 0 ? 0 : 2))).toEqual([
      0.12, 0.38, 2, 4, -0.12, -2,
    ])
  })

  it('rounds what is no tie to the nearer, and gives no minus zero', () => {
    expect([2.676, 1.005, 16.6667, 0.004].map((value) => roundEven(value, 2))).toEqual([2.68, 1, 16.67, 0])
    expect(Object.is(roundEven(-0.001, 2), 0)).toBe(true)
  })
})

// Printed by NumPy 2.4: readings, mean, var, round(mean, 2), round(std, 2).
const NUMPY: readonly [readonly number[], number, number, number, number][] = [
  [[1012.64, 1013.44], 1013.04, 0.1600000000000273, 1013.04, 0.4],
  [
    [1013.75, 1012.99, 1012.59, 1013.22, 1013.49, 1013.8, 1012.64],
    1013.2114285714287,
    0.21084081632651977,
    1013.21,
    0.46,
  ],
  [
    [1012.6, 1013.6, 1013.49, 1014.02, 1013.74, 1013.2, 1013.11, 1014.54],
    1013.5375,
    0.30756874999997874,
    1013.54,
    0.55,
  ],
  [
    [1013.11, 1012.86, 1012.68, 1013.3, 1013.32, 1013.08, 1013.22, 1013.39, 1013.6, 1013.8],
    1013.2359999999999,
    0.0976439999999992,
    1013.24,
    0.31,
  ],
  [
    [1013.35, 1012.36, 1013.6, 1012.54, 1013.16, 1012.51, 1013.25, 1012.86, 1013.36, 1014.9],
    1013.189,
    0.48338899999999824,
    1013.19,
    0.7,
  ],
  [
    [
      1013.23, 1013.67, 1012.59, 1013.11, 1013.58, 1013.2, 1013.44, 1013.3, 1012.75, 1013.53, 1012.84, 1014.19, 1013.0,
      1013.59, 1013.25, 1013.73, 1012.95, 1013.75, 1013.19, 1013.88, 1013.56, 1013.32, 1012.86,
    ],
    1013.3265217391305,
    0.14910964083175496,
    1013.33,
    0.39,
  ],
  [[25.0, 25.01], 25.005000000000003, 2.5000000000007818e-5, 25.01, 0.01],
  [[0.12, 0.13], 0.125, 2.5000000000000045e-5, 0.12, 0.01],
  [[1013.25, 1013.26], 1013.255, 2.4999999999954526e-5, 1013.26, 0.0],
  [[0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], 0.1, 0.0, 0.1, 0.0],
  [[-0.5, 0.49], -0.0050000000000000044, 0.245025, -0.01, 0.5],
]

describe('mean and variance of the population', () => {
  it.each(NUMPY)('are NumPy’s to the last bit: %j', (values, itsMean, itsVariance, roundedMean, roundedStd) => {
    expect(mean(values)).toBe(itsMean)
    expect(variance(values)).toBe(itsVariance)
    expect(roundEven(mean(values), 2)).toBe(roundedMean)
    expect(roundEven(Math.sqrt(variance(values)), 2)).toBe(roundedStd)
  })
})

it('planned times are the same from wherever the clock begins', async () => {
  const timesFrom = async (startMs: number): Promise<number[]> => {
    const clock = { now: () => startMs, real: () => 0, epoch: () => 0, until: async () => {} }
    const timeline = planned(clock)
    const times: number[] = []
    for (let i = 0; i < 50; i++) {
      await timeline.wait(0.1 + i / 3)
      times.push(timeline.now())
    }
    return times
  }
  expect(await timesFrom(123.456789)).toEqual(await timesFrom(98765.4321))
})
