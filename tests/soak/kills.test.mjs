// SPDX-License-Identifier: Apache-2.0
// 300 SIGKILLs of server, PostgreSQL and both with writes in flight (acceptance 2).
import { test } from 'node:test'
import { start } from '../lib/basalt.mjs'
import { killRun } from '../lib/kills.mjs'

test('300 kills of server, PostgreSQL and both with writes in flight', async (t) => {
  const server = await start({ settings: { rate_limits: 'off' } })
  const result = await killRun(server, 300, { say: (text) => t.diagnostic(text) })
  t.diagnostic(JSON.stringify(result))
})
