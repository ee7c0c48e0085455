import { expect, test } from 'vitest'
import { read, reports, staleReports } from '../../scripts/api-report.mjs'

test('the exported declarations are those checked in under api/; if the change is intended: npm run api:update', () => {
  const current = reports()
  for (const [name, text] of current) expect(text, `api/${name}: npm run api:update`).toBe(read(name))
  expect(staleReports(), 'npm run api:update').toEqual([])
}, 60_000)
