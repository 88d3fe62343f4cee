// SPDX-License-Identifier: Apache-2.0
// How /auth/v1 words a refusal: two bodies, by the X-Supabase-Api-Version that was sent (GoTrue).
import assert from 'node:assert/strict'

export function isRefusal(answer, { status, code, message, version }) {
  assert.equal(answer.status, status, answer.text)
  assert.equal(answer.headers['content-type'], 'application/json')
  assert.equal(answer.headers['x-sb-error-code'], code, answer.text)
  const told = version ? answer.json.message : answer.json.msg
  if (version) {
    assert.equal(answer.json.code, code)
    assert.equal(answer.headers['x-supabase-api-version'], '2024-01-01')
    assert.equal(answer.json.msg, undefined)
  } else {
    assert.equal(answer.json.code, status)
    assert.equal(answer.json.error_code, code)
    assert.equal(answer.headers['x-supabase-api-version'], undefined)
    assert.equal(answer.json.message, undefined)
  }
  if (message instanceof RegExp) assert.match(told, message)
  else if (message !== undefined) assert.equal(told, message)
}

// Sends the request once in each dialect. `send` gets the version to ask with.
export async function refused(send, status, code, message) {
  for (const version of [null, '2024-01-01'])
    isRefusal(await send(version), { status, code, message, version })
}
