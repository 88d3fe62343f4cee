// SPDX-License-Identifier: Apache-2.0
// Waiting for what a test expects: always for a condition, always with a deadline.
import { setTimeout as sleep } from 'node:timers/promises'

// Sanitizers make everything several times slower; what a test measures is measured without them.
export const sanitized = Boolean(process.env.DEV_SANITIZER)
export const patience = sanitized ? 5 : 1

// Resolves with the first truthy value of condition(); rejects naming `what` after ms. An error in
// condition() counts as "not yet" and is told at the end.
export async function waitFor(what, condition, ms = 10_000, everyMs = 10) {
  const deadline = performance.now() + ms * patience
  for (let last; ;) {
    try {
      const value = await condition()
      if (value) return value
      last = undefined
    } catch (error) {
      last = error
    }
    if (performance.now() > deadline)
      throw new Error(`waited ${ms * patience} ms in vain for ${what}`, { cause: last })
    await sleep(everyMs)
  }
}

// The promise's value, or an error naming `what` after ms.
export async function within(ms, what, promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${ms * patience} ms`)),
      ms * patience)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

// Runs work(item, index) for every item, at most `atOnce` at a time; results in the items' order.
export async function mapAtOnce(items, atOnce, work) {
  const results = new Array(items.length)
  let next = 0
  const worker = async () => {
    while (next < items.length) {
      const i = next++
      results[i] = await work(items[i], i)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker))
  return results
}

export async function timed(work) {
  const from = performance.now()
  const value = await work()
  return { value, ms: performance.now() - from }
}
