/// <reference types="node" preserve="true" />
/**
 * The public face of `millrace/testing`: what Millrace is tested with, for those who test what they
 * build on it. A file system that crashes and fails at will, a clock that is told to go on, and a
 * checker for what clients of a log saw.
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
