#!/usr/bin/env node
import { launch } from '@ipfs-cluster/base/launcher'

await launch(import.meta.resolve('../src/main.ts'))
