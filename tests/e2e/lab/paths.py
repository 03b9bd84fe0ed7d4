# SPDX-License-Identifier: Apache-2.0
"""Where things are."""

import os

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
BUILD = os.path.abspath(os.environ.get("SKYFALL_BUILD", os.path.join(ROOT, "build")))
SKYFALL = os.path.join(BUILD, "cli", "skyfall")
AGENT = os.path.join(BUILD, "agent", "skyfall-agent")
WORKLOAD = os.path.join(BUILD, "tests", "e2e", "workload")
GEN = os.path.join(BUILD, "tools", "skyfall-gen")
LINK = os.path.join(BUILD, "tools", "skyfall-link")
BTF = os.path.join(BUILD, "tools", "skyfall-btf")
