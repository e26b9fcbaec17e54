#!/usr/bin/env node
import { launch } from '@ipfs-cluster/base/launcher'

await launch(import.meta.resolve('../src/bin/ipfs-cluster-service.ts'))
