// SPDX-License-Identifier: Apache-2.0
// Hours of load (SOAK_SECONDS, two hours unless set): no error, and memory that stays where it was.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const top = fileURLToPath(new URL('../..', import.meta.url))
const seconds = process.env.SOAK_SECONDS ?? '7200'

test(`${seconds} s of load`, async (t) => {
  const child = spawn(path.join(top, 'bench/run'),
    ['--build', process.env.DEV_BUILD ?? 'build', '--seconds', seconds, 'hours'],
    { cwd: top, stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk) => (text += chunk))
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  for (const line of text.split('\n')) t.diagnostic(line)
  assert.equal(code, 0, text)
})
