// SPDX-License-Identifier: Apache-2.0
// An identity provider on loopback, as Google is one: it publishes keys and signs ID tokens with them.
// It can also fail, hang, answer nonsense, rotate its keys and sign with ones it never published.
import { after } from 'node:test'
import http from 'node:http'
import { createHash, createHmac, generateKeyPairSync, sign as signBytes } from 'node:crypto'

const part = (value) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

let keys = 0

// { kid, privateKey, jwk } of RS256, or of ES256.
export function makeKey(kid = `key-${++keys}`, alg = 'RS256') {
  const { privateKey, publicKey } = alg === 'ES256'
    ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
    : generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { kid, alg, privateKey, publicKey,
    jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' } }
}

export class Provider {
  #server
  #held = new Set()

  constructor({ issuer = 'https://accounts.google.com', audience = 'app-web' } = {}) {
    this.issuer = issuer
    this.audience = audience
    this.key = makeKey()
    this.published = [this.key.jwk]
    this.requests = 0
    this.mode = 'well' // or 'fail', 'hang', 'nonsense', 'huge', 'empty'
  }

  async start() {
    this.#server = http.createServer((request, response) => this.#answer(request, response))
    await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    this.url = `http://127.0.0.1:${this.#server.address().port}/certs`
    return this
  }

  #answer(request, response) {
    this.requests++
    const send = (status, text) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(text)
    }
    switch (this.mode) {
      case 'hang': return void this.#held.add(response)
      case 'fail': return send(500, '{}')
      case 'nonsense': return send(200, '<html>')
      case 'huge': return send(200, `{"keys":[],"x":"${'x'.repeat(1 << 20)}"}`)
      case 'empty': return send(200, '{"keys":[]}')
      default: return send(200, JSON.stringify({ keys: this.published }))
    }
  }

  // A new key signs from now on; the former ones stay published unless they are dropped.
  rotate({ drop = false } = {}) {
    this.key = makeKey()
    this.published = drop ? [this.key.jwk] : [this.key.jwk, ...this.published]
  }

  // The claims of a person as Google writes them; undefined members are left out.
  claims(more = {}) {
    const now = Math.floor(Date.now() / 1000)
    return JSON.parse(JSON.stringify({
      iss: this.issuer, azp: this.audience, aud: this.audience, iat: now, exp: now + 3600, ...more,
    }))
  }

  // An ID token. header and key may lie.
  token(more, { key = this.key, header = {} } = {}) {
    const signed = `${part({ alg: key.alg, kid: key.kid, typ: 'JWT', ...header })}.${part(this.claims(more))}`
    const signature = signBytes('sha256', Buffer.from(signed),
      key.alg === 'ES256' ? { key: key.privateKey, dsaEncoding: 'ieee-p1363' } : key.privateKey)
    return `${signed}.${signature.toString('base64url')}`
  }

  // Signed with the text of the public key as if it were a secret (RFC 8725 §2.1).
  confused(more) {
    const secret = this.key.publicKey.export({ type: 'spki', format: 'pem' })
    const signed = `${part({ alg: 'HS256', kid: this.key.kid, typ: 'JWT' })}.${part(this.claims(more))}`
    return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
  }

  async stop() {
    for (const response of this.#held) response.destroy()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

export const nonceOf = (nonce) => createHash('sha256').update(nonce).digest('hex')
export const atHash = (accessToken) =>
  createHash('sha256').update(accessToken).digest().subarray(0, 16).toString('base64url')

const running = new Set()

export async function provider(options) {
  const made = await new Provider(options).start()
  running.add(made)
  return made
}

after(() => Promise.all([...running].map((one) => one.stop())))
