// SPDX-License-Identifier: Apache-2.0
// GET /auth/v1/settings and the discovery documents, field by field.
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { start } from '../lib/basalt.mjs'

let server

before(async () => {
  server = await start()
})

const providers = ['anonymous_users', 'apple', 'azure', 'bitbucket', 'discord', 'facebook', 'snapchat', 'figma', 'fly',
  'github', 'gitlab', 'google', 'keycloak', 'kakao', 'linkedin', 'linkedin_oidc', 'notion', 'spotify', 'slack',
  'slack_oidc', 'workos', 'twitch', 'twitter', 'email', 'phone', 'zoom']
const enabled = (settings) => providers.filter((name) => settings.external[name])

test('settings: every field, and what the server is set to', async () => {
  const { json } = await server.auth('GET', '/settings')
  assert.deepEqual(Object.keys(json), ['external', 'disable_signup', 'mailer_autoconfirm', 'phone_autoconfirm',
    'sms_provider', 'saml_enabled', 'saml_private_key_next_configured', 'passkeys_enabled'])
  assert.deepEqual(Object.keys(json.external), providers)
  assert.deepEqual(enabled(json), ['anonymous_users', 'email'])
  assert.equal(json.mailer_autoconfirm, true)
  const other = await server.beside({ google_enabled: 'true', google_client_id: 'an-app', email_enabled: 'false',
    anonymous_users: 'false', disable_signup: 'true', mailer_autoconfirm: 'false' })
  const set = (await other.auth('GET', '/settings')).json
  assert.deepEqual(enabled(set), ['google'])
  assert.equal(set.disable_signup, true)
  assert.equal(set.mailer_autoconfirm, false)
  const nobody = await server.call('/auth/v1/settings')
  assert.deepEqual([nobody.status, nobody.json.message], [401, 'No API key found in request'])
  await other.stop()
})

test('openid-configuration: open, its URLs under the public one, its keys where it says', async () => {
  const answer = await server.call('/auth/v1/.well-known/openid-configuration')
  assert.equal(answer.status, 200)
  const base = `${server.api}/auth/v1`
  assert.equal(answer.json.issuer, base)
  assert.equal(answer.json.authorization_endpoint, `${base}/oauth/authorize`)
  assert.equal(answer.json.token_endpoint, `${base}/oauth/token`)
  assert.equal(answer.json.userinfo_endpoint, `${base}/oauth/userinfo`)
  assert.equal(answer.json.registration_endpoint, undefined)
  assert.deepEqual(answer.json.id_token_signing_alg_values_supported, ['RS256', 'HS256', 'ES256'])
  assert.deepEqual(answer.json.code_challenge_methods_supported, ['S256', 'plain'])
  assert.equal(answer.json.jwks_uri, `${base}/.well-known/jwks.json`)
  assert.deepEqual((await server.call(new URL(answer.json.jwks_uri).pathname)).json, { keys: [] })
  const named = await server.beside({ jwt_issuer: 'https://issuer.example' })
  const other = (await named.call('/auth/v1/.well-known/openid-configuration')).json
  assert.equal(other.issuer, 'https://issuer.example')
  assert.equal(other.jwks_uri, `${named.api}/auth/v1/.well-known/jwks.json`)
  await named.stop()
})
