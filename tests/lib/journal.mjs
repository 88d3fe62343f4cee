// SPDX-License-Identifier: Apache-2.0
// Reads a server's audit journal by its documented form (src/audit/journal_line.h), independently of
// the program: one line an event, a hash chain through all files.
import crypto from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'

export const folder = (server) => path.join(server.data, 'audit')

export const files = (server) => fs.readdirSync(folder(server))
  .filter((name) => name.endsWith('.journal')).sort().map((name) => path.join(folder(server), name))

export const node = (server) => fs.readFileSync(path.join(folder(server), 'node'), 'utf8')

const LINE = /^([0-9a-f]{8}) ([0-9a-f]{16}) ([0-9a-f]{64}) (.*)$/

// Every event in order, as its record with `sequence`; copies of those that were written with their
// change when `copies` asks for them. Throws where the chain breaks; a last line
// that is not whole yet does not count.
export function events(server, copies = false) {
  const out = []
  let former
  for (const file of files(server)) {
    const text = fs.readFileSync(file, 'utf8')
    const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n').slice(0, -1)
    for (const [i, line] of lines.entries()) {
      const m = LINE.exec(line)
      if (!m || parseInt(m[1], 16) !== Buffer.byteLength(m[4]))
        throw new Error(`${file}:${i + 1}: no line of a journal`)
      const record = JSON.parse(m[4])
      if (i === 0 && former !== undefined && record.previous !== former)
        throw new Error(`${file}: does not follow the file before it`)
      const hash = crypto.createHash('sha256')
        .update(`${i === 0 ? record.previous : former}${m[1]} ${m[2]} ${m[4]}`).digest('hex')
      if (hash !== m[3]) throw new Error(`${file}:${i + 1}: the chain is broken`)
      former = hash
      if (i > 0 && (copies || !record.kept)) out.push({ sequence: parseInt(m[2], 16), ...record })
    }
  }
  return out
}
