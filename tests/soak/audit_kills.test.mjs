// SPDX-License-Identifier: Apache-2.0
// 100 SIGKILLs under at least 500 audit events a second.
import { test } from 'node:test'
import { auditKills } from '../lib/audit_kills.mjs'
import { start } from '../lib/basalt.mjs'

test('100 kills: every event up to the synced one is there, in order', async (t) => {
  const server = await start({ settings: { rate_limits: 'off', audit_file_size: '1MiB' } })
  t.diagnostic(JSON.stringify(await auditKills(server, 100)))
})
