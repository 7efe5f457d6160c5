/// <reference types="node" preserve="true" />
/**
 * Tests topologies without a log and without waiting.
 *
 * @packageDocumentation
 */
export { TopologyTestDriver, type TestDriverOptions } from './topology-test-driver.ts';
export type { OutputRecord, TestRecord } from './test-records.ts';
export type { TestInputOptions, TestInputTopic, TestOutputTopic } from './test-topics.ts';
