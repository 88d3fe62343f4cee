// SPDX-License-Identifier: Apache-2.0
// A tenth of the kill soak (tests/soak/kills.test.mjs): nothing acknowledged is lost.
import { test } from 'node:test'
import { start } from '../lib/basalt.mjs'
import { killRun } from '../lib/kills.mjs'

test('30 kills of server, PostgreSQL and both with writes in flight', async (t) => {
  const server = await start({ settings: { rate_limits: 'off' } })
  const result = await killRun(server, 30)
  t.diagnostic(JSON.stringify(result))
})
