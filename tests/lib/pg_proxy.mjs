// SPDX-License-Identifier: Apache-2.0
// A PostgreSQL that can go away and come back: a TCP port before a server's own one.
import net from 'node:net'

export async function pgProxy(url) {
  const to = new URL(url.replace('@/', '@socket/'))
  const socket = `${to.searchParams.get('host')}/.s.PGSQL.${to.searchParams.get('port')}`
  const open = new Set()
  let away = false
  const server = net.createServer((client) => {
    if (away) return client.destroy()
    const database = net.connect(socket)
    for (const [from, into] of [[client, database], [database, client]]) {
      open.add(from)
      from.on('error', () => into.destroy())
      from.on('close', () => (open.delete(from), into.destroy()))
      from.pipe(into)
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    away = true
    for (const end of open) end.destroy()
  }
  return {
    url: `postgresql://${to.username}:${to.password}@127.0.0.1:${server.address().port}${to.pathname}`,
    cut,
    mend: () => (away = false),
    close: () => (cut(), server.close()),
  }
}
