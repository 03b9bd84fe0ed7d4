# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests stand on: hosts made of network namespaces, workloads, the programs under test."""
