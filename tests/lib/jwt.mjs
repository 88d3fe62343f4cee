// SPDX-License-Identifier: Apache-2.0
// JSON Web Tokens as an attacker or a test would write them: every part at will.
import { createHmac } from 'node:crypto'

const part = (value) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

export function sign(claims, secret, header = { alg: 'HS256', typ: 'JWT' }, hash = 'sha256') {
  const signed = `${part(header)}.${part(claims)}`
  return `${signed}.${createHmac(hash, secret).update(signed).digest('base64url')}`
}

export function unsigned(claims, header = { alg: 'none', typ: 'JWT' }) {
  return `${part(header)}.${part(claims)}.`
}

export function headerOf(token) {
  return JSON.parse(Buffer.from(token.split('.')[0], 'base64url'))
}

export function claimsOf(token) {
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url'))
}
