// SPDX-License-Identifier: Apache-2.0

//go:build tools

// What is built beside: named here so that go.mod and go.sum have it.
package main

import _ "github.com/netsampler/goflow2/v2/cmd/goflow2"
