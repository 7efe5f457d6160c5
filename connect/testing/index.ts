/// <reference types="node" preserve="true" />
/**
 * `millrace/connect/testing`: drives a connector through crashes, restarts and rewinds, and checks
 * that it keeps what its `delivery` promises.
 *
 * @module
 */
export { trySource, type SourceTrial } from './try-source.ts';
export { trySink, type SinkTrial } from './try-sink.ts';
export type { Trials } from './trials.ts';
