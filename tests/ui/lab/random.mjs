// SPDX-License-Identifier: Apache-2.0
// Random input that is the same in every run.
export class Random {
  constructor(seed) {
    this.state = seed >>> 0
  }

  // 0 <= x < 1 (mulberry32)
  unit() {
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let t = this.state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  below(n) {
    return Math.floor(this.unit() * n)
  }

  one(list) {
    return list[this.below(list.length)]
  }

  // Letters, and whatever could mean something to somebody.
  text(most = 24) {
    const marks = [' ', '"', '\\', '=', ';', ':', '%', '%2', '%25', '%3b', '%zz', '%ff', '&', '?', '#', '+', '<', '>', '!', '..', '-', '\n', '\t', '\u00a0', '\u202e', 'é', '💥',
      'service=', 'port=', 'net=', '1k', '2.5M', '__proto__', 'constructor', '0']
    return Array.from({ length: this.below(most) }, () => this.below(2) ? this.one(marks) : String.fromCharCode(97 + this.below(26))).join('')
  }
}
