// SPDX-License-Identifier: Apache-2.0
// 10,000 users on two nodes of one PostgreSQL; prints one line of JSON. For bench/caches.py.
import { start } from '../tests/lib/basalt.mjs'
import { people, traffic, warmUp } from '../tests/lib/zipf.mjs'

const [users, requests] = process.argv.slice(2).map(Number)
const first = await start()
const nodes = [first, await first.beside()]
const crowd = await people(first, users)
await warmUp(nodes, crowd)
console.log(`found ${JSON.stringify(await traffic(nodes, crowd, requests))}`)
for (const node of nodes.reverse()) await node.close() // no test's end does it here
process.exit()
