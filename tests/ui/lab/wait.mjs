// SPDX-License-Identifier: Apache-2.0
// Waiting for a condition with a deadline; never for a fixed time.
const STEP_MS = 50

// The first true value of condition(). After `seconds`: an error with `what`, a text or a function giving one.
export async function until(condition, seconds, what) {
  const deadline = performance.now() + seconds * 1000
  for (;;) {
    let value
    let said = ''
    try {
      value = await condition()
    } catch (e) {
      said = ` (${e.message ?? e})`
    }
    if (value) return value
    if (performance.now() >= deadline)
      throw new Error(`not within ${seconds} s: ${typeof what === 'function' ? await what() : what}${said}`)
    await new Promise((done) => { setTimeout(done, STEP_MS) })
  }
}
