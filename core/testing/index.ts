/**
 * `millrace/testing`: the tools that Millrace is tested with, for tests of what you build on it. A
 * file system that crashes and fails on demand, a clock that you advance, and a checker for what
 * clients of a log saw.
 *
 * @module
 */
export { MemoryFileSystem, type MemoryFileSystemOptions } from '../storage/memory-fs.ts';
export {
  changesNothing,
  type Fault,
  type Operation as DiskOperation,
  type OperationKind,
} from '../storage/memory-operations.ts';
export { ManualClock } from './manual-clock.ts';
export {
  History,
  type OpenOperation,
  type Operation,
  type Outcome,
  type Seen,
  type Step,
} from './history.ts';
export {
  checkHistory,
  type Anomaly,
  type AnomalyType,
  type CheckOptions,
} from './check-history.ts';
