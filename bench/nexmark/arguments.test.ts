import { expect, test } from 'vitest'
import { argumentsOf, WrongArgument } from './arguments.ts'
import { flows } from './flows.ts'
import { tables } from './golden.ts'

test('what is not given is what the golden results are of', () => {
  expect(argumentsOf(['--query', 'q5'])).toMatchObject({
    ...{
      queries: ['q5'],
      events: 1_000_000,
      seeds: [42, 3, 7],
      rate: 10_000,
      workers: 1,
      commit: '100ms',
      json: false,
    },
  })
})

test('all stands for every query that has golden results, and scan is none', () => {
  expect(argumentsOf(['--query', 'all'])).toMatchObject({ queries: Object.keys(tables) })
  expect(Object.keys(flows)).toEqual(['scan', ...Object.keys(tables)])
})

test('seeds are those of events, channel table and text pool', () => {
  expect(argumentsOf(['--query', 'q0', '--seeds', '1/0/9007199254740991'])).toMatchObject({
    seeds: [1, 0, Number.MAX_SAFE_INTEGER],
  })
})

test.each([
  [[], /no query is given.*q0, q1/],
  [['--query', 'q6'], /no query "q6".*q0, q1/],
  [['--query', 'constructor'], /no query "constructor"/],
  [['--query', 'q0', '--events', '0'], /--events is "0".*at least 1/],
  [['--query', 'q0', '--events', '1e6'], /--events is "1e6".*whole number/],
  [['--query', 'q0', '--seeds', '42/3'], /--seeds is "42\/3".*three whole numbers/],
  [['--query', 'q0', '--seeds', '42/3/-7'], /--seeds/],
  [['--query', 'q0', '--rate', '0'], /--rate is "0".*from 0.001/],
  [['--query', 'q0', '--workers', '65'], /--workers is "65".*from 1 to 64/],
  [['--query', 'q0', '--events'], /--events.*--help/],
  [['--query', 'q0', 'q1'], /q1.*--help/],
])('%j is refused with what would be right', (args, message) => {
  expect(() => argumentsOf(args)).toThrow(WrongArgument)
  expect(() => argumentsOf(args)).toThrow(message)
})

test('a duration without a unit is refused', () => {
  expect(() => argumentsOf(['--query', 'q0', '--commit', '100'])).toThrow(/--commit.*'500ms'/)
  expect(() => argumentsOf(['--query', 'q0', '--commit', '0ms'])).toThrow(/--commit is 0/)
})
