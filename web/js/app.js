// SPDX-License-Identifier: Apache-2.0
// Start of the page.
const main = /** @type {HTMLElement} */ (document.getElementById('main'))
main.textContent = 'Skyfall'
